//! A replay: rules and supervisor run over a recording, on the recording's own clock. Both decide by what they are told
//! and nothing else, so they decide what they would have decided live; only nothing is done. What became of an action
//! is read from the recording, when somebody did the same there; otherwise it is taken to have ended well, and what
//! follows shows whether the symptom went away without it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::effect::{Action, Announcement, Effect};
use super::input::Input;
use super::settings::Settings;
use super::supervisor::Supervisor;
use crate::fleet::{
    ActionOutcome, AppName, Deployment, Fact, Freshness, HealthState, HostName, Incident, Observation,
    Remedy, Role, Signal, Subject, Timestamp,
};
use crate::rules::{Engine, RuleSet};

/// How often time passes, as in the shell.
const TICK: Duration = Duration::from_millis(250);
/// A longer pause than this is jumped over: nothing can still be waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);
/// How long the recording may take to show that an action was carried out there, too.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

/// Runs rules and supervisor over a recording.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    supervisor: Supervisor,
    now: Option<Timestamp>,
    under_way: Vec<UnderWay>,
    seen: BTreeMap<(HostName, AppName), Seen>,
    out: Vec<Happening>,
    /// Whether no step is left out, and how many were made.
    #[cfg(test)]
    pub(super) every_step: (bool, u64),
}

/// Something that would have been said or done.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// When, by the clock of the machine that recorded.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What would have been said or done.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A rule fired.
    Signal(Box<Signal>),
    /// The supervisor would have said this.
    Announced(Announcement),
    /// It would have done this.
    WouldAct(Box<Action>),
    /// What became of an action of that kind.
    Ended {
        /// The action.
        action: Box<Action>,
        /// Whether the recording shows that it was done there, too.
        shown: bool,
    },
    /// Time was jumped over in which nothing came in.
    Jumped(Duration),
}

#[derive(Debug)]
struct UnderWay {
    action: Action,
    until: Timestamp,
}

/// What the recording has shown of an app on a host, to answer when the supervisor wants to look.
#[derive(Debug, Default)]
struct Seen {
    deployment: Option<Deployment>,
    /// The newest subject of each release, and whether and since when its process runs.
    containers: BTreeMap<String, (Arc<Subject>, bool, Option<Timestamp>, HealthState)>,
}

impl Replay {
    /// A replay that has seen nothing yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, settings: Settings) -> Self {
        Self {
            engine: Engine::new(rules),
            supervisor: Supervisor::new(settings),
            now: None,
            under_way: Vec::new(),
            seen: BTreeMap::new(),
            out: Vec::new(),
            #[cfg(test)]
            every_step: (false, 0),
        }
    }

    /// The incidents that would have been opened.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.supervisor.incidents()
    }

    /// Takes in what came in at `seen`; gives what happened up to then.
    pub fn observe(&mut self, seen: Timestamp, observation: Observation) -> Vec<Happening> {
        self.pass(seen);
        self.remember(&observation);
        let signals = self.engine.observe(&observation);
        let shown = self.shown_by(&observation);
        self.step(Input::Observed(observation));
        self.fire(signals);
        for action in shown {
            self.end(action, true);
        }
        std::mem::take(&mut self.out)
    }

    /// Lets time pass up to `until`; gives what happened meanwhile.
    pub fn finish(&mut self, until: Timestamp) -> Vec<Happening> {
        self.pass(until);
        std::mem::take(&mut self.out)
    }

    /// Time passes as in the shell: in short steps, for rules and supervisor alike, of which those are left out that nothing
    /// is due at. A clock that was set back is followed, as live.
    fn pass(&mut self, until: Timestamp) {
        let Some(mut now) = self.now.replace(until) else {
            return;
        };
        if until.since(now) > LONGEST_PAUSE {
            self.engine.doubt_clock();
            self.out.push(Happening { at: now, what: What::Jumped(until.since(now)) });
            return;
        }
        while now + TICK < until {
            now = now + TICK * self.steps(now, until);
            self.now = Some(now);
            #[cfg(test)]
            (self.every_step.1 += 1);
            let late = self.engine.advance(now);
            self.fire(late);
            self.step(Input::Tick);
            let (over, still) =
                std::mem::take(&mut self.under_way).into_iter().partition(|one| one.until <= now);
            self.under_way = still;
            let over: Vec<UnderWay> = over;
            for one in over {
                self.end(one.action, false);
            }
        }
        self.now = Some(until);
    }

    /// How many steps it is from `now` to the first at which something is due, or to the last before `until`.
    fn steps(&self, now: Timestamp, until: Timestamp) -> u32 {
        #[cfg(test)]
        if self.every_step.0 {
            return 1;
        }
        let under_way = self.under_way.iter().map(|one| one.until).min();
        let due = [self.engine.next_due(), self.supervisor.next_wake(), under_way];
        let due = due.into_iter().flatten().min().map_or(until, |due| due.min(until));
        let wanted = due.since(now).as_nanos().div_ceil(TICK.as_nanos());
        let last = until.since(now).as_nanos().div_ceil(TICK.as_nanos()) - 1;
        u32::try_from(wanted.min(last)).unwrap_or(u32::MAX).max(1)
    }

    fn fire(&mut self, signals: Vec<Signal>) {
        for signal in signals {
            self.happen(What::Signal(Box::new(signal.clone())));
            self.step(Input::Signal(signal));
        }
    }

    fn step(&mut self, input: Input) {
        let now = self.now.unwrap_or(Timestamp::EPOCH);
        for effect in self.supervisor.step(now, input) {
            match effect {
                Effect::Save(_) | Effect::Freeze { .. } => {}
                Effect::Announce(announcement) => self.happen(What::Announced(announcement)),
                Effect::Act(action) => {
                    self.happen(What::WouldAct(Box::new(action.clone())));
                    self.under_way.push(UnderWay { action, until: now + SHOWN_WITHIN });
                }
                Effect::Inspect { host, app } => {
                    for observation in self.look(&host, &app) {
                        self.step(Input::Observed(observation));
                    }
                }
            }
        }
    }

    fn happen(&mut self, what: What) {
        let at = self.now.unwrap_or(Timestamp::EPOCH);
        self.out.push(Happening { at, what });
    }

    /// The actions that an observation shows to have been carried out.
    fn shown_by(&mut self, observation: &Observation) -> Vec<Action> {
        let shows = |one: &UnderWay| {
            let action = &one.action;
            let here = observation.host == action.host;
            match (&observation.fact, action.remedy) {
                (Fact::Deployed { deployment }, Remedy::Rollback) => {
                    here && deployment.app == action.app
                        && Some(&deployment.release) == action.target.as_ref()
                }
                (Fact::Started, Remedy::Restart | Remedy::Redeploy | Remedy::Reinject) => {
                    let subject = observation.subject.as_deref();
                    here && subject
                        .is_some_and(|subject| subject.app == action.app && subject.release == action.release)
                }
                _ => false,
            }
        };
        let (shown, still) = std::mem::take(&mut self.under_way).into_iter().partition(shows);
        self.under_way = still;
        let shown: Vec<UnderWay> = shown;
        shown.into_iter().map(|one| one.action).collect()
    }

    fn end(&mut self, action: Action, shown: bool) {
        let detail = if shown { "so the recording shows" } else { "taken to have ended well" };
        let (id, release) = (action.id, action.target.clone().or_else(|| Some(action.release.clone())));
        self.happen(What::Ended { action: Box::new(action), shown });
        let outcome = ActionOutcome::Done;
        self.step(Input::ActionEnded { action: id, outcome, detail: detail.to_owned(), release });
    }

    fn remember(&mut self, observation: &Observation) {
        let app = match (&observation.fact, &observation.subject) {
            (Fact::Deployed { deployment }, _) => deployment.app.clone(),
            (_, Some(subject)) => subject.app.clone(),
            _ => return,
        };
        let seen = self.seen.entry((observation.host.clone(), app)).or_default();
        if let Fact::Deployed { deployment } = &observation.fact {
            seen.deployment = Some(deployment.clone());
        }
        let Some(subject) = &observation.subject else {
            return;
        };
        let known = seen
            .containers
            .entry(subject.release.to_string())
            .or_insert_with(|| (Arc::clone(subject), false, None, HealthState::None));
        known.0 = Arc::clone(subject);
        match &observation.fact {
            Fact::Started => (known.1, known.2) = (true, Some(observation.at)),
            Fact::Died { .. } => known.1 = false,
            Fact::Health { state } => known.3 = *state,
            Fact::State { running, started_at, health, .. } => {
                (known.1, known.2, known.3) = (*running, *started_at, *health);
            }
            _ => {}
        }
    }

    /// What a look at the host would have shown: what the recording last showed.
    fn look(&self, host: &HostName, app: &AppName) -> Vec<Observation> {
        let Some(seen) = self.seen.get(&(host.clone(), app.clone())) else {
            return Vec::new();
        };
        let Some(deployment) = &seen.deployment else {
            return Vec::new();
        };
        let Some((subject, running, started_at, health)) = seen.containers.get(deployment.release.as_str())
        else {
            return Vec::new();
        };
        let subject = Arc::new(Subject { role: Role::Live, ..subject.as_ref().clone() });
        let state =
            Fact::State { running: *running, started_at: *started_at, restart_count: 0, health: *health };
        let observe = |fact| Observation {
            at: self.now.unwrap_or(Timestamp::EPOCH),
            host: host.clone(),
            subject: Some(Arc::clone(&subject)),
            freshness: Freshness::Live,
            fact,
        };
        vec![observe(Fact::Deployed { deployment: deployment.clone() }), observe(state)]
    }
}
