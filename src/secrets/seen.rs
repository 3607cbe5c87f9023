//! What this clone has seen last of each environment: its key for files, and who could read it.
//!
//! Every later version of an environment keeps the keys before it, and each removal makes a new one. So a version without
//! the key seen last is an older one that was put back, or somebody else's; and who was removed meanwhile has not got that
//! key to put it in. What is kept here is public.

use std::path::PathBuf;

use super::contents::Contents;
use super::error::{Error, Result};
use super::recipient::Recipient;
use super::store;
use crate::fleet::{EnvironmentName, MemberName};

const LIMIT: usize = 1024 * 1024;

/// A file per environment: the key, then a reader a line.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    directory: PathBuf,
}

/// What one file says.
struct Last {
    key: Recipient,
    readers: Vec<MemberName>,
}

impl Seen {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn file(&self, environment: &EnvironmentName) -> PathBuf {
        self.directory.join(environment.as_str())
    }

    fn last(&self, environment: &EnvironmentName) -> Result<Option<Last>> {
        let path = self.file(environment);
        let Some(bytes) = store::read(&path, LIMIT)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let key = lines.next().and_then(|line| Recipient::parse(line).ok());
        let readers: std::result::Result<_, _> = lines.map(MemberName::parse).collect();
        match (key, readers) {
            (Some(key), Ok(readers)) => Ok(Some(Last { key, readers })),
            _ => Err(Error::Seen { path }),
        }
    }

    /// Whether this is no older than what was seen last.
    pub(super) fn newest(&self, contents: &Contents) -> Result<()> {
        let last = self.last(&contents.environment)?;
        let Some(last) = last.filter(|last| !contents.has_file_key(&last.key)) else {
            return Ok(());
        };
        let back = contents.readers.keys().filter(|name| !last.readers.contains(name)).cloned().collect();
        Err(Error::Older { environment: contents.environment.clone(), back })
    }

    /// Remembers this, unless it is older than what was seen last. That it cannot be remembered keeps nobody from reading.
    pub(super) fn follow(&self, contents: &Contents) {
        if self.newest(contents).is_ok() {
            self.remember(contents);
        }
    }

    /// Remembers this, whatever was seen before.
    pub(super) fn remember(&self, contents: &Contents) {
        let Some(key) = contents.file_key() else {
            return;
        };
        let mut text = format!("{key}\n");
        for name in contents.readers.keys() {
            text.push_str(name.as_str());
            text.push('\n');
        }
        let path = self.file(&contents.environment);
        if store::read(&path, LIMIT).is_ok_and(|there| there.as_deref() == Some(text.as_bytes())) {
            return;
        }
        let _ =
            store::directory(&self.directory).and_then(|()| store::replace(&path, text.as_bytes(), 0o644));
    }
}
