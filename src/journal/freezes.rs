//! The freeze switch: while it is on, nothing is done to an app, or to any.

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::error::Result;
use super::row::{parsed, time};
use super::store::Journal;
use crate::fleet::{AppName, Timestamp};

/// A freeze in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The app; `None` means every app.
    pub app: Option<AppName>,
    /// Who froze it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

impl Freeze {
    /// Whether it stops actions on `app`.
    #[must_use]
    pub fn covers(&self, app: &AppName) -> bool {
        self.app.as_ref().is_none_or(|frozen| frozen == app)
    }
}

/// How "every app" is written; no app can have this name.
const EVERY_APP: &str = "";

fn key(app: Option<&AppName>) -> &str {
    app.map_or(EVERY_APP, AppName::as_str)
}

impl Journal {
    /// Freezes an app, or every app. A freeze of the same that is already in force gets the new reason.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn freeze(&mut self, app: Option<&AppName>, by: &str, at: Timestamp, why: &str) -> Result<()> {
        let (by, why) = (self.kept(by), self.kept(why));
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO freezes (app, by, at, why) VALUES (?1, ?2, ?3, ?4)",
                (key(app), &by, at.as_nanos(), &why),
            )?;
            Ok(())
        })
    }

    /// Ends the freeze of an app, or the one of every app; frozen apps of their own stay frozen. Whether there was one.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn thaw(&mut self, app: Option<&AppName>) -> Result<bool> {
        self.write(|transaction| {
            let ended = transaction.execute("DELETE FROM freezes WHERE app = ?1", [key(app)])?;
            Ok(ended > 0)
        })
    }

    /// The freezes in force, the one of every app first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn freezes(&self) -> Result<Vec<Freeze>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT app, by, at, why FROM freezes ORDER BY app")?;
            statement.query_map((), freeze)?.collect()
        })
    }
}

fn freeze(row: &Row<'_>) -> rusqlite::Result<Freeze> {
    let every = row.get_ref(0)?.as_str()? == EVERY_APP;
    Ok(Freeze {
        app: if every { None } else { Some(parsed(row, 0)?) },
        by: row.get(1)?,
        at: time(row, 2)?,
        why: row.get(3)?,
    })
}
