//! Which supervisors run on this machine, so that `arcane approve` can say whether anybody is there to carry it out.

use std::time::Duration;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::bounds::{self, clip};
use super::error::Result;
use super::row::{json, parsed, time, to_json};
use super::store::Journal;
use crate::fleet::{HostName, Mode, Timestamp};

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorBeat {
    /// Which; from [`Journal::new_supervisor_id`].
    pub id: String,
    /// Its process. Shown to people; a pid alone can be somebody else's by now.
    pub pid: u32,
    /// The hosts that it watches.
    pub hosts: Vec<HostName>,
    /// The most that it does by itself.
    pub mode: Mode,
    /// When.
    pub at: Timestamp,
}

/// How long a supervisor that went silent is remembered.
const REMEMBERED: Duration = Duration::from_secs(86_400);

impl Journal {
    /// An id for a supervisor: 16 random hexadecimal digits.
    ///
    /// # Errors
    /// When the journal cannot be used.
    pub fn new_supervisor_id(&self) -> Result<String> {
        self.read(|connection| connection.query_row("SELECT lower(hex(randomblob(8)))", (), |row| row.get(0)))
    }

    /// Says that a supervisor lives. Those that have been silent for a day are forgotten.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn heartbeat(&mut self, beat: &SupervisorBeat) -> Result<()> {
        let hosts = &beat.hosts[..beat.hosts.len().min(bounds::HOSTS)];
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO supervisors (id, pid, hosts, mode, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (clip(&beat.id), beat.pid, to_json(&hosts)?, beat.mode.as_str(), beat.at.as_nanos()),
            )?;
            let silent = beat.at - REMEMBERED;
            transaction.execute("DELETE FROM supervisors WHERE at < ?1", [silent.as_nanos()])?;
            Ok(())
        })
    }

    /// The supervisors that gave a sign of life within `max_age` before `now`, the latest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn live_supervisors(&self, now: Timestamp, max_age: Duration) -> Result<Vec<SupervisorBeat>> {
        let since = now - max_age;
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, pid, hosts, mode, at FROM supervisors WHERE at >= ?1 ORDER BY at DESC, id",
            )?;
            statement.query_map([since.as_nanos()], beat)?.collect()
        })
    }

    /// Says that a supervisor has ended.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn retire(&mut self, id: &str) -> Result<()> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM supervisors WHERE id = ?1", [clip(id)])?;
            Ok(())
        })
    }
}

fn beat(row: &Row<'_>) -> rusqlite::Result<SupervisorBeat> {
    Ok(SupervisorBeat {
        id: row.get(0)?,
        pid: row.get(1)?,
        hosts: json(row, 2)?,
        mode: parsed(row, 3)?,
        at: time(row, 4)?,
    })
}
