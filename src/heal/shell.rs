//! The shell around the supervisor: feeds it what is seen and decided, carries out what it says, and writes down
//! everything before it is done. All judgement is the supervisor's; all that can block or fail is here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::carry_out::{Ended, carry_out};
use super::effect::{Action, Announcement, Effect};
use super::input::Input;
use super::supervisor::Supervisor;
use crate::deploy::remote::Pool;
use crate::fleet::{AppName, Fact, Host, HostName, IncidentId, Mode, Observation, Signal, Timestamp};
use crate::journal::{self, Decision, Journal, SupervisorBeat};
use crate::rules::Engine;

/// How often decisions made in other processes are looked for, and time passes for rules and supervisor.
const TICK: Duration = Duration::from_millis(250);
/// How often a supervisor says that it is alive.
const BEAT: Duration = Duration::from_secs(2);
/// Without a beat for this long, a supervisor counts as gone.
pub const BEAT_MAX_AGE: Duration = Duration::from_secs(8);
/// How long an action in flight may take to end when we are told to stop.
const LAST_ACTION: Duration = Duration::from_secs(120);

/// What the shell works with.
pub struct Shell {
    /// The supervisor, with its settings.
    pub supervisor: Supervisor,
    /// The rules.
    pub engine: Engine,
    /// This machine's memory.
    pub journal: Arc<std::sync::Mutex<Journal>>,
    /// The hosts it may act on.
    pub hosts: BTreeMap<HostName, Host>,
    /// The connections, shared with whoever watches.
    pub pool: Pool,
    /// Who we are: `user@machine`.
    pub by: String,
    /// The most that may happen.
    pub ceiling: Mode,
    /// When to stop by itself.
    pub until: Until,
}

/// When the shell stops by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Until {
    /// After this long.
    pub duration: Option<Duration>,
    /// When this incident has come to an end or needs a human.
    pub incident: Option<IncidentId>,
    /// When nothing is open and nothing was found for this long.
    pub quiet: Option<Duration>,
}

/// Something to tell whoever watches the supervisor.
#[derive(Debug, Clone)]
pub enum Told {
    /// A fact came in.
    Seen(Observation),
    /// A rule fired.
    Signal(Signal),
    /// The supervisor says something.
    Announced(Announcement),
}

/// Why the shell ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be used; without it nothing may be done, since nothing could be written down.
    #[error("the journal cannot be used")]
    Journal(#[from] journal::Error),
}

impl Shell {
    /// Runs until it is told to stop, or [`Until`] says so. An action in flight is waited for.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn run(
        mut self,
        mut observations: mpsc::Receiver<Observation>,
        tell: &(dyn Fn(Told) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Supervisor, Error> {
        let beat_id = format!("{:x}-{}", crate::clock::now().as_nanos(), std::process::id());
        let mut actions = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (begun, mut last_beat, mut last_signal) = (Instant::now(), None::<Instant>, Instant::now());
        let mut decided = self.with_journal(|journal| journal.last_decision_seq()).await?;
        let open = self.with_journal(|journal| journal.incidents(true, 1_000)).await?;
        let effects = self.supervisor.restore(open, crate::clock::now());
        self.apply(effects, &mut actions, tell).await?;
        let mut frozen = Vec::new();
        let mut stopping = false;
        loop {
            let mut effects = Vec::new();
            let now = crate::clock::now();
            tokio::select! {
                observation = observations.recv(), if !stopping => match observation {
                    Some(observation) => {
                        let signals = self.engine.observe(&observation);
                        if !signals.is_empty() { last_signal = Instant::now(); }
                        effects = self.seen(now, observation, signals, tell);
                    }
                    None => stopping = true,
                },
                Some(Ok(ended)) = actions.join_next() => effects = self.supervisor.step(now, ended.into_input()),
                _ = tick.tick() => {
                    for signal in self.engine.advance(now) {
                        last_signal = Instant::now();
                        tell(Told::Signal(signal.clone()));
                        effects.extend(self.supervisor.step(now, Input::Signal(signal)));
                    }
                    for input in self.decisions(&mut decided, &mut frozen).await? {
                        effects.extend(self.supervisor.step(now, input));
                    }
                    effects.extend(self.supervisor.step(now, Input::Tick));
                    if last_beat.is_none_or(|beat| beat.elapsed() >= BEAT) {
                        last_beat = Some(Instant::now());
                        self.beat(&beat_id, now).await?;
                    }
                }
                () = cancel.cancelled(), if !stopping => stopping = true,
            }
            self.apply(effects, &mut actions, tell).await?;
            if stopping || self.is_over(begun, last_signal) {
                break;
            }
        }
        self.finish(&mut actions, tell).await?;
        self.with_journal(move |journal| journal.retire(&beat_id)).await?;
        Ok(self.supervisor)
    }

    fn seen(
        &mut self,
        now: Timestamp,
        observation: Observation,
        signals: Vec<Signal>,
        tell: &(dyn Fn(Told) + Send + Sync),
    ) -> Vec<Effect> {
        tell(Told::Seen(observation.clone()));
        let mut effects = Vec::new();
        // Log lines are for the rules; the supervisor decides by state.
        if !matches!(observation.fact, Fact::Line { .. } | Fact::Stats { .. }) {
            effects.extend(self.supervisor.step(now, Input::Observed(observation)));
        }
        for signal in signals {
            tell(Told::Signal(signal.clone()));
            effects.extend(self.supervisor.step(now, Input::Signal(signal)));
        }
        effects
    }

    /// Carries out effects in their order: what is to be saved is on disk before what follows it begins.
    async fn apply(
        &self,
        effects: Vec<Effect>,
        actions: &mut JoinSet<Ended>,
        tell: &(dyn Fn(Told) + Send + Sync),
    ) -> Result<(), Error> {
        for effect in effects {
            match effect {
                Effect::Save(incident) => self.with_journal(move |journal| journal.save_incident(&incident)).await?,
                Effect::Act(action) => self.start(action, actions),
                Effect::Announce(announcement) => tell(Told::Announced(announcement)),
            }
        }
        Ok(())
    }

    fn start(&self, action: Action, actions: &mut JoinSet<Ended>) {
        let host = self.hosts.get(&action.host).cloned();
        let (pool, by) = (self.pool.clone(), self.by.clone());
        actions.spawn(async move {
            let id = action.id;
            let work = tokio::spawn(async move { carry_out(&pool, host.as_ref(), action, &by).await });
            work.await.unwrap_or_else(|panic| Ended::panicked(id, &panic))
        });
    }

    /// Decisions and freezes made in other processes since the last look.
    async fn decisions(&self, decided: &mut i64, frozen: &mut Vec<Option<AppName>>) -> Result<Vec<Input>, Error> {
        let after = *decided;
        let (rows, freezes) = self
            .with_journal(move |journal| Ok((journal.decisions_after(after)?, journal.freezes()?)))
            .await?;
        let freezes: Vec<_> = freezes.into_iter().map(|freeze| freeze.app).collect();
        let mut inputs: Vec<_> = freezes
            .iter()
            .filter(|app| !frozen.contains(app))
            .map(|app| Input::Freeze { app: app.clone() })
            .collect();
        inputs.extend(
            frozen.iter().filter(|app| !freezes.contains(app)).map(|app| Input::Thaw { app: app.clone() }),
        );
        *frozen = freezes;
        for row in rows {
            *decided = row.seq.max(*decided);
            inputs.push(match row.decision {
                Decision::Approve { remedy } => Input::Approve { incident: row.incident, remedy, by: row.by },
                Decision::Dismiss => Input::Dismiss { incident: row.incident, by: row.by },
            });
        }
        Ok(inputs)
    }

    async fn beat(&self, id: &str, at: Timestamp) -> Result<(), Error> {
        let beat = SupervisorBeat {
            id: id.to_owned(),
            pid: std::process::id(),
            hosts: self.hosts.keys().cloned().collect(),
            mode: self.ceiling,
            at,
        };
        self.with_journal(move |journal| journal.heartbeat(&beat)).await
    }

    fn is_over(&self, begun: Instant, last_signal: Instant) -> bool {
        let until = &self.until;
        let settled = |id| {
            let incident = self.supervisor.incidents().find(|incident| incident.id == id);
            incident.is_none_or(|incident| {
                use crate::fleet::IncidentState::{Dismissed, Escalated, Healed};
                matches!(incident.state, Healed | Dismissed | Escalated)
            })
        };
        let quiet = |quiet: Duration| {
            let open = self.supervisor.incidents().any(|incident| {
                use crate::fleet::IncidentState::{Acting, Open, Verifying, Waiting};
                matches!(incident.state, Acting | Verifying | Waiting | Open)
            });
            !open && last_signal.elapsed() >= quiet && begun.elapsed() >= quiet
        };
        until.duration.is_some_and(|duration| begun.elapsed() >= duration)
            || until.incident.is_some_and(settled)
            || until.quiet.is_some_and(quiet)
    }

    /// Waits for actions in flight: a rollback that was begun is not left half-way.
    async fn finish(
        &mut self,
        actions: &mut JoinSet<Ended>,
        tell: &(dyn Fn(Told) + Send + Sync),
    ) -> Result<(), Error> {
        while let Ok(Some(Ok(ended))) = timeout(LAST_ACTION, actions.join_next()).await {
            let effects = self.supervisor.step(crate::clock::now(), ended.into_input());
            for effect in effects {
                match effect {
                    Effect::Save(incident) => {
                        self.with_journal(move |journal| journal.save_incident(&incident)).await?;
                    }
                    Effect::Announce(announcement) => tell(Told::Announced(announcement)),
                    // Not begun any more: the next supervisor finds the incident where it stands.
                    Effect::Act(_) => {}
                }
            }
        }
        Ok(())
    }

    async fn with_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, journal::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let journal = Arc::clone(&self.journal);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
        });
        match done.await {
            Ok(result) => Ok(result?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}
