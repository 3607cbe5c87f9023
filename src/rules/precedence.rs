//! Several rules match one line: which of them count it. A suppressor (a benign rule) explains it away for all others,
//! since whoever wrote it knew that this line looks worse than it is; a fallback gives way to any rule that knows the line
//! better. What happened to a container is never explained away: this is about lines only.

use super::rule::Rule;

/// What a match of a line is worth, beside the other matches of that line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Counts,
    /// This benign rule explains the line.
    Suppressed(usize),
    /// It is a fallback, and this rule knows the line better.
    GivesWay(usize),
}

/// What the match of `rule` is worth when the rules `matched` (it among them), all of them within their scope, match one
/// line. Numbers are indices into `rules`.
pub(super) fn standing(
    rules: &[Rule],
    matched: impl Iterator<Item = usize> + Clone,
    rule: usize,
) -> Standing {
    let is = |number: usize, what: fn(&Rule) -> bool| rules.get(number).is_some_and(what);
    if is(rule, Rule::is_suppressor) {
        return Standing::Counts;
    }
    if let Some(suppressor) = matched.clone().find(|&other| is(other, Rule::is_suppressor)) {
        return Standing::Suppressed(suppressor);
    }
    let knows_better = |&other: &usize| other != rule && !is(other, Rule::is_fallback);
    match matched.clone().find(knows_better) {
        Some(other) if is(rule, Rule::is_fallback) => Standing::GivesWay(other),
        _ => Standing::Counts,
    }
}
