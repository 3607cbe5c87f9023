//! The shell's hand in the journal: its signs of life, its incidents, and the patience for a journal that is out of
//! order for a moment. Several supervisors of this machine write into one journal; each writes over what it has read,
//! and over nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::rivals;
use super::shell::Error;
use crate::fleet::{HostName, Incident, IncidentId, Mode, Timestamp};
use crate::journal::{self, Journal, Saved, SupervisorBeat};

/// How long a full disk or a locked journal is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two tries.
const RETRY: Duration = Duration::from_millis(250);
/// Incidents of the past that budgets and relapses are judged by.
const REMEMBERED: usize = 500;

/// What became of an incident that was to be written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is on disk.
    Written,
    /// It is left to others.
    Left,
    /// Another process had changed it; it says this now.
    Changed(Box<Incident>),
}

/// The journal as one supervisor uses it.
#[derive(Debug)]
pub(super) struct Records {
    journal: Arc<Mutex<Journal>>,
    /// Tells our signs of life from those of others.
    id: String,
    hosts: Vec<HostName>,
    ceiling: Mode,
    patience: Duration,
    /// What we last read or wrote of each incident.
    seen: BTreeMap<IncidentId, Timestamp>,
    /// Incidents that we leave to others for good: of a problem that somebody else writes down, or one that is over.
    left: BTreeSet<IncidentId>,
}

impl Records {
    /// Gives the first sign of life, and steps back when somebody else heals one of our hosts already. The sign comes
    /// first: of two that start at once both may step back, but never none.
    pub(super) async fn claim(
        journal: Arc<Mutex<Journal>>,
        hosts: Vec<HostName>,
        ceiling: Mode,
    ) -> Result<Self, Error> {
        let (seen, left) = (BTreeMap::new(), BTreeSet::new());
        let mut records = Self { journal, id: String::new(), hosts, ceiling, patience: PATIENCE, seen, left };
        records.id = records.ask(|journal| journal.new_supervisor_id()).await?;
        let now = crate::clock::now();
        records.beat(now).await?;
        if ceiling < Mode::Approve {
            return Ok(records);
        }
        let others = records.ask(move |journal| rivals::running(journal, now)).await?;
        match rivals::healer(&others, &records.sign_of_life(now)) {
            None => Ok(records),
            Some(SupervisorBeat { pid, hosts, .. }) => {
                records.retire().await?;
                Err(Error::Rival { pid, hosts })
            }
        }
    }

    /// The incidents of our hosts that are remembered, open and over.
    pub(super) async fn recall(&mut self) -> Result<Vec<Incident>, Error> {
        let mut recent = self.ask(|journal| journal.incidents(false, REMEMBERED)).await?;
        recent.retain(|incident| self.hosts.contains(&incident.host));
        self.seen.extend(recent.iter().map(|incident| (incident.id, incident.updated_at)));
        Ok(recent)
    }

    /// Writes an incident down, unless that is somebody else's to do: a watcher leaves it to a supervisor that may do
    /// more, for one problem is one incident.
    pub(super) async fn save(&mut self, incident: Incident) -> Result<Kept, Error> {
        let (id, updated_at) = (incident.id, incident.updated_at);
        if self.left.contains(&id) {
            return Ok(Kept::Left);
        }
        let (ours, ceiling, seen) = (self.id.clone(), self.ceiling, self.seen.get(&id).copied());
        let save = move |journal: &mut Journal| {
            let others = match ceiling {
                Mode::Off | Mode::Suggest => rivals::running(journal, crate::clock::now())?,
                Mode::Approve | Mode::Auto => Vec::new(),
            };
            if rivals::writes(&others, &ours, ceiling, &incident.host) {
                return Ok(None);
            }
            journal.save_incident_if(&incident, seen).map(Some)
        };
        Ok(match self.ask(save).await? {
            None => {
                // The writer has its own incident about what we alone have opened. What we share may be ours again.
                if seen.is_none() {
                    self.left.insert(id);
                }
                Kept::Left
            }
            Some(Saved::Same) => Kept::Written,
            Some(Saved::Written) => {
                self.seen.insert(id, updated_at);
                Kept::Written
            }
            Some(Saved::Changed(stored)) => {
                // Who watches knows less than whoever changed it. Who heals goes on from there, unless it is over.
                if ceiling < Mode::Approve || stored.state.is_over() {
                    self.left.insert(id);
                }
                self.seen.insert(id, stored.updated_at);
                Kept::Changed(stored)
            }
        })
    }

    /// Whether the journal has this incident under its number, so that people can name it.
    pub(super) fn has(&self, id: IncidentId) -> bool {
        self.seen.contains_key(&id)
    }

    /// Says that we are alive.
    pub(super) async fn beat(&mut self, at: Timestamp) -> Result<(), Error> {
        let beat = self.sign_of_life(at);
        self.ask(move |journal| journal.heartbeat(&beat)).await
    }

    /// Says that we end.
    pub(super) async fn retire(&mut self) -> Result<(), Error> {
        let id = self.id.clone();
        self.ask(move |journal| journal.retire(&id)).await
    }

    /// Asks the journal, on a thread that may block; again and again for a while, when it may be able to answer later.
    /// After a failure nobody waits any more until it has answered.
    pub(super) async fn ask<T: Send + 'static>(
        &mut self,
        work: impl Fn(&mut Journal) -> journal::Result<T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let work = Arc::new(work);
        let begun = Instant::now();
        loop {
            let (journal, work) = (Arc::clone(&self.journal), Arc::clone(&work));
            let asked = tokio::task::spawn_blocking(move || {
                work(&mut journal.lock().unwrap_or_else(PoisonError::into_inner))
            });
            match asked.await {
                Ok(Ok(answer)) => {
                    self.patience = PATIENCE;
                    return Ok(answer);
                }
                Ok(Err(error)) if error.may_pass() && begun.elapsed() < self.patience => sleep(RETRY).await,
                Ok(Err(error)) => {
                    self.patience = Duration::ZERO;
                    return Err(error.into());
                }
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
    }

    fn sign_of_life(&self, at: Timestamp) -> SupervisorBeat {
        SupervisorBeat {
            id: self.id.clone(),
            pid: std::process::id(),
            hosts: self.hosts.clone(),
            mode: self.ceiling,
            at,
        }
    }
}
