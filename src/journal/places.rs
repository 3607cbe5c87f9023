//! Where in the logs of containers a reader was when it was last heard of. What says so is opaque here.

use std::time::Duration;

use rusqlite::Row;

use super::bounds::{self, clip};
use super::error::Result;
use super::store::Journal;
use crate::fleet::{ContainerId, HostName, Timestamp};

/// How long a place is remembered that nobody has come to any more.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// A place in a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    /// The container's host.
    pub host: HostName,
    /// The container.
    pub container: ContainerId,
    /// The place; none when it is to be forgotten.
    pub body: Option<Vec<u8>>,
}

impl Journal {
    /// Keeps places that a reader has come to, in place of those before. Those that nobody came to for a week are
    /// forgotten, and the oldest when there are more than 20,000; one of more than 128 KiB is not kept.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn keep_places(&mut self, reader: &str, places: &[LogPlace], at: Timestamp) -> Result<()> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO places (reader, host, container, body, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut delete = transaction
                .prepare_cached("DELETE FROM places WHERE reader = ?1 AND host = ?2 AND container = ?3")?;
            for place in places {
                let key = (clip(reader), place.host.as_str(), clip(&place.container.0));
                match &place.body {
                    Some(body) if body.len() <= bounds::PLACE => {
                        insert.execute((key.0, key.1, key.2, body, at.as_nanos()))?;
                    }
                    _ => drop(delete.execute(key)?),
                }
            }
            transaction.execute("DELETE FROM places WHERE at < ?1", [(at - REMEMBERED).as_nanos()])?;
            transaction.execute(
                "DELETE FROM places WHERE rowid IN (SELECT rowid FROM places ORDER BY at DESC LIMIT -1 OFFSET ?1)",
                [bounds::PLACES],
            )?;
            Ok(())
        })
    }

    /// The places that a reader had come to on a host, but for those older than a week at `now`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn places(
        &self,
        reader: &str,
        host: &HostName,
        now: Timestamp,
    ) -> Result<Vec<(ContainerId, Vec<u8>)>> {
        let since = now - REMEMBERED;
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT container, body FROM places WHERE reader = ?1 AND host = ?2 AND at >= ?3",
            )?;
            let row = |row: &Row<'_>| Ok((ContainerId(row.get(0)?), row.get(1)?));
            statement.query_map((clip(reader), host.as_str(), since.as_nanos()), row)?.collect()
        })
    }
}
