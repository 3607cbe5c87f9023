//! The supervisor: a pure state machine. `step(now, input)` returns what is to be done; the same code runs live, in a
//! replay and under the simulator in `tests/`. It does no I/O, reads no clock, and its only randomness is a seeded
//! jitter.
//!
//! One incident per (host, app, release) goes through these states; the words on the arrows are what moves it:
//!
//! ```text
//!                 signal
//!                   │
//!                   ▼          not allowed unattended
//!                 Open ───────────────────────────▶ AwaitingApproval
//!   allowed, not  │  │ allowed, now                     │  approved
//!   yet           │  └───────────────┐  ┌───────────────┘
//!                 ▼        due       ▼  ▼     lock held
//!              Waiting ────────────▶ Acting ─────────────▶ Waiting
//!                 ▲                    │ done │ failed
//!                 │ next try           ▼      │
//!                 ├─────────────── Verifying  │
//!                 │  symptom back      │      │
//!                 │◀───────────────────┼──────┘
//!                 │                    │ ran quietly for long enough
//!                 │ symptom back soon  ▼
//!                 └────────────────  Healed
//!
//!   any state ── nothing left to try, held up too long ──▶ Escalated ── approved ──▶ Acting
//!   any state but Acting ── another release live, stopped by an operator, dismissed ──▶ Dismissed
//! ```
//!
//! An incident is *closed* (`Dismissed`) and not called healed when somebody else changed the release or stopped the
//! app: nobody has proved that it is well. A rollback changes the release, too, but it is our own: the incident stays
//! with the bad release, and the proof watches the app on that host whatever release it runs. After a rollback no
//! further rung is tried; what is left is a human.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use crate::fleet::{AppName, Fact, HealPolicy, HostName, Incident, IncidentId, Remedy, Rung, Timestamp};

use super::case::{Case, Due, Phase, SAVE_AFTER};
use super::effect::{Announcement, Effect, News};
use super::freeze::Freezes;
use super::guard::{self, Refusal, Scene};
use super::input::Input;
use super::jitter::SplitMix;
use super::ladder::rung;
use super::ledger::Ledger;
use super::settings::Settings;
use super::steady::Steady;
use super::world::World;

/// How long after a stop a start may still follow before the stop counts as an operator's wish: a restart, ours or
/// anybody's, is a stop and a start.
pub(super) const SETTLE: Duration = Duration::from_secs(10);

/// How long a host that can be reached may take to show what became of an action that a crash of ours interrupted. The
/// lock of a dead deployer is gone by then; a host that still shows no live release was left half-way.
pub(super) const RECONCILE: Duration = Duration::from_secs(20);

/// Woken up this much too late, we were not running: the machine slept, or its clock was stepped.
const OVERSLEPT: Duration = Duration::from_secs(30);

/// Decides. See the module's story.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) settings: Settings,
    pub(super) time: Steady,
    pub(super) jitter: SplitMix,
    pub(super) cases: BTreeMap<IncidentId, Case>,
    pub(super) world: World,
    pub(super) ledger: Ledger,
    pub(super) freezes: Freezes,
    pub(super) next_incident: u64,
    pub(super) out: Vec<Effect>,
    wake: Option<Timestamp>,
}

impl Supervisor {
    /// A supervisor that knows nothing yet. Freezes that shall outlive a restart must be fed in again, before
    /// anything else.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            time: Steady::default(),
            jitter: SplitMix::new(settings.seed),
            cases: BTreeMap::new(),
            world: World::default(),
            ledger: Ledger::default(),
            freezes: Freezes::default(),
            next_incident: settings.next_incident.0,
            out: Vec::new(),
            wake: None,
            settings,
        }
    }

    /// Takes in what happened at `now` and says what is to be done, in this order. `now` is this machine's clock; a
    /// step back is survived.
    #[must_use = "the effects must be carried out"]
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        self.time.advance(now);
        let time = self.time.now();
        if self.wake.is_some_and(|wake| time.since(wake) > OVERSLEPT) {
            self.wake_up_late();
        }
        let idle = matches!(&input, Input::Tick)
            || matches!(&input, Input::Observed(seen) if matches!(seen.fact, Fact::Line { .. } | Fact::Stats { .. }));
        if idle && self.wake.is_none_or(|wake| wake > time) {
            return Vec::new();
        }
        match input {
            Input::Signal(signal) => self.on_signal(&signal),
            Input::Observed(observation) => self.on_observation(&observation),
            Input::ActionEnded { action, outcome, detail, release } => {
                self.on_action_ended(action, outcome, &detail, release)
            }
            Input::Approve { incident, remedy, by } => self.on_approve(incident, remedy, &by),
            Input::Dismiss { incident, by } => self.on_dismiss(incident, &by),
            Input::Freeze { app, by } => self.on_freeze(app, by),
            Input::Thaw { app, by } => self.on_thaw(app.as_ref(), &by),
            Input::Tick => {}
        }
        self.finish()
    }

    /// The number that the next incident gets.
    #[must_use]
    pub const fn next_incident(&self) -> IncidentId {
        IncidentId(self.next_incident)
    }

    /// Gives the next incident this number. Several supervisors of one machine write into one journal, so each takes
    /// its numbers from there; lower ones than those already used are not taken.
    pub fn set_next_incident(&mut self, next: IncidentId) {
        self.next_incident = self.next_incident.max(next.0);
    }

    /// When the supervisor wants a [`Input::Tick`] at the latest, by the caller's clock.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wake.map(|wake| self.time.to_wall(wake))
    }

    /// Every incident in memory, oldest first; over ones too, as long as there is room.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.cases.values().map(|case| &case.incident)
    }

    /// One incident.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.cases.get(&id).map(|case| &case.incident)
    }

    /// Does what is due, plans the next wake and hands the effects over.
    pub(super) fn finish(&mut self) -> Vec<Effect> {
        self.wake = self.earliest_due();
        if self.wake.is_some_and(|wake| wake <= self.time.now()) {
            self.run_due();
            self.wake = self.earliest_due();
        }
        mem::take(&mut self.out)
    }

    /// While we did not run, nothing was watched: no deadline has run out and no quiet was heard.
    fn wake_up_late(&mut self) {
        let now = self.time.now();
        for case in self.cases.values_mut().filter(|case| !case.is_over()) {
            case.trust.doubt = Some("this machine slept, or its clock was stepped".to_owned());
            case.noise_at = now;
            match &mut case.phase {
                Phase::Verifying(watch) => {
                    watch.quiet_since = watch.quiet_since.map(|_| now);
                    watch.deadline = watch.deadline.map(|_| now + case.verify.deadline);
                }
                Phase::Acting(_, until) => *until = now + self.settings.action_deadline,
                Phase::Reconciling(until) => *until = now + RECONCILE,
                Phase::Idle | Phase::Due(..) => {}
            }
        }
    }

    fn earliest_due(&self) -> Option<Timestamp> {
        self.cases.values().filter_map(|case| self.due(case)).min()
    }

    fn run_due(&mut self) {
        let now = self.time.now();
        let due: Vec<IncidentId> = self
            .cases
            .iter()
            .filter(|(_, case)| self.due(case).is_some_and(|due| due <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.run_due_case(id);
        }
    }

    fn run_due_case(&mut self, id: IncidentId) {
        let now = self.time.now();
        if self.close_if_stopped(id) {
            return;
        }
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        match case.phase.clone() {
            Phase::Due(at, due) if at <= now => match due {
                Due::Decide => self.decide_when_due(id),
                Due::Wait(began) => self.end_wait(id, began),
                Due::Retry(remedy, by) => self.retry(id, remedy, &by),
            },
            Phase::Acting(since, until) if until <= now => {
                let took = crate::fleet::duration::brief(now.since(since));
                self.escalate(id, &format!("the action has not ended after {took}"));
            }
            Phase::Reconciling(until) if until <= now => self.give_up_reconciling(id),
            Phase::Verifying(_) => self.check_proof(id),
            _ => {}
        }
        if let Some(case) = self.cases.get(&id)
            && case.unsaved
            && case.saved_at + SAVE_AFTER <= now
        {
            self.save(id);
        }
    }

    /// When a case wants to be looked at: by its own plan, or because an operator's stop has settled.
    fn due(&self, case: &Case) -> Option<Timestamp> {
        let stopped = self.stop_settles(case);
        [case.due(), stopped].into_iter().flatten().min()
    }

    /// When the stop of a case's app, if there was one and it was not ours, counts.
    pub(super) fn stop_settles(&self, case: &Case) -> Option<Timestamp> {
        if case.is_over() {
            return None;
        }
        let incident = &case.incident;
        let halt = self.world.place(&incident.host, &incident.app)?.halt.as_ref()?;
        let ours = self.ledger.in_flight_at(&incident.host, &incident.app);
        (!ours).then(|| halt.since + SETTLE)
    }

    /// The policy that holds for an app on a host: this machine's arcane.toml, what was deployed with it, the default.
    pub(super) fn policy(&self, host: &HostName, app: &AppName) -> &HealPolicy {
        let deployed = || Some(&self.world.place(host, app)?.deployment.as_ref()?.policy);
        let here = self.settings.policies.get(app);
        here.or_else(deployed).unwrap_or(&self.settings.default_policy)
    }

    /// What the guards look at for a case.
    pub(super) fn scene<'a>(&'a self, case: &'a Case) -> Scene<'a> {
        let incident = &case.incident;
        let siblings = self
            .cases
            .values()
            .filter(|other| other.incident.app == incident.app && other.incident.id != incident.id)
            .collect();
        Scene {
            settings: &self.settings,
            policy: self.policy(&incident.host, &incident.app),
            world: &self.world,
            ledger: &self.ledger,
            freezes: &self.freezes,
            case,
            siblings,
            now: self.time.now(),
            wall: self.time.wall(),
        }
    }

    /// The cases of an app on a host that are not over.
    pub(super) fn open_at(&self, host: &HostName, app: &AppName) -> Vec<IncidentId> {
        self.open(|case| case.incident.host == *host && case.incident.app == *app)
    }

    /// The cases that are not over and that `picks` picks.
    pub(super) fn open(&self, picks: impl Fn(&Case) -> bool) -> Vec<IncidentId> {
        self.cases.iter().filter(|(_, case)| !case.is_over() && picks(case)).map(|(id, _)| *id).collect()
    }

    /// Has the incident written to the journal, and marks when.
    pub(super) fn save(&mut self, id: IncidentId) {
        let (now, wall) = (self.time.now(), self.time.wall());
        if let Some(case) = self.cases.get_mut(&id) {
            case.incident.updated_at = wall;
            case.unsaved = false;
            case.saved_at = now;
            self.out.push(Effect::Save(case.incident.clone()));
        }
    }

    /// Tells people about an incident.
    pub(super) fn announce(&mut self, id: IncidentId, news: News, text: &str) {
        if let Some(case) = self.cases.get(&id) {
            let incident = &case.incident;
            self.out.push(Effect::Announce(Announcement {
                incident: Some(id),
                host: Some(incident.host.clone()),
                app: Some(incident.app.clone()),
                news,
                text: format!("{} on {}: {text}", incident.app, incident.host),
            }));
        }
    }

    fn on_freeze(&mut self, app: Option<AppName>, by: String) {
        let by = crate::fleet::text::printable(&by, self.settings.limits.text);
        let what = app.as_ref().map_or("everything", AppName::as_str);
        let known = app.as_ref().is_some_and(|app| self.freezes.by(app) == Some(by.as_str()));
        if !known {
            self.out.push(Effect::Announce(Announcement {
                incident: None,
                host: None,
                app: app.clone(),
                news: News::Frozen,
                text: format!("{what} is frozen by {by}; what is under way ends by itself"),
            }));
        }
        self.freezes.freeze(app.clone(), by);
        self.look_again(|case| app.as_ref().is_none_or(|app| case.incident.app == *app));
    }

    fn on_thaw(&mut self, app: Option<&AppName>, by: &str) {
        let by = crate::fleet::text::printable(by, self.settings.limits.text);
        let what = app.map_or("everything", AppName::as_str);
        let text = if self.freezes.thaw(app) {
            format!("{what} is thawed by {by}")
        } else {
            format!("{what} was not frozen")
        };
        self.out.push(Effect::Announce(Announcement {
            incident: None,
            host: None,
            app: app.cloned(),
            news: News::Thawed,
            text,
        }));
        self.look_again(|case| app.is_none_or(|app| case.incident.app == *app));
    }

    /// Has the cases decided again that wait for a moment or a human, because something that held them has changed.
    pub(super) fn look_again(&mut self, picks: impl Fn(&Case) -> bool) {
        use crate::fleet::IncidentState::{AwaitingApproval, Open, Waiting};
        for id in self.open(picks) {
            let waits = self.cases.get(&id).is_some_and(|case| {
                matches!(case.phase, Phase::Idle | Phase::Due(_, Due::Decide))
                    && matches!(case.incident.state, AwaitingApproval | Open | Waiting)
            });
            if waits {
                self.decide_when_due(id);
            }
        }
    }

    /// What stops a remedy whoever decides.
    pub(super) fn refusal(&self, case: &Case, remedy: Remedy) -> Option<Refusal> {
        let scene = self.scene(case);
        let rung: Rung = rung(remedy, crate::fleet::Mode::Approve, u32::MAX);
        guard::ask(&guard::BEFORE_ACTING, &scene, &rung)
            .and_then(|()| guard::ask(&guard::SENSE, &scene, &rung))
            .err()
    }
}
