//! A replay decides what was decided live, says what it would do, and reads from the recording what came of it.

use super::*;
use crate::fleet::{Header, LogState, Recorded, Recording, Stream};
use crate::heal::{Happening, Replay, What};
use crate::rules::{Engine, RuleSet};

/// A recording in the making: what came in when, by a host whose clock is behind.
struct Tape {
    now: Timestamp,
    entries: Vec<Recorded>,
}

const OFF: Duration = Duration::from_secs(100);

impl Tape {
    fn new() -> Self {
        let tape = Self { now: Timestamp::from_seconds(1_700_000_000), entries: Vec::new() };
        let deployed = deployment("shop", 2, tape.now - OFF - Duration::from_secs(60));
        tape.tell(2, Role::Live, Fact::Deployed { deployment: deployed }).tell(2, Role::Live, Fact::Started)
    }

    fn tell(mut self, n: u32, role: Role, fact: Fact) -> Self {
        self.now = self.now + Duration::from_secs(1);
        let subject = Subject {
            app: app("shop"),
            release: release(n),
            container: container("web1", "shop", n),
            role,
            profile: crate::fleet::Profile::default(),
        };
        let observation = Observation {
            at: self.now - OFF,
            host: host("web1"),
            subject: Some(Arc::new(subject)),
            freshness: Freshness::Live,
            fact,
        };
        self.entries.push(Recorded { seen: self.now, observation });
        self
    }

    fn pass(mut self, seconds: u64) -> Self {
        self.now = self.now + Duration::from_secs(seconds);
        self
    }

    /// It dies three times, and the engine starts it again.
    fn crash_loop(mut self) -> Self {
        for _ in 0..3 {
            self = self
                .tell(2, Role::Live, Fact::Died { exit_code: 1 })
                .tell(2, Role::Live, Fact::Started)
                .pass(5);
        }
        self
    }

    /// Somebody rolls it back.
    fn rolled_back(self) -> Self {
        let mut back = deployment("shop", 1, Timestamp::from_seconds(1_600_000_000));
        back.previous = None;
        self.tell(2, Role::Live, Fact::Killed { signal: 15 })
            .tell(2, Role::Live, Fact::Died { exit_code: 143 })
            .tell(1, Role::Kept, Fact::Started)
            .tell(1, Role::Live, Fact::Deployed { deployment: back })
    }

    /// As a file that is read again.
    fn read(&self) -> Recording {
        let header = Header { arcane_recording: 1, app: app("shop"), from: vec![host("web1")], at: self.now };
        let mut text = serde_json::to_string(&header).unwrap();
        for entry in &self.entries {
            text.push('\n');
            text.push_str(&serde_json::to_string(entry).unwrap());
        }
        Recording::read(&(text + "\n")).unwrap()
    }

    fn replay(&self, ceiling: Mode) -> (Replay, Vec<Happening>) {
        let mut replay = Replay::new(Arc::new(RuleSet::builtin()), Settings { ceiling, ..settings() });
        let mut happened = Vec::new();
        for (_, one) in self.read().entries {
            happened.extend(replay.observe(one.seen, one.observation));
        }
        happened.extend(replay.finish(self.now));
        (replay, happened)
    }
}

/// What happened, in a word each: rules that fired, remedies, ends, and news.
fn story(happened: &[Happening]) -> Vec<String> {
    let word = |happening: &Happening| match &happening.what {
        What::Signal(signal) => signal.rule.clone(),
        What::WouldAct(action) => format!("would {}", action.remedy),
        What::Ended { shown, .. } => if *shown { "shown" } else { "not shown" }.to_owned(),
        What::Announced(announcement) => format!("{:?}", announcement.news),
        What::Jumped(_) => "jumped".to_owned(),
    };
    happened.iter().map(word).collect()
}

#[test]
fn the_same_rules_fire_as_live() {
    let tape = Tape::new().crash_loop();
    let mut live = Engine::new(Arc::new(RuleSet::builtin()));
    let expected: Vec<Signal> = tape.entries.iter().flat_map(|one| live.observe(&one.observation)).collect();
    let signal = |happening: Happening| match happening.what {
        What::Signal(signal) => Some(*signal),
        _ => None,
    };
    let replayed: Vec<Signal> = tape.replay(Mode::Auto).1.into_iter().filter_map(signal).collect();
    assert_eq!(replayed.len(), 1);
    assert_eq!(replayed, expected);
}

#[test]
fn what_was_done_is_read_from_the_recording() {
    let (replay, happened) = Tape::new().crash_loop().rolled_back().pass(90).replay(Mode::Auto);
    let expected =
        ["core/crashloop-after-deploy", "Opened", "would rollback", "Acting", "shown", "Verifying", "Healed"];
    assert_eq!(story(&happened), expected);
    assert_eq!(replay.incidents().next().map(|incident| incident.state), Some(IncidentState::Healed));
}

#[test]
fn what_was_not_done_is_said_not_to_be_shown() {
    let (_, happened) = Tape::new().crash_loop().pass(20).crash_loop().pass(30).replay(Mode::Auto);
    let story = story(&happened);
    let at = |word: &str| story.iter().position(|told| told == word);
    assert!(at("would rollback") < at("not shown") && at("not shown").is_some(), "{story:?}");
    assert!(!story.contains(&"Healed".to_owned()), "{story:?}");
}

#[test]
fn a_ceiling_holds_in_a_replay_too() {
    for (ceiling, last) in [(Mode::Suggest, "Proposed"), (Mode::Approve, "Proposed")] {
        let (_, happened) = Tape::new().crash_loop().pass(30).replay(ceiling);
        let story = story(&happened);
        assert!(!story.iter().any(|word| word.starts_with("would")), "{story:?}");
        assert_eq!(story.last().map(String::as_str), Some(last), "{ceiling}");
    }
}

#[test]
fn a_clock_that_jumps_ends_no_replay() {
    let mut tape = Tape::new().crash_loop().pass(3 * 86_400);
    tape.now = tape.now - Duration::from_secs(1000);
    let mut tape = tape.crash_loop();
    let last = tape.entries.len() - 2;
    tape.entries[last].seen = Timestamp::from_seconds(1_700_000_000);
    let (_, happened) = tape.replay(Mode::Auto);
    assert!(story(&happened).contains(&"jumped".to_owned()));
}

/// A rule about silence, one about a state that lasts, and one about a line.
const LASTING: &str = r#"
pack = "t"
schema = 1
[[rule]]
id = "silent"
class = "hang"
absent = { log = "job done", for = "42m" }
[[rule]]
id = "ill"
class = "hang"
on = { event = "health:unhealthy" }
for = "9m"
heal = [{ do = "wait", backoff = "2m..2m" }, { do = "restart", mode = "auto" }, { do = "escalate" }]
[[rule]]
id = "boom"
class = "app_crash"
log = { any = ["boom"] }
cooldown = "6m"
heal = [{ do = "restart", mode = "approve", backoff = "3m..12m" }]
"#;

/// Observations with long pauses between them, some of them at moments when something is due.
fn with_pauses() -> Tape {
    let state = |health| Fact::State {
        running: true,
        started_at: Some(Timestamp::from_seconds(1_600_000_000)),
        restart_count: 0,
        health,
    };
    let ill = || Fact::Health { state: HealthState::Unhealthy };
    let line = |text: &str| Fact::Line { stream: Stream::Stdout, text: text.into() };
    let live = || Fact::Log { state: LogState::Live };
    Tape::new()
        .tell(2, Role::Live, state(HealthState::Healthy))
        .tell(2, Role::Live, live())
        .tell(2, Role::Live, line("job done"))
        .pass(8_600)
        .tell(2, Role::Live, line("job done"))
        .tell(2, Role::Live, ill())
        .pass(539)
        .tell(2, Role::Live, line("boom"))
        .pass(2_000)
        .tell(2, Role::Live, Fact::HostUnreachable { reason: String::new() })
        .pass(4_000)
        .tell(2, Role::Live, Fact::HostReachable)
        .tell(2, Role::Live, live())
        .tell(2, Role::Live, state(HealthState::Unhealthy))
        .pass(8_000)
        .crash_loop()
        .tell(2, Role::Live, ill())
        .pass(8_639)
        .tell(2, Role::Live, line("boom"))
        .pass(361)
}

#[test]
fn to_leave_out_what_nothing_is_due_at_changes_nothing() {
    let rules = || {
        let over = [("t.toml".to_owned(), LASTING.to_owned())];
        Arc::new(RuleSet::layered(&[RuleSet::builtin_files(), over.to_vec()]).unwrap())
    };
    let tape = with_pauses();
    let run = |every: bool| {
        let mut replay = Replay::new(rules(), Settings { ceiling: Mode::Auto, ..settings() });
        replay.every_step.0 = every;
        let mut happened = Vec::new();
        for one in &tape.entries {
            happened.extend(replay.observe(one.seen, one.observation.clone()));
        }
        happened.extend(replay.finish(tape.now));
        (replay.incidents().cloned().collect::<Vec<_>>(), happened, replay.every_step.1)
    };
    let (every, fast) = (run(true), run(false));
    assert_eq!(fast.1, every.1);
    assert_eq!(fast.0, every.0);
    let story = story(&fast.1);
    for rule in ["t/silent", "t/ill", "t/boom"] {
        assert!(story.iter().any(|word| word == rule), "{story:?}");
    }
    assert!(every.2 > 80_000 && fast.2 < 500, "{} and {} steps", every.2, fast.2);
}
