//! One pattern of a rule: literal text, or a regular expression after `re:`.

use std::ops::Range;

use regex::{RegexSet, RegexSetBuilder};

use super::expression::{self, Expression};
use super::index::{Gate, Key};
use super::literal::{self, Required};
use crate::fleet::text::quoted;

/// What the automaton of many regular expressions may keep of what it has worked out, in bytes. With the library's own
/// limit it forgets and begins again all the time.
const SET_CACHE: usize = 32 << 20;

/// A literal text is no longer than this, in bytes, so that it surely compiles.
const LONGEST_LITERAL: usize = 1024;

/// What marks a regular expression.
pub(super) const REGEX_MARK: &str = "re:";

/// A pattern: literal text is found anywhere in a line, ASCII letters in either case; a regular expression means
/// exactly what it says. `^` and `$` are the ends of each line of a trace.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Literal(Literal),
    Regex(Expression),
}

/// A literal text, and the expression by which it is looked for: the library is quicker at that than anything simple.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    text: String,
    search: Expression,
}

impl Literal {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), search: Expression::of_literal(text) }
    }

    /// The text, as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where it is found in a line.
    pub(super) fn find(&self, line: &str) -> Option<Range<usize>> {
        self.search.regex()?.find(line).map(|found| found.range())
    }
}

impl Pattern {
    /// Reads a pattern; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(expression) = text.strip_prefix(REGEX_MARK) else {
            if text.trim().is_empty() {
                return Err("empty pattern: it would match every line".to_owned());
            }
            if text.len() > LONGEST_LITERAL {
                return Err(format!(
                    "this text is longer than {LONGEST_LITERAL} bytes: a part of it will do"
                ));
            }
            return Ok(Self::Literal(Literal::new(text)));
        };
        Expression::parse(expression).map(Self::Regex)
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => literal.search.is_match(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    /// The names of its captures.
    pub(super) fn capture_names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::Literal(_) => &[],
            Self::Regex(expression) => expression.capture_names(),
        };
        names.iter().map(String::as_str)
    }

    /// Whether it has named captures.
    fn captures_anything(&self) -> bool {
        self.capture_names().next().is_some()
    }

    /// Matches and adds what was captured to `captures`.
    pub(super) fn capture(&self, text: &str, captures: &mut Vec<(String, String)>) -> bool {
        // To say that there is no match costs far less than to look for one with its groups.
        if !self.is_match(text) {
            return false;
        }
        let Self::Regex(expression) = self else { return true };
        if expression.capture_names().is_empty() {
            return true;
        }
        let Some(found) = expression.regex().and_then(|regex| regex.captures(text)) else {
            return false;
        };
        for name in expression.capture_names() {
            if let Some(value) = found.name(name) {
                captures.push((name.clone(), value.as_str().to_owned()));
            }
        }
        true
    }

    /// Sets of literals, the best first: of each every match contains one.
    pub(super) fn requires(&self) -> Vec<Required> {
        match self {
            Self::Literal(one) => literal::of_literal(&one.text).into_iter().collect(),
            Self::Regex(regex) => literal::of_regex(regex.as_str()),
        }
    }

    /// Literals of which every match contains one.
    pub(super) fn required(&self) -> Option<Required> {
        self.requires().into_iter().next()
    }

    /// A regular expression that matches wherever this does.
    pub(super) fn expression(&self) -> String {
        match self {
            Self::Literal(one) => format!("(?i:{})", regex::escape(&one.text)),
            Self::Regex(regex) => regex.as_str().to_owned(),
        }
    }

    /// As it stands in the rule file.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Literal(one) => one.text.clone(),
            Self::Regex(regex) => format!("{REGEX_MARK}{}", regex.as_str()),
        }
    }
}

/// Regular expressions of patterns, looked for at once; the error is a sentence for the rules' author.
pub(super) fn set(expressions: &[String]) -> Result<RegexSet, String> {
    RegexSetBuilder::new(expressions.iter().map(|one| expression::ascii_boundaries(one)))
        .multi_line(true)
        .size_limit(expression::LIMIT.saturating_mul(expressions.len()))
        .dfa_size_limit(SET_CACHE)
        .build()
        .map_err(|error| expression::why(&error))
}

/// Patterns of which one must match.
#[derive(Debug, Clone, Default)]
pub(super) struct AnyOf(Vec<Pattern>);

impl AnyOf {
    pub(super) const fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(text))
    }

    /// The first pattern that matches and has captures to give, or else the first that matches.
    pub(super) fn find(&self, text: &str, captures: &mut Vec<(String, String)>) -> Option<usize> {
        self.find_among(0..self.0.len(), text, captures)
    }

    /// The same when it is known that only `these` can match, given in order.
    pub(super) fn find_among(
        &self,
        these: impl Iterator<Item = usize> + Clone,
        text: &str,
        captures: &mut Vec<(String, String)>,
    ) -> Option<usize> {
        let mut giving = these.clone().filter(|&index| self.0[index].captures_anything());
        giving.find(|&index| self.0[index].capture(text, captures)).or_else(|| {
            let mut others = these.filter(|&index| !self.0[index].captures_anything());
            others.find(|&index| self.0[index].is_match(text))
        })
    }

    /// A gate for each pattern.
    pub(super) fn gates(&self) -> Vec<Gate> {
        let gate = |(index, pattern): (usize, &Pattern)| {
            let mut sets = pattern.requires().into_iter();
            let key = sets.next().map_or_else(|| Key::Regex(pattern.expression()), Key::Literals);
            Gate { alternative: Some(index), key, also: sets.next() }
        };
        self.0.iter().enumerate().map(gate).collect()
    }
}

/// A pattern for one field of a structured line: whole values, or a regular expression over part of one.
#[derive(Debug, Clone)]
pub(super) enum FieldPattern {
    /// The value is one of these, ASCII letters in either case.
    OneOf(Vec<String>),
    Regex(Pattern),
}

impl FieldPattern {
    /// Reads `a|b` or `re:…`; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(REGEX_MARK) {
            return Pattern::parse(text).map(Self::Regex);
        }
        let values: Vec<String> = text.split('|').map(|value| value.trim().to_owned()).collect();
        if values.iter().any(String::is_empty) {
            return Err(format!("{} has an empty alternative", quoted(text)));
        }
        Ok(Self::OneOf(values))
    }

    pub(super) fn capture(&self, value: &str, captures: &mut Vec<(String, String)>) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|one| one.eq_ignore_ascii_case(value)),
            Self::Regex(pattern) => pattern.capture(value, captures),
        }
    }

    pub(super) fn capture_names(&self) -> Vec<String> {
        match self {
            Self::OneOf(_) => Vec::new(),
            Self::Regex(pattern) => pattern.capture_names().map(str::to_owned).collect(),
        }
    }

    /// As it stands in the rule file.
    pub(super) fn source(&self) -> String {
        match self {
            Self::OneOf(values) => values.join("|"),
            Self::Regex(pattern) => pattern.source(),
        }
    }

    /// Whether it is compared with whole values.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self, Self::OneOf(_))
    }

    pub(super) fn required(&self) -> Option<Required> {
        match self {
            Self::OneOf(values) => literal::union(values.iter().map(|value| literal::of_literal(value))),
            Self::Regex(pattern) => pattern.required(),
        }
    }
}
