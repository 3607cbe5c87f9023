//! One thing after another, signals of other rules, and what is kept quiet.

use std::sync::Arc;

use super::super::{Engine, Outcome, RuleSet};
use super::world::{at, file, line, subject};
use crate::fleet::{Fact, HostName, Observation, Signal, Stream};

/// Rules with their tables, as one file.
fn set(rules: &[(&str, &str)]) -> RuleSet {
    let mut text = "pack = \"t\"\nschema = 1\n".to_owned();
    for (id, rule) in rules {
        text.push_str(&format!("\n[[rule]]\nid = \"{id}\"\n{rule}\n"));
    }
    RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap_or_else(|error| panic!("{error}"))
}

fn play(rules: &RuleSet, script: &[Observation]) -> Vec<Signal> {
    let mut engine = Engine::new(Arc::new(rules.clone()));
    script.iter().flat_map(|one| engine.observe(one)).collect()
}

fn names(signals: &[Signal]) -> Vec<&str> {
    signals.iter().map(|signal| signal.rule.as_str()).collect()
}

fn of(app: &str, seconds: u64, text: &str) -> Observation {
    at(seconds, &subject(app, 0), Fact::Line { stream: Stream::Stdout, text: text.into() })
}

fn died(app: &str, seconds: u64) -> Observation {
    at(seconds, &subject(app, 0), Fact::Died { exit_code: 1 })
}

fn on(host: &str, observation: Observation) -> Observation {
    Observation { host: HostName::parse(host).unwrap(), ..observation }
}

const CASCADE: &str = "class = 'dependency_unavailable'
sequence = [{ on = 'die', scope = { app = 'db' } }, { log = { any = ['refused'] }, min_apps = 2 }]
within = '1m'";

#[test]
fn steps_come_in_order_and_in_time() {
    let rules = set(&[("cascade", CASCADE)]);
    for (what, script, expected) in [
        ("in order", vec![died("db", 0), of("api", 1, "refused"), of("web", 60, "refused")], 1),
        ("too late", vec![died("db", 0), of("api", 1, "refused"), of("web", 61, "refused")], 0),
        ("one app twice", vec![died("db", 0), of("api", 1, "refused"), of("api", 2, "refused")], 0),
        ("symptoms first", vec![of("api", 0, "refused"), of("web", 1, "refused"), died("db", 2)], 0),
        ("told out of step", vec![of("api", 1, "refused"), of("web", 2, "refused"), died("db", 0)], 1),
        ("another app died", vec![died("mail", 0), of("api", 1, "refused"), of("web", 2, "refused")], 0),
        (
            "on another host",
            vec![on("web2", died("db", 0)), of("api", 1, "refused"), of("web", 2, "refused")],
            0,
        ),
    ] {
        assert_eq!(play(&rules, &script).len(), expected, "{what}");
    }
    let fleet = set(&[("cascade", &format!("{CASCADE}\nby = []"))]);
    let script = [on("web2", died("db", 0)), of("api", 1, "refused"), of("web", 2, "refused")];
    let signals = play(&fleet, &script);
    assert_eq!(signals.len(), 1, "grouped by nothing, it is about the whole fleet");
    assert_eq!(signals[0].app.as_str(), "web", "without a target it is about the last of them");
    assert!(!signals[0].state_evidence, "and a line of it is no state");
}

#[test]
fn a_flood_of_one_app_does_not_hide_another() {
    let rules = set(&[("cascade", CASCADE)]);
    let mut script = vec![died("db", 0), of("web", 1, "refused")];
    script[1] = of("web", 1, "fine");
    script.extend((0..1000).map(|_| of("api", 2, "refused")));
    script.push(of("web", 3, "refused"));
    assert_eq!(play(&rules, &script).len(), 1);
}

#[test]
fn symptoms_of_a_known_cause_are_counted_and_told_later() {
    let cause = "class = 'dependency_unavailable'\non = { event = 'die' }\nscope = { app = 'db' }\ninhibit = { what = ['class:dependency_unavailable'], for = '5m' }";
    let symptom = "class = 'dependency_unavailable'\nlog = { any = ['refused'] }\ncooldown = '0s'";
    let rules = set(&[("cause", cause), ("symptom", symptom)]);
    let script = [died("db", 0), of("api", 1, "refused"), of("api", 2, "refused"), of("api", 301, "refused")];
    let signals = play(&rules, &script);
    assert_eq!(names(&signals), ["t/cause", "t/symptom"]);
    assert!(signals[1].say.ends_with("(2 more since the last time)"), "{}", signals[1].say);
    let elsewhere = [died("db", 0), on("web2", of("api", 1, "refused"))];
    assert_eq!(names(&play(&rules, &elsewhere)), ["t/cause", "t/symptom"], "not on another host");
    let mut engine = Engine::traced(Arc::new(rules));
    for one in &script[..2] {
        engine.observe(one);
    }
    let last = engine.take_notes().pop().unwrap();
    assert_eq!(last.outcome, Outcome::Inhibited { by: "t/cause".to_owned() });
}

#[test]
fn everywhere_means_the_whole_fleet() {
    let cause = "class = 'dependency_unavailable'\non = 'die'\nscope = { app = 'db' }\ninhibit = { what = ['t/sym*'], where = 'fleet' }";
    let symptom = "class = 'overload'\nlog = { any = ['refused'] }";
    let rules = set(&[("cause", cause), ("symptom", symptom)]);
    let script = [died("db", 0), on("web2", of("api", 1, "refused"))];
    assert_eq!(names(&play(&rules, &script)), ["t/cause"]);
}

#[test]
fn text_does_not_silence_state() {
    let forged = "class = 'overload'\nlog = { any = ['all is lost'] }\ninhibit = ['class:app_crash']";
    let crash = "class = 'app_crash'\non = 'die'";
    let text = "class = 'app_crash'\nlog = { any = ['panic'] }";
    let rules = set(&[("forged", forged), ("crash", crash), ("text", text)]);
    let script = [line(0, "all is lost"), line(1, "panic"), died("shop", 2)];
    assert_eq!(names(&play(&rules, &script)), ["t/forged", "t/crash"]);
}

#[test]
fn text_does_not_renew_what_rests_on_state() {
    let mixed = "class = 'overload'\nlog = { any = ['all is lost'] }\ncooldown = '1h'\nconfirm = { any = [{ event = 'die' }] }\ninhibit = { what = ['t/other'], for = '1m' }";
    let other = "class = 'app_crash'\non = 'health:unhealthy'";
    let rules = set(&[("mixed", mixed), ("other", other)]);
    let unhealthy = |seconds| {
        at(seconds, &subject("shop", 0), Fact::Health { state: crate::fleet::HealthState::Unhealthy })
    };
    let begin = [line(0, "all is lost"), died("shop", 1)];
    let quiet: Vec<_> = begin.iter().cloned().chain([unhealthy(50)]).collect();
    assert!(!names(&play(&rules, &quiet)).contains(&"t/other"));
    let renewed = [line(59, "all is lost"), unhealthy(90)];
    let told: Vec<_> = begin.into_iter().chain(renewed).collect();
    assert!(names(&play(&rules, &told)).contains(&"t/other"), "the line alone keeps nothing quiet");
}

#[test]
fn text_does_not_end_what_rests_on_state() {
    let mixed = "class = 'overload'\nlog = { any = ['all is lost'] }\ncooldown = '0s'\nconfirm = { any = [{ event = 'die' }, { event = 'start' }] }\ninhibit = { what = ['t/other'], for = '1m' }";
    let other = "class = 'app_crash'\non = 'health:unhealthy'";
    let rules = set(&[("mixed", mixed), ("other", other)]);
    let fact = |seconds, fact| at(seconds, &subject("shop", 0), fact);
    let unhealthy = fact(50, Fact::Health { state: crate::fleet::HealthState::Unhealthy });
    let script = [
        line(0, "all is lost"),
        died("shop", 1),
        fact(30, Fact::Started),
        line(31, "all is lost"),
        unhealthy,
    ];
    let signals = play(&rules, &script);
    assert_eq!(names(&signals), ["t/mixed", "t/mixed"]);
    assert!(signals[0].state_evidence && !signals[1].state_evidence);
}

#[test]
fn what_is_quiet_may_be_the_same_app_only() {
    let cause = "class = 'overload'\non = 'die'\ninhibit = { what = ['t/symptom'], where = 'app' }";
    let symptom = "class = 'hang'\nlog = { any = ['slow'] }";
    let rules = set(&[("cause", cause), ("symptom", symptom)]);
    let script =
        [died("db", 0), died("api", 1), of("db", 2, "slow"), of("web", 3, "slow"), of("api", 4, "slow")];
    let fired = play(&rules, &script);
    assert_eq!(names(&fired), ["t/cause", "t/cause", "t/symptom"]);
    assert_eq!(fired[2].app.as_str(), "web");
}

#[test]
fn a_rule_waits_for_the_signals_of_others() {
    let crash = "class = 'app_crash'\non = 'die'";
    let again =
        "class = 'app_crash'\nrule = ['t/crash']\ncount = 3\nwithin = '1h'\nsay = '{trigger} {count} times'";
    let rules = set(&[("crash", crash), ("again", again)]);
    let script = [died("shop", 0), died("shop", 1), died("shop", 2)];
    let signals = play(&rules, &script);
    assert_eq!(names(&signals), ["t/crash", "t/crash", "t/crash", "t/again"]);
    assert_eq!(signals[3].say, "t/crash 3 times");
    assert!(signals[3].state_evidence, "as well founded as what it rests on");
}

#[test]
fn signals_in_a_circle_and_from_nowhere_are_refused() {
    let load = |rules: &[(&str, &str)]| {
        let mut text = "pack = \"t\"\nschema = 1\n".to_owned();
        for (id, rule) in rules {
            text.push_str(&format!("\n[[rule]]\nid = \"{id}\"\nclass = \"hang\"\n{rule}\n"));
        }
        RuleSet::load(&[("t.toml".to_owned(), text)]).map(|_| ()).unwrap_err().to_string()
    };
    assert!(load(&[("a", "rule = 't/a'")]).contains("waits for its own signal"));
    assert!(
        load(&[("a", "rule = 't/b'"), ("b", "rule = 'class:hang'")]).contains("waits for its own signal")
    );
    assert!(load(&[("a", "rule = 't/nobody'")]).contains("no rule gives"));
    assert!(load(&[("a", "rule = 'nobody'")]).contains("is no rule"));
}

#[test]
fn sequences_that_make_no_sense_are_refused() {
    for (rule, expected) in [
        ("sequence = [{ on = 'die' }]\nwithin = '1m'", "2 to 8 steps"),
        ("sequence = [{ on = 'die' }, { on = 'start' }]", "needs `within`"),
        (
            "sequence = [{ on = 'die', log = { any = ['x'] } }, { on = 'start' }]\nwithin = '1m'",
            "one of `log` and `on`",
        ),
        ("sequence = [{ on = 'dye' }, { on = 'start' }]\nwithin = '1m'", "not an event"),
        (
            "sequence = [{ on = 'die' }, { on = 'start', min_app = 2 }]\nwithin = '1m'",
            "unknown key `min_app`",
        ),
        (
            "sequence = [{ on = 'die' }, { on = 'start' }]\nwithin = '1m'\nby = ['container']",
            "several containers",
        ),
        ("on = 'die'\nheal = [{ do = 'restart', target = 'cause' }]", "only a `sequence` has"),
        ("on = 'die'\nheal = [{ do = 'restart', then = 'dependents' }]", "only a `sequence` has"),
        (
            "sequence = [{ on = 'oom' }, { on = 'start' }]\nwithin = '1m'\nheal = [{ do = 'restart', target = 'cause' }, { do = 'redeploy' }]",
            "different targets",
        ),
        (
            "sequence = [{ on = 'die' }, { log = { any = ['boom'] } }]\nwithin = '1m'\nheal = [{ do = 'restart', target = 'cause', mode = 'auto' }]",
            "operator's stop",
        ),
        (
            "sequence = [{ on = 'oom' }, { log = { any = ['boom'] } }]\nwithin = '1m'\nheal = [{ do = 'restart', mode = 'auto' }]",
            "no state evidence",
        ),
        ("on = 'die'\ninhibit = ['class:nonsense']", "nonsense"),
        ("on = 'die'\ninhibit = { what = [] }", "names nothing"),
    ] {
        let error = RuleSet::load(&file(rule)).unwrap_err().to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
}
