//! `arcane rules why-not`: the first condition that kept a rule from firing, where it came nearest.

use std::ops::Range;
use std::sync::Arc;

use serde_json::json;

use super::args;
use super::explain::{condition, event, name};
use super::input::{Evidence, Text};
use super::marks::marked;
use super::{load, one};
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::fleet::Observation;
use crate::fleet::text::{plural, printable, quoted};
use crate::rules::{Finding, Near, Obstacle, Outcome, Verdict, WhyNot, why_not};

/// What to type instead of a directory.
const INSTEAD: &str = "name a file in it: `arcane rules why-not RULE FILE`; or give all of them: `cat DIR/*.log | arcane rules why-not RULE -`";
/// How much of a pattern is shown.
const SHORT: usize = 120;

pub(super) fn run(ui: &Ui, arguments: &Arguments, options: &args::WhyNot) -> Result<u8, Failure> {
    let rules = Arc::new(load(&arguments.directory, &options.rules.paths)?);
    let rule = one(&rules, &options.rule)?;
    let text = Text::file(&options.source, INSTEAD)?;
    let evidence = text.evidence(ui, &options.setting)?;
    let (numbers, observations): (Vec<Option<usize>>, Vec<Observation>) =
        evidence.observations.iter().cloned().unzip();
    let answer = why_not(&rules, rule, &observations);
    let told = answer.obstacle.as_ref().map(|obstacle| tell(obstacle, &observations));
    let line = told.as_ref().and_then(|told| told.at).and_then(|at| numbers[at]);
    let rule = rules.rules()[rule].name();
    if options.json {
        ui.json(&json!({
            "rule": rule, "fired": answer.fired, "lines": answer.lines, "events": answer.events,
            "matched": answer.matched, "line": line, "times": evidence.times,
            "why": told.as_ref().map(|told| &told.why), "text": told.as_ref().map(|told| &told.text),
            "span": told.as_ref().and_then(|told| told.span.as_ref()).map(|span| [span.start, span.end]),
        }));
        return Ok(exit::DONE);
    }
    ui.out(&summary(rule, &answer, &evidence));
    if let Some(told) = &told {
        if let Some(line) = line {
            ui.out(&format!("line {line} {}", told.how_near));
        }
        if let Some(text) = &told.text {
            for line in marked(text, told.span.as_slice()) {
                ui.out(&format!("    {line}"));
            }
        }
        ui.out(&told.why);
        if let Some(hint) = told.hint.filter(|_| !evidence.is_recording) {
            ui.tagged(Tag::Hint, hint);
        }
    }
    Ok(exit::DONE)
}

fn summary(rule: &str, answer: &WhyNot, evidence: &Evidence) -> String {
    let seen = match answer.events {
        0 => plural(answer.lines, "line"),
        events => format!("{} and {}", plural(answer.lines, "line"), plural(events, "event")),
    };
    let matched = answer.matched;
    match answer.fired {
        0 => format!("{rule} did not fire: {matched} of {seen} met its trigger; {}", evidence.times),
        fired => format!(
            "{rule} fired {}: {matched} of {seen} met its trigger; {}",
            plural(fired, "time"),
            evidence.times
        ),
    }
}

/// An obstacle, told.
struct Told {
    /// The observation that it is about, as an index.
    at: Option<usize>,
    /// What that one is, after its line: `came nearest`.
    how_near: &'static str,
    /// The line, and what of it matters.
    text: Option<String>,
    span: Option<Range<usize>>,
    why: String,
    /// What to do about it when it was no recording.
    hint: Option<&'static str>,
}

fn tell(obstacle: &Obstacle, observations: &[Observation]) -> Told {
    let nothing = Told { at: None, how_near: "", text: None, span: None, why: String::new(), hint: None };
    match obstacle {
        Obstacle::NoLines => Told { why: "there is no line at all".to_owned(), ..nothing },
        Obstacle::NothingAlike { missing } => {
            Told { why: format!("no line has anything like {}", condition(missing)), ..nothing }
        }
        Obstacle::Line { at, inspection, broken, near } => Told {
            at: Some(*at),
            how_near: "came nearest",
            text: Some(inspection.line.clone()),
            span: near.as_ref().map(Near::span).or_else(|| broken.span()),
            why: broken_by(broken, near.as_ref()),
            hint: None,
        },
        Obstacle::NoEvent { wanted, other_codes } => {
            let wanted: Vec<_> = wanted.iter().map(|kind| kind.as_str()).collect();
            let wanted = wanted.join(" or ");
            let why = match other_codes.first() {
                Some((_, code)) => format!("it looks for {wanted}, and its `exit_code` leaves out {code}"),
                None => format!("it looks for {wanted}, and there was no such event"),
            };
            Told {
                at: other_codes.first().map(|(at, _)| *at),
                how_near: "came nearest",
                text: other_codes.first().map(|(at, _)| event(&observations[*at])),
                why,
                hint: Some("a log file has lines only; `arcane record APP` records events as well"),
                ..nothing
            }
        }
        Obstacle::Nothing { wanted } => Told {
            why: format!("it waits for {wanted}, and nothing of that was observed"),
            hint: Some("a log file has lines only; `arcane record APP` records events as well"),
            ..nothing
        },
        Obstacle::Judged { at, text, outcome, .. } => Told {
            at: Some(*at),
            how_near: "got furthest",
            text: Some(text.clone()),
            why: outcome.to_string(),
            hint: what_to_do(outcome),
            ..nothing
        },
    }
}

/// Why a line does not match.
fn broken_by(broken: &Verdict, near: Option<&Near>) -> String {
    let which = name(&broken.condition);
    let pattern = printable(&broken.pattern, SHORT);
    match (near, &broken.finding) {
        (Some(Near::OtherCase { .. }), _) => {
            format!(
                "{which} differs in upper and lower case only, about which a regular expression is exact; `re:(?i)…` is not: {pattern}"
            )
        }
        (Some(Near::Begins { rest, .. }), _) => {
            format!("{which} goes on otherwise: after the marked words it wants {}: {pattern}", quoted(rest))
        }
        (None, Finding::At(_) | Finding::Value(..)) => format!("{which} is in it as well: {pattern}"),
        (None, Finding::Missing) => format!("{which} is not in it: {pattern}"),
        (None, Finding::OtherValue(value)) => format!("{which} is {}, not {pattern}", quoted(value)),
        (None, Finding::NoField) => format!("{which} is missing: it should be {pattern}"),
        (None, Finding::OtherForm) => format!("{which} cannot be asked: the line is not of that form"),
    }
}

const fn what_to_do(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::OutOfScope => {
            Some("say whose lines they are with --app, --host, --stream, --image, --role, --label and --env")
        }
        Outcome::Unmet(_) => Some("say how things were with --deploy-age, --uptime and --previous"),
        Outcome::Unconfirmed => Some("a log file has lines only; `arcane record APP` records events as well"),
        _ => None,
    }
}
