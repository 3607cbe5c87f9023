//! What is inside a vault file: JSON, so that `age -d production.age | jq` gets at a value when arcane is not at hand.
//!
//! It names its environment, so one file put in another's place is found out, and for whom it was sealed, so that what
//! `team` says can be compared with what a reader agreed to. Errors tell where the JSON is wrong and never what stands there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::{Error, Result};
use super::file_key::FileKey;
use super::recipient::Recipient;
use super::value::Value;
use crate::fleet::text::quoted;
use crate::fleet::{EnvironmentName, MemberName, Timestamp, VariableName};

const FORMAT: u64 = 1;

/// The secrets of one environment, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The environment.
    pub environment: EnvironmentName,
    /// For whom it is sealed.
    pub readers: BTreeMap<MemberName, BTreeSet<Recipient>>,
    /// The keys of its files, the one that is used now first.
    pub file_keys: Vec<FileKey>,
    /// The secrets by name.
    pub secrets: BTreeMap<VariableName, Secret>,
}

/// One secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The value.
    pub value: Value,
    /// When it was set.
    pub set: Timestamp,
    /// Who set it.
    pub by: String,
    /// How often it was set, from 1.
    pub version: u64,
    /// Who knew this very value and may no longer read the environment.
    pub known_by: BTreeSet<MemberName>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    arcane: u64,
    environment: String,
    readers: BTreeMap<MemberName, BTreeSet<Recipient>>,
    file_keys: Vec<FileKey>,
    secrets: BTreeMap<VariableName, StoredSecret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSecret {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    base64: Option<Zeroizing<String>>,
    set: Timestamp,
    by: String,
    version: u64,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    known_by: BTreeSet<MemberName>,
}

/// Only the format, to tell a newer file from a wrong one.
#[derive(Deserialize)]
struct Format {
    arcane: u64,
}

impl Contents {
    /// An environment without secrets.
    #[must_use]
    pub fn new(environment: EnvironmentName, key: FileKey) -> Self {
        Self { environment, readers: BTreeMap::new(), file_keys: vec![key], secrets: BTreeMap::new() }
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn get(&self, name: &VariableName) -> Result<&Secret> {
        self.secrets.get(name).ok_or_else(|| self.no_secret(vec![name.clone()]))
    }

    /// The error for names that are not here.
    #[must_use]
    pub fn no_secret(&self, names: Vec<VariableName>) -> Error {
        let known = self.secrets.keys().cloned().collect();
        Error::NoSecret { environment: self.environment.clone(), names, known }
    }

    /// Sets a secret; whether that changed anything. The value it has already keeps its age.
    ///
    /// # Errors
    /// When the value is too large.
    pub fn set(&mut self, name: VariableName, value: Value, by: &str, now: Timestamp) -> Result<bool> {
        if value.len() > Value::LIMIT {
            return Err(Error::TooLarge { what: format!("the value of {name}"), limit: Value::LIMIT });
        }
        let version = match self.secrets.get(&name) {
            Some(before) if before.value == value => return Ok(false),
            Some(before) => before.version.saturating_add(1),
            None => 1,
        };
        let secret = Secret { value, set: now, by: by.to_owned(), version, known_by: BTreeSet::new() };
        self.secrets.insert(name, secret);
        Ok(true)
    }

    /// Whether this is the public part of a key for files, in use or replaced.
    pub(super) fn has_file_key(&self, key: &Recipient) -> bool {
        self.file_keys.iter().any(|ours| ours.recipient().as_ref() == Some(key))
    }

    /// The public part of the key for files that is in use.
    #[must_use]
    pub fn file_key(&self) -> Option<Recipient> {
        self.file_keys.first().and_then(FileKey::recipient)
    }

    /// Uses a new key for files from now on; what the ones before sealed can still be opened.
    pub fn renew(&mut self, key: FileKey) {
        self.file_keys.insert(0, key);
    }

    /// Takes a reader out, remembers of every value that they know it, and uses a new key for files; whether they were
    /// one.
    pub fn dismiss(&mut self, name: &MemberName, key: FileKey) -> bool {
        let was = self.readers.remove(name).is_some();
        if was {
            self.renew(key);
            for secret in self.secrets.values_mut() {
                secret.known_by.insert(name.clone());
            }
        }
        was
    }

    /// Takes one of several keys from a reader and uses a new key for files; whether they had it. They can still read, so no
    /// value counts as known by somebody who left.
    pub fn drop_key(&mut self, name: &MemberName, key: &Recipient, fresh: FileKey) -> bool {
        let had = self.readers.get_mut(name).is_some_and(|keys| keys.remove(key));
        if had {
            self.renew(fresh);
        }
        had
    }

    /// The reader that one of these keys belongs to.
    pub fn reader<'k>(&self, mut keys: impl Iterator<Item = &'k Recipient>) -> Option<&MemberName> {
        keys.find_map(|key| {
            self.readers.iter().find(|(_, theirs)| theirs.contains(key)).map(|(name, _)| name)
        })
    }

    /// Reads what a file at `path` held, which has to be that of `expected`.
    pub(super) fn parse(plain: &[u8], expected: &EnvironmentName, path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Contents { path: path.to_owned(), why };
        let place = |error: serde_json::Error| {
            wrong(format!("line {}, column {} is not as it should be", error.line(), error.column()))
        };
        let format: Format = serde_json::from_slice(plain).map_err(place)?;
        if format.arcane != FORMAT {
            return Err(Error::Newer { path: path.to_owned(), found: format.arcane, known: FORMAT });
        }
        let stored: Stored = serde_json::from_slice(plain).map_err(place)?;
        if stored.environment != expected.as_str() {
            let (path, expected) = (path.to_owned(), expected.clone());
            return Err(Error::Swapped { path, expected, found: stored.environment });
        }
        let mut secrets = BTreeMap::new();
        for (name, stored) in stored.secrets {
            let problem = |what: &str| wrong(format!("{} {what}", quoted(name.as_str())));
            let value = match (stored.value, stored.base64) {
                (Some(mut text), None) => Value::new(std::mem::take(&mut *text).into_bytes()),
                (None, Some(text)) => Value::new(
                    BASE64.decode(text.as_bytes()).map_err(|_| problem("is not base64 where it says so"))?,
                ),
                _ => return Err(problem("has not one value")),
            };
            let (set, by, version, known_by) = (stored.set, stored.by, stored.version, stored.known_by);
            secrets.insert(name, Secret { value, set, by, version, known_by });
        }
        if stored.file_keys.is_empty() {
            return Err(wrong("it has no key for files".to_owned()));
        }
        let (readers, file_keys) = (stored.readers, stored.file_keys);
        Ok(Self { environment: expected.clone(), readers, file_keys, secrets })
    }

    /// What is sealed.
    pub(super) fn render(&self) -> Zeroizing<Vec<u8>> {
        let mut secrets = BTreeMap::new();
        for (name, secret) in &self.secrets {
            let text = secret.value.text().map(|text| Zeroizing::new(text.to_owned()));
            let base64 = text.is_none().then(|| Zeroizing::new(BASE64.encode(secret.value.expose())));
            let stored = StoredSecret {
                value: text,
                base64,
                set: secret.set,
                by: secret.by.clone(),
                version: secret.version,
                known_by: secret.known_by.clone(),
            };
            secrets.insert(name.clone(), stored);
        }
        let stored = Stored {
            arcane: FORMAT,
            environment: self.environment.to_string(),
            readers: self.readers.clone(),
            file_keys: self.file_keys.clone(),
            secrets,
        };
        let mut out = Wiped(Zeroizing::new(Vec::with_capacity(4096)));
        // Nothing in it can fail to become JSON, and memory takes every byte.
        let _ = serde_json::to_writer_pretty(&mut out, &stored);
        let _ = out.write_all(b"\n");
        out.0
    }
}

/// Memory that leaves no copy behind when it grows.
struct Wiped(Zeroizing<Vec<u8>>);

impl Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.saturating_mul(2));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            *self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
