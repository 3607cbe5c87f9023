//! How much work one line may make. A line of 64 KiB that is made of the rules' own words would have hundreds of patterns
//! tried on it, each over its whole length, and everybody who can make an app log something can make such lines. So of
//! each line only so much is looked through. Honest lines come nowhere near: of 64 KiB of ordinary log, taken for one
//! line, some 20 rules are tried.

/// Bytes that patterns look through for one line, in all.
const WORK: usize = 8 << 20;
/// To ask whether a pattern is worth trying is cheaper than trying it by this factor.
const CHEAPER: usize = 8;

/// What is left for a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    left: usize,
    length: usize,
}

impl Budget {
    /// For a line of so many bytes.
    pub(super) const fn new(length: usize) -> Self {
        Self { left: WORK, length }
    }

    /// Whether it is enough to try so many patterns, whatever each of them takes.
    pub(super) const fn is_ample(&self, patterns: usize) -> bool {
        self.length.saturating_mul(patterns).saturating_mul(2) <= self.left
    }

    /// Takes what it costs to ask whether so many patterns are worth trying, and says whether it was there.
    pub(super) fn ask(&mut self, patterns: usize) -> bool {
        self.take(self.length.saturating_mul(patterns) / CHEAPER)
    }

    /// The same for trying so many.
    pub(super) fn attempt(&mut self, patterns: usize) -> bool {
        self.take(self.length.saturating_mul(patterns))
    }

    fn take(&mut self, cost: usize) -> bool {
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// When a rule is tried on a line that has words of so many that not all can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is a user's.
    First,
    /// It comes with Arcane.
    Second,
    /// It counts only what nothing else knows.
    Last,
}

impl Turn {
    /// Them in order.
    pub(super) const ALL: [Option<Self>; 3] = [Some(Self::First), Some(Self::Second), Some(Self::Last)];
}
