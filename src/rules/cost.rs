//! What a pattern without a literal costs at worst: steps for each byte of a line, not time, so that the figure is the
//! same on every machine.

use regex_syntax::hir::{Hir, HirKind};

/// How many places of a pattern a matcher may be at, at the same time: so many steps a byte of the line can take. The
/// automaton that is built of the pattern as lines come mostly needs one.
pub(super) fn steps(expression: &str) -> Option<usize> {
    regex_syntax::parse(expression).ok().map(|hir| places(&hir))
}

fn places(part: &Hir) -> usize {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or_else(|| repetition.min.max(1));
            places(&repetition.sub).saturating_mul(times as usize)
        }
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(places).fold(0, usize::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_pattern() {
        for (pattern, expected) in [
            (r"\d\d", 2),
            (r"\w{200}", 200),
            (r"(?:a|bc)+$", 3),
            (r"\d{2,}-?", 3),
            (r"(?:\w{50}){40}", 2000),
            ("(?:(?:(?:(?:a{99}){99}){99}){99}){99}", 9_509_900_499),
        ] {
            assert_eq!(steps(pattern), Some(expected), "{pattern}");
        }
        assert_eq!(steps("("), None);
    }
}
