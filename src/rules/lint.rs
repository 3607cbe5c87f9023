//! What is wrong with a rule that could be read. Some of it is unsafe and refused at loading; the rest is careless
//! and told by `arcane rules lint`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::case::Case;
use super::cost;
use super::event::EventKind;
use super::index::{Gate, Key};
use super::log::LogPattern;
use super::pattern::Pattern;
use super::problem::{Problem, Source, nearest};
use super::rule::{EventTrigger, Rule, StepTrigger, Trigger};
use super::vain;
use crate::fleet::text::{plural, quoted};
use crate::fleet::{Fact, Mode};

/// What confirms that something is to be done unattended is not further from its trigger than this.
const NEAR: Duration = Duration::from_secs(300);
/// `docker stop` gives a process that long to end by itself when it is not told otherwise.
const STOPS: Duration = Duration::from_secs(10);

/// What makes a rule unsafe: it would act unattended on text alone, or on an operator's own stop.
pub(super) fn unsafe_parts(rule: &Rule, sources: &[Source]) -> Vec<Problem> {
    if !acts_unattended(rule) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if !rule.has_state_evidence() {
        let message = format!(
            "rule `{}` has mode auto, but no state evidence: log text alone can be forged by whoever can make the app log it",
            rule.id
        );
        let hint = "add `confirm` with die, oom or health:unhealthy, or use mode approve";
        problems.push(at_rule(rule, sources, message, hint));
    }
    if let Some(far) = rule.confirm.iter().find(|one| one.within > NEAR) {
        let message = format!(
            "rule `{}` has mode auto, and would take {far} for a confirmation: so far apart, they need not belong together",
            rule.id
        );
        problems.push(at_rule(rule, sources, message, "write `within = \"5m\"` or less"));
    }
    let deaths = events(rule).into_iter().filter(|event| event.on.kinds.contains(&EventKind::Die));
    let explains = |(kind, within): &(EventKind, Duration)| *kind == EventKind::Kill && *within >= STOPS;
    if deaths.into_iter().any(|event| !event.not_preceded_by.iter().any(explains)) {
        let message =
            format!("rule `{}` has mode auto and would take an operator's stop for a crash", rule.id);
        problems.push(at_rule(rule, sources, message, "add `not_preceded_by = \"kill:15s\"` to `on`"));
    }
    problems
}

/// The state changes that a rule looks for.
fn events(rule: &Rule) -> Vec<&EventTrigger> {
    match &rule.trigger {
        Trigger::Event(event) => vec![event],
        Trigger::Sequence(steps) => {
            let steps = steps.iter().filter_map(|step| match &step.on {
                StepTrigger::Event(event) => Some(event),
                StepTrigger::Log(_) => None,
            });
            steps.collect()
        }
        _ => Vec::new(),
    }
}

/// Rules that wait for each other's signals: one would make the other fire for ever.
pub(super) fn circles(rules: &[Rule], sources: &[Source]) -> Vec<Problem> {
    let waits_for = |number: usize| -> Vec<usize> {
        let Trigger::Signal(chosen) = &rules[number].trigger else {
            return Vec::new();
        };
        let is_chosen = |rule: &Rule| chosen.iter().any(|one| one.includes(rule.name(), rule.class));
        (0..rules.len()).filter(|&other| is_chosen(&rules[other])).collect()
    };
    let mut problems = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut next = waits_for(number);
        if matches!(rule.trigger, Trigger::Signal(_)) && next.is_empty() {
            let message = format!("rule `{}` waits for a signal that no rule gives", rule.id);
            problems.push(at_rule(
                rule,
                sources,
                message,
                "name rules like core/crashloop, core/* or class:hang",
            ));
        }
        while let Some(other) = next.pop() {
            if reached.insert(other) {
                next.extend(waits_for(other));
            }
        }
        if reached.contains(&number) {
            let message = format!("rule `{}` waits for its own signal", rule.id);
            problems.push(at_rule(rule, sources, message, "name the rules that it is about one by one"));
        }
    }
    problems
}

/// What makes a rule careless.
pub(super) fn careless_parts(rule: &Rule, sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !rule.cases.iter().any(|case| case.fires > 0) {
        let message = format!("rule `{}` has no test in which it fires", rule.id);
        problems.push(at_rule(rule, sources, message, "add one with `fires = 1`"));
    }
    if !rule.cases.iter().any(|case| case.fires == 0) {
        let message = format!("rule `{}` has no test in which it must not fire", rule.id);
        problems.push(at_rule(rule, sources, message, "add one with `fires = 0`"));
    }
    if acts_unattended(rule) && !rule.cases.iter().any(is_forged_log) {
        let message =
            format!("rule `{}` has mode auto, but no test that log text alone does not fire it", rule.id);
        problems.push(at_rule(rule, sources, message, "add a test with lines, no events, and `fires = 0`"));
    }
    if let Trigger::Log(pattern) = &rule.trigger {
        problems.extend(loose(rule, pattern, sources));
        problems.extend(unsampled(rule, pattern, sources));
        problems.extend(vain::parts(rule, pattern, sources));
    }
    problems
}

/// Names in `also` that no rule of the set has: they would allow nothing, and hide a typing error.
pub(super) fn unknown_companions(rules: &[Rule], sources: &[Source]) -> Vec<Problem> {
    let known: Vec<&str> = rules.iter().flat_map(|rule| [rule.id.as_str(), rule.name()]).collect();
    let cases = rules.iter().flat_map(|rule| &rule.cases);
    let named = cases.flat_map(|case| case.also.iter().map(move |also| (case, also.as_str())));
    named
        .filter(|(_, also)| !known.contains(also))
        .map(|(case, also)| {
            let message = format!("`also` names {}, which is no rule of this set", quoted(also));
            let mut problem = sources[case.place.source].problem(&case.place.span, message);
            problem.hint =
                nearest(also, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
            problem
        })
        .collect()
}

/// Whether some rung changes a server without asking.
fn acts_unattended(rule: &Rule) -> bool {
    rule.heal.iter().any(|rung| rung.mode == Mode::Auto && rung.remedy.changes_server())
}

/// Whether nothing but lines is played, and the rule must not fire.
fn is_forged_log(case: &Case) -> bool {
    let mut facts = case.scripts.iter().flatten().map(|step| &step.fact);
    case.fires == 0 && facts.all(|fact| matches!(fact, Fact::Line { .. }))
}

/// Patterns of `any` that no line of the rule's own tests matches: nobody has seen them work.
fn unsampled(rule: &Rule, pattern: &LogPattern, sources: &[Source]) -> Vec<Problem> {
    let firing = rule.cases.iter().filter(|case| case.fires > 0);
    let lines: Vec<&str> = firing
        .flat_map(|case| case.scripts.iter().flatten())
        .filter_map(|step| match &step.fact {
            Fact::Line { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let unmatched = pattern.any.patterns().iter().filter(|one| !lines.iter().any(|line| one.is_match(line)));
    unmatched
        .map(|one| {
            let message =
                format!("rule `{}`: no test shows a line for the pattern `{}`", rule.id, one.source());
            at_rule(rule, sources, message, "add the line to a test that fires")
        })
        .collect()
}

/// What is tried on every line, for want of a literal text that every match of it has.
fn loose(rule: &Rule, pattern: &LogPattern, sources: &[Source]) -> Vec<Problem> {
    let problem = |gate: Gate| {
        let source =
            gate.alternative.and_then(|index| pattern.any.patterns().get(index)).map(Pattern::source);
        let what = source.map_or_else(String::new, |source| format!(": the pattern `{source}`"));
        let cost = match &gate.key {
            Key::Literals(_) => return None,
            Key::Regex(expression) => cost::steps(expression)
                .map(|steps| format!(", at up to {} for each byte of it", plural(steps, "step"))),
            Key::Nothing => Some(", and the fields of each are read".to_owned()),
        };
        let message = format!(
            "rule `{}`{what} is tried on every line{}: no text of 3 letters is in every match",
            rule.id,
            cost.unwrap_or_default(),
        );
        Some(at_rule(rule, sources, message, "give its patterns some literal text"))
    };
    pattern.gates().into_iter().filter_map(problem).collect()
}

pub(super) fn at_rule(rule: &Rule, sources: &[Source], message: String, hint: &str) -> Problem {
    let mut problem = sources[rule.place.source].problem(&rule.place.span, message);
    problem.hint = Some(hint.to_owned());
    problem
}
