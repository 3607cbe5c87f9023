//! Where the reading of each container's log stopped, so that the next start goes on from there. What a cursor holds
//! is the watcher's business.

use rusqlite::Row;

use super::bounds;
use super::error::{Error, Result};
use super::store::Journal;
use crate::fleet::{ContainerId, HostName};

impl Journal {
    /// Saves the cursors of some containers of a host. The 1,000 last saved of each host are kept.
    ///
    /// # Errors
    /// When a cursor is larger than 64 KiB, or the journal cannot be written.
    pub fn save_cursors(&mut self, host: &HostName, cursors: &[(ContainerId, Vec<u8>)]) -> Result<()> {
        if let Some((_, cursor)) = cursors.iter().find(|(_, cursor)| cursor.len() > bounds::CURSOR) {
            return Err(Error::CursorTooLarge { bytes: cursor.len(), limit: bounds::CURSOR });
        }
        self.write(|transaction| {
            let mut saved: i64 = transaction.query_row(
                "SELECT coalesce(max(saved), 0) FROM cursors WHERE host = ?1",
                [host.as_str()],
                |row| row.get(0),
            )?;
            let mut statement = transaction.prepare_cached(
                "INSERT OR REPLACE INTO cursors (host, container, cursor, saved) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (container, cursor) in cursors {
                saved += 1;
                statement.execute((host.as_str(), bounds::clip(&container.0), cursor, saved))?;
            }
            transaction.execute(
                "DELETE FROM cursors WHERE host = ?1 AND saved <=
                 (SELECT saved FROM cursors WHERE host = ?1 ORDER BY saved DESC LIMIT 1 OFFSET ?2)",
                (host.as_str(), bounds::CURSORS),
            )?;
            Ok(())
        })
    }

    /// The cursors of a host, the ones last saved first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn cursors(&self, host: &HostName) -> Result<Vec<(ContainerId, Vec<u8>)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT container, cursor FROM cursors WHERE host = ?1 ORDER BY saved DESC",
            )?;
            let cursor = |row: &Row<'_>| Ok((ContainerId(row.get(0)?), row.get(1)?));
            statement.query_map([host.as_str()], cursor)?.collect()
        })
    }
}
