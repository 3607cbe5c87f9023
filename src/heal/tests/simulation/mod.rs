//! The supervisor under a thousand small disasters: a model of a fleet makes trouble at random from a seed, and an
//! oracle that shares no code with the supervisor checks every promise at every step. A failure prints the seed and
//! the last events; the same seed fails again.

mod fleet;
mod oracle;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::heal::jitter::SplitMix;

use self::fleet::{Event, Fleet};
use self::oracle::Oracle;
use super::*;

const SEEDS: u64 = 300;
const STEPS: usize = 1200;
/// Trouble ends here; what is still open must come to rest within [`CALM`] seconds.
const CALM: u64 = 6 * 3600;
const TRACE: usize = 60;

/// What a run has seen.
#[derive(Default)]
struct Tally {
    steps: usize,
    acts: BTreeMap<Remedy, usize>,
    ends: BTreeMap<&'static str, usize>,
    restarts: usize,
    states: HashSet<u64>,
}

struct Run {
    fleet: Fleet,
    oracle: Oracle,
    supervisor: Supervisor,
    settings: Settings,
    trace: VecDeque<String>,
    tally: Tally,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut fleet = Fleet::new(seed);
        let settings = fleet.settings();
        Self {
            supervisor: Supervisor::new(settings.clone()),
            oracle: Oracle::new(settings.clone()),
            fleet,
            settings,
            trace: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    fn go(&mut self) {
        self.fleet.begin();
        for _ in 0..STEPS {
            self.turn();
        }
        self.fleet.make_peace();
        let end = self.fleet.now() + CALM * 1000;
        while self.fleet.now() < end && self.turn() {}
        for incident in self.supervisor.incidents() {
            *self.tally.ends.entry(incident.state.as_str()).or_default() += 1;
            let unrest = matches!(
                incident.state,
                IncidentState::Waiting | IncidentState::Acting | IncidentState::Verifying
            );
            assert!(!unrest, "an incident never comes to rest: {incident:#?}");
        }
    }

    /// The next thing that happens. Returns whether there was any.
    fn turn(&mut self) -> bool {
        let wake = self.supervisor.next_wake().map(|wake| self.fleet.to_true(wake));
        match self.fleet.next(wake) {
            None => return false,
            Some(Event::Input(input)) => self.step(input),
            Some(Event::Crash) => self.restore(),
            Some(Event::Thaw) => {
                let frozen: Vec<_> = self.oracle.frozen.iter().cloned().collect();
                for app in frozen {
                    let by = "peace".to_owned();
                    self.step(Input::Thaw { app, by });
                }
            }
            Some(Event::Person(choice)) => self.person(choice),
        }
        true
    }

    fn person(&mut self, choice: u64) {
        let ids: Vec<IncidentId> = self.supervisor.incidents().map(|incident| incident.id).collect();
        let Some(&incident) = ids.get(usize::try_from(choice >> 8).unwrap_or(0) % (ids.len() + 1)) else {
            return;
        };
        let by = "ada".to_owned();
        let remedies = [
            None,
            Some(Remedy::Restart),
            Some(Remedy::Rollback),
            Some(Remedy::Redeploy),
            None,
            Some(Remedy::Wait),
        ];
        let input = match choice % 8 {
            7 => Input::Dismiss { incident, by },
            n => Input::Approve {
                incident,
                remedy: remedies.get(usize::try_from(n).unwrap()).copied().flatten(),
                by,
            },
        };
        self.step(input);
    }

    fn step(&mut self, input: Input) {
        let now = self.fleet.wall();
        self.note(format!("{now} {}", brief(&input)));
        self.oracle.told(self.fleet.now(), &input);
        let effects = self.supervisor.step(now, input);
        self.carry_out(effects);
    }

    fn restore(&mut self) {
        self.note(format!("{} our own crash", self.fleet.wall()));
        self.tally.restarts += 1;
        self.supervisor = Supervisor::new(self.settings.clone());
        self.fleet.supervisor_died();
        self.oracle.forget();
        let journal = self.oracle.journal.values().cloned().collect();
        let effects = self.supervisor.restore(journal, self.fleet.wall());
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Act(_))), "a restore acts");
        self.carry_out(effects);
        for app in self.oracle.frozen.clone() {
            self.step(Input::Freeze { app, by: "journal".to_owned() });
        }
        self.fleet.read_everything();
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let quiet = effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Save(incident) => self.oracle.save(incident),
                Effect::Act(action) => {
                    self.note(format!(
                        "    act {} {} on {} by {}",
                        action.id, action.remedy, action.host, action.by
                    ));
                    *self.tally.acts.entry(action.remedy).or_default() += 1;
                    self.oracle.judge(self.fleet.now(), &action);
                    self.fleet.act(&action);
                }
                Effect::Inspect { host, app } => self.fleet.inspect(&host, &app),
                Effect::Announce(news) => self.note(format!("    {:?}: {}", news.news, news.text)),
            }
        }
        if !quiet {
            self.oracle.compare(self.supervisor.incidents());
        }
        self.tally.steps += 1;
        self.tally.states.insert(self.fingerprint());
    }

    /// A state, without names and times: what is open where, how far up its ladder, trusted how far.
    fn fingerprint(&self) -> u64 {
        let mut cases: Vec<_> = self
            .supervisor
            .cases
            .values()
            .filter(|case| !case.is_over())
            .map(|case| {
                (
                    case.incident.state,
                    case.incident.class,
                    case.ladder.at,
                    case.incident.actions.len(),
                    case.trust.is_complete(),
                    case.rolled_back.is_some(),
                )
            })
            .collect();
        cases.sort_by_key(|case| format!("{case:?}"));
        let mut hasher = DefaultHasher::new();
        cases.hash(&mut hasher);
        hasher.finish()
    }

    fn note(&mut self, line: String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }
}

fn brief(input: &Input) -> String {
    match input {
        Input::Observed(seen) => {
            let subject = seen.subject.as_ref().map(|subject| format!("{} {:?}", subject.app, subject.role));
            let fact = format!("{:?}", seen.fact);
            format!(
                "{} {} {:?} {}",
                seen.host,
                subject.unwrap_or_default(),
                seen.freshness,
                fact.chars().take(140).collect::<String>()
            )
        }
        Input::Signal(signal) => format!(
            "{} {} signal {} {} of {} at {}",
            signal.host, signal.app, signal.rule, signal.class, signal.release, signal.at
        ),
        other => format!("{other:?}"),
    }
}

/// Runs a seed; on a broken promise, prints it with what led to it.
fn simulate(seed: u64) -> Tally {
    let mut run = Run::new(seed);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.go()));
    if let Err(broken) = outcome {
        eprintln!("seed {seed} broke a promise; what led to it:");
        for line in &run.trace {
            eprintln!("  {line}");
        }
        std::panic::resume_unwind(broken);
    }
    run.tally
}

#[test]
fn no_promise_is_broken() {
    let mut total = Tally::default();
    for seed in std::env::var("SEED").ok().and_then(|s| s.parse().ok()).map_or(0..SEEDS, |s: u64| s..s + 1) {
        let tally = simulate(seed);
        total.steps += tally.steps;
        total.restarts += tally.restarts;
        total.states.extend(tally.states);
        for (remedy, count) in tally.acts {
            *total.acts.entry(remedy).or_default() += count;
        }
        for (state, count) in tally.ends {
            *total.ends.entry(state).or_default() += count;
        }
    }
    println!(
        "{SEEDS} seeds, {} steps, {} distinct states, {} crashes of ours; acts {:?}; ends {:?}",
        total.steps,
        total.states.len(),
        total.restarts,
        total.acts,
        total.ends
    );
    // The simulation itself must not go blind: it has to meet everything that it is there to test.
    for remedy in [Remedy::Restart, Remedy::Rollback, Remedy::Redeploy] {
        assert!(total.acts.get(&remedy).is_some_and(|count| *count > 50), "{remedy} is hardly tried");
    }
    for state in ["healed", "escalated", "dismissed", "awaiting_approval", "open"] {
        assert!(total.ends.get(state).is_some_and(|count| *count > 50), "{state} is hardly met");
    }
    assert!(total.states.len() > 5000);
}

#[test]
fn the_same_seed_decides_the_same() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        run.go();
        run.trace
    };
    assert_eq!(trace(7), trace(7));
}
