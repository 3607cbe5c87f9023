//! `for`, `clear_for` and `distinct`.

use std::time::Duration;

use super::super::{Engine, RuleSet};
use super::world::{START, event, file, line, play, rules};
use crate::fleet::{Fact, HealthState, HostName, Observation, Signal};

fn health(seconds: u64, state: HealthState) -> Observation {
    event(seconds, Fact::Health { state })
}

/// Plays a script with time passing as it does live, to `end`.
fn play_to(rule: &str, observations: &[Observation], end: u64) -> Vec<Signal> {
    let mut engine = Engine::new(rules(rule));
    let mut signals: Vec<Signal> = observations.iter().flat_map(|one| engine.replay(one)).collect();
    signals.extend(engine.advance(START + Duration::from_secs(end)));
    signals
}

const UNHEALTHY: &str = "on = { event = 'health:unhealthy' }\nfor = '5m'";

#[test]
fn a_state_counts_when_it_has_lasted() {
    let sick = || health(0, HealthState::Unhealthy);
    for (observations, end, expected) in [
        (vec![sick()], 301, 0),
        (vec![sick()], 302, 1),
        (vec![sick(), health(100, HealthState::Unhealthy)], 302, 1),
        (vec![sick(), health(299, HealthState::Healthy)], 400, 0),
        (vec![sick(), event(299, Fact::Started)], 400, 0),
        (vec![sick(), health(299, HealthState::Healthy), health(300, HealthState::Unhealthy)], 601, 0),
        (vec![sick(), health(299, HealthState::Healthy), health(300, HealthState::Unhealthy)], 602, 1),
    ] {
        let signals = play_to(UNHEALTHY, &observations, end);
        assert_eq!(signals.len(), expected, "{observations:?} {end}");
        assert!(signals.iter().all(|signal| signal.state_evidence && signal.live));
    }
    let signals = play_to(UNHEALTHY, &[sick()], 9999);
    assert_eq!(signals[0].at, START + Duration::from_secs(300), "when it was due, not when that was noticed");
    assert_eq!(signals[0].evidence.len(), 2);
}

#[test]
fn what_is_found_when_looking_ends_a_state_too() {
    let found = |state| Fact::State { running: true, started_at: None, restart_count: 0, health: state };
    let sick = health(0, HealthState::Unhealthy);
    assert_eq!(play_to(UNHEALTHY, &[sick.clone(), event(9, found(HealthState::Healthy))], 400).len(), 0);
    assert_eq!(play_to(UNHEALTHY, &[sick, event(9, found(HealthState::Unhealthy))], 400).len(), 1);
}

#[test]
fn nothing_is_concluded_of_a_host_out_of_sight() {
    let lost =
        Observation { subject: None, ..event(100, Fact::HostUnreachable { reason: "gone".to_owned() }) };
    let back = Observation { subject: None, ..event(500, Fact::HostReachable) };
    let sick = health(0, HealthState::Unhealthy);
    assert_eq!(play_to(UNHEALTHY, &[sick.clone(), lost.clone()], 9999).len(), 0);
    assert_eq!(
        play_to(UNHEALTHY, &[sick.clone(), lost, back, health(501, HealthState::Healthy)], 9999).len(),
        0
    );
    let elsewhere =
        Observation { host: HostName::parse("web2").unwrap(), ..health(299, HealthState::Healthy) };
    assert_eq!(
        play_to(UNHEALTHY, &[sick, elsewhere], 400).len(),
        1,
        "another host's recovery is not this one's"
    );
}

#[test]
fn lines_must_go_on_for_as_long() {
    let rule = "log = { any = ['boom'] }\nwithin = '10s'\nfor = '30s'";
    let every =
        |step: usize| -> Vec<Observation> { (0..=40).step_by(step).map(|at| line(at, "boom")).collect() };
    assert_eq!(play(rule, &every(10)).len(), 1);
    assert_eq!(play(rule, &every(11)).len(), 0);
    assert_eq!(play(rule, &[line(0, "boom"), line(30, "boom")]).len(), 0);
}

#[test]
fn trouble_is_over_only_after_a_while() {
    let rule = "log = { any = ['boom'] }\ncooldown = '0s'\nclear_for = '60s'";
    let script = [line(0, "boom"), line(59, "boom"), line(118, "boom"), line(177, "boom"), line(237, "boom")];
    let signals = play(rule, &script);
    assert_eq!(signals.len(), 2);
    assert_eq!(signals[1].captures["repeats"], "3");
}

#[test]
fn different_values_are_counted() {
    let rule =
        "log = { any = ['re:no route to (?<peer>\\w+)'] }\ndistinct = 'peer'\ncount = 3\nwithin = '1m'";
    let lines = |peers: &[&str]| -> Vec<Observation> {
        peers.iter().zip(0..).map(|(peer, at)| line(at, &format!("no route to {peer}"))).collect()
    };
    assert_eq!(play(rule, &lines(&["a", "a", "a", "a", "b"])).len(), 0);
    assert_eq!(play(rule, &lines(&["a", "a", "b", "a", "c"])).len(), 1);
    let apps = "log = { any = ['boom'] }\nby = ['host']\ndistinct = 'app'\ncount = 2\nwithin = '1m'";
    let other = {
        let mut other = line(1, "boom");
        other.subject = Some(std::sync::Arc::new(super::world::subject("blog", 3)));
        other
    };
    assert_eq!(play(apps, &[line(0, "boom"), line(0, "boom")]).len(), 0);
    assert_eq!(play(apps, &[line(0, "boom"), other]).len(), 1);
}

#[test]
fn what_means_nothing_is_refused() {
    for (rule, expected) in [
        ("on = { event = 'oom' }\nfor = '5m'", "nothing ends `oom`"),
        ("on = { event = 'die' }\nfor = '5m'\ncount = 2\nwithin = '1m'", "both `for` and `count`"),
        ("log = { any = ['boom'] }\nfor = '5m'", "needs `within`"),
        ("stat = 'restart_count > 3'\nfor = '5m'", "only ever grows"),
        ("on = { event = 'die' }\nclear_for = '5m'", "`clear_for`"),
        ("log = { any = ['boom'] }\ndistinct = 'peer'\ncount = 2\nwithin = '1m'", "nothing to group by"),
        ("log = { any = ['boom'] }\ndistinct = 'host'", "no `count` of at least 2"),
    ] {
        let error = RuleSet::load(&file(rule)).unwrap_err().to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
}
