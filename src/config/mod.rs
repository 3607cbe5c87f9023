//! The two files people write, arcane.toml (apps) and fleet.toml (hosts, groups): typed, validated, every error pointing
//! at its line. Depends on `fleet` alone.
//!
//! A file becomes a document, the document a TOML tree whose every key and value knows where it stands, and the tree is
//! read section by section: each reader asks for the keys it knows, says what is wrong with their values, and whatever
//! nobody asked for is an unknown key. Problems are collected, not returned, so that a person sees all of them at once.
//! Nothing is guessed: a name that does not exist is an error, never an empty set.

mod app;
mod blue_green;
mod declared;
mod document;
mod environment;
mod error;
mod health;
mod hooks;
mod hosts;
mod launch;
mod problem;
mod project;
mod report;
mod search;
mod secrets;
mod section;
mod size;
mod suggest;
mod target;
#[cfg(test)]
mod tests;
mod volume;

pub use declared::declared_secrets;
pub use error::{Error, Result};
pub use hosts::Fleet;
pub use problem::Problem;
pub use project::Project;
pub use search::{cache_home, config_home};
