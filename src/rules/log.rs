//! The `log` trigger: what a line must and must not contain, as text or in a field.

use super::literal::{self, Required, SHORTEST};
use super::pattern::{AnyOf, FieldPattern, Pattern};
use super::structured;

/// A compiled `log` trigger. Everything that is given must hold.
#[derive(Debug, Clone)]
pub(super) struct LogPattern {
    /// One of these matches, when any is given.
    pub(super) any: AnyOf,
    /// Each of these matches.
    pub(super) all: Vec<Pattern>,
    /// None of these matches.
    pub(super) not: AnyOf,
    /// Members of a line that is a JSON object.
    pub(super) json: Vec<(String, FieldPattern)>,
    /// Fields of a line that is logfmt.
    pub(super) fields: Vec<(String, FieldPattern)>,
}

/// What a line gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogMatch {
    pub(super) captures: Vec<(String, String)>,
    /// Which pattern of `any` matched.
    pub(super) alternative: Option<usize>,
}

impl LogPattern {
    /// Whether nothing is asked for that a line must have.
    pub(super) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty() && self.json.is_empty() && self.fields.is_empty()
    }

    /// Matches a line that was stripped of colours.
    pub(super) fn matches(&self, line: &str) -> Option<LogMatch> {
        let mut captures = Vec::new();
        let alternative = if self.any.is_empty() { None } else { Some(self.any.find(line, &mut captures)?) };
        if !self.all.iter().all(|pattern| pattern.capture(line, &mut captures)) {
            return None;
        }
        if self.not.find(line, &mut Vec::new()).is_some() {
            return None;
        }
        if !self.json.is_empty() {
            let object = structured::json(line)?;
            fields_match(&self.json, |name| structured::member(&object, name), &mut captures)?;
        }
        if !self.fields.is_empty() {
            let fields = structured::logfmt(line)?;
            let value = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, v)| v.clone());
            fields_match(&self.fields, value, &mut captures)?;
        }
        Some(LogMatch { captures, alternative })
    }

    /// The best set of literals of which every matching line contains one; `None` when there is none, and every line
    /// must be tried.
    pub(super) fn required(&self) -> Option<Required> {
        let any = if self.any.is_empty() { None } else { self.any.required() };
        let all = self.all.iter().filter_map(Pattern::required);
        let fields = self.fields.iter().filter_map(|(_, pattern)| pattern.required().and_then(unescaped));
        let json = self.json.iter().filter_map(|(_, pattern)| pattern.required().and_then(json_escaped));
        literal::best(any.into_iter().chain(all).chain(fields).chain(json))
    }

    /// Names of captures that every match has, and of those that only some have.
    pub(super) fn capture_names(&self) -> (Vec<String>, Vec<String>) {
        let mut always: Vec<String> = Vec::new();
        always.extend(self.all.iter().flat_map(Pattern::capture_names).map(str::to_owned));
        let structured = self.json.iter().chain(&self.fields);
        always.extend(structured.flat_map(|(_, pattern)| pattern.capture_names()));
        let mut sometimes = Vec::new();
        for name in self.any.patterns().iter().flat_map(Pattern::capture_names) {
            let everywhere =
                self.any.patterns().iter().all(|pattern| pattern.capture_names().any(|other| other == name));
            if everywhere { &mut always } else { &mut sometimes }.push(name.to_owned());
        }
        (always, sometimes)
    }
}

fn fields_match(
    patterns: &[(String, FieldPattern)],
    value: impl Fn(&str) -> Option<String>,
    captures: &mut Vec<(String, String)>,
) -> Option<()> {
    patterns
        .iter()
        .all(|(name, pattern)| value(name).is_some_and(|value| pattern.capture(&value, captures)))
        .then_some(())
}

/// Of each literal, the longest stretch that no escaping in quotes can change.
fn unescaped(set: Required) -> Option<Required> {
    set.iter()
        .map(|literal| {
            literal
                .split(|c: char| {
                    !(c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '-' | ','))
                })
                .max_by_key(|stretch| stretch.len())
                .filter(|stretch| stretch.len() >= SHORTEST)
                .map(str::to_owned)
        })
        .collect()
}

/// The same for JSON, which may also write any character as `\u00xx`: such lines are tried as well.
fn json_escaped(set: Required) -> Option<Required> {
    let mut set = unescaped(set)?;
    set.push(r"\u00".to_owned());
    Some(set)
}
