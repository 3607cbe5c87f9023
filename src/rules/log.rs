//! The `log` trigger: what a line must and must not contain, as text or in a field.

use std::borrow::Cow;

use super::index::{Gate, Key};
use super::literal::{self, Required, SHORTEST};
use super::pattern::{AnyOf, FieldPattern, Pattern};
use super::structured::Structured;

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

    /// Matches a line that was stripped of colours. Of `any`, only `alternatives` are tried; `None` is for all.
    pub(super) fn matches(
        &self,
        line: &Structured<'_>,
        alternatives: Option<impl Iterator<Item = usize> + Clone>,
    ) -> Option<LogMatch> {
        let text = line.line();
        let mut captures = Vec::new();
        let alternative = match alternatives {
            _ if self.any.is_empty() => None,
            None => Some(self.any.find(text, &mut captures)?),
            Some(alternatives) => Some(self.any.find_among(alternatives, text, &mut captures)?),
        };
        let holds = self.all.iter().all(|pattern| pattern.capture(text, &mut captures))
            && fields_match(&self.json, |name| line.json(name), &mut captures)
            && fields_match(&self.fields, |name| line.logfmt(name), &mut captures)
            && !self.not.is_match(text);
        holds.then_some(LogMatch { captures, alternative })
    }

    /// Patterns of one part, of which every matching line matches one: the part that lets the fewest lines through.
    pub(super) fn gates(&self) -> Vec<Gate> {
        let alone = |required| vec![Gate { alternative: None, key: Key::Literals(required), also: None }];
        let all = literal::best_first(self.all.iter().flat_map(Pattern::requires).collect());
        let fields = self.fields.iter().filter_map(|(_, pattern)| pattern.required().and_then(unescaped));
        let json = self.json.iter().filter_map(|(_, pattern)| json_required(pattern));
        let mut any = (!self.any.is_empty()).then(|| self.any.gates());
        // Where a pattern has no second set of its own, what all of them need is one.
        for gate in any.iter_mut().flatten() {
            gate.also = gate.also.take().or_else(|| all.first().cloned());
        }
        let mut all = all.into_iter();
        let all = all
            .next()
            .map(|required| vec![Gate { alternative: None, key: Key::Literals(required), also: all.next() }]);
        let parts = all.into_iter().chain(fields.chain(json).map(alone));
        let best = parts.chain(any).max_by_key(|gates| gates.iter().map(Gate::selectivity).min());
        best.unwrap_or_else(|| self.loose())
    }

    /// The gates of a trigger that has neither `any` nor literals.
    fn loose(&self) -> Vec<Gate> {
        let key = self.all.first().map_or(Key::Nothing, |pattern| Key::Regex(pattern.expression()));
        vec![Gate { alternative: None, key, also: None }]
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

fn fields_match<'v>(
    patterns: &[(String, FieldPattern)],
    value: impl Fn(&str) -> Option<Cow<'v, str>>,
    captures: &mut Vec<(String, String)>,
) -> bool {
    patterns.iter().all(|(name, pattern)| value(name).is_some_and(|value| pattern.capture(&value, captures)))
}

/// Of each literal, the longest stretch that is in the line as it is in the value, whatever quoting does.
fn unescaped(set: Required) -> Option<Required> {
    set.iter().map(|literal| stretch(literal, |c| matches!(c, ' ' | '_' | '.' | ':' | '-' | ','))).collect()
}

/// The longest stretch of letters, digits and characters that are `also` good.
fn stretch(literal: &str, also: impl Fn(char) -> bool) -> Option<String> {
    literal
        .split(|c: char| !(c.is_ascii_alphanumeric() || also(c)))
        .max_by_key(|stretch| stretch.len())
        .filter(|stretch| stretch.len() >= SHORTEST)
        .map(str::to_owned)
}

/// Literals of a line with a member that the pattern matches. A member that is no text is written anew for matching, so
/// that space and numbers in it may differ; and JSON may write any character of a text by its number: such lines are
/// tried as well.
fn json_required(pattern: &FieldPattern) -> Option<Required> {
    let in_a_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | 'e');
    let set = pattern.required()?;
    let stretches = set.iter().map(|literal| {
        let whole = pattern.is_whole() && literal.bytes().all(|byte| byte.is_ascii_digit());
        stretch(literal, |c| matches!(c, ' ' | '_' | '.' | '-'))
            .filter(|text| whole || !text.chars().all(in_a_number))
    });
    let mut set: Required = stretches.collect::<Option<_>>()?;
    set.extend([r"\u00", r"\u017f", r"\u212a"].map(str::to_owned));
    Some(set)
}
