//! A row of BENCHMARKS.md: medians with their spread, because a small shared machine is noisy.

/// Figures of one thing, in the order in which they were measured.
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn of(rounds: usize, mut measure: impl FnMut(usize) -> f64) -> Self {
        Self((0..rounds).map(&mut measure).collect())
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value that this part of the figures does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part).round() as usize]
    }

    /// `12.3 ms (11.0–14.1)`: the median, the least and the most.
    pub(crate) fn text(&self, unit: &str) -> String {
        let [median, least, most] = [0.5, 0.0, 1.0].map(|part| number(self.quantile(part)));
        format!("{median} {unit} ({least}–{most})")
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Vec<f64>> for Sample {
    fn from(figures: Vec<f64>) -> Self {
        Self(figures)
    }
}

/// Three digits that mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Ours beside theirs, where less is better. The ratio is theirs by ours: above 1 is in our favour.
pub(crate) fn versus(what: &str, ours: &Sample, against: &str, theirs: &Sample, unit: &str) {
    let ratio = theirs.median() / ours.median();
    let against = format!("{against}: {}", theirs.text(unit));
    print(what, &against, &ours.text(unit), &format!("{ratio:.2}"), ours.len());
}

/// The same for a rate, where more is better: the ratio is ours by theirs.
pub(crate) fn versus_rate(what: &str, ours: &Sample, against: &str, theirs: &Sample, unit: &str) {
    let ratio = ours.median() / theirs.median();
    let against = format!("{against}: {}", theirs.text(unit));
    print(what, &against, &ours.text(unit), &format!("{ratio:.2}"), ours.len());
}

/// Ours, with nothing to hold it against.
pub(crate) fn alone(what: &str, ours: &Sample, unit: &str) {
    print(what, "–", &ours.text(unit), "–", ours.len());
}

/// A row in words.
pub(crate) fn print(what: &str, against: &str, figure: &str, ratio: &str, n: usize) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("| {what} | {against} | {figure} | {ratio} | {n} | lab, {cores} cores |");
}
