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
use super::rule::{Rule, Trigger};
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
        let is_users = self.sources.get(suppressor.place.source).is_some_and(|source| source.layer > 0);
        is_users
            || judged.is_fallback()
            || (suppressor.pack() == judged.pack() && self.is_in_its_lines(suppressor, judged))
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
        let matches = |pattern: &LogPattern, line| {
            pattern.matches(&Structured::of(line), None::<std::iter::Empty<usize>>).is_some()
        };
        if !text.lines().any(|line| matches(known, line)) {
            return true;
        }
        let mut lines = text.lines().filter(|line| matches(wanted, line)).peekable();
        lines.peek().is_some() && lines.all(|line| matches(known, line))
    }
}
