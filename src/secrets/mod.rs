//! The vault: secrets encrypted in the repository with plain age, one file per environment, opened by whoever's key
//! is among that environment's recipients.
//!
//! A vault is a directory, `.arcane`, beside the code: `production.age` holds the values of `production`, and
//! `team/alice.toml` says in the open which keys are Alice's and what she may read. The vault file repeats inside, where
//! only its readers can write, for whom it was sealed; what counts is there, and a key that somebody slipped into `team`
//! by hand is not sealed for until a reader agrees. What leaves this room is a [`Value`], which is wiped when it is
//! dropped and shows nothing of itself to `Debug`. This room knows neither git nor a terminal: who asks for a passphrase
//! is handed in.

mod contents;
mod dotenv;
mod error;
mod file_key;
mod forms;
mod guard;
mod identity;
mod merge;
mod recipient;
mod redact;
mod scan;
mod seal;
mod seen;
mod store;
mod survey;
mod team;
mod value;
mod vault;

#[cfg(test)]
mod tests;

pub use contents::{Contents, Secret};
pub use dotenv::{DotenvError, Form};
pub use error::{Error, Result};
pub use file_key::FileKey;
pub use guard::Guard;
pub use identity::{Ask, Identities, IdentityFile, Origin};
pub use merge::{Conflict, Merged, merge};
pub use recipient::{Recipient, RecipientError};
pub use redact::Redactor;
pub use scan::{Found, Hit, Scanner};
pub use seal::{is_sealed, is_whole};
pub use survey::{Weakness, weakness};
pub use team::Member;
pub use value::Value;
pub use vault::Vault;

/// Files of `NAME=value`: reading and writing them.
pub mod env_file {
    pub use super::dotenv::{parse, render};
}
