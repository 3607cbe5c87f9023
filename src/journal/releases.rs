//! Releases as this machine made them.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Row, named_params};
use serde::{Deserialize, Serialize};

use super::bounds::{self, clip};
use super::error::Result;
use super::row::{count, number, parsed, time};
use super::store::Journal;
use crate::fleet::{AppName, HostName, ReleaseId, SpecDigest, Strategy, Timestamp};

/// One attempt to release an app on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Where.
    pub host: HostName,
    /// Of which app.
    pub app: AppName,
    /// Which release.
    pub release: ReleaseId,
    /// The image, as it was named.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// Digest of image and settings.
    pub spec: SpecDigest,
    /// Who did it.
    pub by: String,
    /// When it began.
    pub at: Timestamp,
    /// How it took over.
    pub strategy: Strategy,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Bytes sent to the host.
    pub bytes_sent: u64,
    /// What happened, in words.
    pub detail: String,
}

/// How an attempt to release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new release is live.
    Released,
    /// It did not get healthy; the old one is back.
    RolledBack,
    /// It failed in another way.
    Failed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Released, Self::RolledBack, Self::Failed];

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| "no outcome has this name".to_owned())
    }
}

const COLUMNS: &str =
    "host, app, release, image, image_id, spec, by, at, strategy, outcome, seconds, bytes_sent, detail";

impl Journal {
    /// Writes a release down. The oldest go when there are more than 10,000.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn record_release(&mut self, record: &ReleaseRecord) -> Result<()> {
        let (by, detail) = (self.kept(&record.by), self.kept(&record.detail));
        self.write(|transaction| {
            transaction.execute(
                &format!(
                    "INSERT INTO releases ({COLUMNS}) VALUES (:host, :app, :release, :image, :image_id, :spec, :by, :at,
                     :strategy, :outcome, :seconds, :bytes_sent, :detail)"
                ),
                named_params! {
                    ":host": record.host.as_str(),
                    ":app": record.app.as_str(),
                    ":release": record.release.as_str(),
                    ":image": clip(&record.image),
                    ":image_id": clip(&record.image_id),
                    ":spec": clip(&record.spec.0),
                    ":by": by,
                    ":at": record.at.as_nanos(),
                    ":strategy": record.strategy.as_str(),
                    ":outcome": record.outcome.as_str(),
                    // SQLite has no NaN; one would become NULL.
                    ":seconds": if record.seconds.is_finite() { record.seconds } else { 0.0 },
                    ":bytes_sent": number(record.bytes_sent),
                    ":detail": detail,
                },
            )?;
            let oldest = transaction.last_insert_rowid() - bounds::RELEASES;
            transaction.execute("DELETE FROM releases WHERE id <= ?1", [oldest])?;
            Ok(())
        })
    }

    /// The newest releases first; of one app or host, or of all.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn releases(
        &self,
        app: Option<&AppName>,
        host: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<ReleaseRecord>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM releases WHERE (:app IS NULL OR app = :app) AND (:host IS NULL OR host = :host)
                 ORDER BY id DESC LIMIT :limit"
            ))?;
            let parameters = named_params! {
                ":app": app.map(AppName::as_str),
                ":host": host.map(HostName::as_str),
                ":limit": bounds::rows(limit),
            };
            statement.query_map(parameters, record)?.collect()
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<ReleaseRecord> {
    Ok(ReleaseRecord {
        host: parsed(row, 0)?,
        app: parsed(row, 1)?,
        release: parsed(row, 2)?,
        image: row.get(3)?,
        image_id: row.get(4)?,
        spec: SpecDigest(row.get(5)?),
        by: row.get(6)?,
        at: time(row, 7)?,
        strategy: parsed(row, 8)?,
        outcome: parsed(row, 9)?,
        seconds: row.get(10)?,
        bytes_sent: count(row, 11)?,
        detail: row.get(12)?,
    })
}
