//! A change to several hosts: in which order, how many at once, and what becomes of the rest when one fails.
//!
//! [`stages`] draws the order up and [`course`] follows it, both without doing anything; [`carry_out`] does what they
//! say. A host is pushed to while the others wait, and its image travels then, not earlier: sent ahead, it would lie on
//! hosts that a failed canary keeps the rollout from ever reaching.

mod carry_out;
mod course;
mod stages;

pub use carry_out::{carry_out, on_each};
pub use course::{Course, Ended, Errand, Next, OnFailure, Standing};
pub use stages::{Kind, Stage, stages};

/// Hosts worked on at once, whatever the size of a batch. A server lets ten connections at once prove who they are
/// (sshd's `MaxStartups`) before it drops some of them, and a jump host that leads to all the others is one server.
pub const AT_ONCE: usize = 8;
