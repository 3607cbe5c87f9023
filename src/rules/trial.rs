//! Playing the tests that rules carry: a script of lines and events on a virtual clock, run against the whole set, so
//! that a rule which fires on another's samples is found as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::case::{Case, Played};
use super::engine::{Engine, SETTLE};
use super::report::{TestReport, TestResult};
use super::rule::Rule;
use super::set::RuleSet;
use super::stage::{self, START, Stage};
use super::trace::Note;
use crate::fleet::text::{plural, quoted};
use crate::fleet::{Class, Fact, Signal, duration};

/// How many notes a failure shows.
const SHOWN: usize = 6;

/// Runs every test of every rule, or of one.
pub(super) fn run(rules: &RuleSet, only: Option<usize>) -> TestReport {
    let shared = Arc::new(rules.clone());
    let mut results = Vec::new();
    let wanted = |number: &usize| only.is_none_or(|only| only == *number);
    for (number, rule) in rules.rules().iter().enumerate().filter(|(number, _)| wanted(number)) {
        for case in &rule.cases {
            for script in &case.scripts {
                results.push(play(&shared, number, rule, case, script));
            }
        }
    }
    TestReport { results }
}

fn play(rules: &Arc<RuleSet>, number: usize, rule: &Rule, case: &Case, script: &[Played]) -> TestResult {
    let mut engine = Engine::traced(Arc::clone(rules));
    let mut signals = Vec::new();
    let stage = Stage { setting: &case.setting, surroundings: &case.surroundings, start: START };
    for observation in stage::observations(stage, script) {
        signals.extend(engine.replay(&observation));
    }
    let end = script.last().map_or(Duration::ZERO, |step| step.at);
    signals.extend(engine.advance(START + end + case.surroundings.advance + SETTLE));
    let source = &rules.sources()[case.place.source];
    let problem = failure(rule, case, &signals).map(|what| {
        let mut problem = source.problem(&case.place.span, what);
        problem.hint = script_line(script).map(|line| format!("on the line {}", quoted(line)));
        problem
    });
    let why = match problem {
        Some(_) => explanation(rules, number, &signals, &engine.take_notes()),
        None => Vec::new(),
    };
    TestResult { rule: rule.name.clone(), test: title(case, script), problem, why }
}

fn title(case: &Case, script: &[Played]) -> String {
    match (case.name.as_str(), case.scripts.len(), script_line(script).map(quoted)) {
        ("", _, line) => line.unwrap_or_else(|| "events".to_owned()),
        (name, 2.., Some(line)) => format!("{name}: {line}"),
        (name, ..) => name.to_owned(),
    }
}

/// The first line that a script plays.
fn script_line(script: &[Played]) -> Option<&str> {
    script.iter().find_map(|step| match &step.fact {
        Fact::Line { text, .. } => Some(text.as_str()),
        _ => None,
    })
}

/// What is not as the test says.
fn failure(rule: &Rule, case: &Case, signals: &[Signal]) -> Option<String> {
    let own: Vec<&Signal> = signals.iter().filter(|signal| signal.rule == rule.name).collect();
    if own.len() != case.fires {
        let (wanted, fired) = (times(case.fires), times(own.len()));
        return Some(format!("test of `{}` wants it to fire {wanted}, and it fired {fired}", rule.id));
    }
    // A suppressor that takes a line from this rule shows in how often it fires.
    let stranger = |signal: &&Signal| {
        signal.rule != rule.name && signal.class != Class::Benign && !allows(case, &signal.rule)
    };
    if let Some(other) = signals.iter().find(stranger) {
        return Some(format!("on a test of `{}`, `{}` fired as well", rule.id, other.rule));
    }
    if let Some(target) = &case.target
        && let Some(other) = own.iter().find(|signal| signal.app != *target)
    {
        return Some(format!(
            "test of `{}` wants it to be about {target}, and it is about {}",
            rule.id, other.app
        ));
    }
    case.captures.iter().find_map(|(name, wanted)| {
        let signal = own.iter().find(|signal| signal.captures.get(name) != Some(wanted))?;
        let found = signal.captures.get(name).map_or_else(|| "nothing".to_owned(), |value| quoted(value));
        Some(format!("test of `{}` wants `{name}` to be {}, and it is {found}", rule.id, quoted(wanted)))
    })
}

fn times(count: usize) -> String {
    if count == 0 { "never".to_owned() } else { plural(count, "time") }
}

fn allows(case: &Case, rule: &str) -> bool {
    case.also.iter().any(|also| also == rule || rule.rsplit_once('/').is_some_and(|(_, id)| id == also))
}

/// What happened instead: which rules fired, and what became of everything the tested rule looked at.
fn explanation(rules: &RuleSet, number: usize, signals: &[Signal], notes: &[Note]) -> Vec<String> {
    let mut fired: BTreeMap<&str, usize> = BTreeMap::new();
    for signal in signals {
        *fired.entry(&signal.rule).or_default() += 1;
    }
    let fired = fired.into_iter().map(|(rule, count)| format!("{rule} fired {}", times(count)));
    let mut why: Vec<String> = fired.collect();
    let own: Vec<&Note> = notes.iter().filter(|note| note.rule == number).collect();
    if own.is_empty() {
        why.push(format!("nothing matched the trigger of {}", rules.rules()[number].name()));
    }
    let skipped = own.len().saturating_sub(SHOWN);
    if skipped > 0 {
        why.push(format!("… {skipped} before these"));
    }
    why.extend(own.iter().skip(skipped).map(|note| {
        format!("{} {}: {}", duration::format(note.at.since(START)), quoted(&note.text), note.outcome)
    }));
    why
}
