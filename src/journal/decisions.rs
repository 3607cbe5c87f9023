//! What people decided about incidents, written by one process (`arcane approve`) and read by another (the supervisor).

use rusqlite::{OptionalExtension as _, Row};
use serde::{Deserialize, Serialize};

use super::bounds;
use super::error::{Error, Result};
use super::row::{count, json, number, time, to_json};
use super::store::Journal;
use crate::fleet::{Incident, IncidentId, Remedy, Timestamp};

/// What somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on: with this remedy, or with the one that is proposed first.
    Approve {
        /// Which, when it is not the first.
        remedy: Option<Remedy>,
    },
    /// It is nothing.
    Dismiss,
}

/// A decision as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Its place in the order of decisions; grows, and is never used again.
    pub seq: u64,
    /// About which incident.
    pub incident: IncidentId,
    /// What.
    pub decision: Decision,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a decision came to, before it is known whether the transaction holds.
enum Taken {
    Recorded(u64),
    NoIncident,
    Over(Box<Incident>),
}

impl Journal {
    /// Writes a decision down, for whoever supervises the app.
    ///
    /// # Errors
    /// When there is no such incident, it is over, or the journal cannot be written.
    pub fn decide(
        &mut self,
        incident: IncidentId,
        decision: Decision,
        by: &str,
        at: Timestamp,
    ) -> Result<DecisionRecord> {
        let by = self.kept(by);
        let taken = self.write(|transaction| {
            let id = number(incident.0);
            let known = transaction
                .query_row("SELECT body FROM incidents WHERE id = ?1", [id], |row| json::<Incident>(row, 0))
                .optional()?;
            match known {
                None => return Ok(Taken::NoIncident),
                Some(known) if known.state.is_over() => return Ok(Taken::Over(Box::new(known))),
                Some(_) => {}
            }
            transaction.execute(
                "INSERT INTO decisions (incident, body, by, at) VALUES (?1, ?2, ?3, ?4)",
                (id, to_json(&decision)?, &by, at.as_nanos()),
            )?;
            let seq = transaction.last_insert_rowid();
            transaction.execute("DELETE FROM decisions WHERE seq <= ?1", [seq - bounds::DECISIONS])?;
            Ok(Taken::Recorded(u64::try_from(seq).unwrap_or_default()))
        })?;
        match taken {
            Taken::Recorded(seq) => Ok(DecisionRecord { seq, incident, decision, by, at }),
            Taken::NoIncident => Err(Error::NoIncident { id: incident }),
            Taken::Over(known) => Err(Error::Over { id: incident, state: known.state }),
        }
    }

    /// The decisions after `seq`, oldest first; 0 for all that are kept.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn decisions_after(&self, seq: u64) -> Result<Vec<DecisionRecord>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, incident, body, by, at FROM decisions WHERE seq > ?1 ORDER BY seq",
            )?;
            statement.query_map([number(seq)], record)?.collect()
        })
    }

    /// The number of the newest decision; 0 when there was none. A supervisor that starts reads on from here, so that
    /// an old approval is not carried out now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn last_decision_seq(&self) -> Result<u64> {
        self.read(|connection| {
            connection.query_row("SELECT coalesce(max(seq), 0) FROM decisions", (), |row| count(row, 0))
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<DecisionRecord> {
    Ok(DecisionRecord {
        seq: count(row, 0)?,
        incident: IncidentId(count(row, 1)?),
        decision: json(row, 2)?,
        by: row.get(3)?,
        at: time(row, 4)?,
    })
}
