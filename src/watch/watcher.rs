//! The watcher: a task per host, one queue for all that they see.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::host::HostTask;
use super::keeper::Keeper;
use super::places::Places;
use crate::deploy::remote::Pool;
use crate::fleet::{AppName, Host, Observation, Role};

/// What is watched, and how closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// These apps; `None` is every app that Arcane deployed.
    pub apps: Option<BTreeSet<AppName>>,
    /// Whose logs are followed.
    pub logs: Logs,
    /// Lines of history to begin each log with.
    pub tail: usize,
    /// Whether to stay and wait for more. Without it, the history is read once from every host that can be reached.
    pub follow: bool,
    /// How often memory and processor of live containers are sampled, if at all.
    pub stats_every: Option<Duration>,
    /// Whether there is anybody who needs the samples, now.
    pub sampling: Sampling,
    /// Observations that may wait to be taken. When so many do, containers take turns, one observation each, and what one of
    /// them logs beyond that waits where it is; nothing is lost by that but time, which is said by
    /// [`crate::fleet::LogState::Behind`], unless the engine has to drop events or rotates a log away, which is said by a
    /// [`crate::fleet::Fact::Gap`]. Few, for what is new stands behind them.
    pub queue: usize,
}

/// A switch for samples, shared with whoever knows whether they are needed. On unless it is turned off.
#[derive(Debug, Clone, Default)]
pub struct Sampling(Arc<AtomicBool>);

impl Sampling {
    /// Has samples taken from now on, or not.
    pub fn turn(&self, on: bool) {
        self.0.store(!on, Ordering::Relaxed);
    }

    /// Whether samples are taken.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for Sampling {
    fn eq(&self, other: &Self) -> bool {
        self.is_on() == other.is_on()
    }
}

impl Eq for Sampling {}

/// Whose logs are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// Nobody's.
    None,
    /// Those of live containers, until they end.
    Live,
    /// Those of candidates as well.
    Current,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            apps: None,
            logs: Logs::Live,
            tail: 0,
            follow: true,
            stats_every: None,
            sampling: Sampling::default(),
            queue: 1_024,
        }
    }
}

impl Options {
    /// The log of one app: its last `tail` lines, and if `follow`, what comes after them.
    #[must_use]
    pub fn logs_of(app: AppName, tail: usize, follow: bool) -> Self {
        Self { apps: Some([app].into()), logs: Logs::Current, tail, follow, ..Self::default() }
    }
}

impl Logs {
    /// Whether the log of a container that plays this part is one of them.
    pub(super) const fn include(self, role: Role) -> bool {
        match self {
            Self::None => false,
            Self::Live => matches!(role, Role::Live),
            Self::Current => matches!(role, Role::Live | Role::Candidate),
        }
    }
}

/// Where all hosts' observations go, and what is kept of that.
#[derive(Debug, Clone)]
pub(super) struct Exit {
    pub(super) sender: mpsc::Sender<Observation>,
    /// How many were sent.
    pub(super) told: Arc<AtomicU64>,
    pub(super) places: Option<Places>,
}

/// Watches hosts, each on its own, until it is cancelled or nobody takes the observations any more.
#[derive(Debug)]
pub struct Watcher {
    hosts: JoinSet<()>,
    keeper: Option<Keeper>,
}

impl Watcher {
    /// Begins to watch, over the connections of `pool`, whose redactor masks what is observed. A host that cannot be reached is tried again for ever; one that is lost is caught up with.
    ///
    /// Of one container, observations come in the order in which things happened, with the last words of a container
    /// before its death. Every log line comes once, over any number of lost connections; if one cannot be read, a
    /// [`crate::fleet::Fact::Gap`] says so.
    #[must_use]
    pub fn start(
        hosts: Vec<Host>,
        pool: Pool,
        options: Options,
        cancel: CancellationToken,
    ) -> (Self, mpsc::Receiver<Observation>) {
        Self::begin(hosts, pool, options, None, cancel)
    }

    /// The same, but logs are taken up where another run left them, and where they are left is kept. To keep it to the
    /// last line, the receiver must outlive [`Self::join`].
    #[must_use]
    pub fn resume(
        hosts: Vec<Host>,
        pool: Pool,
        options: Options,
        places: Places,
        cancel: CancellationToken,
    ) -> (Self, mpsc::Receiver<Observation>) {
        Self::begin(hosts, pool, options, Some(places), cancel)
    }

    fn begin(
        hosts: Vec<Host>,
        pool: Pool,
        options: Options,
        places: Option<Places>,
        cancel: CancellationToken,
    ) -> (Self, mpsc::Receiver<Observation>) {
        let (sender, receiver) = mpsc::channel(options.queue.max(1));
        let exit = Exit { sender, told: Arc::default(), places };
        let mut tasks = JoinSet::new();
        for host in hosts {
            let task = HostTask::new(host, pool.clone(), &options, exit.clone());
            tasks.spawn(task.run(cancel.clone()));
        }
        (Self { hosts: tasks, keeper: Keeper::start(exit) }, receiver)
    }

    /// Waits until all has ended.
    pub async fn join(mut self) {
        while let Some(ended) = self.hosts.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the watcher of a host failed");
            }
        }
        if let Some(keeper) = self.keeper {
            keeper.stop().await;
        }
    }
}
