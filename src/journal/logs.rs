//! What apps' logs consist of, kept over a restart of ours. An app's row is opaque here.

use rusqlite::Row;

use super::bounds;
use super::error::Result;
use super::row::parsed;
use super::store::Journal;
use crate::fleet::{AppName, Timestamp};

/// The most that is kept of one app, in bytes. Its templates are fewer and shorter than that.
const BODY: usize = 1 << 20;

impl Journal {
    /// Keeps what is known of an app's log, in place of what was kept before. The apps that were kept least recently make
    /// room when there are more than 1,000; what is longer than 1 MiB is not kept.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn keep_log(&mut self, app: &AppName, body: &str, at: Timestamp) -> Result<()> {
        let body = self.masked(body);
        if body.len() > BODY {
            return Ok(());
        }
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO logs (app, body, at) VALUES (?1, ?2, ?3)",
                (app.as_str(), &body, at.as_nanos()),
            )?;
            transaction.execute(
                "DELETE FROM logs WHERE app NOT IN (SELECT app FROM logs ORDER BY at DESC LIMIT ?1)",
                [bounds::LOGS],
            )?;
            Ok(())
        })
    }

    /// What is kept of every app's log. A row that this Arcane cannot name is left out.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn kept_logs(&self) -> Result<Vec<(AppName, String)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT app, body FROM logs ORDER BY app")?;
            let row = |row: &Row<'_>| Ok((parsed(row, 0)?, row.get(1)?));
            let rows = statement.query_map((), row)?;
            Ok(rows.filter_map(std::result::Result::ok).collect())
        })
    }
}
