//! Incidents and what was done about them.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params};

use super::bounds;
use super::error::{Error, Result};
use super::row::{count, json, number, to_json};
use super::store::Journal;
use crate::fleet::{ActionRecord, AppName, HostName, Incident, IncidentId, Timestamp};

/// What became of an incident that was to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is on disk.
    Written,
    /// It was there already, word for word; its `updated_at` stays as it was.
    Same,
    /// Another process has changed it meanwhile: it says this now, and nothing was written.
    Changed(Box<Incident>),
}

impl Journal {
    /// A number that no incident has had before.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn next_incident_id(&mut self) -> Result<IncidentId> {
        self.write(|transaction| {
            transaction.query_row(
                "UPDATE counters SET value = value + 1 WHERE name = 'incident' RETURNING value",
                (),
                |row| count(row, 0).map(IncidentId),
            )
        })
    }

    /// Writes an incident down as it now is, its actions with it. Text, evidence and actions are cut to a size; the
    /// oldest incidents that are over go when there are more than 10,000.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn save_incident(&mut self, incident: &Incident) -> Result<()> {
        let incident = self.bounded(incident);
        let body = written(&incident)?;
        self.write(|transaction| put(transaction, &incident, &body))
    }

    /// The same, unless another process has written it since: `seen` is the [`Incident::updated_at`] that the caller
    /// last read or wrote, `None` when it has done neither. An incident that says the same as what is stored is left
    /// as it is.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn save_incident_if(&mut self, incident: &Incident, seen: Option<Timestamp>) -> Result<Saved> {
        let mut incident = self.bounded(incident);
        let body = written(&incident)?;
        self.write(|transaction| {
            match stored(transaction, incident.id)? {
                Some(stored) if Some(stored.updated_at) != seen => {
                    return Ok(Saved::Changed(Box::new(stored)));
                }
                Some(stored) => {
                    let changed_at = std::mem::replace(&mut incident.updated_at, stored.updated_at);
                    if incident == stored {
                        return Ok(Saved::Same);
                    }
                    incident.updated_at = changed_at;
                }
                None => {}
            }
            put(transaction, &incident, &body)?;
            Ok(Saved::Written)
        })
    }

    /// The incident `id`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn incident(&self, id: IncidentId) -> Result<Option<Incident>> {
        self.read(|connection| stored(connection, id))
    }

    /// The newest incidents first; all, or only those to which something can still happen.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn incidents(&self, open_only: bool, limit: usize) -> Result<Vec<Incident>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body FROM incidents WHERE is_open >= ?1 ORDER BY opened_at DESC, id DESC LIMIT ?2",
            )?;
            statement.query_map((open_only, bounds::rows(limit)), body)?.collect()
        })
    }

    /// Every action that began at `since` or later, oldest first; of one host or app, or of all. Refused and failed
    /// ones are among them: which of them count against a budget is for the supervisor to say.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn actions_since(
        &self,
        host: Option<&HostName>,
        app: Option<&AppName>,
        since: Timestamp,
    ) -> Result<Vec<(IncidentId, ActionRecord)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT incident, body FROM actions
                 WHERE at >= :since AND (:host IS NULL OR host = :host) AND (:app IS NULL OR app = :app)
                 ORDER BY at, incident, ordinal",
            )?;
            let parameters = named_params! {
                ":since": since.as_nanos(),
                ":host": host.map(HostName::as_str),
                ":app": app.map(AppName::as_str),
            };
            let action = |row: &Row<'_>| Ok((IncidentId(count(row, 0)?), json(row, 1)?));
            statement.query_map(parameters, action)?.collect()
        })
    }

    /// The incident as it is kept: masked, and cut to a size.
    fn bounded(&self, incident: &Incident) -> Incident {
        let mut incident = incident.clone();
        let cut = |text: &mut String| *text = self.kept(text);
        keep_newest(&mut incident.evidence, bounds::EVIDENCE);
        keep_newest(&mut incident.actions, bounds::ACTIONS);
        incident.proposals.truncate(bounds::PROPOSALS);
        cut(&mut incident.rule);
        cut(&mut incident.say);
        incident.note.as_mut().map(cut);
        incident.evidence.iter_mut().for_each(|evidence| cut(&mut evidence.text));
        incident.novelty.truncate(bounds::EVIDENCE);
        for novelty in &mut incident.novelty {
            cut(&mut novelty.template);
            cut(&mut novelty.sample.text);
        }
        incident.proposals.iter_mut().for_each(|proposal| cut(&mut proposal.reason));
        for action in &mut incident.actions {
            cut(&mut action.by);
            cut(&mut action.detail);
        }
        incident
    }
}

fn body(row: &Row<'_>) -> rusqlite::Result<Incident> {
    json(row, 0)
}

fn stored(connection: &Connection, id: IncidentId) -> rusqlite::Result<Option<Incident>> {
    let mut statement = connection.prepare_cached("SELECT body FROM incidents WHERE id = ?1")?;
    statement.query_row([number(id.0)], body).optional()
}

fn written(incident: &Incident) -> Result<String> {
    serde_json::to_string(incident).map_err(|source| Error::Unwritable { id: incident.id, source })
}

fn put(transaction: &Transaction<'_>, incident: &Incident, body: &str) -> rusqlite::Result<()> {
    upsert(transaction, incident, body)?;
    save_actions(transaction, incident)?;
    transaction.execute(
        "DELETE FROM incidents WHERE NOT is_open AND id <= (SELECT max(id) FROM incidents) - ?1",
        [bounds::INCIDENTS],
    )?;
    Ok(())
}

fn upsert(transaction: &Transaction<'_>, incident: &Incident, body: &str) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO incidents (id, host, app, state, is_open, opened_at, body)
         VALUES (:id, :host, :app, :state, :is_open, :opened_at, :body)
         ON CONFLICT (id) DO UPDATE SET host = excluded.host, app = excluded.app, state = excluded.state,
             is_open = excluded.is_open, opened_at = excluded.opened_at, body = excluded.body",
        named_params! {
            ":id": number(incident.id.0),
            ":host": incident.host.as_str(),
            ":app": incident.app.as_str(),
            ":state": incident.state.as_str(),
            ":is_open": !incident.state.is_over(),
            ":opened_at": incident.opened_at.as_nanos(),
            ":body": body,
        },
    )?;
    // A number that came from elsewhere, for instance a replay, must not be handed out again.
    transaction.execute(
        "UPDATE counters SET value = max(value, ?1) WHERE name = 'incident'",
        [number(incident.id.0)],
    )?;
    Ok(())
}

fn save_actions(transaction: &Transaction<'_>, incident: &Incident) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM actions WHERE incident = ?1", [number(incident.id.0)])?;
    let mut statement = transaction.prepare_cached(
        "INSERT INTO actions (incident, ordinal, host, app, at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (ordinal, action) in incident.actions.iter().enumerate() {
        statement.execute((
            number(incident.id.0),
            bounds::rows(ordinal),
            incident.host.as_str(),
            incident.app.as_str(),
            action.at.as_nanos(),
            to_json(action)?,
        ))?;
    }
    Ok(())
}

fn keep_newest<T>(items: &mut Vec<T>, limit: usize) {
    items.drain(..items.len().saturating_sub(limit));
}
