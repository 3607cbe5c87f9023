//! Patterns that are there in vain: they can never match, add nothing to the ones beside them, or match so much that they
//! say nothing.

use std::collections::{BTreeMap, BTreeSet};

use regex_syntax::hir::{Hir, HirKind, Look};

use super::lint::at_rule;
use super::log::LogPattern;
use super::pattern::{Pattern, REGEX_MARK};
use super::problem::{Problem, Source};
use super::rule::{Rule, Trigger};
use super::set::{RuleSet, Scanner};
use crate::fleet::Fact;
use crate::fleet::text::plural;

/// Words that almost every log has.
const COMMON: [&str; 24] = [
    "error",
    "errors",
    "err",
    "failed",
    "failure",
    "fail",
    "fatal",
    "warn",
    "warning",
    "info",
    "debug",
    "critical",
    "exception",
    "timeout",
    "connection",
    "request",
    "response",
    "null",
    "true",
    "false",
    "denied",
    "invalid",
    "unknown",
    "retry",
];
/// Of so many other rules, at least, a broad rule matches samples …
const BROAD: usize = 6;
/// … which are at least one in so many of those that there are.
const BROAD_SHARE: usize = 8;

/// What of a rule's patterns is there in vain.
pub(super) fn parts(rule: &Rule, pattern: &LogPattern, sources: &[Source]) -> Vec<Problem> {
    let tell =
        |message: String, hint: &str| at_rule(rule, sources, format!("rule `{}`: {message}", rule.id), hint);
    let mut problems = Vec::new();
    if !pattern.json.is_empty() && !pattern.fields.is_empty() {
        let message = "it asks for `json` and for `fields`, and no line is both JSON and logfmt".to_owned();
        problems.push(tell(message, "make two rules of it"));
    }
    let any = pattern.any.patterns();
    let not = pattern.not.patterns();
    for one in any.iter().chain(&pattern.all).chain(not) {
        if let Some(why) = impossible(one) {
            problems.push(tell(
                format!("the pattern `{}` never matches: {why}", one.source()),
                "correct it, or leave it out",
            ));
        }
    }
    for one in any.iter().chain(&pattern.all) {
        if let Some(excluded) = not.iter().find(|excluded| implies(one, excluded)) {
            let message =
                format!("every match of `{}` is left out by `not`: `{}`", one.source(), excluded.source());
            problems.push(tell(message, "leave one of them out"));
        }
    }
    for (index, one) in any.iter().enumerate() {
        let gives = one.capture_names().next().is_some();
        let earlier = |other: usize| other < index || !implies(&any[other], one);
        let wider = any
            .iter()
            .enumerate()
            .find(|&(other, wider)| other != index && implies(one, wider) && earlier(other));
        if let Some((_, wider)) = wider.filter(|_| !gives) {
            let message = format!(
                "the pattern `{}` adds nothing: `{}` matches whatever it matches",
                one.source(),
                wider.source()
            );
            problems.push(tell(message, "leave it out, or narrow the other"));
        }
    }
    let is_broad = rule.threshold.count == 1 && !rule.is_fallback() && pattern.all.is_empty();
    for one in any.iter().filter(|_| is_broad && pattern.json.is_empty() && pattern.fields.is_empty()) {
        let Pattern::Literal(literal) = one else { continue };
        let text = literal.text();
        let word = text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
        if COMMON.contains(&word.as_str()) {
            let message = format!("the pattern `{text}` matches lines of almost every log");
            problems.push(tell(message, "say more of the line, or ask for a `count`"));
        }
    }
    problems
}

/// Whether whatever `one` matches, `other` matches too; as far as literal texts tell.
fn implies(one: &Pattern, other: &Pattern) -> bool {
    let Pattern::Literal(text) = other else { return false };
    let text = text.text().to_ascii_lowercase();
    match one {
        Pattern::Literal(longer) => longer.text().to_ascii_lowercase().contains(&text),
        Pattern::Regex(_) => one.required().is_some_and(|required| {
            required.iter().all(|literal| literal.to_ascii_lowercase().contains(&text))
        }),
    }
}

/// Why a pattern cannot match anything.
fn impossible(pattern: &Pattern) -> Option<&'static str> {
    let source = pattern.source();
    let expression = source.strip_prefix(REGEX_MARK).filter(|_| matches!(pattern, Pattern::Regex(_)))?;
    let hir = regex_syntax::ParserBuilder::new().multi_line(true).build().parse(expression).ok()?;
    if hir.properties().minimum_len().is_none() {
        return Some("no character is in one of its classes");
    }
    misplaced(&hir).then_some("`^` stands behind the beginning of a line, or `$` before its end")
}

/// Whether an anchor stands where none can hold, on the only way through.
fn misplaced(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Concat(parts) => {
            let begins = |look: &Look| matches!(look, Look::Start | Look::StartLF | Look::StartCRLF);
            let ends = |look: &Look| matches!(look, Look::End | Look::EndLF | Look::EndCRLF);
            let anchored = parts.iter().enumerate().any(|(index, part)| match part.kind() {
                HirKind::Look(look) if begins(look) => {
                    let from = parts[..index].iter().rposition(consumes);
                    from.is_some_and(|from| !parts[from..index].iter().any(breaks))
                }
                HirKind::Look(look) if ends(look) => {
                    let after = &parts[index + 1..];
                    after.iter().position(consumes).is_some_and(|to| !after[..=to].iter().any(breaks))
                }
                _ => false,
            });
            anchored || parts.iter().any(misplaced)
        }
        HirKind::Alternation(ways) => ways.iter().all(misplaced),
        HirKind::Capture(capture) => misplaced(&capture.sub),
        HirKind::Repetition(repetition) => repetition.min > 0 && misplaced(&repetition.sub),
        _ => false,
    }
}

/// Whether it always takes a character.
fn consumes(hir: &Hir) -> bool {
    hir.properties().minimum_len().is_some_and(|length| length > 0)
}

/// Whether it can hold a line break.
fn breaks(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.contains(&b'\n') || literal.0.contains(&b'\r'),
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            class.iter().any(|range| range.start() <= '\n' && '\n' <= range.end())
        }
        HirKind::Class(regex_syntax::hir::Class::Bytes(class)) => {
            class.iter().any(|range| range.start() <= b'\n' && b'\n' <= range.end())
        }
        HirKind::Repetition(repetition) => breaks(&repetition.sub),
        HirKind::Capture(capture) => breaks(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(breaks),
        HirKind::Empty | HirKind::Look(_) => false,
    }
}

/// Rules that match the samples of many rules about something else.
pub(super) fn broad(rules: &RuleSet, sources: &[Source]) -> Vec<Problem> {
    let mut samples: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (number, rule) in rules.rules().iter().enumerate() {
        for step in rule.cases.iter().flat_map(|case| case.scripts.iter().flatten()) {
            if let Fact::Line { text, .. } = &step.fact {
                samples.entry(text.as_str()).or_default().insert(number);
            }
        }
    }
    let mut scanner = Scanner::new(std::sync::Arc::new(rules.clone()));
    let mut strangers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (line, owners) in &samples {
        for found in scanner.counted(line) {
            let class = rules.rules()[found.rule].class;
            let others = owners.iter().filter(|&&owner| rules.rules()[owner].class != class);
            strangers.entry(found.rule).or_default().extend(others);
        }
    }
    let with_lines = rules.rules().iter().filter(|rule| matches!(rule.trigger, Trigger::Log(_))).count();
    let broad = strangers.into_iter().filter(|(_, others)| {
        others.len() >= BROAD && others.len().saturating_mul(BROAD_SHARE) >= with_lines
    });
    broad
        .map(|(number, others)| {
            let rule = &rules.rules()[number];
            let message = format!(
                "rule `{}` counts sample lines of {} about something else",
                rule.id,
                plural(others.len(), "rule")
            );
            at_rule(rule, sources, message, "narrow its patterns, or make it a `fallback`")
        })
        .collect()
}
