//! Several rules match one line: which of them count it. A suppressor (a benign rule) explains it away for others, since
//! whoever wrote it knew that this line looks worse than it is; a fallback gives way to any rule that knows the line
//! better. What happened to a container is never explained away: this is about lines only.
//!
//! How far a suppressor's word goes depends on who gave it. A user knows their lines, so theirs speaks for the whole text
//! and every rule. One that comes with Arcane has been written for the messages of one kind of software, and its words may
//! turn up in anything (a path that a stranger asked for, a name): it speaks for the rules of its own pack, within the same
//! line of a trace, and for fallbacks, which only guess.

use super::ansi;
use super::log::LogPattern;
use super::problem::Source;
use super::rule::{Place, Replaced, Rule, Trigger};
use super::structured::Structured;

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

/// The rules that match one text, all of them within their scope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Together<'r> {
    pub(super) rules: &'r [Rule],
    pub(super) sources: &'r [Source],
    pub(super) replaced: &'r [Replaced],
    /// The line; of a trace, its lines.
    pub(super) text: &'r str,
}

impl Together<'_> {
    /// What the match of `rule` is worth beside `matched`, it among them. Numbers are indices into the rules.
    pub(super) fn standing(self, matched: impl Iterator<Item = usize> + Clone, rule: usize) -> Standing {
        let Some(judged) = self.rules.get(rule).filter(|judged| !judged.is_suppressor()) else {
            return Standing::Counts;
        };
        let others = matched.filter(|&other| other != rule);
        let others = others.filter_map(|other| self.rules.get(other).map(|found| (other, found)));
        let explains = |&(_, other): &(usize, &Rule)| other.is_suppressor() && self.explains(other, judged);
        if let Some((suppressor, _)) = others.clone().find(explains) {
            return Standing::Suppressed(suppressor);
        }
        let knows_better = |(_, other): &(usize, &Rule)| !other.is_fallback() && !other.is_suppressor();
        match others.clone().find(knows_better) {
            Some((other, _)) if judged.is_fallback() => Standing::GivesWay(other),
            _ => Standing::Counts,
        }
    }

    fn explains(self, suppressor: &Rule, judged: &Rule) -> bool {
        if !self.is_of_arcane(suppressor) {
            return true;
        }
        let of_its_pack = self.is_of_arcane(judged) && suppressor.pack() == judged.pack();
        (judged.is_fallback() && self.is_what_a_trace_says(suppressor))
            || (of_its_pack && self.is_in_its_lines(suppressor, judged))
    }

    /// Whether a rule comes with Arcane, or is an extension of one that does.
    fn is_of_arcane(self, rule: &Rule) -> bool {
        let is_below = |place: &Place| self.sources.get(place.source).is_none_or(|source| source.layer == 0);
        is_below(&rule.place) || self.replaced.iter().any(|one| one.name == rule.name && is_below(&one.was))
    }

    /// Whether the suppressor matches what a trace says is wrong: its first line, or the last that is not set in, which is
    /// the root cause or the exception itself. One that takes several lines to match knows the whole trace.
    fn is_what_a_trace_says(self, suppressor: &Rule) -> bool {
        let mut plain = String::new();
        let text = ansi::strip(self.text, &mut plain);
        if !text.contains('\n') {
            return true;
        }
        let Trigger::Log(known) = &suppressor.trigger else { return false };
        let last = text.lines().rfind(|line| !line.starts_with([' ', '\t']));
        text.lines().next().into_iter().chain(last).any(|line| matches(known, line))
            || !text.lines().any(|line| matches(known, line))
    }

    /// Whether every line that `judged` matches by itself is one that the suppressor matches, too. A suppressor that takes
    /// several lines to match knows the whole trace.
    fn is_in_its_lines(self, suppressor: &Rule, judged: &Rule) -> bool {
        let mut plain = String::new();
        let text = ansi::strip(self.text, &mut plain);
        if !text.contains('\n') {
            return true;
        }
        let (Trigger::Log(known), Trigger::Log(wanted)) = (&suppressor.trigger, &judged.trigger) else {
            return false;
        };
        if !text.lines().any(|line| matches(known, line)) {
            return true;
        }
        let mut lines = text.lines().filter(|line| matches(wanted, line)).peekable();
        lines.peek().is_some() && lines.all(|line| matches(known, line))
    }
}

/// Whether a pattern matches one line by itself.
fn matches(pattern: &LogPattern, line: &str) -> bool {
    pattern.matches(&Structured::of(line), None::<std::iter::Empty<usize>>).is_some()
}
