//! One pattern of a rule: literal text, or a regular expression after `re:`.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use regex::{Regex, RegexBuilder};

use super::literal::{self, Required};
use crate::fleet::text::quoted;

/// Compiled size of one regular expression, in bytes: enough for any sensible one, too little for `\w{1000}`.
const REGEX_LIMIT: usize = 1 << 20;

/// What marks a regular expression.
pub(super) const REGEX_MARK: &str = "re:";

/// A pattern: literal text is found anywhere in a line, ASCII letters in either case; a regular expression means
/// exactly what it says. `^` and `$` are the ends of each line of a trace.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Literal(String),
    Regex(Regex),
}

impl Pattern {
    /// Reads a pattern; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(expression) = text.strip_prefix(REGEX_MARK) else {
            if text.trim().is_empty() {
                return Err("empty pattern: it would match every line".to_owned());
            }
            return Ok(Self::Literal(text.to_owned()));
        };
        let regex = RegexBuilder::new(expression)
            .multi_line(true)
            .size_limit(REGEX_LIMIT)
            .build()
            .map_err(|error| why(&error))?;
        if regex.is_match("") {
            return Err("this regex matches the empty line, and so every line".to_owned());
        }
        Ok(Self::Regex(regex))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => contains_ignoring_case(text, literal),
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    /// The names of its captures.
    pub(super) fn capture_names(&self) -> impl Iterator<Item = &str> {
        let regex = match self {
            Self::Literal(_) => None,
            Self::Regex(regex) => Some(regex),
        };
        regex.into_iter().flat_map(|regex| regex.capture_names().flatten())
    }

    /// Matches and adds what was captured to `captures`.
    pub(super) fn capture(&self, text: &str, captures: &mut Vec<(String, String)>) -> bool {
        let Self::Regex(regex) = self else {
            return self.is_match(text);
        };
        if regex.captures_len() == 1 {
            return regex.is_match(text);
        }
        let Some(found) = regex.captures(text) else {
            return false;
        };
        for name in regex.capture_names().flatten() {
            if let Some(value) = found.name(name) {
                captures.push((name.to_owned(), value.as_str().to_owned()));
            }
        }
        true
    }

    /// Literals of which every match contains one.
    pub(super) fn required(&self) -> Option<Required> {
        match self {
            Self::Literal(text) => literal::of_literal(text),
            Self::Regex(regex) => literal::of_regex(regex.as_str()),
        }
    }

    /// As it stands in the rule file.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Regex(regex) => format!("{REGEX_MARK}{}", regex.as_str()),
        }
    }
}

/// What is wrong with a regular expression, in one line.
fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("this regex needs more than {limit} bytes when compiled")
        }
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("this regex is not valid: {reason}")
        }
    }
}

/// Whether `text` contains `needle`, ASCII letters in either case.
fn contains_ignoring_case(text: &str, needle: &str) -> bool {
    let needle = needle.as_bytes();
    text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// Patterns of which one must match. The literals among them are looked for in a single pass.
#[derive(Debug, Clone)]
pub(super) struct AnyOf {
    patterns: Vec<Pattern>,
    literals: Option<AhoCorasick>,
    /// Indices into `patterns`, in the order of the automaton's own numbering.
    literal_indices: Vec<usize>,
}

impl AnyOf {
    /// Compiles a list; the error is a sentence for the rule's author.
    pub(super) fn new(patterns: Vec<Pattern>) -> Result<Self, String> {
        let (literal_indices, texts): (Vec<usize>, Vec<&str>) = patterns
            .iter()
            .enumerate()
            .filter_map(|(index, pattern)| match pattern {
                Pattern::Literal(text) => Some((index, text.as_str())),
                Pattern::Regex(_) => None,
            })
            .unzip();
        let literals = if texts.is_empty() {
            None
        } else {
            let automaton = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(&texts);
            Some(automaton.map_err(|error| format!("these literals are too many: {error}"))?)
        };
        Ok(Self { patterns, literals, literal_indices })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The first pattern that matches: literals before regular expressions, since they are cheaper, unless a regular
    /// expression has captures to give.
    pub(super) fn find(&self, text: &str, captures: &mut Vec<(String, String)>) -> Option<usize> {
        let with_captures =
            self.patterns.iter().enumerate().find(|(_, pattern)| {
                pattern.capture_names().next().is_some() && pattern.capture(text, captures)
            });
        if let Some((index, _)) = with_captures {
            return Some(index);
        }
        let literal = self.literals.as_ref().and_then(|automaton| automaton.find(text));
        if let Some(found) = literal {
            return self.literal_indices.get(found.pattern().as_usize()).copied();
        }
        self.patterns
            .iter()
            .position(|pattern| matches!(pattern, Pattern::Regex(_)) && pattern.is_match(text))
    }

    pub(super) fn required(&self) -> Option<Required> {
        literal::union(self.patterns.iter().map(Pattern::required))
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

    pub(super) fn required(&self) -> Option<Required> {
        match self {
            Self::OneOf(values) => literal::union(values.iter().map(|value| literal::of_literal(value))),
            Self::Regex(pattern) => pattern.required(),
        }
    }
}
