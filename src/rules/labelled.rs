//! How well a set of rules recognises failures: labelled excerpts of logs in, precision and recall per class out. What
//! counts is the `log` triggers; thresholds, scopes and guards are not asked, since an excerpt has no clock.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::set::{RuleSet, Scanner};
use crate::fleet::Class;

/// A piece of a log, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Excerpt {
    /// Its name.
    pub id: String,
    /// What it shows.
    pub class: Class,
    /// Classes that are as right.
    #[serde(default)]
    pub also_ok: Vec<Class>,
    /// Its lines, oldest first. A stack trace may be one of them, its lines joined by newlines.
    pub log: Vec<String>,
}

/// What the rules made of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// The excerpt.
    pub id: String,
    /// What it shows.
    pub class: Class,
    /// What the rules say: benign when none of them counted a line.
    pub found: Class,
    /// Whether that is right.
    pub right: bool,
    /// The rules that counted a line, with the number of the first such line from 0.
    pub rules: Vec<(String, usize)>,
}

/// How well one class is recognised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Excerpts that show it.
    pub excerpts: usize,
    /// Those of them that were recognised, if only as something that is as right.
    pub recognised: usize,
    /// Excerpts that the rules said show it.
    pub said: usize,
    /// Those of them where it, or something as right, is shown.
    pub rightly: usize,
}

impl Score {
    /// The share of what shows the class that is recognised.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.recognised, self.excerpts)
    }

    /// The share of what is said to show the class that does.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.rightly, self.said)
    }
}

/// `part` of `whole`; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "excerpts are counted in thousands")]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What the rules make of one excerpt.
///
/// Several classes may be found: that of the most rules which are no fallback is taken, then one other than a crash, then
/// that of the most lines, then that which came first.
#[must_use]
pub fn recognise(rules: &RuleSet, scanner: &mut Scanner, excerpt: &Excerpt) -> Recognised {
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    let mut lines: BTreeMap<Class, usize> = BTreeMap::new();
    for (number, line) in excerpt.log.iter().enumerate() {
        for found in scanner.counted(line) {
            first.entry(found.rule).or_insert(number);
            *lines.entry(rules.rules()[found.rule].class()).or_default() += 1;
        }
    }
    let rank = |class: Class| {
        let own = first.iter().filter(|&(&rule, _)| rules.rules()[rule].class() == class);
        let specific = own.clone().filter(|&(&rule, _)| !rules.rules()[rule].is_fallback()).count();
        let earliest = own.map(|(_, &number)| number).min().unwrap_or(usize::MAX);
        // A crash is what is left when nothing says why.
        let says_why = class != Class::AppCrash;
        (specific, says_why, lines.get(&class).copied().unwrap_or(0), usize::MAX - earliest)
    };
    let found = lines.keys().copied().max_by_key(|&class| rank(class)).unwrap_or(Class::Benign);
    Recognised {
        id: excerpt.id.clone(),
        class: excerpt.class,
        found,
        right: found == excerpt.class || excerpt.also_ok.contains(&found),
        rules: first.into_iter().map(|(rule, line)| (rules.rules()[rule].name().to_owned(), line)).collect(),
    }
}

/// How well each class is recognised.
#[must_use]
pub fn scores(results: &[Recognised]) -> BTreeMap<Class, Score> {
    let mut scores: BTreeMap<Class, Score> = BTreeMap::new();
    for result in results {
        let shown = scores.entry(result.class).or_default();
        shown.excerpts += 1;
        shown.recognised += usize::from(result.right);
        let said = scores.entry(result.found).or_default();
        said.said += 1;
        said.rightly += usize::from(result.right);
    }
    scores
}
