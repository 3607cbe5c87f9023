//! Six rules that use most of the language, and what they carry to the supervisor.

use std::sync::Arc;

use super::super::{Engine, RuleSet};
use super::world::{START, at, deployed, die, subject};
use crate::fleet::{AppName, Fact, Kind, LogState, Observation, Profile, Stream, Symptom};

fn six() -> RuleSet {
    let text = include_str!("six.toml").to_owned();
    RuleSet::load(&[("six.toml".to_owned(), text)]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn their_tests_pass() {
    let report = six().test();
    assert!(report.passed(), "{report}");
    assert!(report.results.len() >= 24, "{}", report.results.len());
}

#[test]
fn a_signal_carries_what_was_written() {
    let mut engine = Engine::new(Arc::new(six()));
    let deaths = [deployed(0, 60, Some(600)), die(0, 1), die(20, 1), die(45, 1)];
    let signals: Vec<_> = deaths.iter().flat_map(|one| engine.observe(one)).collect();
    let [signal] = &signals[..] else { panic!("{signals:?}") };
    assert!(signal.on_fail.freeze);
    let verify = signal.verify.as_ref().unwrap();
    assert_eq!((verify.health, verify.quiet), (true, Symptom::Own));
}

#[test]
fn a_cause_is_healed_and_its_dependents_are_named() {
    let mut engine = Engine::new(Arc::new(six()));
    let mut db = subject("db", 0);
    db.profile = Profile { kind: Kind::parse("database").ok(), ..Profile::default() };
    let refused = |seconds, app: &str| {
        let text = "connect ECONNREFUSED 10.0.0.2:5432".to_owned();
        at(seconds, &subject(app, 0), Fact::Line { stream: Stream::Stderr, text: text.into() })
    };
    let scene = [at(0, &db, Fact::Died { exit_code: 1 }), refused(5, "api"), refused(6, "web")];
    let signals: Vec<_> = scene.iter().flat_map(|one| engine.observe(one)).collect();
    let [signal] = &signals[..] else { panic!("{signals:?}") };
    assert_eq!((signal.app.as_str(), signal.container.0.as_str()), ("db", "db-0"));
    assert_eq!(signal.dependents, ["api", "web"].map(|name| AppName::parse(name).unwrap()));
    assert_eq!(signal.say, "db is down, and api, web miss it");
    assert!(signal.state_evidence && signal.live && signal.ladder[0].then_dependents);
    let texts: Vec<&str> = signal.evidence.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts[0], "db: die exit=1");
    assert_eq!(texts.len(), 3);
}

#[test]
fn a_silence_is_told_at_the_moment_that_it_was_too_long() {
    let mut engine = Engine::new(Arc::new(six()));
    let worker = subject("worker-1", 0);
    let long_ago = START - std::time::Duration::from_secs(3600);
    let state = Fact::State {
        running: true,
        started_at: Some(long_ago),
        restart_count: 0,
        health: crate::fleet::HealthState::None,
    };
    let line = Fact::Line { stream: Stream::Stdout, text: "job done".into() };
    let scene: [Observation; 3] =
        [state, Fact::Log { state: LogState::Live }, line].map(|fact| at(0, &worker, fact));
    assert!(scene.iter().flat_map(|one| engine.observe(one)).next().is_none());
    assert!(engine.advance(START + std::time::Duration::from_secs(601)).is_empty());
    let signals = engine.advance(START + std::time::Duration::from_secs(700));
    let [signal] = &signals[..] else { panic!("{signals:?}") };
    assert_eq!(signal.at, START + std::time::Duration::from_secs(600));
    assert!(!signal.state_evidence, "silence is no state");
    assert_eq!(signal.ladder[0].quiet_hours.as_ref().unwrap().to_string(), "22:00-06:00 Europe/Berlin");
    assert!(engine.advance(START + std::time::Duration::from_secs(7000)).is_empty(), "told once");
}
