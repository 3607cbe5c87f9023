//! A stage for the supervisor: a clock that is moved by hand, and short words for what hosts, rules and people say.

mod guards;
mod language;
mod life;
mod people;
mod replay;
mod shell;
mod simulation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::fleet::{
    ActionOutcome, ActionRecord, AppName, Class, ContainerId, Deployment, Evidence, Fact, Freshness,
    HealPolicy, HealthState, HostName, Incident, IncidentId, IncidentState, Mode, Observation,
    PreviousRelease, ReleaseId, Remedy, Role, Rung, Signal, SpecDigest, Subject, Timestamp,
};

use super::ladder::rung;
use super::*;

const HOUR: i64 = 3600;

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn app(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

/// The release number `n`; higher numbers are newer.
fn release(n: u32) -> ReleaseId {
    ReleaseId::parse(&format!("20261125-{n:06}-0000")).unwrap()
}

fn container(host: &str, app: &str, n: u32) -> ContainerId {
    ContainerId(format!("{host}-{app}-{n}"))
}

fn restart_auto(max: u32) -> Rung {
    rung(Remedy::Restart, Mode::Auto, max)
}

fn rollback_auto() -> Rung {
    rung(Remedy::Rollback, Mode::Auto, 1)
}

fn escalate() -> Rung {
    rung(Remedy::Escalate, Mode::Auto, 1)
}

/// A supervisor with `heal --auto`, apps that allow everything, and release 2 of `shop` on web1, deployed two hours
/// ago over a proved release 1.
struct Stage {
    supervisor: Supervisor,
    now: Timestamp,
    acts: Vec<Action>,
    news: Vec<(News, String)>,
    saved: BTreeMap<IncidentId, Incident>,
    inspected: usize,
    frozen: Vec<(AppName, String)>,
}

fn settings() -> Settings {
    Settings {
        ceiling: Mode::Auto,
        default_policy: HealPolicy {
            mode: Mode::Auto,
            remedies: Remedy::ALL.to_vec(),
            verify: Duration::from_secs(60),
        },
        ..Settings::default()
    }
}

fn deployment(of: &str, n: u32, deployed_at: Timestamp) -> Deployment {
    Deployment {
        app: app(of),
        release: release(n),
        deployed_at,
        spec: SpecDigest(format!("spec{n}")),
        prove: Duration::from_secs(600),
        policy: settings().default_policy,
        previous: Some(PreviousRelease {
            release: release(n - 1),
            spec: SpecDigest(format!("spec{}", n - 1)),
            ran_for: Duration::from_secs(86_400),
            across_migration: false,
        }),
    }
}

impl Stage {
    fn new(settings: Settings) -> Self {
        let mut stage = Self::empty(settings);
        stage.deployed("web1", deployment("shop", 2, stage.now - Duration::from_secs(7200)));
        stage.started("web1", "shop", 2);
        stage.pass(5);
        stage
    }

    fn empty(settings: Settings) -> Self {
        Self {
            supervisor: Supervisor::new(settings),
            now: Timestamp::from_seconds(1_700_000_000),
            acts: Vec::new(),
            news: Vec::new(),
            saved: BTreeMap::new(),
            inspected: 0,
            frozen: Vec::new(),
        }
    }

    fn auto() -> Self {
        Self::new(settings())
    }

    fn send(&mut self, input: Input) -> &mut Self {
        let effects = self.supervisor.step(self.now, input);
        self.take(effects);
        self
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Save(incident) => {
                    self.saved.insert(incident.id, incident);
                }
                Effect::Act(action) => {
                    let record = &self.saved[&action.incident].actions[action.id.index];
                    assert_eq!(record.outcome, ActionOutcome::Begun, "saved before it begins");
                    self.acts.push(action);
                }
                Effect::Announce(news) => self.news.push((news.news, news.text)),
                Effect::Inspect { .. } => self.inspected += 1,
                Effect::Freeze { app, by, .. } => self.frozen.push((app, by)),
            }
        }
    }

    /// Lets seconds pass, with a tick whenever the supervisor asked for one.
    fn pass(&mut self, seconds: i64) -> &mut Self {
        let end = Timestamp::from_nanos(self.now.as_nanos() + seconds * 1_000_000_000);
        while let Some(wake) = self.supervisor.next_wake().filter(|wake| *wake < end) {
            self.now = self.now.max(wake);
            self.send(Input::Tick);
        }
        self.now = end;
        self.send(Input::Tick)
    }

    fn observe(&mut self, at_host: &str, fact: Fact) -> &mut Self {
        let observation = Observation {
            at: self.now,
            host: host(at_host),
            subject: None,
            freshness: Freshness::Live,
            fact,
        };
        self.send(Input::Observed(observation))
    }

    fn fact(&mut self, on: (&str, &str, u32), fact: Fact) -> &mut Self {
        self.fact_of(on, Role::Live, Freshness::Live, fact)
    }

    fn fact_of(
        &mut self,
        (at_host, of, n): (&str, &str, u32),
        role: Role,
        freshness: Freshness,
        fact: Fact,
    ) -> &mut Self {
        let observation = Observation {
            at: self.now,
            host: host(at_host),
            subject: Some(Arc::new(Subject {
                app: app(of),
                release: release(n),
                container: container(at_host, of, n),
                role,
                profile: crate::fleet::Profile::default(),
            })),
            freshness,
            fact,
        };
        self.send(Input::Observed(observation))
    }

    fn deployed(&mut self, at_host: &str, deployment: Deployment) -> &mut Self {
        self.observe(at_host, Fact::Deployed { deployment })
    }

    fn started(&mut self, at_host: &str, of: &str, n: u32) -> &mut Self {
        self.fact((at_host, of, n), Fact::Started)
    }

    fn died(&mut self) -> &mut Self {
        self.fact(("web1", "shop", 2), Fact::Died { exit_code: 1 })
    }

    fn running(&mut self, n: u32) -> &mut Self {
        let state = Fact::State {
            running: true,
            started_at: Some(self.now),
            restart_count: 0,
            health: HealthState::None,
        };
        self.fact(("web1", "shop", n), state)
    }

    /// A crash that a rule has seen, with state evidence.
    fn crash(&self, ladder: Vec<Rung>) -> Signal {
        Signal {
            at: self.now,
            rule: "core/crash".to_owned(),
            class: Class::AppCrash,
            say: "it crashes".to_owned(),
            host: host("web1"),
            app: app("shop"),
            release: release(2),
            container: container("web1", "shop", 2),
            captures: BTreeMap::new(),
            evidence: vec![Evidence { at: self.now, text: "die exit=1".to_owned() }],
            state_evidence: true,
            live: true,
            ladder,
            verify: None,
            forbid: Vec::new(),
            novelty: Vec::new(),
            on_fail: crate::fleet::OnFail::default(),
            dependents: Vec::new(),
        }
    }

    /// A log line that a rule has seen, and nothing else.
    fn text(&self, ladder: Vec<Rung>) -> Signal {
        Signal { rule: "core/text".to_owned(), state_evidence: false, ..self.crash(ladder) }
    }

    fn signal(&mut self, signal: Signal) -> &mut Self {
        self.send(Input::Signal(signal))
    }

    /// The app dies and the rule for it fires.
    /// It dies, the engine leaves it down, and a rule fires.
    fn fails(&mut self, ladder: Vec<Rung>) -> &mut Self {
        self.dies(ladder, 2)
    }

    /// It dies, and a rule fires so many seconds later.
    fn dies(&mut self, ladder: Vec<Rung>, later: i64) -> &mut Self {
        self.died().pass(later);
        let signal = self.crash(ladder);
        self.signal(signal)
    }

    fn ended(&mut self, outcome: ActionOutcome) -> &mut Self {
        let action = self.acts.last().expect("an action has begun").id;
        self.send(Input::ActionEnded { action, outcome, detail: "so it ended".to_owned(), release: None })
    }

    /// A restart goes as it should: stop, start, done.
    fn restarted(&mut self) -> &mut Self {
        self.pass(1).started("web1", "shop", 2);
        self.ended(ActionOutcome::Done)
    }

    /// A rollback goes as it should.
    fn rolled_back(&mut self) -> &mut Self {
        self.pass(1);
        self.fact(("web1", "shop", 2), Fact::Killed { signal: 15 });
        self.fact_of(("web1", "shop", 1), Role::Kept, Freshness::Live, Fact::Started);
        self.pass(1);
        let mut back = deployment("shop", 1, Timestamp::from_seconds(1_600_000_000));
        back.previous = None;
        self.deployed("web1", back);
        let action = self.acts.last().expect("an action has begun").id;
        self.send(Input::ActionEnded {
            action,
            outcome: ActionOutcome::Done,
            detail: String::new(),
            release: Some(release(1)),
        });
        self.running(1)
    }

    fn freeze(&mut self, of: Option<&str>) -> &mut Self {
        let by = "ada".to_owned();
        self.send(Input::Freeze { app: of.map(app), by })
    }

    fn thaw(&mut self, of: Option<&str>) -> &mut Self {
        let by = "ada".to_owned();
        self.send(Input::Thaw { app: of.map(app), by })
    }

    fn approve(&mut self, id: u64, remedy: Option<Remedy>) -> &mut Self {
        self.send(Input::Approve { incident: IncidentId(id), remedy, by: "ada".to_owned() })
    }

    /// The supervisor is killed; another one starts from what was saved.
    fn crash_and_restore(&mut self) -> &mut Self {
        let settings = self.supervisor.settings.clone();
        self.supervisor = Supervisor::new(settings);
        let effects = self.supervisor.restore(self.saved.values().cloned().collect(), self.now);
        self.take(effects);
        self
    }

    #[track_caller]
    fn incident(&self, id: u64) -> &Incident {
        self.supervisor.incident(IncidentId(id)).expect("there is such an incident")
    }

    /// The remedies begun so far, and on which host.
    fn done(&self) -> Vec<(Remedy, &str)> {
        self.acts.iter().map(|act| (act.remedy, act.host.as_str())).collect()
    }

    #[track_caller]
    fn expect(&mut self, id: u64, state: IncidentState, note: &str) -> &mut Self {
        let incident = self.incident(id);
        let said = incident.note.clone().unwrap_or_default();
        assert_eq!(incident.state, state, "{said}");
        assert!(said.contains(note), "`{said}` should say `{note}`");
        assert_eq!(self.saved.get(&IncidentId(id)).map(|saved| saved.state), Some(state), "saved");
        self
    }

    #[track_caller]
    fn expect_acts(&mut self, count: usize) -> &mut Self {
        assert_eq!(self.acts.len(), count, "{:?}", self.done());
        self
    }

    #[track_caller]
    fn expect_news(&mut self, news: News, text: &str) -> &mut Self {
        let found = self.news.iter().any(|(kind, said)| *kind == news && said.contains(text));
        assert!(found, "{news:?} `{text}` in {:#?}", self.news);
        self
    }
}

fn outcomes(incident: &Incident) -> Vec<ActionOutcome> {
    incident.actions.iter().map(|action: &ActionRecord| action.outcome).collect()
}
