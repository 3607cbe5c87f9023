//! The guards: one function per promise, each of which can stop an action and says why. The supervisor asks them in
//! lists: whether a remedy makes sense at all ([`SENSE`], [`RUNG`]), whether a human must be asked ([`UNATTENDED`],
//! [`BUDGETS`]), and whether now is the moment ([`BEFORE_ACTING`], which holds for humans too, and [`PACE`]).

mod moment;
mod refusal;
mod scene;
mod sense;
mod unattended;

pub(super) use moment::{frozen, quiet_hours};
pub(super) use refusal::refuse;
pub use refusal::{Guard, Refusal};
pub(super) use scene::{BEFORE_ACTING, BUDGETS, PACE, RUNG, SENSE, Scene, UNATTENDED, ask};
pub(super) use unattended::grace;
