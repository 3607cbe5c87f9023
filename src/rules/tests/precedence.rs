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

#[test]
fn what_counts_is_told_without_an_engine_as_well() {
    let set = rules(RULES);
    let mut scanner = Scanner::new(Arc::clone(&set));
    let matches = scanner.matches("Uncaught ECONNREFUSED");
    let standing: Vec<_> = matches.iter().map(|found| set.standing(&matches, found.rule)).collect();
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
