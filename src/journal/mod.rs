//! This machine's memory in SQLite: releases, incidents, actions, decisions, freezes, what logs consist of. Never the only copy of what is
//! needed to roll back.
//!
//! Several processes use it at once: a supervisor heals while somebody approves in another window. So every change is
//! one IMMEDIATE transaction, numbers are handed out by the database, and a process that is killed leaves nothing half
//! written. All of it is synchronous and may wait for the disk or another writer: call it from a blocking thread.

mod bounds;
mod decisions;
mod error;
mod freezes;
mod incidents;
mod logs;
mod places;
mod releases;
mod row;
mod schema;
mod store;
mod supervisors;
#[cfg(test)]
mod tests;

pub use decisions::{Decision, DecisionRecord};
pub use error::{Error, Result};
pub use freezes::Freeze;
pub use incidents::Saved;
pub use places::LogPlace;
pub use releases::{Outcome, ReleaseRecord};
pub use store::Journal;
pub use supervisors::SupervisorBeat;
