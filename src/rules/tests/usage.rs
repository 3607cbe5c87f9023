//! What containers use, and what is required of their state.

use super::super::RuleSet;
use super::world::{deployed, die, event, file, line, play, rules, subject};
use crate::fleet::{Fact, HealthState, Kind, Observation, Profile, Stream};

fn memory(seconds: u64, percent: u64) -> Observation {
    let fact = Fact::Stats { memory_bytes: percent, memory_limit: Some(100), cpu_percent: 3.0 };
    event(seconds, fact)
}

fn state(seconds: u64, restart_count: u64, health: HealthState) -> Observation {
    event(seconds, Fact::State { running: true, started_at: None, restart_count, health })
}

#[test]
fn a_stat_fires_once_when_it_has_been_too_much_for_long_enough() {
    let rule = "stat = 'mem_pct >= 95'\nfor = '30s'\nclear_for = '20s'\nsay = '{value} {mem_pct}'";
    let script = |percents: &[u64]| -> Vec<Observation> {
        percents.iter().zip(0..).map(|(percent, at)| memory(at * 15, *percent)).collect()
    };
    for (percents, expected) in [
        (&[95, 96, 97, 98, 99][..], 1),
        (&[95, 96, 94, 95, 96], 0),
        (&[95, 95, 95, 94, 95, 95, 95], 1),
        (&[95, 95, 95, 94, 94, 94, 95, 95, 95], 2),
    ] {
        assert_eq!(play(rule, &script(percents)).len(), expected, "{percents:?}");
    }
    let signals = play(rule, &script(&[95, 96, 97]));
    assert_eq!(signals[0].say, "97 97");
    assert!(!signals[0].state_evidence);
    assert_eq!(
        play(rule, &[memory(0, 99), memory(91, 99)]).len(),
        0,
        "what was missed may have been anything"
    );
    assert_eq!(play("stat = { stat = 'mem_pct', op = '>=', value = 95 }", &[memory(0, 95)]).len(), 1);
}

#[test]
fn memory_without_a_limit_has_no_percent() {
    let fact = Fact::Stats { memory_bytes: 1 << 40, memory_limit: None, cpu_percent: 250.0 };
    assert_eq!(play("stat = 'mem_pct > 0'", &[event(0, fact.clone())]).len(), 0);
    assert_eq!(play("stat = 'mem_bytes > 1000000'", &[event(0, fact.clone())]).len(), 1);
    assert_eq!(play("stat = 'cpu_pct >= 250'", &[event(0, fact)]).len(), 1);
}

#[test]
fn restarts_by_the_engine_are_counted_and_ours_are_not() {
    let rule = "stat = 'restart_count > 2'";
    let restarted = |at| [die(at, 1), event(at + 1, Fact::Started)];
    let mut script = vec![state(0, 1, HealthState::None)];
    script.extend(restarted(10));
    assert_eq!(play(rule, &script).len(), 0);
    script.extend([event(15, Fact::Killed { signal: 15 }), die(16, 0), event(17, Fact::Started)]);
    assert_eq!(play(rule, &script).len(), 0, "somebody restarted it");
    script.extend(restarted(20));
    let signals = play(rule, &script);
    assert_eq!(signals.len(), 1);
    assert!(signals[0].state_evidence, "the engine's own count is state");
    let at_first = play(rule, &[state(0, 3, HealthState::None), state(60, 4, HealthState::None)]);
    assert_eq!(at_first.len(), 1);
    assert!(!at_first[0].state_evidence, "nobody knows how long ago that was");
}

#[test]
fn samples_are_taken_only_where_a_rule_needs_them() {
    for (rule, needed) in [
        ("stat = 'mem_pct > 90'", true),
        ("stat = 'restart_count > 3'", false),
        ("on = 'oom'", false),
        ("on = 'oom'\nconfirm = { any = [{ stat = 'mem_pct > 90' }] }", true),
        ("log = { any = ['boom'] }\nrequire = { stat = 'cpu_pct > 90' }", true),
        ("log = { any = ['boom'] }\nheal = [{ do = 'restart', if = { stat = 'mem_bytes > 1' } }]", true),
    ] {
        assert_eq!(rules(rule).needs_stats(), needed, "{rule}");
    }
    assert!(!RuleSet::builtin().rules().is_empty());
}

#[test]
fn states_are_required() {
    for (require, script, expected) in [
        ("health = 'unhealthy'", vec![state(0, 0, HealthState::Unhealthy)], 1),
        ("health = 'healthy|none'", vec![state(0, 0, HealthState::Unhealthy)], 0),
        ("health = 'healthy'", vec![], 0),
        ("restart_count = '>3'", vec![state(0, 4, HealthState::None)], 1),
        ("restart_count = '>3'", vec![state(0, 3, HealthState::None)], 0),
        ("stat = ['mem_pct >= 90', 'cpu_pct < 50']", vec![memory(0, 95)], 1),
        ("stat = 'mem_pct >= 90'", vec![memory(0, 20)], 0),
        ("stat = 'mem_pct >= 90'", vec![], 0),
        ("event = 'oom', within = '30s'", vec![event(70, Fact::OutOfMemory)], 1),
        ("event = 'oom', within = '30s'", vec![event(69, Fact::OutOfMemory)], 0),
        ("exit_code = '137'", vec![die(1, 137), event(2, Fact::Started)], 1),
        ("exit_code = '137'", vec![die(1, 137), die(3, 1)], 0),
        ("event = 'die', exit_code = '137'", vec![die(1, 137), die(3, 1)], 1),
    ] {
        let rule = format!("log = {{ any = ['boom'] }}\nrequire = {{ {require} }}");
        let script: Vec<Observation> = script.into_iter().chain([line(100, "boom")]).collect();
        let script = if require.contains("stat") {
            // A sample that old would say nothing.
            script.into_iter().map(|one| Observation { at: one.at.max(line(90, "").at), ..one }).collect()
        } else {
            script
        };
        assert_eq!(play(&rule, &script).len(), expected, "{require} {script:?}");
    }
}

#[test]
fn a_rung_says_what_it_waits_for() {
    let rule = "log = { any = ['boom'] }\nheal = [{ do = 'restart', if = { restart_count = '<3' } }, { do = 'rollback', if = { deploy_age = '<1h' } }]";
    let signals = play(rule, &[deployed(0, 60, None), state(0, 5, HealthState::None), line(1, "boom")]);
    let ladder = &signals[0].ladder;
    assert_eq!(ladder[0].unmet.as_deref(), Some("restart_count <3 is required, but it is 5"));
    assert_eq!(ladder[1].unmet, None);
}

#[test]
fn scopes_know_what_a_container_is() {
    let mut db = subject("shop", 0);
    let labels = [("tier".to_owned(), "data".to_owned())].into();
    db.profile =
        Profile { environment: Some("production".to_owned()), ..Profile::new("postgres:16", &labels, None) };
    assert_eq!(db.profile.kind, Kind::parse("database").ok());
    let said = super::world::at(0, &db, Fact::Line { stream: Stream::Stdout, text: "boom".into() });
    for (scope, expected) in [
        ("image = 'postgres*'", 1),
        ("not_image = ['postgres*', 'mysql*']", 0),
        ("role = 'database'", 1),
        ("role = ['cache', 'broker']", 0),
        ("not_role = 'cache'", 1),
        ("env = 'prod*'", 1),
        ("not_env = 'production'", 0),
        ("label = { tier = ['web', 'data'] }", 1),
        ("label = { tier = 'web' }", 0),
        ("label = { team = '*' }", 0),
        ("not_label = { tier = 'd*' }", 0),
        ("not_label = { team = '*' }", 1),
    ] {
        let rule = format!("log = {{ any = ['boom'] }}\nscope = {{ {scope} }}");
        assert_eq!(play(&rule, std::slice::from_ref(&said)).len(), expected, "{scope}");
    }
    // Of what is not known nothing is asked that could be true.
    let rule = "log = { any = ['boom'] }\nscope = { role = '*' }";
    assert_eq!(play(rule, &[line(0, "boom")]).len(), 0);
}

#[test]
fn comparisons_that_mean_nothing_are_refused() {
    for (rule, expected) in [
        ("stat = 'memory > 5'", "no stat; choose from mem_pct"),
        ("stat = 'mem_pct'", "compares nothing"),
        ("stat = { stat = 'mem_pct', op = '>=' }", "one of `op` and `value`"),
        ("stat = { stat = 'mem_pct', op = '=', value = 3 }", "no comparison"),
        ("on = 'die'\nrequire = { }", "asks for nothing"),
        ("on = 'die'\nrequire = { within = '5s' }", "no `event`"),
        ("on = 'die'\nrequire = { health = 'sick' }", "no health"),
        (
            "on = 'die'\nconfirm = { any = [{ event = 'oom', stat = 'mem_pct > 1' }] }",
            "both `event` and `stat`",
        ),
    ] {
        let error = RuleSet::load(&file(rule)).unwrap_err().to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
}
