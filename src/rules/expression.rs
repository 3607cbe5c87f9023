//! One regular expression. It is read at once, and compiled when a line first asks for it: of some fifteen hundred that come
//! with Arcane a fleet's logs ask for a few dozen, and each takes time to compile and memory to keep.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{self, AssertionKind, Ast};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Compiled size of one regular expression, in bytes: enough for any sensible one, too little for `\w{1000}`.
pub(super) const LIMIT: usize = 1 << 20;
/// What one of them may keep of what it has worked out, in bytes: there are some seventeen hundred.
const CACHE: usize = 256 << 10;
/// What surely takes no more than this is not compiled to find out.
const SURELY_SMALL: usize = LIMIT / 2;

/// A regular expression, with `^` and `$` for the ends of each line.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    source: String,
    names: Vec<String>,
    compiled: OnceLock<Option<Regex>>,
}

impl Expression {
    /// Reads an expression; the error is a sentence for the rule's author.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let hir =
            ParserBuilder::new().multi_line(true).build().parse(source).map_err(|error| invalid(&error))?;
        let mut names = Vec::new();
        collect_names(&hir, &mut names);
        let expression = Self { source: source.to_owned(), names, compiled: OnceLock::new() };
        if size_at_most(&hir) > SURELY_SMALL {
            let regex = compile(source).map_err(|error| why(&error))?;
            expression.compiled.get_or_init(|| Some(regex));
        }
        if hir.properties().minimum_len() == Some(0) && expression.is_match("") {
            return Err("this regex matches the empty line, and so every line".to_owned());
        }
        Ok(expression)
    }

    /// The expression that a literal text is, ASCII letters in either case.
    pub(super) fn of_literal(text: &str) -> Self {
        Self::of_literals(&[text])
    }

    /// The expression that matches any of some literal texts, ASCII letters in either case.
    pub(super) fn of_literals(texts: &[impl AsRef<str>]) -> Self {
        let texts: Vec<String> = texts.iter().map(|text| regex::escape(text.as_ref())).collect();
        let source = format!("(?i-u:{})", texts.join("|"));
        Self { source, names: Vec::new(), compiled: OnceLock::new() }
    }

    /// Compiled. `None` cannot be: what might be too large was compiled when it was read.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.source).ok()).as_ref()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.source
    }

    /// The names of its captures, in order.
    pub(super) fn capture_names(&self) -> &[String] {
        &self.names
    }
}

fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&ascii_boundaries(source))
        .multi_line(true)
        .size_limit(LIMIT)
        .dfa_size_limit(CACHE)
        .build()
}

/// The expression with each `\b` being about ASCII letters, digits and `_` only. One about all of Unicode would send the
/// library to its slowest engine on every line with a single other character: 64 KiB of it would take some 60 ms.
pub(super) fn ascii_boundaries(source: &str) -> String {
    let Ok(ast) = Parser::new().parse(source) else { return source.to_owned() };
    let mut places = ast::visit(&ast, Boundaries(Vec::new())).unwrap_or_else(|never| match never {});
    places.sort_unstable_by_key(|place| place.start);
    let mut text = String::with_capacity(source.len() + places.len() * 6);
    let mut from = 0;
    for place in places {
        text.push_str(&source[from..place.start]);
        text.push_str(r"(?-u:\b)");
        from = place.end;
    }
    text.push_str(&source[from..]);
    text
}

/// Where an expression has a `\b`.
struct Boundaries(Vec<Range<usize>>);

impl ast::Visitor for Boundaries {
    type Output = Vec<Range<usize>>;
    type Err = Infallible;

    fn finish(self) -> Result<Self::Output, Infallible> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, node: &Ast) -> Result<(), Infallible> {
        if let Ast::Assertion(assertion) = node
            && assertion.kind == AssertionKind::WordBoundary
        {
            self.0.push(assertion.span.start.offset..assertion.span.end.offset);
        }
        Ok(())
    }
}

fn collect_names(hir: &Hir, names: &mut Vec<String>) {
    match hir.kind() {
        HirKind::Capture(capture) => {
            names.extend(capture.name.as_deref().map(str::to_owned));
            collect_names(&capture.sub, names);
        }
        HirKind::Repetition(repetition) => collect_names(&repetition.sub, names),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| collect_names(part, names));
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

/// A bound on what an expression takes when it is compiled, in bytes. The factors are some three times what was measured
/// with regex-automata 0.4; a test holds them against every expression that comes with Arcane.
fn size_at_most(hir: &Hir) -> usize {
    /// Of the smallest expression.
    const BASE: usize = 16 << 10;
    size_of_part(hir).saturating_add(BASE)
}

fn size_of_part(hir: &Hir) -> usize {
    const STATE: usize = 128;
    const RANGE: usize = 64;
    const UTF8: usize = 1_536;
    let sum = |parts: &[Hir]| parts.iter().map(size_of_part).fold(STATE, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => literal.0.len().saturating_mul(STATE),
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => STATE + class.ranges().len() * RANGE,
        // Beyond ASCII a class is a small automaton over the bytes of UTF-8.
        HirKind::Class(Class::Unicode(class)) => UTF8 + class.ranges().len() * RANGE,
        HirKind::Class(Class::Bytes(class)) => STATE + class.ranges().len() * RANGE,
        HirKind::Capture(capture) => size_of_part(&capture.sub).saturating_add(2 * STATE),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or_else(|| repetition.min.saturating_add(1));
            size_of_part(&repetition.sub).saturating_add(STATE).saturating_mul(times as usize)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

fn invalid(error: &regex_syntax::Error) -> String {
    last_line(&error.to_string())
}

/// What is wrong with a regular expression, in one line.
pub(super) fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("this regex needs more than {limit} bytes when compiled")
        }
        other => last_line(&other.to_string()),
    }
}

fn last_line(text: &str) -> String {
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("this regex is not valid: {reason}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::expressions;
    use super::*;

    fn bound(source: &str) -> usize {
        size_at_most(&ParserBuilder::new().multi_line(true).build().parse(source).unwrap())
    }

    #[test]
    fn what_is_called_small_is_small() {
        let more = [
            r"\w{10}",
            r"(?i)größe\W+\d+",
            r"[\w.-]{1,16}",
            "(?:a|bc|def){30}",
            r"\S+\s\S+",
            r"\pL+",
            "(?:(?:ab?){9}c*){9}",
        ];
        let rules = super::super::RuleSet::builtin();
        let all: Vec<String> = expressions(&rules).into_iter().chain(more.map(str::to_owned)).collect();
        assert!(all.len() > 1_000, "{}", all.len());
        let mut eager = 0;
        for source in all {
            let bound = bound(&source);
            eager += usize::from(bound > SURELY_SMALL);
            let built = RegexBuilder::new(&source).multi_line(true).size_limit(bound).build();
            assert!(built.is_ok(), "{source} takes more than {bound}");
        }
        assert!(eager < 40, "{eager} are compiled when they are read");
    }

    #[test]
    fn a_boundary_is_about_ascii() {
        for (source, expected) in [
            (r"\bpanic\b", r"(?-u:\b)panic(?-u:\b)"),
            (r"[b]\\b(?:a|\b)\B", r"[b]\\b(?:a|(?-u:\b))\B"),
            ("(?x) \\b # \\b\n é", "(?x) (?-u:\\b) # \\b\n é"),
            (r"\b{start}x", r"\b{start}x"),
            ("(", "("),
        ] {
            assert_eq!(ascii_boundaries(source), expected);
        }
        let expression = Expression::parse(r"\bdisk\b").unwrap();
        assert!(
            expression.is_match("größe: disk")
                && expression.is_match("édisk")
                && !expression.is_match("disks")
        );
    }

    #[test]
    fn a_literal_is_any_text() {
        for (text, line, expected) in [
            ("Größe [x]", "the GRößE [X] of it", true),
            ("größe", "GRÖSSE", false),
            ("kelvin", "\u{212a}elvin", false),
            ("a.c", "abc", false),
            ("\u{0}\n\\", "x\u{0}\n\\", true),
        ] {
            assert_eq!(Expression::of_literal(text).is_match(line), expected, "{text}");
        }
        assert!(Expression::of_literal(&"\u{10ffff}k".repeat(204)).regex().is_some());
    }

    #[test]
    fn what_may_be_large_is_found_out_at_once() {
        for source in [r"\w{1000}", r"(?:\w{50}){40}", "(?:(?:(?:a{99}){99}){99}){99}"] {
            let error = Expression::parse(source).unwrap_err();
            assert!(error.contains("needs more than"), "{source}: {error}");
        }
    }

    #[test]
    fn reading_says_what_compiling_would() {
        for (source, expected) in [
            ("(", "this regex is not valid: unclosed group"),
            ("a|", "this regex matches the empty line, and so every line"),
            ("^$", "this regex matches the empty line, and so every line"),
            (r"\bx?\b", ""),
            (
                "(?=x)",
                "this regex is not valid: look-around, including look-ahead and look-behind, is not supported",
            ),
        ] {
            let found = Expression::parse(source).err().unwrap_or_default();
            assert_eq!(found, expected, "{source}");
        }
        let expression = Expression::parse(r"(?P<a>x)(?:(?<b>y)|(z))+").unwrap();
        assert_eq!(expression.capture_names(), ["a", "b"]);
        assert!(expression.compiled.get().is_none());
        assert!(expression.is_match("..xyz..") && expression.compiled.get().is_some());
    }
}
