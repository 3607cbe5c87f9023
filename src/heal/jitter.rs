//! Jitter: pauses differ a little, so that a hundred apps that fell together do not get up together. The generator is
//! SplitMix64 with its state in plain sight: the same seed gives the same decisions.

use std::time::Duration;

/// A pause grows by at most one part in this many.
const SPREAD: u64 = 4;

/// Steele, Lea and Flood's SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    /// A generator; equal seeds give equal numbers.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `first` doubled with every try after the first, at most `limit`, plus up to a quarter.
    pub(super) fn backoff(&mut self, (first, limit): (Duration, Duration), tries: u32) -> Duration {
        let doubled = first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
        let pause = doubled.min(limit);
        let quarter = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / SPREAD;
        pause.saturating_add(Duration::from_millis(self.next() % quarter.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_limit_and_jitters_upwards_only() {
        let range = (Duration::from_secs(10), Duration::from_secs(60));
        for (tries, low) in [(0, 10), (1, 10), (2, 20), (3, 40), (4, 60), (40, 60)] {
            for seed in 0..50 {
                let pause = SplitMix::new(seed).backoff(range, tries);
                let low = Duration::from_secs(low);
                assert!(pause >= low && pause <= low + low / 4, "{tries} tries: {pause:?}");
            }
        }
        assert_ne!(SplitMix::new(1).backoff(range, 1), SplitMix::new(2).backoff(range, 1));
        assert_eq!(SplitMix::new(0).next(), 0xe220_a839_7b1d_cdaf);
    }
}
