//! How one line meets a `log` trigger, condition by condition: what `rules explain` marks and `rules why-not` blames.
//! The engine asks only whether all of them hold; a person wants to know which words made each of them hold, or not.

use std::borrow::Cow;
use std::ops::Range;

use super::ansi;
use super::log::LogPattern;
use super::pattern::{FieldPattern, Pattern};
use super::rule::{Rule, Trigger};
use super::structured::Structured;

/// One condition of a `log` trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The pattern of this number (from 1) of `any`, of which there are so many.
    Any(usize, usize),
    /// One of `all`, in the same way.
    All(usize, usize),
    /// One of `not`, in the same way.
    Not(usize, usize),
    /// A member of a JSON line.
    Json(String),
    /// A field of a logfmt line.
    Field(String),
}

/// What became of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Its pattern is found, in these bytes of the line.
    At(Range<usize>),
    /// The field has a value that fits, which stands in these bytes of the line when it can be pointed at.
    Value(String, Option<Range<usize>>),
    /// Its pattern is not found.
    Missing,
    /// The field has this value, which does not fit.
    OtherValue(String),
    /// The line has no such field.
    NoField,
    /// The line is not of the form that has fields: no JSON object, no logfmt.
    OtherForm,
}

/// A condition, its pattern as the rule file has it, and what became of it on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which condition.
    pub condition: Condition,
    /// Its pattern.
    pub pattern: String,
    /// What became of it.
    pub finding: Finding,
}

/// A line, condition by condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The line as patterns see it: without colours. Byte ranges are of this text.
    pub line: String,
    /// Every condition of the trigger.
    pub verdicts: Vec<Verdict>,
}

impl Verdict {
    /// Whether the pattern was found, or the field fits.
    #[must_use]
    pub const fn is_found(&self) -> bool {
        matches!(self.finding, Finding::At(_) | Finding::Value(..))
    }

    /// The bytes of the line that it is about, when it was found.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match &self.finding {
            Finding::At(span) | Finding::Value(_, Some(span)) => Some(span.clone()),
            _ => None,
        }
    }
}

impl Inspection {
    /// Whether the trigger as a whole matches.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken().is_none()
    }

    /// The first condition that keeps the trigger from matching: a `not` that is found, or anything else that is not.
    /// Of `any`, the first pattern stands for all when none is found.
    #[must_use]
    pub fn broken(&self) -> Option<&Verdict> {
        let any_found = self
            .verdicts
            .iter()
            .any(|verdict| matches!(verdict.condition, Condition::Any(..)) && verdict.is_found());
        self.verdicts.iter().find(|verdict| match verdict.condition {
            Condition::Any(..) => !any_found,
            Condition::Not(..) => verdict.is_found(),
            Condition::All(..) | Condition::Json(_) | Condition::Field(_) => !verdict.is_found(),
        })
    }

    /// How many conditions hold that a line must meet by something in it: how near it came.
    #[must_use]
    pub fn held(&self) -> usize {
        let counts =
            |verdict: &&Verdict| !matches!(verdict.condition, Condition::Not(..)) && verdict.is_found();
        self.verdicts.iter().filter(counts).count()
    }

    /// The bytes of the line that made the trigger match, in order and merged where they overlap.
    #[must_use]
    pub fn marks(&self) -> Vec<Range<usize>> {
        let wanted = |verdict: &&Verdict| !matches!(verdict.condition, Condition::Not(..));
        let mut spans: Vec<_> = self.verdicts.iter().filter(wanted).filter_map(Verdict::span).collect();
        spans.sort_by_key(|span| (span.start, span.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for span in spans.into_iter().filter(|span| !span.is_empty()) {
            match merged.last_mut().filter(|last| span.start <= last.end) {
                Some(last) => last.end = last.end.max(span.end),
                None => merged.push(span),
            }
        }
        merged
    }
}

impl Rule {
    /// A line, condition by condition; `None` for a rule that events make fire.
    #[must_use]
    pub fn inspect(&self, line: &str) -> Option<Inspection> {
        match &self.trigger {
            Trigger::Log(pattern) => Some(inspect(pattern, line)),
            _ => None,
        }
    }
}

fn inspect(pattern: &LogPattern, line: &str) -> Inspection {
    let line = ansi::strip(line, &mut String::new()).to_owned();
    let structured = Structured::of(&line);
    let mut verdicts = Vec::new();
    verdicts.extend(of_list(pattern.any.patterns(), &line, Condition::Any));
    verdicts.extend(of_list(&pattern.all, &line, Condition::All));
    verdicts.extend(of_list(pattern.not.patterns(), &line, Condition::Not));
    if !pattern.json.is_empty() {
        let value = |name: &str| structured.is_json().then(|| structured.json(name).map(Cow::into_owned));
        verdicts.extend(of_fields(&pattern.json, &line, value, Condition::Json));
    }
    if !pattern.fields.is_empty() {
        let value = |name: &str| structured.is_logfmt().then(|| structured.logfmt(name).map(Cow::into_owned));
        verdicts.extend(of_fields(&pattern.fields, &line, value, Condition::Field));
    }
    Inspection { line, verdicts }
}

fn of_list(patterns: &[Pattern], line: &str, condition: fn(usize, usize) -> Condition) -> Vec<Verdict> {
    let verdict = |(index, pattern): (usize, &Pattern)| Verdict {
        condition: condition(index + 1, patterns.len()),
        pattern: pattern.source(),
        finding: find(pattern, line).map_or(Finding::Missing, Finding::At),
    };
    patterns.iter().enumerate().map(verdict).collect()
}

/// `value` gives `None` when the line is not of that form, and `Some(None)` when it has no such field.
fn of_fields(
    patterns: &[(String, FieldPattern)],
    line: &str,
    value: impl Fn(&str) -> Option<Option<String>>,
    condition: fn(String) -> Condition,
) -> Vec<Verdict> {
    let finding = |name: &str, pattern: &FieldPattern| match value(name) {
        None => Finding::OtherForm,
        Some(None) => Finding::NoField,
        Some(Some(value)) if pattern.capture(&value, &mut Vec::new()) => {
            let span = stands_at(line, name, &value);
            Finding::Value(value, span)
        }
        Some(Some(value)) => Finding::OtherValue(value),
    };
    let verdict = |(name, pattern): &(String, FieldPattern)| Verdict {
        condition: condition(name.clone()),
        pattern: pattern.source(),
        finding: finding(name, pattern),
    };
    patterns.iter().map(verdict).collect()
}

/// Where the value of a field stands: after its name, when it is written there as it is.
fn stands_at(line: &str, path: &str, value: &str) -> Option<Range<usize>> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let after = line.find(name)? + name.len();
    let start = after + line[after..].find(value)?;
    (!value.is_empty()).then(|| start..start + value.len())
}

/// Where a pattern is found.
pub(super) fn find(pattern: &Pattern, line: &str) -> Option<Range<usize>> {
    match pattern {
        Pattern::Literal(literal) => literal.find(line),
        Pattern::Regex(expression) => expression.regex()?.find(line).map(|found| found.range()),
    }
}

/// Where a literal is found, ASCII letters in either case.
pub(super) fn find_ignoring_case(line: &str, literal: &str) -> Option<Range<usize>> {
    let (bytes, needle) = (line.as_bytes(), literal.as_bytes());
    let start = bytes.windows(needle.len().max(1)).position(|window| window.eq_ignore_ascii_case(needle))?;
    Some(start..start + needle.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;

    fn rule(log: &str) -> Rule {
        let text =
            format!("pack = \"t\"\nschema = 1\n[[rule]]\nid = \"r\"\nclass = \"overload\"\nlog = {log}\n");
        RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap().rules()[0].clone()
    }

    #[test]
    fn the_words_that_matched_are_marked() {
        for (log, line, marked) in [
            ("{ any = ['b C', 'gone'] }", "a B c d", "a [B c] d"),
            ("{ any = ['re:x=\\d+'], all = ['größe', 'x=1'] }", "größe x=12", "[größe] [x=12]"),
            ("{ any = ['too many'] }", "\u{1b}[31mtoo\u{1b}[0m many", "[too many]"),
            (
                "{ json = { level = 'error', msg = 're:bad' } }",
                r#"{"level":"ERROR","msg":"bad luck"}"#,
                r#"{"level":"[ERROR]","msg":"[bad luck]"}"#,
            ),
            ("{ fields = { level = 'error' } }", "level=error x=error", "level=[error] x=error"),
        ] {
            let found = rule(log).inspect(line).unwrap();
            assert!(found.holds(), "{log}: {found:?}");
            let mut shown = found.line.clone();
            for span in found.marks().into_iter().rev() {
                shown.insert(span.end, ']');
                shown.insert(span.start, '[');
            }
            assert_eq!(shown, marked, "{log}");
        }
    }

    #[test]
    fn the_first_broken_condition_is_named() {
        for (log, line, condition, finding) in [
            ("{ any = ['aaa', 'bbb'] }", "ccc", Condition::Any(1, 2), Finding::Missing),
            ("{ any = ['aaa'], not = ['x', 'yy'] }", "aaa yy", Condition::Not(2, 2), Finding::At(4..6)),
            ("{ any = ['aaa'], all = ['aa', 'bb'] }", "aaa", Condition::All(2, 2), Finding::Missing),
            (
                "{ json = { level = 'error|fatal' } }",
                r#"{"level":"info"}"#,
                Condition::Json("level".to_owned()),
                Finding::OtherValue("info".to_owned()),
            ),
            (
                "{ json = { level = 'error' } }",
                "level=error",
                Condition::Json("level".to_owned()),
                Finding::OtherForm,
            ),
            (
                "{ fields = { level = 'error' } }",
                "msg=x",
                Condition::Field("level".to_owned()),
                Finding::NoField,
            ),
        ] {
            let rule = rule(log);
            let found = rule.inspect(line).unwrap();
            let broken = found.broken().unwrap();
            assert_eq!((&broken.condition, &broken.finding), (&condition, &finding), "{log} on {line}");
        }
    }

    /// The inspection says what the engine says, on every line that the built-in packs bring.
    #[test]
    fn the_inspection_agrees_with_the_engine() {
        let rules = std::sync::Arc::new(RuleSet::builtin());
        let mut scanner = crate::rules::Scanner::new(std::sync::Arc::clone(&rules));
        let mut held = 0;
        for line in crate::rules::tests::sample_lines(&rules) {
            let matched: Vec<usize> = scanner.matches(&line).iter().map(|found| found.rule).collect();
            let holds = |rule: &Rule| rule.inspect(&line).is_some_and(|found| found.holds());
            let inspected: Vec<usize> =
                (0..rules.rules().len()).filter(|&number| holds(&rules.rules()[number])).collect();
            assert_eq!(matched, inspected, "{line}");
            held += matched.len();
        }
        assert!(held > 100, "{held}");
    }
}
