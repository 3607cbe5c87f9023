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

/// The regular expressions of the `log` triggers of a set's rules.
pub(super) fn expressions(rules: &super::RuleSet) -> Vec<String> {
    use super::pattern::{Pattern, REGEX_MARK};
    let logs = rules.rules().iter().filter_map(|rule| match &rule.trigger {
        super::rule::Trigger::Log(log) => Some(log),
        _ => None,
    });
    let patterns = logs.flat_map(|log| log.any.patterns().iter().chain(&log.all).chain(log.not.patterns()));
    let sources = patterns.map(Pattern::source);
    sources.filter_map(|source| source.strip_prefix(REGEX_MARK).map(str::to_owned)).collect()
}
