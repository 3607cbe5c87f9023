//! Tests of the room as a whole.

mod behaviour;
mod builtin;
mod hostile;
mod lasting;
mod layers;
mod messages;
mod precedence;
mod prefilter;
mod reload;
mod sequences;
mod silence;
mod six;
mod usage;
mod vain;
mod world;

/// The lines that the tests of a set's rules play.
pub(super) fn sample_lines(rules: &super::RuleSet) -> Vec<String> {
    let cases = rules.rules().iter().flat_map(|rule| &rule.cases);
    let steps = cases.flat_map(|case| case.scripts.iter().flatten());
    let line = |step: &super::case::Played| match &step.fact {
        crate::fleet::Fact::Line { text, .. } => Some(text.to_string()),
        _ => None,
    };
    let mut lines: Vec<String> = steps.filter_map(line).collect();
    lines.sort();
    lines.dedup();
    lines
}
