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
use super::inspect::inspect;
use super::rivals;
use super::supervisor::Supervisor;
use crate::deploy::remote::Pool;
use crate::fleet::{AppName, Host, HostName, Incident, IncidentId, Mode, Observation, Signal, Timestamp};
use crate::journal::{self, Decision, Freeze, Journal, SupervisorBeat};
use crate::rules::Engine;

/// How often decisions made in other processes are looked for, and time passes for rules and supervisor.
const TICK: Duration = Duration::from_millis(250);
/// How often a supervisor says that it is alive.
const BEAT: Duration = Duration::from_secs(2);
/// Without a beat for this long, a supervisor counts as gone.
pub const BEAT_MAX_AGE: Duration = Duration::from_secs(8);
/// How long an action in flight may take to end when we are told to stop.
const LAST_ACTION: Duration = Duration::from_secs(120);
/// Incidents of the past that budgets and relapses are judged by.
const REMEMBERED: usize = 500;

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
    /// The number reserved for the next incident.
    pub number: Option<IncidentId>,
    /// Tells our signs of life from those of others; given by the journal when it runs.
    pub id: String,
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
}

fn names(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}

impl Shell {
    /// Runs until it is told to stop, or [`Until`] says so. An action in flight is waited for.
    ///
    /// # Errors
    /// When the journal cannot be written, or another supervisor heals one of the hosts.
    pub async fn run(
        mut self,
        mut observations: mpsc::Receiver<Observation>,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Supervisor, Error> {
        self.claim().await?;
        let mut tasks = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (begun, mut last_beat, mut last_signal) = (Instant::now(), Instant::now(), Instant::now());
        let mut decided = self.with_journal(|journal| journal.last_decision_seq()).await?;
        let mut frozen = Vec::new();
        self.remember(&mut tasks, tell).await?;
        let mut stopping = false;
        while !stopping {
            let mut effects = Vec::new();
            let now = crate::clock::now();
            tokio::select! {
                observation = observations.recv() => match observation {
                    Some(observation) => effects = self.seen(now, observation, &mut last_signal, tell),
                    None => stopping = true,
                },
                Some(Ok(ended)) = tasks.join_next() => effects = self.ended(now, ended, &mut last_signal, tell),
                _ = tick.tick() => {
                    for input in self.decisions(&mut decided, &mut frozen).await? {
                        effects.extend(self.supervisor.step(now, input));
                    }
                    // Time passes for the rules, too; what they say then comes with the next observation.
                    let late = self.engine.advance(now);
                    effects.extend(self.signals(now, late, &mut last_signal, tell));
                    effects.extend(self.supervisor.step(now, Input::Tick));
                    if last_beat.elapsed() >= BEAT {
                        last_beat = Instant::now();
                        self.beat(now).await?;
                    }
                    stopping = self.is_over(begun, last_signal);
                }
                () = cancel.cancelled() => stopping = true,
            }
            self.apply(effects, &mut tasks, tell).await?;
        }
        self.finish(&mut tasks, tell).await?;
        self.retire().await?;
        Ok(self.supervisor)
    }

    /// Gives the first sign of life, and steps back when somebody else heals one of our hosts already. The sign comes
    /// first: of two that start at once both may step back, but never none.
    async fn claim(&mut self) -> Result<(), Error> {
        self.id = self.with_journal(|journal| journal.new_supervisor_id()).await?;
        let now = crate::clock::now();
        self.beat(now).await?;
        if self.ceiling < Mode::Approve {
            return Ok(());
        }
        let others = self.with_journal(move |journal| rivals::running(journal, now)).await?;
        match rivals::healer(&others, &self.sign_of_life(now)) {
            None => Ok(()),
            Some(SupervisorBeat { pid, hosts, .. }) => {
                self.retire().await?;
                Err(Error::Rival { pid, hosts })
            }
        }
    }

    async fn retire(&self) -> Result<(), Error> {
        let id = self.id.clone();
        self.with_journal(move |journal| journal.retire(&id)).await
    }

    /// Takes up what an earlier supervisor left, and a number for the next incident.
    async fn remember(&mut self, tasks: &mut JoinSet<Ended>, tell: Tell<'_>) -> Result<(), Error> {
        let recent = self.with_journal(|journal| journal.incidents(false, REMEMBERED)).await?;
        let mine = recent.into_iter().filter(|incident| self.hosts.contains_key(&incident.host)).collect();
        let effects = self.supervisor.restore(mine, crate::clock::now());
        self.take_number().await?;
        self.apply(effects, tasks, tell).await
    }

    /// Reserves a number for the next incident, so that no other supervisor of this machine gives it out.
    async fn take_number(&mut self) -> Result<(), Error> {
        let number = self.with_journal(|journal| journal.next_incident_id()).await?;
        self.number = Some(number);
        self.supervisor.set_next_incident(number);
        Ok(())
    }

    fn seen(&mut self, now: Timestamp, seen: Observation, last: &mut Instant, tell: Tell<'_>) -> Vec<Effect> {
        let signals = self.engine.observe(&seen);
        tell(Told::Seen(seen.clone()));
        let mut effects = self.supervisor.step(now, Input::Observed(seen));
        effects.extend(self.signals(now, signals, last, tell));
        effects
    }

    fn signals(
        &mut self,
        now: Timestamp,
        signals: Vec<Signal>,
        last: &mut Instant,
        tell: Tell<'_>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for signal in signals {
            *last = Instant::now();
            tell(Told::Signal(signal.clone()));
            effects.extend(self.supervisor.step(now, Input::Signal(signal)));
        }
        effects
    }

    fn ended(&mut self, now: Timestamp, ended: Ended, last: &mut Instant, tell: Tell<'_>) -> Vec<Effect> {
        match ended {
            Ended::Action { action, outcome, detail, release } => {
                self.supervisor.step(now, Input::ActionEnded { action, outcome, detail, release })
            }
            Ended::Inspected(observations) => {
                observations.into_iter().flat_map(|seen| self.seen(now, seen, last, tell)).collect()
            }
        }
    }

    /// Carries out effects in their order: what is to be saved is on disk before what follows it begins.
    async fn apply(
        &mut self,
        effects: Vec<Effect>,
        tasks: &mut JoinSet<Ended>,
        tell: Tell<'_>,
    ) -> Result<(), Error> {
        for effect in effects {
            match effect {
                Effect::Save(incident) => self.save(incident).await?,
                Effect::Act(action) => self.start(action, tasks),
                Effect::Inspect { host, app } => self.look(&host, app, tasks),
                Effect::Announce(announcement) => {
                    let incident = announcement.incident.and_then(|id| self.supervisor.incident(id)).cloned();
                    tell(Told::Announced(announcement, incident.map(Box::new)));
                }
            }
        }
        if self.number.is_some_and(|number| self.supervisor.next_incident() != number) {
            self.take_number().await?;
        }
        Ok(())
    }

    /// Writes an incident down. A watcher leaves that to a supervisor that may do more: one problem, one incident.
    async fn save(&self, incident: Incident) -> Result<(), Error> {
        let (id, ceiling) = (self.id.clone(), self.ceiling);
        self.with_journal(move |journal| {
            let others = match ceiling {
                Mode::Off | Mode::Suggest => rivals::running(journal, crate::clock::now())?,
                Mode::Approve | Mode::Auto => Vec::new(),
            };
            match rivals::writes(&others, &id, ceiling, &incident.host) {
                true => Ok(()),
                false => journal.save_incident(&incident),
            }
        })
        .await
    }

    fn look(&self, host: &HostName, app: AppName, tasks: &mut JoinSet<Ended>) {
        let Some(host) = self.hosts.get(host).cloned() else { return };
        let pool = self.pool.clone();
        tasks.spawn(async move {
            // A host that cannot be asked is the watcher's to report.
            Ended::Inspected(inspect(&pool, &host, &app).await.unwrap_or_default())
        });
    }

    fn start(&self, action: Action, tasks: &mut JoinSet<Ended>) {
        let host = self.hosts.get(&action.host).cloned();
        let (pool, by) = (self.pool.clone(), self.by.clone());
        tasks.spawn(async move {
            let id = action.id;
            let work = tokio::spawn(async move { carry_out(&pool, host.as_ref(), action, &by).await });
            work.await.unwrap_or_else(|panic| Ended::panicked(id, &panic))
        });
    }

    /// Decisions and freezes made in other processes since the last look.
    async fn decisions(&self, decided: &mut u64, frozen: &mut Vec<Freeze>) -> Result<Vec<Input>, Error> {
        let after = *decided;
        let look = move |journal: &mut Journal| Ok((journal.decisions_after(after)?, journal.freezes()?));
        let (rows, freezes) = self.with_journal(look).await?;
        let among = |list: &[Freeze], freeze: &Freeze| list.iter().any(|other| other.app == freeze.app);
        let mut inputs = Vec::new();
        for freeze in freezes.iter().filter(|freeze| !among(frozen, freeze)) {
            inputs.push(Input::Freeze { app: freeze.app.clone(), by: freeze.by.clone() });
        }
        for freeze in frozen.iter().filter(|freeze| !among(&freezes, freeze)) {
            inputs.push(Input::Thaw { app: freeze.app.clone(), by: freeze.by.clone() });
        }
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

    fn sign_of_life(&self, at: Timestamp) -> SupervisorBeat {
        SupervisorBeat {
            id: self.id.clone(),
            pid: std::process::id(),
            hosts: self.hosts.keys().cloned().collect(),
            mode: self.ceiling,
            at,
        }
    }

    async fn beat(&self, at: Timestamp) -> Result<(), Error> {
        let beat = self.sign_of_life(at);
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

    /// Waits for actions in flight: a rollback that was begun is not left half-way, and what it came to is written down.
    /// None is begun any more; the next supervisor finds the incident where it stands.
    async fn finish(&mut self, tasks: &mut JoinSet<Ended>, tell: Tell<'_>) -> Result<(), Error> {
        let mut last = Instant::now();
        while let Ok(Some(Ok(ended))) = timeout(LAST_ACTION, tasks.join_next()).await {
            let mut effects = self.ended(crate::clock::now(), ended, &mut last, tell);
            effects.retain(|effect| matches!(effect, Effect::Save(_) | Effect::Announce(_)));
            self.apply(effects, &mut JoinSet::new(), tell).await?;
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
