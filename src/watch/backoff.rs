//! How long to wait before trying again: twice as long each time, within limits, and never quite the same for two who
//! failed together.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The first wait.
const SHORTEST: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The time to wait after one more failure.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        // Between three quarters of it and all of it. The hasher's keys are random for each use.
        let share = RandomState::new().hash_one(self.failures) % 1_000;
        wait.mul_f64(0.75 + 0.25 * f64::from(u32::try_from(share).unwrap_or(0)) / 1_000.0)
    }

    /// Whether nothing has failed since it last worked.
    pub(super) const fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    /// It worked.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let (wait, expected) = (backoff.failed(), Duration::from_millis(expected));
            assert!(wait <= expected && wait >= expected.mul_f64(0.75), "{wait:?} for {expected:?}");
        }
        for _ in 0..100 {
            assert!(backoff.failed() <= LONGEST);
        }
        backoff.succeeded();
        assert!(backoff.failed() <= SHORTEST);
    }
}
