//! `arcane rules explain`: which rules know a line, by which words, and what would come of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::args::Explain;
use super::input::{Evidence, Text};
use super::load;
use super::marks::marked;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::fleet::text::{plural, printable};
use crate::fleet::{Fact, Observation, Signal};
use crate::rules::{Condition, Explained, Explainer, Match, Outcome, Rule, Verdict};

/// What to type instead of a directory.
const INSTEAD: &str = "name a file in it: `arcane rules explain FILE`; or give all of them: `cat DIR/*.log | arcane rules explain -`";
/// How much of a pattern or a captured value is shown.
const SHORT: usize = 120;
/// Signals that are listed one by one.
const LISTED: usize = 50;

pub(super) fn run(ui: &Ui, arguments: &Arguments, options: &Explain) -> Result<u8, Failure> {
    let rules = Arc::new(load(&arguments.directory, &options.rules.paths)?);
    let text = Text::line_or_file(&options.source, INSTEAD)?;
    let evidence = text.evidence(ui, &options.setting)?;
    let mut report = Report {
        ui,
        options,
        is_typed: text.is_typed,
        explainer: Explainer::new(rules),
        tally: Tally::default(),
    };
    report.all(&evidence);
    Ok(exit::DONE)
}

struct Report<'a> {
    ui: &'a Ui,
    options: &'a Explain,
    is_typed: bool,
    explainer: Explainer,
    tally: Tally,
}

/// What there is to sum up.
#[derive(Default)]
struct Tally {
    lines: usize,
    known: usize,
    signals: Vec<Signal>,
    /// Lines of one kind, known to the same rules in the same way, by how often they came.
    kinds: BTreeMap<Vec<(usize, usize, String)>, usize>,
    /// The kinds in the order in which they came first, and where.
    order: Vec<(Vec<(usize, usize, String)>, usize)>,
}

impl Report<'_> {
    fn all(&mut self, evidence: &Evidence) {
        for (number, observation) in &evidence.observations {
            let explained = self.explainer.explain(observation);
            let Some(number) = *number else { continue };
            let is_line = matches!(observation.fact, Fact::Line { .. });
            self.tally.lines += usize::from(is_line);
            self.tally.signals.extend(explained.signals.iter().cloned());
            if !explained.matches.is_empty() {
                self.tally.known += usize::from(is_line);
                self.known(number, observation, &explained);
            }
        }
        self.sum_up(evidence);
    }

    fn known(&mut self, number: usize, observation: &Observation, explained: &Explained) {
        if self.options.json {
            self.ui.json(&shape(self.explainer.rules().rules(), number, observation, explained));
            return;
        }
        let kind: Vec<_> = explained.matches.iter().map(kind).collect();
        let count = self.tally.kinds.entry(kind.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.tally.order.push((kind, number));
        } else if !self.options.all {
            return;
        }
        if !self.is_typed {
            self.ui.out(&format!("line {number}, {}", observation.at));
        }
        for found in &explained.matches {
            self.explain(observation, found);
        }
    }

    fn explain(&self, observation: &Observation, found: &Match) {
        let rule = &self.explainer.rules().rules()[found.rule];
        if let Some(inspection) = &found.inspection {
            for line in marked(&inspection.line, &inspection.marks()) {
                self.ui.out(&format!("    {line}"));
            }
        } else {
            self.ui.out(&format!("    {}", event(observation)));
        }
        self.ui.out(&format!("  {} ({})", rule.name(), rule.class()));
        for verdict in found.inspection.iter().flat_map(|inspection| &inspection.verdicts) {
            if verdict.is_found() {
                self.ui.out(&format!("    {}", condition(verdict)));
            }
        }
        for (name, value) in &found.captures {
            self.ui.out(&format!("    {name} = {}", printable(value, SHORT)));
        }
        for outcome in &found.outcomes {
            self.ui.out(&format!("    -> {outcome}"));
        }
        if found.outcomes.is_empty() {
            self.ui.out("    -> not judged: only the live container is");
        }
        let needs = rule.needs();
        if !needs.is_empty() && !found.outcomes.contains(&Outcome::Fired) {
            self.ui.out(&format!("    it asks for {}", needs.join(", and ")));
        }
    }

    fn sum_up(&self, evidence: &Evidence) {
        let tally = &self.tally;
        let unknown = tally.lines - tally.known.min(tally.lines);
        if self.options.json {
            let signals: Vec<_> = tally.signals.iter().map(signal_shape).collect();
            self.ui.json(&json!({
                "event": "summary", "lines": tally.lines, "known": tally.known, "unknown": unknown,
                "times": evidence.times, "signals": signals,
            }));
            return;
        }
        if self.is_typed && tally.lines == 1 {
            if tally.known == 0 {
                self.ui.out("no rule knows this line");
            }
            return;
        }
        for (kind, first) in tally.order.iter().filter(|_| !self.options.all) {
            let more = tally.kinds.get(kind).map_or(0, |count| count - 1);
            if more > 0 {
                self.ui.out(&format!("like line {first}: {}", plural(more, "more line")));
            }
        }
        self.ui.out(&format!(
            "{}: {} known to a rule, {unknown} to none; {}",
            plural(tally.lines, "line"),
            tally.known,
            evidence.times
        ));
        if tally.signals.is_empty() {
            self.ui.out("nothing would fire");
        }
        for signal in tally.signals.iter().take(LISTED) {
            let say = printable(&signal.say, 200);
            self.ui.out(&format!("{}  {} would fire: {say}", signal.at, signal.rule));
        }
        let more = tally.signals.len().saturating_sub(LISTED);
        if more > 0 {
            self.ui.out(&format!("… and {}", plural(more, "more signal")));
        }
    }
}

/// What makes two lines of one kind: the rule, its alternative, and what became of it, but for counts.
fn kind(found: &Match) -> (usize, usize, String) {
    let any =
        found.inspection.iter().flat_map(|inspection| &inspection.verdicts).find_map(|verdict| match verdict
            .condition
        {
            Condition::Any(number, _) if verdict.is_found() => Some(number),
            _ => None,
        });
    let outcome = found.outcomes.last().map_or_else(String::new, |outcome| match outcome {
        Outcome::Counted { .. } => "counted".to_owned(),
        other => other.to_string(),
    });
    (found.rule, any.unwrap_or(0), outcome)
}

/// An event in words.
pub(super) fn event(observation: &Observation) -> String {
    match &observation.fact {
        Fact::Died { exit_code } => format!("die, exit code {exit_code}"),
        fact => crate::rules::EventKind::of(fact).map_or("a fact", |kind| kind.as_str()).to_owned(),
    }
}

/// A condition and its pattern, in words.
pub(super) fn condition(verdict: &Verdict) -> String {
    let name = name(&verdict.condition);
    format!("{name}: {}", printable(&verdict.pattern, SHORT))
}

/// A condition's name, as it stands in the rule file.
pub(super) fn name(condition: &Condition) -> String {
    match condition {
        Condition::Any(number, of) => format!("any {number} of {of}"),
        Condition::All(number, of) => format!("all {number} of {of}"),
        Condition::Not(number, of) => format!("not {number} of {of}"),
        Condition::Json(name) => format!("json {}", printable(name, SHORT)),
        Condition::Field(name) => format!("fields {}", printable(name, SHORT)),
    }
}

fn shape(
    rules: &[Rule],
    number: usize,
    observation: &Observation,
    explained: &Explained,
) -> serde_json::Value {
    let of_match = |found: &Match| {
        let rule = &rules[found.rule];
        let inspection = found.inspection.as_ref();
        let verdicts = inspection.iter().flat_map(|inspection| &inspection.verdicts);
        let conditions: Vec<_> = verdicts
            .map(|verdict| {
                json!({
                    "condition": name(&verdict.condition), "pattern": verdict.pattern,
                    "found": verdict.is_found(), "span": verdict.span().map(|span| [span.start, span.end]),
                })
            })
            .collect();
        let outcomes: Vec<_> = found.outcomes.iter().map(ToString::to_string).collect();
        let captures: BTreeMap<_, _> = found.captures.iter().map(|(name, value)| (name, value)).collect();
        json!({
            "rule": rule.name(), "class": rule.class(), "conditions": conditions, "captures": captures,
            "outcomes": outcomes, "needs": rule.needs(),
        })
    };
    let matches: Vec<_> = explained.matches.iter().map(of_match).collect();
    let text = explained
        .matches
        .iter()
        .find_map(|found| found.inspection.as_ref())
        .map_or_else(|| event(observation), |inspection| inspection.line.clone());
    let signals: Vec<_> = explained.signals.iter().map(signal_shape).collect();
    json!({ "line": number, "at": observation.at, "text": text, "matches": matches, "signals": signals })
}

fn signal_shape(signal: &Signal) -> serde_json::Value {
    json!({ "at": signal.at, "rule": signal.rule, "class": signal.class, "say": signal.say })
}
