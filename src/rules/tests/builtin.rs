//! The rules that ship: sound, careful, and each right about its own samples and everybody else's.

use super::super::RuleSet;

#[test]
fn built_in_rules_pass_their_tests() {
    let rules = RuleSet::load(&RuleSet::builtin_files()).unwrap_or_else(|error| panic!("{error}"));
    let report = rules.test();
    assert!(report.passed(), "{report}");
}

#[test]
fn built_in_rules_are_careful() {
    let problems: Vec<String> = RuleSet::builtin().lint().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
