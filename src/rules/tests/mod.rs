//! Tests of the room as a whole.

mod behaviour;
mod builtin;
mod hostile;
mod messages;
mod precedence;
mod prefilter;
mod world;

/// The lines that the tests of a set's rules play.
pub(super) fn sample_lines(rules: &super::RuleSet) -> Vec<String> {
    let cases = rules.rules().iter().flat_map(|rule| &rule.cases);
    let steps = cases.flat_map(|case| case.scripts.iter().flatten());
    let line = |step: &super::rule::Step| match &step.fact {
        crate::fleet::Fact::Line { text, .. } => Some(text.to_string()),
        _ => None,
    };
    let mut lines: Vec<String> = steps.filter_map(line).collect();
    lines.sort();
    lines.dedup();
    lines
}
