//! Which literal texts every match of a pattern must contain. The index looks for these first, all at once, and only
//! asks the pattern itself about lines that have one of them.

use regex_syntax::hir::literal::rank;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter literals would let almost every line through.
pub(super) const SHORTEST: usize = 3;
/// An alternation of more literals than this is no useful filter.
const MOST: usize = 64;

/// Words that most programs write all the time: they are found, but they filter nothing.
const COMMON: [&str; 16] = [
    "error",
    "fail",
    "failed",
    "failure",
    "warn",
    "fatal",
    "exception",
    "connection",
    "connect",
    "message",
    "level",
    "could not",
    "not",
    "set",
    "must",
    "request",
];

/// A set of literals (ASCII lower case) of which every match contains at least one.
pub(super) type Required = Vec<String>;

/// The best set for a regex, when it has one. Case is ignored, as the index does.
pub(super) fn of_regex(pattern: &str) -> Option<Required> {
    regex_syntax::parse(pattern).ok().and_then(|hir| required(&hir))
}

/// The set for a literal text.
pub(super) fn of_literal(text: &str) -> Option<Required> {
    usable(vec![text.to_ascii_lowercase()])
}

/// Of several sets, each of which would do, the one that lets the fewest lines through.
pub(super) fn best(sets: impl IntoIterator<Item = Required>) -> Option<Required> {
    sets.into_iter().max_by_key(selectivity)
}

/// The union of sets of which one is met; `None` when some alternative has no set of its own.
pub(super) fn union(sets: impl IntoIterator<Item = Option<Required>>) -> Option<Required> {
    let mut all: Required = sets.into_iter().collect::<Option<Vec<_>>>()?.concat();
    all.sort_unstable();
    all.dedup();
    usable(all)
}

fn usable(set: Required) -> Option<Required> {
    let fits = !set.is_empty() && set.len() <= MOST && set.iter().all(|literal| literal.len() >= SHORTEST);
    fits.then_some(set)
}

/// Higher is rarer: judged by the set's most common literal, then by how few there are.
fn selectivity(set: &Required) -> (u32, usize) {
    let worst = set.iter().map(|literal| rarity(literal)).min().unwrap_or(0);
    (worst, MOST.saturating_sub(set.len()))
}

/// Longer and made of rarer bytes is rarer. `rank` is regex-syntax's table of how common each byte is in texts.
fn rarity(literal: &str) -> u32 {
    if COMMON.contains(&literal.trim()) {
        return 1;
    }
    literal.bytes().take(24).map(|byte| 64 + u32::from(255 - rank(byte))).sum()
}

fn required(hir: &Hir) -> Option<Required> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => {
            let mut run = Run::default();
            run.extend(hir);
            best(run.finish())
        }
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => best(of_concat(parts)),
        HirKind::Alternation(branches) => union(branches.iter().map(required)),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The sets of a concatenation: its unbroken runs of literal text, and those of its parts.
fn of_concat(parts: &[Hir]) -> Vec<Required> {
    let mut run = Run::default();
    let mut sets = Vec::new();
    for part in parts {
        if !run.extend(part) {
            sets.extend(required(part));
        }
    }
    sets.extend(run.finish());
    sets
}

/// Literal text as it is put together from neighbouring parts of a pattern.
#[derive(Default)]
struct Run {
    current: String,
    done: Vec<Required>,
}

impl Run {
    /// Adds a part; `false` when it is not plain text and so ends the run. Look-around has no width and ends nothing.
    fn extend(&mut self, part: &Hir) -> bool {
        let text = match part.kind() {
            HirKind::Look(_) | HirKind::Empty => return true,
            HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(str::to_ascii_lowercase),
            HirKind::Class(class) => one_letter(class).map(String::from),
            HirKind::Capture(capture) if matches!(capture.sub.kind(), HirKind::Literal(_)) => {
                return self.extend(&capture.sub);
            }
            _ => None,
        };
        match text {
            Some(text) => {
                self.current.push_str(&text);
                true
            }
            None => {
                self.cut();
                false
            }
        }
    }

    fn cut(&mut self) {
        self.done.extend(usable(vec![std::mem::take(&mut self.current)]));
    }

    fn finish(mut self) -> Vec<Required> {
        self.cut();
        self.done
    }
}

/// The letter (lower case) of a class that `(?i)` made of one ASCII letter. Unicode folds K to the Kelvin sign and s
/// to the long s as well; a line that spells a word with those is not worth slowing every other line down.
fn one_letter(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let mut letters = class.iter().flat_map(|range| [range.start(), range.end()]);
    let first = letters.next()?.to_ascii_lowercase();
    let folds_to_first = |c: char| {
        c.to_ascii_lowercase() == first
            || (first == 'k' && c == '\u{212a}')
            || (first == 's' && c == '\u{17f}')
    };
    let ranges_are_single = class.iter().all(|range| range.start() == range.end());
    (first.is_ascii() && ranges_are_single && letters.all(folds_to_first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_match_contains_one_of_these() {
        let cases: [(&str, Option<&[&str]>); 13] = [
            (r"address already in use", Some(&["address already in use"])),
            (r"(?i)No Space left", Some(&["no space left"])),
            (r"(?i)disk", Some(&["disk"])),
            (r"\bpanic\b: .*", Some(&["panic: "])),
            (r"error .* deadlock", Some(&[" deadlock"])),
            (r"(?:EADDRINUSE|EACCES)", Some(&["eacces", "eaddrinuse"])),
            (r"(?:EADDRINUSE|.+)", None),
            (r"port (?<port>\d+) is allocated", Some(&[" is allocated"])),
            (r"(?:refused)?", None),
            (r"(?:refused)+ by", Some(&["refused"])),
            (r".*", None),
            (r"[ab]c", None),
            (r"(?:no|not)", None),
        ];
        for (pattern, expected) in cases {
            let found = of_regex(pattern);
            let found: Option<Vec<&str>> = found.as_ref().map(|set| set.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
    }
}
