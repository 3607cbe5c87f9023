//! Arcane: a hacker's PaaS in one binary, for people who run containers on their own servers.
//!
//! Data runs one way: a host's streams become [`fleet::Observation`]s in `watch`, rules turn them into
//! [`fleet::Signal`]s, `heal` decides, and `deploy` is the only room that changes a server. ARCHITECTURE.md tells the
//! whole story and `tests/tidy.rs` holds the walls between the rooms.

pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "ops")]
pub mod deploy;
#[cfg(feature = "ops")]
pub mod diagnose;
#[cfg(feature = "ops")]
pub mod docker;
pub mod fleet;
pub mod git;
#[cfg(feature = "ops")]
pub mod heal;
#[cfg(feature = "ops")]
pub mod journal;
#[cfg(feature = "ops")]
pub mod rules;
pub mod secrets;
#[cfg(feature = "ops")]
pub mod ssh;
#[cfg(feature = "ops")]
pub mod watch;
