//! Lines that should have come.

use std::time::Duration;

use super::super::Engine;
use super::world::{START, at, die, event, line, rules, subject};
use crate::fleet::{Fact, Freshness, HealthState, LogState, Observation, Role, Signal};

const RULE: &str = "absent = { log = 'beat', for = '10m' }\ncooldown = '0s'";

fn started(seconds: u64) -> Observation {
    event(seconds, Fact::Started)
}

fn log(seconds: u64, state: LogState) -> Observation {
    event(seconds, Fact::Log { state })
}

fn play_to(rule: &str, script: &[Observation], end: u64) -> Vec<Signal> {
    let mut engine = Engine::new(rules(rule));
    let mut signals: Vec<Signal> = script.iter().flat_map(|one| engine.replay(one)).collect();
    signals.extend(engine.advance(START + Duration::from_secs(end)));
    signals
}

#[test]
fn silence_is_told_only_while_everything_is_heard() {
    let heard = || vec![started(0), log(0, LogState::Live)];
    let with = |more: Vec<Observation>| -> Vec<Observation> { heard().into_iter().chain(more).collect() };
    let lost = Observation { subject: None, ..event(300, Fact::HostUnreachable { reason: String::new() }) };
    let back = Observation { subject: None, ..event(900, Fact::HostReachable) };
    for (what, script, end, expected) in [
        ("never seen, and up for long enough", heard(), 602, 1),
        ("not long enough", heard(), 601, 0),
        ("it comes", with(vec![line(500, "beat")]), 1000, 0),
        ("it came", with(vec![line(500, "beat")]), 1102, 1),
        ("another line comes", with(vec![line(500, "bear")]), 602, 1),
        ("nobody listens", vec![started(0)], 9999, 0),
        (
            "the engine cannot be read",
            vec![started(0), log(0, LogState::EventsOnly { reason: String::new() })],
            9999,
            0,
        ),
        ("it broke off", with(vec![log(300, LogState::Interrupted { since: START })]), 9999, 0),
        (
            "it broke off and is back",
            with(vec![log(300, LogState::Interrupted { since: START }), log(400, LogState::Live)]),
            1001,
            0,
        ),
        (
            "and is silent since",
            with(vec![log(300, LogState::Interrupted { since: START }), log(400, LogState::Live)]),
            1002,
            1,
        ),
        ("it is read late", with(vec![log(300, LogState::Behind { by: Duration::from_secs(9) })]), 9999, 0),
        ("something was not read", with(vec![event(300, Fact::Gap { reason: String::new() })]), 901, 0),
        ("the host is out of sight", with(vec![lost.clone()]), 9999, 0),
        ("and back, but its log is not", with(vec![lost, back]), 9999, 0),
        ("the process ended", with(vec![die(300, 0)]), 9999, 0),
        ("and was started anew", with(vec![die(300, 0), started(400)]), 1001, 0),
        ("and is silent since it started", with(vec![die(300, 0), started(400)]), 1002, 1),
        ("it was removed", with(vec![event(300, Fact::Destroyed)]), 9999, 0),
    ] {
        assert_eq!(play_to(RULE, &script, end).len(), expected, "{what}");
    }
}

#[test]
fn it_is_told_again_only_when_the_line_came_in_between() {
    let script = [started(0), log(0, LogState::Live), event(5000, Fact::Unpaused), line(6000, "beat")];
    let times: Vec<i64> = play_to(RULE, &script, 9999)
        .iter()
        .map(|signal| signal.at.as_seconds() - START.as_seconds())
        .collect();
    assert_eq!(times, [600, 6600]);
}

#[test]
fn a_young_process_may_be_silent() {
    let rule = "absent = { log = 'beat', for = '1m', while = { uptime = '>15m' } }";
    let script = [started(0), log(0, LogState::Live)];
    assert_eq!(play_to(rule, &script, 901).len(), 0);
    assert_eq!(play_to(rule, &script, 903).len(), 1);
    let young = "absent = { log = 'beat', for = '10m', while = { uptime = '<5m' } }";
    assert_eq!(play_to(young, &script, 9999).len(), 0);
}

#[test]
fn candidates_and_other_apps_are_not_waited_for() {
    let mut candidate = subject("shop", 0);
    candidate.role = Role::Candidate;
    let script = [at(0, &candidate, Fact::Started), at(0, &candidate, Fact::Log { state: LogState::Live })];
    assert_eq!(play_to(RULE, &script, 9999).len(), 0);
    let elsewhere = format!("{RULE}\nscope = {{ app = 'blog' }}");
    assert_eq!(play_to(&elsewhere, &[started(0), log(0, LogState::Live)], 9999).len(), 0);
}

#[test]
fn after_a_jump_of_our_clock_nothing_is_concluded_until_something_is_heard() {
    let mut engine = Engine::new(rules(RULE));
    engine.advance(START);
    for one in [started(0), log(0, LogState::Live)] {
        engine.observe(&one);
    }
    engine.doubt_clock();
    assert!(engine.advance(START + Duration::from_secs(86_400)).is_empty());
    engine.observe(&event(30, Fact::Unpaused));
    assert!(engine.advance(START + Duration::from_secs(86_401)).is_empty(), "it is 31 s there");
    assert_eq!(engine.advance(START + Duration::from_secs(86_400 + 700)).len(), 1);
}

#[test]
fn lines_that_are_caught_up_with_count() {
    let caught_up = Observation { freshness: Freshness::Backlog, ..line(500, "beat") };
    let state =
        Fact::State { running: true, started_at: Some(START), restart_count: 0, health: HealthState::None };
    let script = [event(0, state), log(0, LogState::Live), caught_up];
    assert_eq!(play_to(RULE, &script, 1000).len(), 0);
}

/// Plays what came in at seconds of our clock, and lets it run to the end of that.
fn live(rule: &str, script: &[(u64, Observation)], end: u64) -> Vec<u64> {
    let mut engine = Engine::new(rules(rule));
    let mut script = script.iter().peekable();
    let mut fired = Vec::new();
    for now in 0..=end {
        let mut signals = engine.advance(START + Duration::from_secs(now));
        while let Some((_, one)) = script.next_if(|(seen, _)| *seen <= now) {
            signals.extend(engine.observe(one));
        }
        fired.extend(signals.iter().map(|_| now));
    }
    fired
}

#[test]
fn what_is_waited_for_begins_anew_when_the_hosts_clock_is_set() {
    let hour = 3600;
    let beats = |from: u64, to: u64, ahead: u64| {
        (from..to).step_by(30).map(move |second| (second, line(second + ahead, "beat")))
    };
    let begin = |ahead: u64| [(0, started(ahead)), (0, log(ahead, LogState::Live))];
    let back: Vec<_> =
        begin(hour).into_iter().chain(beats(30, 300, hour)).chain(beats(300, 3000, 0)).collect();
    assert_eq!(live(RULE, &back, 3000), [0; 0], "the lines go on coming");
    let silent: Vec<_> = begin(hour)
        .into_iter()
        .chain(beats(30, 300, hour))
        .chain([(300, event(300, Fact::Unpaused))])
        .collect();
    assert_eq!(live(RULE, &silent, 3000), [902]);
    let forward: Vec<_> =
        begin(0).into_iter().chain(beats(30, 300, 0)).chain(beats(300, 3000, hour)).collect();
    assert_eq!(live(RULE, &forward, 3000), [0; 0]);
    // The watcher has not noticed yet: what comes looks old to it.
    let short = "absent = { log = 'beat', for = '40s' }";
    let unnoticed =
        beats(300, 360, 0).map(|(seen, one)| (seen, Observation { freshness: Freshness::Backlog, ..one }));
    let unnoticed: Vec<_> = begin(hour)
        .into_iter()
        .chain(beats(30, 300, hour))
        .chain(unnoticed)
        .chain(beats(360, 3000, 0))
        .collect();
    assert_eq!(live(short, &unnoticed, 2900), [0; 0]);
}

#[test]
fn a_state_must_last_by_a_clock_that_is_set() {
    let rule = "on = { event = 'health:unhealthy' }\nfor = '5m'";
    let health = |second: u64, state: HealthState| event(second, Fact::Health { state });
    let unhealthy = |second| health(second, HealthState::Unhealthy);
    let beats = |from: u64, to: u64, ahead: u64| {
        (from..to).step_by(30).map(move |second| (second, line(second + ahead, "beat")))
    };
    let hour = 3600;
    let running = |ahead: u64| [(0, started(ahead)), (1, unhealthy(ahead + 1))];
    let script = |ahead: u64, then: u64, rest: Vec<(u64, Observation)>| -> Vec<(u64, Observation)> {
        let first = running(ahead).into_iter().chain(beats(30, 120, ahead));
        let mut all: Vec<_> = first.chain(beats(120, 900, then)).chain(rest).collect();
        all.sort_by_key(|(seen, _)| *seen);
        all
    };
    assert_eq!(live(rule, &script(0, 0, Vec::new()), 900), [303]);
    assert_eq!(live(rule, &script(hour, 0, Vec::new()), 900), [422], "five minutes from when it was set");
    assert_eq!(live(rule, &script(0, hour, Vec::new()), 900), [422]);
    let little: Vec<_> = running(20).into_iter().chain([(30, health(15, HealthState::Healthy))]).collect();
    assert_eq!(live(rule, &little, 900), [0; 0], "set back by less than is noticed");
    let recovers = |ahead: u64| vec![(130, health(130 + ahead, HealthState::Healthy))];
    assert_eq!(live(rule, &script(hour, 0, recovers(0)), 900), [0; 0]);
    assert_eq!(live(rule, &script(0, hour, recovers(hour)), 900), [0; 0]);
}
