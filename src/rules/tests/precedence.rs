//! One line, several rules: suppressors and fallbacks.

use std::sync::Arc;

use super::super::{Engine, RuleSet, Scanner, Standing};
use super::world::{die, line};

const RULES: &str = r#"
pack = "t"
schema = 1

[[rule]]
id = "refused"
class = "dependency_unavailable"
log = { any = ["ECONNREFUSED"] }

[[rule]]
id = "uncaught"
class = "app_crash"
fallback = true
log = { any = ["Uncaught"] }

[[rule]]
id = "retried"
class = "benign"
scope = { app = "sh*" }
log = { any = ["will retry"] }

[[rule]]
id = "died"
class = "app_crash"
on = { event = "die" }
"#;

fn rules(text: &str) -> Arc<RuleSet> {
    let files = [("t.toml".to_owned(), text.to_owned())];
    Arc::new(RuleSet::load(&files).unwrap_or_else(|error| panic!("{error}")))
}

/// The rules that fire on a line, and what became of the others that match it.
fn judged(text: &str, line_text: &str) -> (Vec<String>, Vec<String>) {
    let mut engine = Engine::traced(rules(text));
    let fired = engine.observe(&line(0, line_text)).into_iter().map(|signal| signal.rule).collect();
    let notes = engine.take_notes();
    (fired, notes.into_iter().map(|note| note.outcome.to_string()).collect())
}

#[test]
fn a_fallback_gives_way_to_a_rule_that_knows_the_line() {
    let (fired, notes) = judged(RULES, "Uncaught Error: connect ECONNREFUSED 10.0.0.2:5432");
    assert_eq!(fired, ["t/refused"]);
    assert_eq!(notes, ["fired", "gave way to t/refused"]);
    assert_eq!(judged(RULES, "Uncaught TypeError: x is not a function").0, ["t/uncaught"]);
}

#[test]
fn a_suppressor_explains_a_line_away_but_never_an_event() {
    let (fired, notes) = judged(RULES, "Uncaught ECONNREFUSED, will retry");
    assert_eq!(fired, ["t/retried"]);
    assert_eq!(notes, ["explained away by t/retried", "explained away by t/retried", "fired"]);
    let mut engine = Engine::new(rules(RULES));
    engine.observe(&line(0, "ECONNREFUSED, will retry"));
    let signals = engine.observe(&die(1, 1));
    assert_eq!(signals.len(), 1);
    assert_eq!(signals[0].rule, "t/died");
}

#[test]
fn a_suppressor_outside_its_scope_explains_nothing() {
    let elsewhere = RULES.replace("sh*", "api");
    assert_eq!(judged(&elsewhere, "ECONNREFUSED, will retry").0, ["t/refused"]);
}

/// What fires when `RULES` come with Arcane and a user adds this, and what came of the others.
fn beside(own: &str, line_text: &str) -> Vec<String> {
    let layer = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let set = RuleSet::layered(&[layer("t.toml", RULES), layer("own.toml", own)]);
    let mut engine = Engine::new(Arc::new(set.unwrap_or_else(|error| panic!("{error}"))));
    let fired = engine.observe(&line(0, line_text)).into_iter().map(|signal| signal.rule);
    fired.filter(|rule| rule != "t/retried").collect()
}

#[test]
fn a_suppressor_of_another_pack_explains_only_fallbacks() {
    let others = RULES.replace("pack = \"t\"", "pack = \"u\"").replace("ECONNREFUSED", "EPIPE");
    let both = [("t.toml".to_owned(), RULES.to_owned()), ("u.toml".to_owned(), others)];
    let mut engine = Engine::new(Arc::new(RuleSet::load(&both).unwrap()));
    let mut fired = |text: &str| -> Vec<String> {
        let signals = engine.observe(&line(0, text));
        signals.into_iter().map(|signal| signal.rule).filter(|rule| !rule.ends_with("/retried")).collect()
    };
    assert_eq!(fired("Uncaught EPIPE, will retry"), [""; 0], "both suppressors match");
    assert_eq!(fired("GET /will-retry Uncaught EPIPE"), ["u/refused"]);
    let own = RULES.replace("will retry", "pool is empty").replace("pack = \"t\"", "pack = \"u\"");
    let both = [("t.toml".to_owned(), RULES.to_owned()), ("u.toml".to_owned(), own.clone())];
    let mut engine = Engine::new(Arc::new(RuleSet::load(&both).unwrap()));
    let signals = engine.observe(&line(0, "ECONNREFUSED Uncaught, pool is empty"));
    let rules: Vec<_> = signals.iter().map(|signal| signal.rule.as_str()).collect();
    assert_eq!(rules, ["t/refused", "u/retried"], "u/refused is explained, t/refused is not");
}

#[test]
fn a_users_suppressor_explains_every_rule() {
    let own = "pack = \"own\"\nschema = 1\n[[rule]]\nid = \"known\"\nclass = \"benign\"\nlog = { any = [\"nightly\"] }\n";
    assert_eq!(beside(own, "ECONNREFUSED in the nightly job"), ["own/known"]);
    assert_eq!(beside(own, "ECONNREFUSED"), ["t/refused"]);
}

#[test]
fn a_suppressor_of_arcane_leaves_a_users_rules_alone() {
    let own = "pack = \"t\"\nschema = 1\n[[rule]]\nid = \"own\"\nclass = \"overload\"\nlog = { any = [\"EPIPE\"] }\n";
    assert_eq!(beside(own, "EPIPE, will retry"), ["t/own"], "whatever its pack is called");
    let narrowed = format!("{own}\n[[rule]]\nextends = \"t/retried\"\nscope = {{ app = \"s*\" }}\n");
    assert_eq!(beside(&narrowed, "EPIPE, will retry"), ["t/own"], "nor does an extension of one");
}

#[test]
fn a_suppressor_explains_a_guess_by_what_a_trace_says() {
    let trace = |middle: &str, last: &str| format!("Uncaught Error\n    at a (b.js:1:2){middle}\n{last}");
    assert_eq!(judged(RULES, &trace("", "will retry")).0, ["t/retried"]);
    let beside_the_point = trace("\n\tSuppressed: will retry", "Caused by: x");
    assert_eq!(judged(RULES, &beside_the_point).0, ["t/uncaught", "t/retried"]);
}

#[test]
fn a_suppressor_explains_only_its_line_of_a_trace() {
    let trace = |last: &str| format!("Error: connect ECONNREFUSED\n    at a (b.js:1:2)\n{last}");
    assert_eq!(judged(RULES, &trace("will retry")).0, ["t/refused", "t/retried"]);
    assert_eq!(judged(RULES, "Error: ECONNREFUSED, will retry\n    at a (b.js:1:2)").0, ["t/retried"]);
    assert_eq!(judged(RULES, "Uncaught Error\n    at a (b.js:1:2)\nwill retry").0, ["t/retried"]);
}

#[test]
fn what_counts_is_told_without_an_engine_as_well() {
    let set = rules(RULES);
    let mut scanner = Scanner::new(Arc::clone(&set));
    let matches = scanner.matches("Uncaught ECONNREFUSED");
    let matched = matches.iter().map(|found| found.rule);
    let text = "Uncaught ECONNREFUSED";
    let standing: Vec<_> = matched.clone().map(|rule| set.standing(text, matched.clone(), rule)).collect();
    assert_eq!(standing, [Standing::Counts, Standing::GivesWay(0)]);
    assert_eq!(scanner.counted("Uncaught ECONNREFUSED").len(), 1);
    assert!(scanner.counted("ECONNREFUSED, will retry").is_empty());
}

#[test]
fn only_lines_have_a_fallback() {
    let text = RULES.replace("on = { event = \"die\" }", "on = { event = \"die\" }\nfallback = true");
    let error = RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap_err();
    assert!(error.to_string().contains("which only lines can be"), "{error}");
}

#[test]
fn a_trace_is_matched_line_by_line() {
    let rules = r#"
pack = "t"
schema = 1
[[rule]]
id = "oom"
class = "out_of_memory"
log = { any = ['re:^Caused by: java\.lang\.OutOfMemoryError$'] }
"#;
    let trace =
        "java.lang.RuntimeException: x\n\tat a.b(C.java:1)\nCaused by: java.lang.OutOfMemoryError\n\tat d";
    assert_eq!(judged(rules, trace).0, ["t/oom"]);
    assert!(judged(rules, "x Caused by: java.lang.OutOfMemoryError").0.is_empty());
}
