//! What is remembered between pushes: which blob of this machine's engine is which layer, and the password under which
//! the engine knows our registry. A cache: when it is gone the next push is a moment slower.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::config::cache_home;

/// More than this many are not kept: then all are learned anew.
const LIMIT: usize = 4000;
/// A file larger than this is not ours.
const SIZE_LIMIT: u64 = 4 << 20;

/// The memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// It stays the same from push to push, for the engine keeps a note per layer and password, and only so many.
    pub(super) password: String,
    /// The digest of a blob as the engine knows it, and the digest of its layer.
    pub(super) layers: BTreeMap<String, String>,
}

impl Memory {
    /// What is remembered, or a new memory when there is none that can be read.
    pub(super) fn load() -> Self {
        place()
            .and_then(|path| read(&path).ok())
            .unwrap_or_else(|| Self { password: unguessable(), layers: BTreeMap::new() })
    }

    /// Writes it down for the next push. It is only a cache: where it cannot be written, it is not.
    pub(super) fn save(mut self) {
        if self.layers.len() > LIMIT {
            self.layers.clear();
        }
        let written = place().map(|path| write(&path, &self));
        if let Some(Err(error)) = written {
            tracing::debug!(%error, "what was learned of this machine's engine was not kept");
        }
    }
}

/// A word that cannot be guessed.
pub(in super::super) fn unguessable() -> String {
    let mut bytes = [0; 24];
    // Fails only where the system has no randomness, and then no SSH connection was made either.
    let filled = SystemRandom::new().fill(&mut bytes);
    debug_assert!(filled.is_ok());
    data_encoding::BASE64URL.encode(&bytes)
}

fn place() -> Option<PathBuf> {
    cache_home().map(|home| home.join("arcane").join("layers.json"))
}

fn read(path: &Path) -> io::Result<Memory> {
    if fs::metadata(path)?.len() > SIZE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let memory: Memory = serde_json::from_slice(&fs::read(path)?)?;
    if memory.password.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(memory) }
}

/// Only its owner may read it, and it is either the old or the new one.
fn write(path: &Path, memory: &Memory) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let written = file.write_all(&serde_json::to_vec(memory)?).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_by_its_owner_only() {
        let directory = std::env::temp_dir().join(format!("arcane-memory-test-{}", std::process::id()));
        let path = directory.join("arcane/layers.json");
        let layers = BTreeMap::from([("sha256:a".to_owned(), "sha256:b".to_owned())]);
        let memory = Memory { password: unguessable(), layers };
        write(&path, &memory).unwrap();
        assert_eq!(read(&path).unwrap(), memory);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
        fs::remove_dir_all(&directory).unwrap();
        assert_ne!(unguessable(), unguessable());
    }
}
