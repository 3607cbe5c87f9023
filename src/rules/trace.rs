//! Why a rule did or did not fire: what became of each observation that its trigger matched.

use std::fmt;
use std::time::Duration;

use crate::fleet::{Timestamp, duration};

/// Notes kept by a tracing engine.
pub(super) const NOTES: usize = 10_000;

/// What became of one observation that a rule's trigger matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When the observation happened.
    pub at: Timestamp,
    /// The rule, as an index into the set's rules.
    pub rule: usize,
    /// The line or event.
    pub text: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rule is not about this app, host or stream.
    OutOfScope,
    /// An earlier event explains it away.
    Explained {
        /// That event.
        by: String,
        /// How long before.
        ago: Duration,
    },
    /// A benign rule explains the line.
    Suppressed {
        /// That rule.
        by: String,
    },
    /// The rule is a fallback, and another knows the line better.
    GaveWay {
        /// That rule.
        to: String,
    },
    /// Something required does not hold; in words.
    Unmet(String),
    /// Not enough of them yet.
    Counted {
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
        /// Within this time.
        within: Duration,
    },
    /// It holds, but not for long enough yet.
    Lasting {
        /// For so long.
        lasted: Duration,
        /// It takes so long.
        need: Duration,
    },
    /// A step of its sequence was found; others are missing, or came in another order.
    Step {
        /// Which, counted from 1.
        step: usize,
        /// How many there are.
        of: usize,
    },
    /// The cause of it is known, so that it is only counted.
    Inhibited {
        /// The rule that found the cause.
        by: String,
    },
    /// The rule fired not long ago and only counts repeats.
    Quiet,
    /// Enough of them, but no state change confirms it so far.
    Unconfirmed,
    /// The rule fired.
    Fired,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfScope => f.write_str("outside the rule's scope"),
            Self::Explained { by, ago } => write!(f, "explained by `{by}` {} earlier", duration::brief(*ago)),
            Self::Suppressed { by } => write!(f, "explained away by {by}"),
            Self::GaveWay { to } => write!(f, "gave way to {to}"),
            Self::Unmet(what) => f.write_str(what),
            Self::Counted { have, need, within } => {
                write!(f, "counted: {have} of {need} within {}", duration::format(*within))
            }
            Self::Lasting { lasted, need } => {
                write!(f, "holds for {}, {} are needed", duration::brief(*lasted), duration::format(*need))
            }
            Self::Step { step, of } => write!(f, "step {step} of {of}"),
            Self::Inhibited { by } => write!(f, "kept quiet, for {by} has found the cause"),
            Self::Quiet => f.write_str("kept quiet by the cooldown"),
            Self::Unconfirmed => f.write_str("no event confirms it so far"),
            Self::Fired => f.write_str("fired"),
        }
    }
}
