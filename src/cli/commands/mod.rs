//! Commands that touch no server; they are in every build.

pub(super) mod completions;
pub(super) mod config;
pub(super) mod man;
