//! The file itself: where it is, how it is opened, and the two ways to use it.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::bounds::clip;
use super::error::{Error, Result};
use super::schema::{self, Found};
use crate::secrets::Redactor;

/// How long a process waits for another's write before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open journal. Synchronous; several processes may have the same file open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Connection,
    redactor: Redactor,
}

impl Journal {
    /// Where the journal is when nobody says otherwise: `journal.db` in `$ARCANE_STATE_DIR`, else in
    /// `$XDG_STATE_HOME/arcane`, else in `~/.local/state/arcane`.
    ///
    /// # Errors
    /// When none of them is known.
    pub fn default_path() -> Result<PathBuf> {
        default_path_from(|name| std::env::var_os(name).map(PathBuf::from)).ok_or(Error::NoPlace)
    }

    /// Opens the journal at `path`, and makes it if there is none: a directory and a file that only the user can read.
    /// An older schema is brought up to date.
    ///
    /// # Errors
    /// When it cannot be made, is damaged, is not ours, or was written by a newer Arcane.
    pub fn open(path: &Path) -> Result<Self> {
        make_private(path)?;
        let failed = |source| Error::of(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        patiently(|| configure(&connection)).map_err(failed)?;
        let path = path.to_owned();
        match schema::migrate(&mut connection).map_err(|source| Error::of(&path, source))? {
            Found::Ready => Ok(Self { path, connection, redactor: Redactor::default() }),
            Found::Foreign => Err(Error::Foreign { path }),
            Found::Newer(found) => Err(Error::Newer { path, found, known: schema::known() }),
        }
    }

    /// The same, but for values that this masks: they are not written down.
    #[must_use]
    pub fn masking(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// A text as it is kept: masked, then cut to a size.
    pub(super) fn kept(&self, text: &str) -> String {
        clip(&self.redactor.redact(text)).to_owned()
    }

    /// A text as it is kept, whatever its length.
    pub(super) fn masked(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes it; dropping does the same but cannot report.
    ///
    /// # Errors
    /// When what is left in memory cannot be written.
    pub fn close(self) -> Result<()> {
        let Self { path, connection, .. } = self;
        connection.close().map_err(|(_, source)| Error::of(&path, source))
    }

    /// Reads.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        read(&self.connection).map_err(|source| Error::of(&self.path, source))
    }

    /// Changes something, wholly or not at all. The lock is taken at the start, so that what was read inside still
    /// holds when it is written.
    pub(super) fn write<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let Self { path, connection, .. } = self;
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|source| Error::of(path, source))
    }
}

fn default_path_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let directory = variable("ARCANE_STATE_DIR")
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| absolute("XDG_STATE_HOME").map(|home| home.join("arcane")))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state/arcane")))?;
    Some(directory.join("journal.db"))
}

/// Makes the directory and an empty file, both for the user alone. SQLite gives its other files the same mode.
fn make_private(path: &Path) -> Result<()> {
    let unmakeable = |path: &Path, source: io::Error| Error::Unmakeable { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| unmakeable(directory, source))?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|source| unmakeable(path, source))?;
    let mode = file.metadata().map_err(|source| unmakeable(path, source))?.permissions().mode();
    if mode & 0o077 != 0 {
        let private = file.set_permissions(Permissions::from_mode(0o600));
        private.map_err(|source| unmakeable(path, source))?;
    }
    Ok(())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An intent that is journalled before its action must survive a power cut, or a restart would not know of it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// Repeats what SQLite refuses at once, busy timeout or not: two processes switching a new file to WAL. Rare, but seen
/// within 200 simultaneous first openings.
fn patiently(attempt: impl Fn() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let pause = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        match attempt() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(pause)
            }
            done => return done,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_decides_where_it_is() {
        for (variables, expected) in [
            (&[("ARCANE_STATE_DIR", "/s"), ("HOME", "/h")][..], Some("/s/journal.db")),
            (&[("ARCANE_STATE_DIR", ""), ("HOME", "/h")], Some("/h/.local/state/arcane/journal.db")),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], Some("/x/arcane/journal.db")),
            (&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], Some("/h/.local/state/arcane/journal.db")),
            (&[("HOME", "")], None),
            (&[], None),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| PathBuf::from(value))
            };
            assert_eq!(default_path_from(variable), expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
