//! The sliding window of one rule and one key: hits until there are enough, and the quiet time after firing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::hit::Hit;
use crate::fleet::{ContainerId, Evidence, Timestamp};

/// How many pieces of evidence a signal carries.
pub(super) const EVIDENCE: usize = 20;

/// What a rule has seen for one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// When each hit happened and whether it was live; oldest first.
    hits: VecDeque<(Timestamp, bool)>,
    /// The newest hits in full; oldest first.
    evidence: VecDeque<Evidence>,
    captures: BTreeMap<String, String>,
    quiet: Option<Quiet>,
    /// Hits that a cooldown kept quiet since the last signal.
    repeats: u64,
}

/// The time after firing in which repeats are only counted.
#[derive(Debug, Clone)]
struct Quiet {
    since: Timestamp,
    cooldown: Duration,
    process: Process,
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
}

/// What became of a hit.
#[derive(Debug, Clone)]
pub(super) enum Counted {
    /// The window holds so many now.
    Have(usize),
    /// Kept quiet by the cooldown.
    Quiet,
    Full(Full),
}

impl Window {
    /// Counts a hit. A full window is emptied.
    pub(super) fn count(&mut self, hit: &Hit, process: &Process, need: usize, within: Duration) -> Counted {
        if self.quiet.as_ref().is_some_and(|quiet| quiet.holds(hit.at, process)) {
            self.repeats += 1;
            return Counted::Quiet;
        }
        self.insert(hit, within);
        if self.hits.len() < need {
            return Counted::Have(self.hits.len());
        }
        let hits = std::mem::take(&mut self.hits);
        Counted::Full(Full {
            count: hits.len(),
            repeats: std::mem::take(&mut self.repeats),
            live: hits.iter().all(|&(_, live)| live),
            evidence: self.evidence.drain(..).collect(),
            captures: std::mem::take(&mut self.captures),
        })
    }

    fn insert(&mut self, hit: &Hit, within: Duration) {
        if self.hits.back().is_some_and(|&(newest, _)| hit.at + within < newest) {
            // The host's clock was set back. Waiting for it to catch up would make the rule blind for as long.
            self.hits.clear();
            self.evidence.clear();
            self.captures.clear();
        }
        let newest = self.hits.back().map_or(hit.at, |&(newest, _)| newest.max(hit.at));
        let oldest = newest - within;
        while self.hits.front().is_some_and(|&(at, _)| at < oldest) {
            self.hits.pop_front();
        }
        while self.evidence.front().is_some_and(|evidence| evidence.at < oldest) {
            self.evidence.pop_front();
        }
        let place = self.hits.partition_point(|&(at, _)| at <= hit.at);
        self.hits.insert(place, (hit.at, hit.live));
        let place = self.evidence.partition_point(|evidence| evidence.at <= hit.at);
        self.evidence.insert(place, hit.evidence());
        if self.evidence.len() > EVIDENCE {
            self.evidence.pop_front();
        }
        self.captures.extend(hit.captures.iter().cloned());
    }

    /// Begins the quiet time after a signal.
    pub(super) fn quieten(&mut self, since: Timestamp, cooldown: Duration, process: Process) {
        self.quiet = (!cooldown.is_zero()).then_some(Quiet { since, cooldown, process });
    }
}

impl Quiet {
    /// Both bounds are checked, so that a clock that was set back does not prolong the quiet.
    fn holds(&self, at: Timestamp, process: &Process) -> bool {
        self.process == *process && at < self.since + self.cooldown && self.since < at + self.cooldown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(seconds: i64) -> Hit {
        Hit {
            at: Timestamp::from_seconds(seconds),
            text: format!("at {seconds}"),
            captures: Vec::new(),
            live: true,
            fault: false,
        }
    }

    fn process(starts: u64) -> Process {
        Process { container: ContainerId("c".to_owned()), deliberate_starts: starts }
    }

    /// Plays hits at these seconds; gives the seconds at which the window was full.
    fn full_at(need: usize, within: u64, seconds: &[i64]) -> Vec<i64> {
        let mut window = Window::default();
        let mut full = |at| {
            let counted = window.count(&hit(at), &process(0), need, Duration::from_secs(within));
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
    fn repeats_are_counted_until_the_process_is_replaced() {
        let mut window = Window::default();
        let mut count = |at, starts| window.count(&hit(at), &process(starts), 1, Duration::from_secs(10));
        assert!(matches!(count(0, 0), Counted::Full(_)));
        window.quieten(Timestamp::from_seconds(0), Duration::from_secs(60), process(0));
        let mut count = |at, starts| window.count(&hit(at), &process(starts), 1, Duration::from_secs(10));
        assert!(matches!(count(1, 0), Counted::Quiet));
        assert!(matches!(count(59, 0), Counted::Quiet));
        assert!(matches!(count(59, 1), Counted::Full(Full { repeats: 2, .. })));
        assert!(matches!(count(60, 0), Counted::Full(Full { repeats: 0, .. })));
        assert!(matches!(count(-100, 0), Counted::Full(_)), "a clock set back does not prolong the quiet");
    }

    #[test]
    fn evidence_is_bounded() {
        let mut window = Window::default();
        let full = (0..100).find_map(|at| {
            match window.count(&hit(at), &process(0), 50, Duration::from_secs(1000)) {
                Counted::Full(full) => Some(full),
                _ => None,
            }
        });
        let full = full.unwrap();
        assert_eq!((full.count, full.evidence.len()), (50, EVIDENCE));
        assert_eq!(full.evidence.last().unwrap().text, "at 49");
    }
}
