//! What is new in an app's log since its release: evidence for people and for the supervisor, never a reason to act.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::signal::Evidence;

/// A kind of line that a release writes, and that the releases before it did not write, or far less often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Novelty {
    /// What is new about it.
    pub what: Newness,
    /// The words that all such lines share; `*` stands for what differs.
    pub template: String,
    /// The first such line of the release.
    pub sample: Evidence,
    /// How many there were since the release.
    pub lines: u64,
}

/// What is new about a kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Newness {
    /// No earlier release wrote it, as long as they were watched.
    NeverSeen,
    /// It comes far more often: lines in the busiest minute.
    MoreOften {
        /// Of the releases before.
        before: u32,
        /// Of this one.
        now: u32,
    },
}

impl fmt::Display for Newness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSeen => f.write_str("never before this release"),
            Self::MoreOften { before, now } => {
                write!(f, "up to {now} a minute, {before} before this release")
            }
        }
    }
}
