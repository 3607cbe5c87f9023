//! What we ask of a git repository: its root, its attributes, what is staged, its configuration. Filters, merges and
//! commits are run by git itself, which calls us. Knows nothing of secrets.

mod repository;

pub use repository::{Error, Repository, Result};
