//! The audit trail: who did what, when. Only ever added to.

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::bounds::{self, clip};
use super::error::Result;
use super::row::{parsed_option, time};
use super::store::Journal;
use crate::fleet::{AppName, HostName, Timestamp};

/// One thing that somebody, or the supervisor, did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: a person, or `auto`.
    pub by: String,
    /// What, in a word: `push`, `approve`, `freeze`.
    pub action: String,
    /// Where, if on one host.
    pub host: Option<HostName>,
    /// To which app, if to one.
    pub app: Option<AppName>,
    /// The rest, in words. Never a secret.
    pub detail: String,
}

impl Journal {
    /// Adds an entry. The oldest go when there are more than 100,000.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn audit(&mut self, entry: &AuditEntry) -> Result<()> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO audit (at, by, action, host, app, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    entry.at.as_nanos(),
                    clip(&entry.by),
                    clip(&entry.action),
                    entry.host.as_ref().map(HostName::as_str),
                    entry.app.as_ref().map(AppName::as_str),
                    clip(&entry.detail),
                ),
            )?;
            let oldest = transaction.last_insert_rowid() - bounds::AUDIT;
            transaction.execute("DELETE FROM audit WHERE id <= ?1", [oldest])?;
            Ok(())
        })
    }

    /// The newest entries first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn audit_entries(&self, limit: usize) -> Result<Vec<AuditEntry>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, by, action, host, app, detail FROM audit ORDER BY id DESC LIMIT ?1",
            )?;
            statement.query_map([bounds::rows(limit)], entry)?.collect()
        })
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        at: time(row, 0)?,
        by: row.get(1)?,
        action: row.get(2)?,
        host: parsed_option(row, 3)?,
        app: parsed_option(row, 4)?,
        detail: row.get(5)?,
    })
}
