//! How far behind a log is read, and when that is worth telling. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::LogState;

/// Lines that are older than this when they come out are behind …
const BEHIND: Duration = Duration::from_secs(5);
/// … if they have been for so long, and are no burst …
const LASTING: Duration = Duration::from_secs(2);
/// … and as long as they are not as young as this again.
const CAUGHT_UP: Duration = Duration::from_secs(1);
/// A log in which nothing comes for so long has come to its end.
const SILENT: Duration = Duration::from_secs(2);
/// How often it is told anew.
const AGAIN: Duration = Duration::from_secs(10);

/// How a log is read, as it was last told.
#[derive(Debug, Default)]
pub(super) struct Lag {
    told: Option<LogState>,
    told_at: Option<Instant>,
    /// Since when it has been behind.
    since: Option<Instant>,
    /// When the last line came out.
    last: Option<Instant>,
}

impl Lag {
    /// Takes note of how old the line was that just came out. What to tell of that.
    pub(super) fn note(&mut self, now: Instant, age: Duration) -> Option<LogState> {
        self.last = Some(now);
        if age < CAUGHT_UP {
            return self.caught_up();
        }
        if age < BEHIND {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let is_told = self.is_behind() && self.told_at.is_some_and(|at| now.duration_since(at) < AGAIN);
        let by = Duration::from_secs(age.as_secs());
        if now.duration_since(since) < LASTING || is_told {
            return None;
        }
        self.told_at = Some(now);
        Some(LogState::Behind { by })
    }

    fn caught_up(&mut self) -> Option<LogState> {
        self.since = None;
        self.is_behind().then_some(LogState::Live)
    }

    const fn is_behind(&self) -> bool {
        matches!(self.told, Some(LogState::Behind { .. }))
    }

    /// When to ask whether it has come to its end.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.last.filter(|_| self.is_behind()).map(|last| last + SILENT)
    }

    /// What to tell if nothing has come for long.
    pub(super) fn silent(&mut self, now: Instant) -> Option<LogState> {
        if self.alarm().is_some_and(|at| at <= now) { self.caught_up() } else { None }
    }

    /// Whether that is news. It is taken for told.
    pub(super) fn turns(&mut self, state: &LogState) -> bool {
        let is_same = match (&self.told, state) {
            (Some(LogState::Interrupted { .. }), LogState::Interrupted { .. }) => true,
            // Opening it anew makes nothing younger.
            (Some(LogState::Behind { .. }), LogState::Live) => self.since.is_some(),
            // As far as ever is news from time to time.
            (_, LogState::Behind { .. }) => false,
            (told, state) => told.as_ref() == Some(state),
        };
        if !is_same {
            self.told = Some(state.clone());
        }
        !is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lag_that_lasts_is_told_and_told_again_while_it_does() {
        let begun = Instant::now();
        let mut lag = Lag::default();
        assert!(lag.turns(&LogState::Live));
        assert!(!lag.turns(&LogState::Live));
        let mut told = Vec::new();
        // Each half second a line that is so many seconds old.
        let ages = [9, 0].into_iter().chain([8; 26]).chain([3, 0, 0, 9, 9]);
        for (half_seconds, age) in (0..).zip(ages) {
            let now = begun + Duration::from_millis(500 * half_seconds);
            if let Some(state) = lag.note(now, Duration::from_secs(age)) {
                assert!(lag.turns(&state));
                told.push((half_seconds, state));
            }
        }
        let behind = LogState::Behind { by: Duration::from_secs(8) };
        assert_eq!(told, [(6, behind.clone()), (26, behind), (29, LogState::Live)]);
    }

    #[test]
    fn the_end_of_a_burst_is_the_end_of_its_lag() {
        let (begun, old) = (Instant::now(), Duration::from_secs(15));
        let mut lag = Lag::default();
        assert_eq!(lag.note(begun, old), None);
        let later = begun + LASTING;
        let behind = lag.note(later, old).unwrap();
        assert!(lag.turns(&behind));
        assert_eq!(lag.alarm(), Some(later + SILENT));
        assert_eq!(lag.silent(later + SILENT - Duration::from_millis(1)), None);
        assert_eq!(lag.silent(later + SILENT), Some(LogState::Live));
        assert!(lag.turns(&LogState::Live));
        assert_eq!(lag.alarm(), None);
    }

    #[test]
    fn an_interruption_is_told_once_with_its_first_time() {
        let mut lag = Lag::default();
        let interrupted =
            |seconds| LogState::Interrupted { since: crate::fleet::Timestamp::from_seconds(seconds) };
        assert!(lag.turns(&interrupted(1)));
        assert!(!lag.turns(&interrupted(2)));
        assert!(lag.turns(&LogState::Live));
        assert!(lag.turns(&interrupted(3)));
    }
}
