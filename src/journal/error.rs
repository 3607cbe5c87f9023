//! What can go wrong with the journal.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::fleet::{IncidentId, IncidentState};

/// What the journal gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no directory to put it in.
    #[error("no place for the journal: none of ARCANE_STATE_DIR, XDG_STATE_HOME and HOME is set")]
    NoPlace,
    /// Its directory or file cannot be made.
    #[error("cannot make {}", path.display())]
    Unmakeable {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is damaged, or no database at all.
    #[error("the journal {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It is a database of some other program.
    #[error("{} is the database of another program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer Arcane wrote it.
    #[error("the journal {} has version {found}; this Arcane knows versions up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is understood.
        known: i64,
    },
    /// Other processes kept it locked for longer than it is waited for.
    #[error("the journal {} is locked by another process", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Anything else that SQLite refuses, for instance a full disk.
    #[error("cannot use the journal {}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// What is to be written cannot be put into words.
    #[error("incident {id} cannot be written down")]
    Unwritable {
        /// Which.
        id: IncidentId,
        /// Why not.
        source: serde_json::Error,
    },
    /// A decision about an incident that does not exist.
    #[error("there is no incident {id}")]
    NoIncident {
        /// The number given.
        id: IncidentId,
    },
    /// A decision about an incident that nothing can happen to any more.
    #[error("incident {id} is already {state}")]
    Over {
        /// Which.
        id: IncidentId,
        /// How it ended.
        state: IncidentState,
    },
}

impl Error {
    /// What to do about it, when there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlace => Some("set ARCANE_STATE_DIR to a directory of yours".to_owned()),
            Self::Damaged { path, .. } => Some(format!(
                "move {} away, with the -wal and -shm files beside it, and a new one is made; \
                 what is deployed stays known, its record is on the hosts",
                path.display()
            )),
            Self::Foreign { .. } => Some("set ARCANE_STATE_DIR to another directory".to_owned()),
            Self::Newer { .. } => {
                Some("use the newer Arcane, or set ARCANE_STATE_DIR to another directory".to_owned())
            }
            Self::Busy { .. } => {
                Some("try again; if it stays locked, `fuser` on the file says by whom".to_owned())
            }
            Self::NoIncident { .. } | Self::Over { .. } => Some("`arcane incidents` lists them".to_owned()),
            Self::Unmakeable { .. } | Self::Failed { .. } | Self::Unwritable { .. } => None,
        }
    }

    /// Whether the same may succeed a little later: a lock is let go, a disk gets room.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Failed { .. })
    }

    /// Sorts what SQLite says by what a person can do about it.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        // A stored value that cannot be read back was not written by us in this form.
        let unreadable = matches!(
            source,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        );
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path, source },
            _ if unreadable => Self::Damaged { path, source },
            _ => Self::Failed { path, source },
        }
    }
}
