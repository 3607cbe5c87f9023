//! Reading one thing after another: `sequence`; and which rules others are about: `rule` and `inhibit`.

use std::time::Duration;

use super::super::rule::{Chosen, Extent, Inhibit, Step, StepTrigger};
use super::super::scope::Glob;
use super::event::event_trigger;
use super::fields::Fields;
use super::pack::time;
use super::scope::scope;
use super::trigger::log_pattern;
use crate::fleet::Class;
use crate::fleet::text::quoted;

/// Steps of a sequence.
const MOST_STEPS: usize = 8;
/// Apps that a step may ask for.
const MOST_APPS: i64 = 32;
/// How long a cause keeps its symptoms quiet when the rule does not say.
const INHIBITS: Duration = Duration::from_secs(600);

/// The steps, in order.
pub(super) fn sequence(rule: &Fields<'_>) -> Option<Vec<Step>> {
    let before = rule.sink.count();
    let steps: Vec<Step> = rule.tables("sequence").into_iter().filter_map(step).collect();
    if rule.sink.count() > before {
        return None;
    }
    if !(2..=MOST_STEPS).contains(&steps.len()) {
        rule.sink.report(
            &rule.span,
            format!("a sequence has 2 to {MOST_STEPS} steps, that of {} has {}", rule.what, steps.len()),
        );
        return None;
    }
    Some(steps)
}

fn step(entry: Fields<'_>) -> Option<Step> {
    let on = match (entry.has("log"), entry.has("on")) {
        (true, false) => {
            entry.table("log").and_then(log_pattern).map(|pattern| StepTrigger::Log(Box::new(pattern)))
        }
        (false, true) => event_trigger(&entry).map(StepTrigger::Event),
        _ => {
            entry.sink.report(&entry.span, format!("{} has one of `log` and `on`", entry.what));
            None
        }
    };
    let scope = scope(&entry);
    let apps =
        entry.number("min_apps", 1..=MOST_APPS).and_then(|apps| usize::try_from(apps).ok()).unwrap_or(1);
    entry.close();
    Some(Step { on: on?, scope, apps })
}

/// `class:hang`, or a glob over names of rules.
pub(super) fn chosen(table: &Fields<'_>, key: &'static str) -> Vec<Chosen> {
    let read = |text: &str| match text.strip_prefix("class:") {
        Some(class) => class.parse::<Class>().map(Chosen::Class).map_err(|error| error.to_string()),
        None if text.contains('/') => Ok(Chosen::Named(Glob::new(text))),
        None => {
            Err(format!("{} is no rule; write it like core/crashloop, core/* or class:hang", quoted(text)))
        }
    };
    let texts = table.texts(key);
    if texts.is_empty() && table.has(key) {
        table.sink.report(&table.span, format!("`{key}` of {} names nothing", table.what));
    }
    texts.iter().filter_map(|text| table.read(text, read)).collect()
}

/// `inhibit`: a list of what is quiet, or a table that also says for how long and where.
pub(super) fn inhibit(rule: &Fields<'_>) -> Option<Inhibit> {
    if !rule.has("inhibit") {
        return None;
    }
    if !rule.is_table("inhibit") {
        let what = chosen(rule, "inhibit");
        return Some(Inhibit { what, lasts: INHIBITS, extent: Extent::Host });
    }
    let table = rule.table("inhibit")?;
    let what = chosen(&table, "what");
    if !table.has("what") {
        table.missing("what");
    }
    let lasts = table.parsed("for", time).unwrap_or(INHIBITS);
    let extent = table.parsed("where", |text| match text {
        "app" => Ok(Extent::App),
        "host" => Ok(Extent::Host),
        "fleet" => Ok(Extent::Fleet),
        other => Err(format!("{} is no place to be quiet; choose from app, host, fleet", quoted(other))),
    });
    table.close();
    Some(Inhibit { what, lasts, extent: extent.unwrap_or(Extent::Host) })
}
