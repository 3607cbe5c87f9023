//! The shell at work: feeds the supervisor what is seen and decided, carries out what it says, and writes down
//! everything before it is done. All judgement is the supervisor's; all that can block or fail is here.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::carry_out::{Ended, carry_out};
use super::effect::{Action, Announcement, Effect, News};
use super::errand::Errand;
use super::input::Input;
use super::inspect::inspect;
use super::records::{Kept, Records};
use super::reread::Reread;
use super::shell::{Error, Shell, Tell, Told, input};
use crate::fleet::{ActionOutcome, AppName, HostName, IncidentId, Observation, Signal, Timestamp};
use crate::journal::Freeze;

/// How often decisions made in other processes are looked for, and time passes for rules and supervisor.
const TICK: Duration = Duration::from_millis(250);
/// How often a supervisor says that it is alive.
const BEAT: Duration = Duration::from_secs(2);
/// How often what was learnt of logs is written down.
const KEEP: Duration = Duration::from_secs(60);
/// How long an action in flight may take to end when we are told to stop.
const LAST_ACTION: Duration = Duration::from_secs(120);

/// A shell at work.
pub(super) struct Run<'a> {
    pub(super) shell: Shell,
    pub(super) records: Records,
    pub(super) tell: Tell<'a>,
    pub(super) tasks: JoinSet<Ended>,
    errand: Option<Errand>,
    /// The number reserved for the next incident.
    number: Option<IncidentId>,
    /// The newest decision that was taken up.
    decided: u64,
    frozen: Vec<Freeze>,
    begun: Instant,
    last_beat: Instant,
    last_signal: Instant,
    last_kept: Instant,
    pub(super) reread: Reread,
    /// Nothing is begun any more.
    pub(super) closing: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(shell: Shell, records: Records, tell: Tell<'a>) -> Self {
        let now = Instant::now();
        Self {
            shell,
            records,
            tell,
            tasks: JoinSet::new(),
            errand: None,
            number: None,
            decided: 0,
            frozen: Vec::new(),
            begun: now,
            last_beat: now,
            last_signal: now,
            last_kept: now,
            reread: Reread::new(),
            closing: false,
        }
    }

    pub(super) async fn supervise(
        &mut self,
        observations: &mut mpsc::Receiver<Observation>,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        self.begin().await?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = crate::clock::now();
            tokio::select! {
                observation = observations.recv() => {
                    let Some(observation) = observation else { return Ok(()) };
                    let effects = self.seen(now, observation);
                    self.apply(effects).await?;
                }
                Some(Ok(ended)) = self.tasks.join_next() => {
                    let effects = self.ended(now, ended);
                    self.apply(effects).await?;
                }
                _ = tick.tick() => {
                    let effects = self.tick(now).await?;
                    self.apply(effects).await?;
                    if self.is_over()? {
                        return Ok(());
                    }
                }
                () = cancel.cancelled() => return Ok(()),
            }
        }
    }

    /// Takes up what is in force and what an earlier supervisor left. Freezes come first: nothing may begin before they
    /// hold.
    async fn begin(&mut self) -> Result<(), Error> {
        self.decided = self.records.ask(|journal| journal.last_decision_seq()).await?;
        let freezes = self.freezes().await?;
        let mut effects = self.step(freezes);
        for (app, body) in self.records.ask(|journal| journal.kept_logs()).await? {
            match serde_json::from_str(&body) {
                Ok(remembered) => self.shell.novelties.recall(app, remembered),
                Err(error) => tracing::debug!(%app, %error, "what was known of its log cannot be read"),
            }
        }
        let recalled = self.records.recall().await?;
        effects.extend(self.shell.supervisor.restore(recalled, crate::clock::now()));
        self.take_number().await?;
        self.errand = self.shell.until.approval.take().map(|approval| {
            let incident = self.shell.supervisor.incident(approval.incident);
            Errand::new(approval, incident)
        });
        self.apply(effects).await
    }

    /// Time passes: for the rules, for the supervisor, and for what was decided in other processes.
    async fn tick(&mut self, now: Timestamp) -> Result<Vec<Effect>, Error> {
        if self.last_beat.elapsed() >= BEAT {
            self.last_beat = Instant::now();
            self.records.beat(now).await?;
        }
        if self.last_kept.elapsed() >= KEEP {
            self.keep_logs(now).await?;
        }
        let mut inputs = self.freezes().await?;
        inputs.extend(self.decisions().await?);
        inputs.extend(self.errand.as_mut().and_then(Errand::due));
        let mut effects = self.step(inputs);
        let late = self.pass(now);
        self.look_at_rules();
        self.tell_dropped();
        effects.extend(self.signals(now, late));
        effects.extend(self.step([Input::Tick]));
        Ok(effects)
    }

    /// Writes down what was learnt of logs since the last time.
    async fn keep_logs(&mut self, now: Timestamp) -> Result<(), Error> {
        self.last_kept = Instant::now();
        for (app, remembered) in self.shell.novelties.take_changed() {
            match serde_json::to_string(&remembered) {
                Ok(body) => self.records.ask(move |journal| journal.keep_log(&app, &body, now)).await?,
                Err(error) => tracing::debug!(%app, %error, "what is known of its log cannot be written"),
            }
        }
        Ok(())
    }

    fn step(&mut self, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
        let now = crate::clock::now();
        inputs.into_iter().flat_map(|input| self.shell.supervisor.step(now, input)).collect()
    }

    /// Reserves a number for the next incident, so that no other supervisor of this machine gives it out.
    async fn take_number(&mut self) -> Result<(), Error> {
        let number = self.records.ask(|journal| journal.next_incident_id()).await?;
        self.number = Some(number);
        self.shell.supervisor.set_next_incident(number);
        Ok(())
    }

    fn seen(&mut self, now: Timestamp, seen: Observation) -> Vec<Effect> {
        self.shell.novelties.observe(&seen);
        let mut signals = self.pass(now);
        signals.extend(self.shell.engine.observe(&seen));
        if let Some(errand) = &mut self.errand {
            errand.see(&seen);
        }
        (self.tell)(Told::Seen(seen.clone()));
        let mut effects = self.shell.supervisor.step(now, Input::Observed(seen));
        effects.extend(self.signals(now, signals));
        effects
    }

    fn signals(&mut self, now: Timestamp, signals: Vec<Signal>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for mut signal in signals {
            signal.novelty = self.shell.novelties.report(&signal.app, &signal.release);
            self.last_signal = Instant::now();
            (self.tell)(Told::Signal(signal.clone()));
            effects.extend(self.shell.supervisor.step(now, Input::Signal(signal)));
        }
        effects
    }

    fn ended(&mut self, now: Timestamp, ended: Ended) -> Vec<Effect> {
        match ended {
            Ended::Action { action, outcome, detail, release } => {
                self.step([Input::ActionEnded { action, outcome, detail, release }])
            }
            Ended::Rules(found) => {
                self.take_rules(found);
                Vec::new()
            }
            Ended::Inspected(observations) => {
                observations.into_iter().flat_map(|seen| self.seen(now, seen)).collect()
            }
        }
    }

    /// Carries out effects in their order: what is to be saved is on disk before what follows it begins. An action on
    /// an incident that another process has changed meanwhile does not begin.
    async fn apply(&mut self, effects: Vec<Effect>) -> Result<(), Error> {
        let mut effects = VecDeque::from(effects);
        let mut changed = BTreeSet::new();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Save(incident) => {
                    if let Kept::Changed(stored) = self.records.save(incident).await? {
                        changed.insert(stored.id);
                        let (incident, by) = (stored.id, "another process".to_owned());
                        let over = stored.state.is_over().then_some(Input::Dismiss { incident, by });
                        effects.extend(self.step(over));
                    }
                }
                Effect::Act(action) if changed.contains(&action.incident) => {
                    effects.extend(self.step([overtaken(&action)]));
                }
                Effect::Act(_) | Effect::Inspect { .. } if self.closing => {}
                Effect::Act(action) => self.start(action),
                Effect::Inspect { host, app } => self.look(&host, app),
                Effect::Freeze { app, by, why } => {
                    let at = crate::clock::now();
                    self.records.ask(move |journal| journal.freeze(Some(&app), &by, at, &why)).await?;
                }
                Effect::Announce(announcement) => self.announce(announcement),
            }
        }
        if !self.closing && self.number.is_some_and(|number| self.shell.supervisor.next_incident() != number)
        {
            self.take_number().await?;
        }
        Ok(())
    }

    fn announce(&mut self, mut announcement: Announcement) {
        if let Some(errand) = &mut self.errand {
            errand.hear(&announcement);
        }
        let incident = announcement.incident.and_then(|id| self.shell.supervisor.incident(id)).cloned();
        // A number that nobody can look up is not given out.
        if incident.as_ref().is_some_and(|incident| !self.records.has(incident.id)) {
            announcement.incident = None;
        }
        (self.tell)(Told::Announced(announcement, incident.map(Box::new)));
    }

    fn look(&mut self, host: &HostName, app: AppName) {
        let Some(host) = self.shell.hosts.get(host).cloned() else { return };
        let pool = self.shell.pool.clone();
        self.tasks.spawn(async move {
            // A host that cannot be asked is the watcher's to report.
            Ended::Inspected(inspect(&pool, &host, &app).await.unwrap_or_default())
        });
    }

    fn start(&mut self, action: Action) {
        let host = self.shell.hosts.get(&action.host).cloned();
        let (pool, by, source) =
            (self.shell.pool.clone(), self.shell.by.clone(), Arc::clone(&self.shell.source));
        self.tasks.spawn(async move {
            let id = action.id;
            let work =
                tokio::spawn(async move { carry_out(&pool, host.as_ref(), action, &*source, &by).await });
            work.await.unwrap_or_else(|panic| Ended::panicked(id, &panic))
        });
    }

    /// Freezes and thaws since the last look.
    async fn freezes(&mut self) -> Result<Vec<Input>, Error> {
        let freezes = self.records.ask(|journal| journal.freezes()).await?;
        let among = |list: &[Freeze], freeze: &Freeze| list.iter().any(|other| other.app == freeze.app);
        let (new, gone) = (
            freezes.iter().filter(|freeze| !among(&self.frozen, freeze)),
            self.frozen.iter().filter(|freeze| !among(&freezes, freeze)),
        );
        let new = new.map(|freeze| Input::Freeze { app: freeze.app.clone(), by: freeze.by.clone() });
        let gone = gone.map(|freeze| Input::Thaw { app: freeze.app.clone(), by: freeze.by.clone() });
        let inputs = new.chain(gone).collect();
        self.frozen = freezes;
        Ok(inputs)
    }

    /// Decisions made in other processes since the last look, about incidents that are ours to know.
    async fn decisions(&mut self) -> Result<Vec<Input>, Error> {
        let after = self.decided;
        let mut rows = self.records.ask(move |journal| journal.decisions_after(after)).await?;
        self.decided = rows.iter().map(|row| row.seq).max().unwrap_or_default().max(after);
        rows.retain(|row| self.shell.supervisor.incident(row.incident).is_some());
        Ok(rows.into_iter().map(input).collect())
    }

    fn is_over(&self) -> Result<bool, Error> {
        let (until, supervisor) = (&self.shell.until, &self.shell.supervisor);
        let quiet = |quiet: Duration| {
            let open = supervisor.incidents().any(|incident| {
                use crate::fleet::IncidentState::{Acting, Open, Verifying, Waiting};
                matches!(incident.state, Acting | Verifying | Waiting | Open)
            });
            !open && self.last_signal.elapsed() >= quiet && self.begun.elapsed() >= quiet
        };
        let settled = match &self.errand {
            Some(errand) => errand.is_over(supervisor.incident(errand.incident()))?,
            None => false,
        };
        let late = until.duration.is_some_and(|duration| self.begun.elapsed() >= duration);
        Ok(settled || late || until.quiet.is_some_and(quiet))
    }

    /// Tells people that nothing new begins, and why.
    pub(super) fn lose_journal(&self, error: &Error) {
        let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        let text = format!("everything stops: {error}{cause}; what is under way ends by itself");
        let everything = Announcement { incident: None, host: None, app: None, news: News::Frozen, text };
        (self.tell)(Told::Announced(everything, None));
    }

    /// Waits for actions in flight: a rollback that was begun is not left half-way, and what it came to is told and, if
    /// that can be done, written down. None is begun any more; the next supervisor finds the incident where it stands.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.closing = true;
        let mut outcome = self.keep_logs(crate::clock::now()).await;
        while let Ok(Some(Ok(ended))) = timeout(LAST_ACTION, self.tasks.join_next()).await {
            for effect in self.ended(crate::clock::now(), ended) {
                outcome = outcome.and(self.apply(vec![effect]).await);
            }
        }
        outcome
    }
}

/// What becomes of an action on an incident that another process has changed: nothing, and it may be tried again.
fn overtaken(action: &Action) -> Input {
    Input::ActionEnded {
        action: action.id,
        outcome: ActionOutcome::Refused,
        detail: format!("another process has changed incident {} meanwhile", action.incident),
        release: None,
    }
}
