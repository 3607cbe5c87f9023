//! A member's file: which keys are theirs and what they may read, in the open, for a review to see.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use super::error::{Error, Result};
use super::recipient::Recipient;
use crate::fleet::{EnvironmentName, MemberName};

/// Somebody who may read environments, or asks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What they are called.
    pub name: MemberName,
    /// Their public keys.
    pub keys: BTreeSet<Recipient>,
    /// What they may read.
    pub environments: BTreeSet<EnvironmentName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keys: BTreeSet<Recipient>,
    #[serde(default)]
    environments: BTreeSet<EnvironmentName>,
}

impl Member {
    /// Somebody without a key.
    #[must_use]
    pub fn new(name: MemberName) -> Self {
        Self { name, keys: BTreeSet::new(), environments: BTreeSet::new() }
    }

    pub(super) fn parse(name: MemberName, text: &str, path: &Path) -> Result<Self> {
        let wrong = |why: &str| Error::Team { path: path.to_owned(), why: why.to_owned() };
        let file: File = toml::from_str(text).map_err(|error| wrong(error.message()))?;
        if file.keys.is_empty() {
            return Err(wrong("`keys` is empty"));
        }
        Ok(Self { name, keys: file.keys, environments: file.environments })
    }

    pub(super) fn render(&self) -> String {
        let mut text =
            String::from("# Written by `arcane team`. What counts is sealed in the vault files.\nkeys = [\n");
        for key in &self.keys {
            let _ = writeln!(text, "    \"{key}\",");
        }
        text.push_str("]\nenvironments = [");
        let names: Vec<_> = self.environments.iter().map(|name| format!("\"{name}\"")).collect();
        let _ = writeln!(text, "{}]", names.join(", "));
        text
    }
}
