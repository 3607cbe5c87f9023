//! The only room that changes a server: plan, lock, transfer, switch, keep, roll back.
//!
//! [`push`] brings an image in and switches to it, [`rollback`] goes back to a release that is still there. Both work
//! under the [`lock`], both go through the same [`switch`], and both trust nothing but the names and [`labels`] of the
//! containers they find: [`situation`] judges those, and knows the way back from wherever a change was cut off.

mod bake;
mod bake_log;
mod blue_green;
mod boomerang;
pub mod build;
pub mod caddy;
pub mod caddyfile;
pub mod diff;
pub mod drift;
pub mod error;
pub mod event;
pub mod give_back;
mod health;
mod hook;
mod keeper;
pub mod labels;
pub mod lend;
pub mod lock;
mod oneoff;
mod output;
pub mod past;
mod ports;
pub mod preflight;
pub mod prune;
pub mod push;
pub mod remote;
pub mod rollback;
pub mod rollout;
pub mod secrets;
pub mod situation;
mod slots;
mod sockets;
mod switch;
pub mod target;
pub mod transfer;

pub use error::{Error, RolledBack};
pub use event::{Done, Event, Outcome, Report, Step};
pub use remote::Remote;

#[cfg(test)]
pub(crate) mod sample;
