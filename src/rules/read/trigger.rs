//! Reading what makes a rule look up: one of `log`, `on`, `stat`, `absent`, `rule` and `sequence`.

use super::super::compare::Bound;
use super::super::log::LogPattern;
use super::super::pattern::{AnyOf, FieldPattern, Pattern};
use super::super::rule::{Absent, Trigger};
use super::event::{event_trigger, stat_bound};
use super::fields::Fields;
use super::pack::time;
use super::sequence::{chosen, sequence};
use crate::fleet::text::quoted;

/// The keys of which a rule has one.
const TRIGGERS: [&str; 6] = ["log", "on", "stat", "absent", "rule", "sequence"];

/// The trigger: exactly one.
pub(super) fn trigger(rule: &Fields<'_>) -> Option<Trigger> {
    let given: Vec<&'static str> = TRIGGERS.into_iter().filter(|key| rule.has(key)).collect();
    match given[..] {
        ["log"] => log_pattern(rule.table("log")?).map(|pattern| Trigger::Log(Box::new(pattern))),
        ["on"] => event_trigger(rule).map(Trigger::Event),
        ["stat"] => stat(rule),
        ["absent"] => absent(rule.table("absent")?),
        ["rule"] => Some(Trigger::Signal(chosen(rule, "rule"))),
        ["sequence"] => sequence(rule).map(Trigger::Sequence),
        [] => {
            rule.sink.report(
                &rule.span,
                format!("{} has no trigger: write one of {}", rule.what, list(&TRIGGERS, ", ")),
            );
            None
        }
        _ => {
            let message = format!("{} has {}; a rule has one trigger", rule.what, list(&given, " and "));
            rule.sink.report(&rule.span, message);
            None
        }
    }
}

fn list(keys: &[&str], between: &str) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(between)
}

fn stat(rule: &Fields<'_>) -> Option<Trigger> {
    if !rule.is_table("stat") {
        return stat_bound(rule).map(Trigger::Stat);
    }
    let table = rule.table("stat")?;
    let bound = stat_bound(&table);
    table.close();
    bound.map(Trigger::Stat)
}

fn absent(table: Fields<'_>) -> Option<Trigger> {
    let log = if let Some(text) = table.only_text("log") {
        let pattern = table.read(&text, Pattern::parse)?;
        let (any, not) = (AnyOf::new(vec![pattern]), AnyOf::new(Vec::new()));
        Some(LogPattern { any, all: Vec::new(), not, json: Vec::new(), fields: Vec::new() })
    } else {
        if !table.has("log") {
            table.missing("log");
        }
        table.table("log").and_then(log_pattern)
    };
    let lasts = table.required_text("for").and_then(|text| table.read(&text, time));
    let uptime = table.table("while").and_then(circumstances);
    table.close();
    Some(Trigger::Absent(Box::new(Absent { log: log?, lasts: lasts?, uptime })))
}

/// `while`. That the container runs and its log is heard is asked for in any case, so those two have one value each.
fn circumstances(table: Fields<'_>) -> Option<Bound> {
    for (key, only) in [("state", "running"), ("stream", "live")] {
        table.parsed(key, |text| {
            let wrong = || format!("{} could not be told from silence; `{key}` is {only}", quoted(text));
            if text == only { Ok(()) } else { Err(wrong()) }
        });
    }
    let uptime = table.parsed("uptime", Bound::parse);
    table.close();
    uptime
}

pub(super) fn log_pattern(log: Fields<'_>) -> Option<LogPattern> {
    let before = log.sink.count();
    let any = AnyOf::new(patterns(&log, "any"));
    let all = patterns(&log, "all");
    let not = AnyOf::new(patterns(&log, "not"));
    let json = field_patterns(&log, "json");
    let fields = field_patterns(&log, "fields");
    let pattern = LogPattern { any, all, not, json, fields };
    let (span, what, sink) = (log.span.clone(), log.what.clone(), log.sink);
    log.close();
    if sink.count() == before && pattern.is_empty() {
        sink.report(&span, format!("{what} asks for nothing; give it `any`, `all`, `json` or `fields`"));
    }
    (sink.count() == before).then_some(pattern)
}

fn patterns(log: &Fields<'_>, key: &'static str) -> Vec<Pattern> {
    log.texts(key).iter().filter_map(|text| log.read(text, Pattern::parse)).collect()
}

fn field_patterns(log: &Fields<'_>, key: &'static str) -> Vec<(String, FieldPattern)> {
    let Some(table) = log.table(key) else {
        return Vec::new();
    };
    table
        .entries()
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), table.read(&text, FieldPattern::parse)?)))
        .collect()
}
