//! The sliding window of one rule and one key: hits until there are enough, and the quiet time after firing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::hit::Hit;
use super::rule::{Rule, Threshold};
use crate::fleet::{ContainerId, Evidence, Timestamp};

/// How many pieces of evidence a signal carries.
pub(super) const EVIDENCE: usize = 20;

/// What a rule has seen for one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// Oldest first.
    hits: VecDeque<Stamp>,
    /// The newest hits in full; oldest first.
    evidence: VecDeque<Evidence>,
    captures: BTreeMap<String, String>,
    /// Since when there have been enough hits without a break.
    enough_since: Option<Timestamp>,
    quiet: Option<Quiet>,
    /// Hits that were kept quiet since the last signal.
    repeats: u64,
}

/// What is remembered of each hit.
#[derive(Debug, Clone)]
struct Stamp {
    at: Timestamp,
    live: bool,
    fault: bool,
    /// What it is told from others by, when only different ones count.
    value: Option<Box<str>>,
}

/// The time after firing in which repeats are only counted.
#[derive(Debug, Clone)]
struct Quiet {
    since: Timestamp,
    cooldown: Duration,
    /// The last repeat, and how long without one it takes for the trouble to be over.
    last: Timestamp,
    clear: Option<Duration>,
    process: Option<Process>,
}

/// Which process of an app a hit came from. A cooldown ends when somebody replaced the process: whether the trouble
/// is back after that is news. A restart by Docker's own policy does not count, or a crash loop would never be quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) container: ContainerId,
    pub(super) deliberate_starts: u64,
}

/// A window that is full: what there is to tell.
#[derive(Debug, Clone)]
pub(super) struct Full {
    pub(super) count: usize,
    pub(super) repeats: u64,
    pub(super) evidence: Vec<Evidence>,
    pub(super) captures: BTreeMap<String, String>,
    pub(super) live: bool,
    /// Whether each of the hits shows a fault by itself.
    pub(super) fault: bool,
}

/// What became of a hit.
#[derive(Debug, Clone)]
pub(super) enum Counted {
    /// The window holds so many now.
    Have(usize),
    /// There are enough, but only for so long.
    Lasting(Duration),
    /// Kept quiet after firing.
    Quiet,
    Full(Full),
}

impl Window {
    /// Counts a hit. A full window is emptied. `value` is what tells hits apart, where only different ones count.
    pub(super) fn count(
        &mut self,
        hit: &Hit,
        process: Option<&Process>,
        threshold: &Threshold,
        value: Option<&str>,
    ) -> Counted {
        if let Some(quiet) = self.quiet.as_mut().filter(|quiet| quiet.holds(hit.at, process)) {
            quiet.last = quiet.last.max(hit.at);
            self.repeats += 1;
            return Counted::Quiet;
        }
        let need = threshold.count;
        self.slide(hit.at, threshold.within);
        let unbroken = self.hits.len() >= need;
        self.insert(hit, value);
        if self.hits.len() < need {
            self.enough_since = None;
            return Counted::Have(self.hits.len());
        }
        if let Some(lasts) = threshold.lasts {
            let since = self.enough_since.filter(|_| unbroken).unwrap_or(hit.at);
            self.enough_since = Some(since);
            let lasted = hit.at.since(since);
            if lasted < lasts {
                // What is older cannot decide any more.
                while self.hits.len() > need {
                    self.hits.pop_front();
                }
                return Counted::Lasting(lasted);
            }
        }
        self.enough_since = None;
        let hits = std::mem::take(&mut self.hits);
        Counted::Full(Full {
            count: hits.len(),
            repeats: std::mem::take(&mut self.repeats),
            live: hits.iter().all(|hit| hit.live),
            fault: hits.iter().all(|hit| hit.fault),
            evidence: self.evidence.drain(..).collect(),
            captures: std::mem::take(&mut self.captures),
        })
    }

    /// Lets go of what is too old at `at`.
    fn slide(&mut self, at: Timestamp, within: Duration) {
        if self.hits.back().is_some_and(|newest| at + within < newest.at) {
            // The host's clock was set back. Waiting for it to catch up would make the rule blind for as long.
            self.hits.clear();
            self.evidence.clear();
            self.captures.clear();
            self.enough_since = None;
        }
        let newest = self.hits.back().map_or(at, |newest| newest.at.max(at));
        let oldest = newest - within;
        while self.hits.front().is_some_and(|hit| hit.at < oldest) {
            self.hits.pop_front();
        }
        while self.evidence.front().is_some_and(|evidence| evidence.at < oldest) {
            self.evidence.pop_front();
        }
    }

    fn insert(&mut self, hit: &Hit, value: Option<&str>) {
        if value.is_some() {
            self.hits.retain(|known| known.value.as_deref() != value);
        }
        let place = self.hits.partition_point(|known| known.at <= hit.at);
        let stamp = Stamp { at: hit.at, live: hit.live, fault: hit.fault, value: value.map(Box::from) };
        self.hits.insert(place, stamp);
        let place = self.evidence.partition_point(|evidence| evidence.at <= hit.at);
        self.evidence.insert(place, hit.evidence());
        if self.evidence.len() > EVIDENCE {
            self.evidence.pop_front();
        }
        self.captures.extend(hit.captures.iter().cloned());
    }

    /// Begins the quiet time after a signal.
    pub(super) fn quieten(&mut self, since: Timestamp, rule: &Rule, process: Option<Process>) {
        let (cooldown, clear) = (rule.cooldown, rule.threshold.clear);
        let quiet = Quiet { since, cooldown, last: since, clear, process };
        self.quiet = (!cooldown.is_zero() || clear.is_some()).then_some(quiet);
    }

    /// Counts what was not told, to be told with the next signal.
    pub(super) fn hush(&mut self, full: &Full) {
        self.repeats += full.repeats + u64::try_from(full.count).unwrap_or(u64::MAX);
    }
}

impl Quiet {
    /// Both bounds are checked, so that a clock that was set back does not prolong the quiet.
    fn holds(&self, at: Timestamp, process: Option<&Process>) -> bool {
        let near = |from: Timestamp, time: Duration| at < from + time && from < at + time;
        self.process.as_ref() == process
            && (near(self.since, self.cooldown) || self.clear.is_some_and(|clear| near(self.last, clear)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(seconds: i64) -> Hit {
        Hit::new(Timestamp::from_seconds(seconds), format!("at {seconds}"), true)
    }

    fn threshold(count: usize, within: u64) -> Threshold {
        Threshold {
            count,
            within: Duration::from_secs(within),
            distinct: None,
            lasts: None,
            holds: None,
            clear: None,
        }
    }

    fn process(starts: u64) -> Process {
        Process { container: ContainerId("c".to_owned()), deliberate_starts: starts }
    }

    /// Plays hits at these seconds; gives the seconds at which the window was full.
    fn full_at(need: usize, within: u64, seconds: &[i64]) -> Vec<i64> {
        let mut window = Window::default();
        let mut full = |at| {
            let counted = window.count(&hit(at), Some(&process(0)), &threshold(need, within), None);
            matches!(counted, Counted::Full(_))
        };
        seconds.iter().copied().filter(|&at| full(at)).collect()
    }

    #[test]
    fn windows_slide() {
        for (need, within, seconds, expected) in [
            (1, 10, &[5, 6][..], &[5, 6][..]),
            (3, 10, &[0, 5, 10], &[10]),
            (3, 10, &[0, 5, 11], &[]),
            (3, 10, &[0, 5, 11, 12], &[12]),
            (2, 10, &[0, 1, 2, 3], &[1, 3]),
            // Out of order, as two streams of one container are.
            (3, 10, &[10, 1, 5], &[5]),
            // The clock was set back: counting starts again.
            (2, 10, &[1000, 0, 1], &[1]),
        ] {
            assert_eq!(full_at(need, within, seconds), expected, "{need} in {within} of {seconds:?}");
        }
    }

    #[test]
    fn different_values_are_counted_once_each() {
        let mut window = Window::default();
        let mut have = |at, value| match window.count(&hit(at), None, &threshold(3, 10), Some(value)) {
            Counted::Have(have) => Some(have),
            _ => None,
        };
        assert_eq!(
            [have(0, "a"), have(1, "a"), have(2, "b"), have(3, "a")],
            [Some(1), Some(1), Some(2), Some(2)]
        );
        // `b` came last at 2 s.
        assert_eq!([have(13, "c"), have(13, "a")], [Some(2), Some(2)]);
        assert_eq!(have(14, "d"), None);
    }

    #[test]
    fn what_must_last_begins_anew_after_a_break() {
        let lasting = Threshold { lasts: Some(Duration::from_secs(20)), ..threshold(1, 10) };
        let full_at = |seconds: &[i64]| -> Vec<i64> {
            let mut window = Window::default();
            let mut full = |at| matches!(window.count(&hit(at), None, &lasting, None), Counted::Full(_));
            seconds.iter().copied().filter(|&at| full(at)).collect()
        };
        assert_eq!(full_at(&[0, 8, 16, 19, 20]), [20]);
        assert_eq!(full_at(&[0, 8, 19, 20, 28]), [0; 0], "11 s without a hit is a break");
        assert_eq!(full_at(&[0, 8, 19, 29, 39]), [39]);
    }

    #[test]
    fn evidence_is_bounded() {
        let mut window = Window::default();
        let full = (0..100).find_map(|at| {
            match window.count(&hit(at), Some(&process(0)), &threshold(50, 1000), None) {
                Counted::Full(full) => Some(full),
                _ => None,
            }
        });
        let full = full.unwrap();
        assert_eq!((full.count, full.evidence.len()), (50, EVIDENCE));
        assert_eq!(full.evidence.last().unwrap().text, "at 49");
    }
}
