//! How an upload is coming along: a bar on standard error when that is a terminal, and nothing otherwise. For a
//! program, a line about once a second.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use super::steps::bytes;
use crate::deploy::Event;
use crate::fleet::text::plural;

/// How often a program is told.
const TELL: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "          {prefix}  {bar:30} {percent:>3}%  {msg}";

/// The upload to one host.
#[derive(Default)]
pub(super) struct Meter {
    bar: Option<ProgressBar>,
    begun: Option<Instant>,
    told: Option<Instant>,
}

impl Meter {
    /// Whether a program is to be told now.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.told.is_none_or(|told| told.elapsed() >= TELL);
        if due {
            self.told = Some(Instant::now());
        }
        due
    }

    /// Shows an event of the kind `Sent` to a person.
    pub(super) fn show(&mut self, screen: &MultiProgress, event: &Event) {
        let Event::Sent {
            host,
            bytes_sent,
            bytes_per_second,
            layers_sent,
            layers_skipped,
            layers_total,
            bytes_read,
            bytes_total,
        } = event
        else {
            return;
        };
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(TEMPLATE);
            let bar = ProgressBar::new(*bytes_total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_prefix(host.to_string());
            screen.add(bar)
        });
        let sent = format!("{layers_sent} of {}", plural(layers_total - layers_skipped, "layer"));
        let skipped = if *layers_skipped > 0 { format!(", {layers_skipped} there") } else { String::new() };
        let left = left(*bytes_read, *bytes_total, begun.elapsed())
            .map(|left| format!(", {} left", HumanDuration(left)))
            .unwrap_or_default();
        bar.set_length(*bytes_total);
        bar.set_position(*bytes_read);
        bar.set_message(format!(
            "{sent}{skipped}, {} sent, {}/s{left}",
            bytes(*bytes_sent),
            bytes(*bytes_per_second)
        ));
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// How long the rest takes at the pace so far, once that can be told.
fn left(done: u64, total: u64, took: Duration) -> Option<Duration> {
    let rest = total.checked_sub(done).filter(|rest| *rest > 0 && done > 0)?;
    Duration::try_from_secs_f64(took.as_secs_f64() * rest as f64 / done as f64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_told_by_the_pace_so_far() {
        let second = Duration::from_secs(1);
        assert_eq!(left(0, 100, second), None, "nothing is known yet");
        assert_eq!(left(25, 100, second), Some(3 * second));
        assert_eq!(left(100, 100, second), None);
    }

    #[test]
    fn a_program_is_not_told_of_every_chunk() {
        let mut meter = Meter::default();
        assert!(meter.is_due());
        assert!(!meter.is_due());
    }
}
