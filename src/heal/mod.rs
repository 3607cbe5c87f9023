//! The supervisor: a pure state machine that decides, and the shell that carries out what it decided.
//!
//! The pure part is [`Supervisor`] and everything it uses: no I/O, no clock. supervisor.rs tells how an incident
//! moves, guard/ what can stop an action.

mod act;
mod carry_out;
mod case;
mod decide;
mod effect;
mod errand;
mod freeze;
mod guard;
mod input;
mod inspect;
mod jitter;
mod ladder;
mod ledger;
mod place;
mod policy;
mod proof;
mod records;
mod replay;
mod reread;
mod restore;
mod rivals;
mod run;
mod settings;
mod shell;
mod sight;
mod signals;
mod steady;
mod supervisor;
mod world;

#[cfg(test)]
mod tests;

pub use effect::{Action, ActionId, Announcement, Effect, News};
pub use guard::{Guard, Refusal};
pub use input::Input;
pub use replay::{Happening, Replay, What};
pub use rivals::running;
pub use settings::{Budget, Budgets, Limits, LockRetry, Settings};
pub use shell::{BEAT_MAX_AGE, Error, RuleSource, Shell, Tell, Told, Until};
pub use supervisor::Supervisor;
