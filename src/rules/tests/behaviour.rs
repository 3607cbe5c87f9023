//! What the engine does with time, freshness, roles, releases and its bounds.

use std::time::Duration;

use super::super::{Engine, Outcome};
use super::world::{START, at, deployed, die, event, file, line, play, rules, subject};
use crate::fleet::{Fact, Freshness, HealthState, HostName, Mode, Observation, Remedy, Role, Stream};

const BOOM: &str = "log = { any = ['boom'] }";
const CRASH: &str = r#"on = { event = "die", exit_code = "!0", not_preceded_by = "kill:15s" }"#;

#[test]
fn a_signal_tells_everything() {
    let rule = r#"
        say = "{app} on {host}: {what} ({count})"
        log = { any = ['re:boom (?<what>\w+)'] }
        count = 2
        within = "10s"
        heal = [{ do = "rollback", if = { deploy_age = "<1h" } }, { do = "escalate" }]
        verify = { running = "30s", deadline = "2m" }
        forbid = ["restart"]"#;
    let signals = play(rule, &[line(0, "\u{1b}[31mboom\u{1b}[0m one"), line(1, "boom two")]);
    let [signal] = &signals[..] else { panic!("{signals:?}") };
    assert_eq!(signal.rule, "t/r");
    assert_eq!(signal.say, "shop on web1: two (2)");
    assert_eq!(signal.captures["what"], "two");
    assert_eq!(signal.evidence[0].text, r"\u{1b}[31mboom\u{1b}[0m one");
    assert_eq!((signal.live, signal.state_evidence), (true, false));
    assert_eq!(signal.ladder[0].remedy, Remedy::Rollback);
    assert_eq!(signal.ladder[0].mode, Mode::Approve);
    assert_eq!(signal.ladder[0].if_deploy_younger_than, Some(Duration::from_secs(3600)));
    assert_eq!(signal.verify.as_ref().unwrap().deadline, Duration::from_secs(120));
    assert_eq!(signal.forbid, [Remedy::Restart]);
}

#[test]
fn a_backlog_never_makes_a_live_signal() {
    let rule = format!("{CRASH}\ncount = 2\nwithin = \"1m\"");
    let mut old = die(0, 1);
    old.freshness = Freshness::Backlog;
    let signals = play(&rule, &[old, die(1, 1), die(2, 1), die(3, 1)]);
    let live: Vec<bool> = signals.iter().map(|signal| signal.live).collect();
    assert_eq!(live, [false, true]);
}

#[test]
fn only_the_live_container_is_judged() {
    for (role, expected) in [(Role::Live, 1), (Role::Candidate, 0), (Role::Kept, 0)] {
        let mut container = subject("shop", 0);
        container.role = role;
        assert_eq!(
            play(CRASH, &[at(0, &container, Fact::Died { exit_code: 1 })]).len(),
            expected,
            "{role:?}"
        );
    }
}

#[test]
fn hits_of_two_apps_hosts_or_releases_are_not_mixed() {
    let rule = format!("{CRASH}\ncount = 2\nwithin = \"1m\"");
    let other_host = Observation { host: HostName::parse("web2").unwrap(), ..die(1, 1) };
    let crash = |subject| at(1, &subject, Fact::Died { exit_code: 1 });
    for second in [other_host.clone(), crash(subject("blog", 0)), crash(subject("shop", 1))] {
        assert_eq!(play(&rule, &[die(0, 1), second]).len(), 0);
    }
    let by_app = format!("{rule}\nby = [\"app\"]");
    assert_eq!(play(&by_app, &[die(0, 1), other_host]).len(), 1);
}

#[test]
fn grouping_by_a_capture() {
    let rule = "log = { any = ['re:no table (?<table>\\w+)'] }\nby = [\"app\", \"table\"]\ncount = 2\nwithin = \"1m\"";
    let lines = [line(0, "no table a"), line(1, "no table b"), line(2, "no table b")];
    let signals = play(rule, &lines);
    assert_eq!(signals.len(), 1);
    assert_eq!(signals[0].captures["table"], "b");
}

#[test]
fn repeats_are_counted_and_told() {
    let lines: Vec<Observation> = (0..=60).map(|second| line(second, "boom")).collect();
    let signals = play(BOOM, &lines);
    assert_eq!(signals.len(), 2);
    assert_eq!(signals[1].captures["repeats"], "59");
    assert!(signals[1].say.ends_with("(59 more since the last time)"), "{}", signals[1].say);
}

#[test]
fn a_cooldown_ends_with_the_process_that_it_was_about() {
    let restarted = |signal| {
        let kill = event(1, Fact::Killed { signal });
        [line(0, "boom"), kill, event(2, Fact::Started), line(3, "boom")]
    };
    assert_eq!(play(BOOM, &restarted(15)).len(), 2, "restarted by somebody: is it back?");
    assert_eq!(play(BOOM, &restarted(1)).len(), 1, "SIGHUP restarts nothing");
    let by_docker = [line(0, "boom"), die(1, 1), event(2, Fact::Started), line(3, "boom")];
    assert_eq!(play(BOOM, &by_docker).len(), 1, "a crash loop stays quiet");
}

#[test]
fn confirmation_comes_before_or_after_but_near() {
    let rule = "log = { any = ['boom'] }\nconfirm = { any = [{ event = \"die\", exit_code = \"1\", within = \"10s\" }] }";
    for (observations, expected) in [
        (vec![line(0, "boom"), die(10, 1)], 1),
        (vec![line(0, "boom"), die(11, 1)], 0),
        (vec![line(0, "boom"), die(5, 2)], 0),
        (vec![die(0, 1), line(10, "boom")], 1),
        (vec![die(0, 1), line(11, "boom")], 0),
        (vec![line(0, "boom")], 0),
        (vec![line(0, "boom"), at(1, &subject("blog", 0), Fact::Died { exit_code: 1 })], 0),
        (vec![line(0, "boom"), line(30, "boom"), die(31, 1)], 1),
    ] {
        let signals = play(rule, &observations);
        assert_eq!(signals.len(), expected, "{observations:?}");
        assert!(signals.iter().all(|signal| signal.state_evidence && signal.evidence.len() == 2));
    }
}

#[test]
fn a_confirmation_is_of_the_same_container_and_as_live() {
    let rule = "log = { any = ['boom'] }\nconfirm = { any = [{ event = \"die\" }] }";
    let elsewhere = Observation { host: HostName::parse("web2").unwrap(), ..die(1, 1) };
    assert_eq!(play(rule, &[line(0, "boom"), elsewhere.clone()]).len(), 0);
    assert_eq!(play(rule, &[elsewhere, line(2, "boom")]).len(), 0);
    let old = Observation { freshness: Freshness::Backlog, ..die(1, 1) };
    for observations in [[line(0, "boom"), old.clone()], [old, line(2, "boom")]] {
        let live: Vec<bool> = play(rule, &observations).iter().map(|signal| signal.live).collect();
        assert_eq!(live, [false]);
    }
}

#[test]
fn a_stop_explains_only_what_comes_after_it() {
    let kill = |seconds| event(seconds, Fact::Killed { signal: 15 });
    for (observations, expected) in [
        ([kill(0), die(15, 1)], 0),
        ([kill(0), die(16, 1)], 1),
        ([die(0, 1), kill(1)], 1),
        ([kill(5), die(4, 1)], 1),
    ] {
        assert_eq!(play(CRASH, &observations).len(), expected, "{observations:?}");
    }
}

#[test]
fn json_is_read_however_it_is_escaped() {
    let rule = "log = { json = { msg = 're:no room left' } }";
    for (text, expected) in [
        (r#"{"msg":"no room left"}"#, 1),
        (r#"{"msg":"no\u0020room\u0020left"}"#, 1),
        (r#"{"msg":"ok","path":"no room left"}"#, 0),
        (r#"no room left"#, 0),
    ] {
        assert_eq!(play(rule, &[line(0, text)]).len(), expected, "{text}");
    }
}

#[test]
fn a_confirmation_that_shows_no_fault_is_no_state_evidence() {
    let rule = "log = { any = ['boom'] }\nconfirm = { any = [{ event = \"start\" }] }";
    let signals = play(rule, &[line(0, "boom"), event(1, Fact::Started)]);
    assert_eq!(signals.len(), 1);
    assert!(!signals[0].state_evidence);
}

#[test]
fn an_end_that_was_asked_for_or_went_well_is_no_state_evidence() {
    let confirmed = "log = { any = ['boom'] }\nconfirm = { any = [{ event = \"die\" }] }";
    let bare = "on = { event = \"die\" }";
    let kill = |seconds, signal| event(seconds, Fact::Killed { signal });
    for (what, rule, script, expected) in [
        ("a crash", confirmed, vec![line(0, "boom"), die(1, 1)], Some(true)),
        ("it ended well", confirmed, vec![line(0, "boom"), die(1, 0)], Some(false)),
        ("somebody stopped it", confirmed, vec![line(0, "boom"), kill(1, 15), die(2, 143)], None),
        ("before", confirmed, vec![kill(0, 15), die(1, 137), line(2, "boom")], None),
        ("it took its time", confirmed, vec![kill(0, 15), line(119, "boom"), die(120, 1)], None),
        ("told to reload", confirmed, vec![kill(0, 1), line(1, "boom"), die(2, 1)], Some(true)),
        (
            "started again since",
            confirmed,
            vec![kill(0, 15), die(1, 0), event(2, Fact::Started), line(3, "boom"), die(4, 1)],
            Some(true),
        ),
        ("a server ends by itself", bare, vec![die(0, 0)], Some(true)),
        ("it is stopped", bare, vec![kill(0, 15), die(30, 0)], Some(false)),
    ] {
        let signals = play(rule, &script);
        assert_eq!(signals.last().map(|signal| signal.state_evidence), expected, "{what}");
    }
}

#[test]
fn what_is_not_known_does_not_hold() {
    let rule = format!("{CRASH}\nrequire = {{ deploy_age = \"<15m\", previous_release = \"proved\" }}");
    for (scene, expected) in [
        (vec![], 0),
        (vec![deployed(0, 60, Some(600))], 1),
        (vec![deployed(0, 60, Some(599))], 0),
        (vec![deployed(0, 60, None)], 0),
        (vec![deployed(0, 900, Some(600))], 0),
        (vec![deployed(1, 60, Some(600))], 0),
    ] {
        let observations: Vec<Observation> = scene.into_iter().chain([die(1, 1)]).collect();
        assert_eq!(play(&rule, &observations).len(), expected, "{observations:?}");
    }
}

#[test]
fn uptime_counts_from_the_last_start() {
    let rule = format!("{CRASH}\nrequire = {{ uptime = \"<60s\" }}");
    let running =
        |started_at| Fact::State { running: true, started_at, restart_count: 0, health: HealthState::None };
    assert_eq!(play(&rule, &[event(0, Fact::Started), die(59, 1)]).len(), 1);
    assert_eq!(play(&rule, &[event(0, Fact::Started), die(60, 1)]).len(), 0);
    assert_eq!(play(&rule, &[event(0, running(Some(START))), die(59, 1)]).len(), 1);
    assert_eq!(play(&rule, &[event(0, running(None)), die(59, 1)]).len(), 0);
}

#[test]
fn scopes_leave_out() {
    let fires = |scope: &str, observation: Observation| {
        !play(&format!("{BOOM}\nscope = {scope}"), &[observation]).is_empty()
    };
    let stderr = at(0, &subject("shop", 0), Fact::Line { stream: Stream::Stderr, text: "boom".into() });
    for (scope, stdout_fires, stderr_fires) in [
        (r#"{ app = "sh*" }"#, true, true),
        (r#"{ app = ["blog", "shop"] }"#, true, true),
        (r#"{ app = "blog" }"#, false, false),
        (r#"{ not_app = "s*" }"#, false, false),
        (r#"{ host = "web?" }"#, true, true),
        (r#"{ not_host = "web1" }"#, false, false),
        (r#"{ stream = "stderr" }"#, false, true),
    ] {
        assert_eq!(fires(scope, line(0, "boom")), stdout_fires, "{scope}");
        assert_eq!(fires(scope, stderr.clone()), stderr_fires, "{scope}");
    }
}

#[test]
fn memory_is_bounded_and_what_is_lost_is_counted() {
    let rule = "log = { any = ['re:boom (?<who>\\w+)'] }\nby = [\"who\"]\ncount = 2\nwithin = \"1h\"";
    let mut engine = Engine::new(rules(rule));
    for number in 0..1500 {
        assert!(engine.observe(&line(0, &format!("boom {number}"))).is_empty());
    }
    assert_eq!(engine.dropped(), 500);
    assert_eq!(engine.observe(&line(1, "boom 1499")).len(), 1, "the newest is still known");
    assert_eq!(engine.observe(&line(1, "boom 0")).len(), 0, "the oldest is not");
}

#[test]
fn evidence_is_cut() {
    let long = format!("boom {}", "é".repeat(40_000));
    let signals = play(BOOM, &[line(0, &long)]);
    let text = &signals[0].evidence[0].text;
    assert!(text.len() < 1100, "{}", text.len());
    assert!(text.ends_with("more bytes)"), "{text}");
}

#[test]
fn notes_say_why_not() {
    let rule = format!("{CRASH}\ncount = 2\nwithin = \"1m\"\nrequire = {{ uptime = \"<60s\" }}");
    let mut engine = Engine::traced(rules(&rule));
    let kill = event(100, Fact::Killed { signal: 15 });
    for observation in [event(0, Fact::Started), die(59, 1), die(60, 1), kill, die(101, 1)] {
        engine.observe(&observation);
    }
    let outcomes: Vec<Outcome> = engine.take_notes().into_iter().map(|note| note.outcome).collect();
    let expected = [
        Outcome::Counted { have: 1, need: 2, within: Duration::from_secs(60) },
        Outcome::Unmet("uptime <1m is required, but it is 60s".to_owned()),
        Outcome::Explained { by: "kill sig=15".to_owned(), ago: Duration::from_secs(1) },
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn a_failed_test_explains_itself() {
    let rule = r#"
        on = { event = "die", not_preceded_by = "kill:15s" }
        count = 2
        within = "1m"
        test = [{ name = "stopped", fires = 1, events = ["0s die exit=1", "10s kill sig=15", "12s die exit=1"] }]"#;
    let report = super::super::RuleSet::load(&file(rule)).unwrap().test();
    assert!(!report.passed());
    let text = report.to_string();
    for expected in [
        "t.toml:11:17: test of `r` wants it to fire 1 time, and it fired never",
        "0s `die exit=1`: counted: 1 of 2 within 1m",
        "12s `die exit=1`: explained by `kill sig=15` 2.0s earlier",
        "1 test, 1 failed",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
}

#[test]
fn a_stop_that_takes_long_is_no_crash_to_act_upon() {
    let rule = "on = { event = \"die\", exit_code = \"!0\", not_preceded_by = \"kill:15s\" }\ncount = 3\nwithin = \"10m\"";
    let kill = |seconds, signal| event(seconds, Fact::Killed { signal });
    let stop = |at| [kill(at, 15), die(at + 20, 1), event(at + 21, Fact::Started)];
    let crash = |at| [die(at, 1), event(at + 1, Fact::Started)];
    for (script, expected) in [
        ([crash(0), crash(60), crash(120)].concat(), true),
        ([stop(0).to_vec(), stop(60).to_vec(), crash(120).to_vec()].concat(), false),
        ([crash(0).to_vec(), stop(60).to_vec(), crash(120).to_vec()].concat(), false),
    ] {
        let evidence: Vec<bool> = play(rule, &script).iter().map(|signal| signal.state_evidence).collect();
        assert_eq!(evidence, [expected], "each of them must show a fault");
    }
}

#[test]
fn a_signal_that_asks_for_something_else_hides_nothing() {
    let killed = "on = { event = \"die\", exit_code = \"137\", not_preceded_by = \"kill:15s\" }";
    let kill = |seconds, signal| event(seconds, Fact::Killed { signal });
    for (what, script, expected) in [
        ("a thread dump long before", vec![kill(0, 3), die(300, 137)], Some(true)),
        ("a thread dump just before", vec![kill(0, 3), die(5, 137)], Some(true)),
        ("a resized terminal", vec![kill(0, 28), die(5, 137)], Some(true)),
        ("it was killed", vec![kill(0, 9), die(1, 137)], None),
        ("it was stopped, and took too long", vec![kill(0, 15), die(30, 137)], Some(false)),
        ("it ran out of memory", vec![kill(0, 15), event(299, Fact::OutOfMemory), die(300, 137)], Some(true)),
        ("it was asked to stop long before", vec![kill(0, 15), die(700, 137)], Some(true)),
    ] {
        let signals = play(killed, &script);
        assert_eq!(signals.last().map(|signal| signal.state_evidence), expected, "{what}");
    }
}

#[test]
fn what_was_deployed_in_the_future_has_no_age() {
    let rule = format!("{CRASH}\nrequire = {{ deploy_age = \"<15m\" }}");
    for (ago, expected) in [(60, 1), (3600, 0)] {
        assert_eq!(play(&rule, &[deployed(0, ago, None), die(5, 1)]).len(), expected);
    }
    let Observation { fact: Fact::Deployed { mut deployment }, .. } = deployed(0, 0, None) else {
        unreachable!()
    };
    deployment.deployed_at = START + std::time::Duration::from_secs(3600);
    let future = event(0, Fact::Deployed { deployment });
    assert_eq!(play(&rule, &[future, die(5, 1)]).len(), 0, "the clock was set back since");
}
