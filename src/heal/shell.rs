//! The shell around the supervisor, from outside: what it is given, what it tells, how it ends. run.rs has it at work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::effect::Announcement;
use super::input::Input;
use super::records::Records;
use super::run::Run;
use super::supervisor::Supervisor;
use crate::deploy::remote::Pool;
use crate::deploy::secrets::Source;
use crate::diagnose::Novelties;
use crate::fleet::{AppName, Host, HostName, Incident, IncidentId, Mode, Observation, Signal};
use crate::journal::{self, Decision, DecisionRecord, Journal};
use crate::rules::{Engine, RuleSet};

/// Without a beat for this long, a supervisor counts as gone.
pub const BEAT_MAX_AGE: Duration = Duration::from_secs(8);

/// What the shell works with.
pub struct Shell {
    /// The supervisor, with its settings.
    pub supervisor: Supervisor,
    /// The rules.
    pub engine: Engine,
    /// Who is asked now and then whether there are others.
    pub rules: Option<Arc<dyn RuleSource>>,
    /// What the apps' logs consist of.
    pub novelties: Novelties,
    /// This machine's memory.
    pub journal: Arc<Mutex<Journal>>,
    /// The hosts it may act on.
    pub hosts: BTreeMap<HostName, Host>,
    /// The connections, shared with whoever watches.
    pub pool: Pool,
    /// Who brings secrets that a reboot has wiped.
    pub source: Arc<dyn Source>,
    /// Who we are: `user@machine`.
    pub by: String,
    /// The most that may happen.
    pub ceiling: Mode,
    /// When to stop by itself.
    pub until: Until,
}

/// When the shell stops by itself.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// After this long.
    pub duration: Option<Duration>,
    /// When this approval was carried out: its incident has come to an end or needs a human again.
    pub approval: Option<DecisionRecord>,
    /// When nothing is open and nothing was found for this long.
    pub quiet: Option<Duration>,
}

/// Where rules come from.
pub trait RuleSource: Send + Sync {
    /// The rules, if they have changed since they were last asked for; or why those that there are now cannot be used,
    /// told once. May block.
    fn changed(&self) -> Option<Result<RuleSet, String>>;
}

/// Something to tell whoever watches the supervisor.
#[derive(Debug, Clone)]
pub enum Told {
    /// A fact came in.
    Seen(Observation),
    /// A rule fired.
    Signal(Signal),
    /// The rules have changed: those in force now, or why those before still are.
    Rules(Result<Arc<RuleSet>, String>),
    /// More had to be forgotten to stay within the bounds of memory: so much in all.
    Dropped(u64),
    /// The supervisor says something, about this incident if it is about one.
    Announced(Announcement, Option<Box<Incident>>),
}

/// Where happenings are told.
pub type Tell<'a> = &'a (dyn Fn(Told) + Send + Sync);

/// Why the shell ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be used; without it nothing may be done, since nothing could be written down.
    #[error("the journal cannot be used")]
    Journal(#[from] journal::Error),
    /// Another supervisor of this machine heals one of the hosts.
    #[error("another supervisor (process {pid}) already heals {}", names(hosts))]
    Rival {
        /// Its process.
        pid: u32,
        /// The hosts that it heals.
        hosts: Vec<HostName>,
    },
    /// A guard refused the approval.
    #[error("{reason}")]
    Refused {
        /// Which guard, and why.
        reason: String,
    },
    /// The host of the approved incident cannot be reached; nothing was done.
    #[error("cannot reach {host}, so nothing was done: {reason}")]
    Unreachable {
        /// The host.
        host: HostName,
        /// Why not.
        reason: String,
    },
    /// The approved incident's app was not seen; nothing was done.
    #[error("{app} was not seen on {host} within {} s, so nothing was done", waited.as_secs())]
    Unseen {
        /// The app.
        app: AppName,
        /// Its host.
        host: HostName,
        /// How long it was waited for.
        waited: Duration,
    },
    /// What was approved has not come to an end.
    #[error("incident {incident} has not settled within {} min", waited.as_secs() / 60)]
    Unsettled {
        /// Which.
        incident: IncidentId,
        /// How long it was waited for.
        waited: Duration,
    },
}

fn names(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}

impl Shell {
    /// Runs until it is told to stop, or [`Until`] says so. An action in flight is waited for, whatever ends the run.
    ///
    /// # Errors
    /// When the journal cannot be used, another supervisor heals one of the hosts, or the approval that it runs for
    /// cannot be carried out.
    pub async fn run(
        self,
        observations: &mut mpsc::Receiver<Observation>,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Supervisor, Error> {
        let hosts = self.hosts.keys().cloned().collect();
        let records = Records::claim(Arc::clone(&self.journal), hosts, self.ceiling).await?;
        let mut run = Run::new(self, records, tell);
        let supervised = run.supervise(observations, cancel).await;
        if let Err(error @ Error::Journal(_)) = &supervised {
            run.lose_journal(error);
        }
        let finished = run.finish().await;
        let retired = run.records.retire().await;
        supervised.and(finished).and(retired)?;
        Ok(run.shell.supervisor)
    }
}

/// What somebody decided, in the supervisor's terms.
pub(super) fn input(decided: DecisionRecord) -> Input {
    let DecisionRecord { incident, by, .. } = decided;
    match decided.decision {
        Decision::Approve { remedy } => Input::Approve { incident, remedy, by },
        Decision::Dismiss => Input::Dismiss { incident, by },
    }
}
