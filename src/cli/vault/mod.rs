//! Commands about secrets: they need no server, no async runtime, and are in every build.

pub(super) mod args;
mod check;
mod context;
mod edit;
mod init;
mod prompt;
mod run;
mod scratch;
mod secrets;
mod team;
mod transfer;

pub(super) use init::init;
pub(super) use run::run;
pub(super) use secrets::secrets;
pub(super) use team::team;
