//! Exit codes. They are an interface: scripts and pipelines rely on them.

/// Done.
pub const DONE: u8 = 0;
/// Failed; nothing is half-done, or the message says exactly what is.
pub const FAILED: u8 = 1;
/// The command line or a configuration file is wrong.
pub const USAGE: u8 = 2;
/// Some hosts failed, others did not.
pub const SOME_FAILED: u8 = 3;
/// A release failed and the one before runs again.
pub const ROLLED_BACK: u8 = 4;
/// A check found an open incident, drift, or something about secrets.
pub const FOUND: u8 = 5;
/// A host cannot be reached, or does not let us in.
pub const UNREACHABLE: u8 = 6;
/// Refused by a guard or a held lock.
pub const REFUSED: u8 = 7;
/// A bug in arcane.
pub const BUG: u8 = 70;
/// Interrupted by the operator.
pub const INTERRUPTED: u8 = 130;
