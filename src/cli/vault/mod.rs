//! Commands about secrets: they need no server, no async runtime, and are in every build.

pub(super) mod args;
mod check;
mod context;
mod edit;
mod git;
mod init;
mod install;
#[cfg(feature = "ops")]
mod keys;
mod prompt;
mod run;
mod scan;
mod scratch;
mod secrets;
mod team;
mod transfer;

#[cfg(feature = "ops")]
pub(super) use context::{vault, warn_of_older};
pub(super) use git::git;
pub(super) use init::init;
#[cfg(feature = "ops")]
pub(super) use keys::{keys, keys_unasked};
pub(super) use run::run;
pub(super) use scan::scan;
pub(super) use secrets::secrets;
pub(super) use team::team;
