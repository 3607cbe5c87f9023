//! How near a line came to a pattern that it does not match: how much of the pattern's beginning it has, and what it
//! says instead of the rest. That is what an author of a pattern wants to see first.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use super::inspect::find_ignoring_case;
use super::pattern::Pattern;

/// Less than this of a literal is no likeness.
const SHORTEST: usize = 4;
/// Beginnings of one pattern that are tried.
const MOST_STEPS: usize = 64;
/// Compiled size of one beginning, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// A near miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Near {
    /// It would match if the pattern did not care about upper and lower case.
    OtherCase {
        /// The bytes of the line.
        span: Range<usize>,
    },
    /// The beginning of the pattern is there.
    Begins {
        /// These bytes of the line.
        span: Range<usize>,
        /// What of the pattern should follow.
        rest: String,
    },
}

impl Near {
    /// The bytes of the line that are as the pattern wants them.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::OtherCase { span } | Self::Begins { span, .. } => span.clone(),
        }
    }

    /// More is nearer.
    pub(super) fn likeness(&self) -> usize {
        match self {
            Self::OtherCase { .. } => usize::MAX,
            Self::Begins { span, .. } => span.len(),
        }
    }
}

/// The beginnings of a pattern, to try on many lines.
pub(super) enum Beginnings {
    Literal(String),
    Regex {
        in_any_case: Option<Regex>,
        /// Longest first, each with what of the pattern is left.
        steps: Vec<(Regex, String)>,
    },
}

impl Beginnings {
    pub(super) fn of(pattern: &Pattern) -> Self {
        match pattern {
            Pattern::Literal(one) => Self::Literal(one.text().to_owned()),
            Pattern::Regex(regex) => Self::Regex {
                in_any_case: compile(&format!("(?i){}", regex.as_str())),
                steps: steps(regex.as_str()),
            },
        }
    }

    /// How near a line comes that does not match.
    pub(super) fn near(&self, line: &str) -> Option<Near> {
        match self {
            Self::Literal(text) => near_literal(text, line),
            Self::Regex { in_any_case, steps } => {
                if let Some(found) = in_any_case.as_ref().and_then(|regex| regex.find(line)) {
                    return Some(Near::OtherCase { span: found.range() });
                }
                let (shortest, _) = steps.last()?;
                if !shortest.is_match(line) {
                    return None;
                }
                steps.iter().find_map(|(beginning, rest)| {
                    let found = beginning.find(line).filter(|found| found.len() >= SHORTEST)?;
                    Some(Near::Begins { span: found.range(), rest: rest.clone() })
                })
            }
        }
    }
}

fn near_literal(text: &str, line: &str) -> Option<Near> {
    let mut ends = text.char_indices().map(|(at, _)| at).skip(1).filter(|&at| at >= SHORTEST).peekable();
    // What contains a beginning contains every shorter one: so most lines are done with here, and for the others the
    // longest can be halved for.
    find_ignoring_case(line, &text[..*ends.peek()?])?;
    let ends: Vec<usize> = ends.collect();
    let contained = ends.partition_point(|&end| find_ignoring_case(line, &text[..end]).is_some());
    let end = *ends.get(contained.checked_sub(1)?)?;
    let span = find_ignoring_case(line, &text[..end])?;
    Some(Near::Begins { span, rest: text[end..].to_owned() })
}

/// A regular expression without its last parts, the longest beginning first.
fn steps(pattern: &str) -> Vec<(Regex, String)> {
    let Ok(hir) = regex_syntax::parse(pattern) else {
        return Vec::new();
    };
    let parts = atoms(&hir);
    let beginning = |end: usize| {
        let regex = compile(&Hir::concat(parts[..end].to_vec()).to_string())?;
        Some((regex, parts[end..].iter().map(readable).collect()))
    };
    (1..parts.len()).rev().take(MOST_STEPS).filter_map(beginning).collect()
}

/// A part as a person reads it.
fn readable(part: &Hir) -> String {
    match part.kind() {
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).into_owned(),
        _ => part.to_string(),
    }
}

/// The parts that a concatenation can be cut between; within literals, words.
fn atoms(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(atoms).collect(),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => text.split_inclusive(' ').map(|word| Hir::literal(word.as_bytes())).collect(),
            Err(_) => vec![hir.clone()],
        },
        _ => vec![hir.clone()],
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(REGEX_LIMIT).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_say_what_is_missing() {
        let cases: [(&str, &str, Option<(&str, Option<&str>)>); 8] = [
            (
                "payment gateway refused",
                "the Payment gateway 10.0.0.7 refused",
                Some(("Payment gateway ", Some("refused"))),
            ),
            (
                r"re:payment gateway (?P<peer>\S+) refused",
                "payment gateway a refuses",
                Some(("payment gateway a ", Some("refused"))),
            ),
            (r"re:Out of (?:memory|luck)", "out of memory", Some(("out of memory", None))),
            (r"re:out of (?:memory|luck)", "out of time", Some(("out of ", Some("(?:(?:memory)|(?:luck))")))),
            ("größe fehlt", "die größe stimmt", Some(("größe ", Some("fehlt")))),
            ("disk full", "all is well", None),
            ("abc", "ab", None),
            (r"re:a", "b", None),
        ];
        for (pattern, line, expected) in cases {
            let near = Beginnings::of(&Pattern::parse(pattern).unwrap()).near(line);
            let shown = near.as_ref().map(|near| {
                let rest = match near {
                    Near::Begins { rest, .. } => Some(rest.as_str()),
                    Near::OtherCase { .. } => None,
                };
                (&line[near.span()], rest)
            });
            assert_eq!(shown, expected, "{pattern} on {line}");
        }
    }
}
