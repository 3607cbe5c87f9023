//! Reading what must hold: `require` of a rule, `if` of a rung, and `confirm`.

use std::time::Duration;

use super::super::compare::{Bound, CountBound};
use super::super::event::{EventKind, EventPattern, ExitCodes};
use super::super::require::{PreviousBound, Require};
use super::super::rule::{Confirmation, Proof};
use super::super::stat::StatBound;
use super::case;
use super::event::{event_pattern, stat_bound};
use super::fields::Fields;
use super::pack::time;
use crate::fleet::text::quoted;
use crate::fleet::{HealthState, duration};

/// How far a confirmation may be from its trigger when the rule does not say.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// The same for a stat, of which there is a sample now and then.
const SAMPLE_WITHIN: Duration = Duration::from_secs(60);
/// How long before an event that is required may have come when the rule does not say.
const EVENT_WITHIN: Duration = Duration::from_secs(600);

/// `require` or `if`.
pub(super) fn require(parent: &Fields<'_>, key: &'static str) -> Require {
    let Some(table) = parent.table(key) else {
        return Require::default();
    };
    let event = event(&table);
    let exit_code = table.parsed("exit_code", ExitCodes::parse);
    let require = Require {
        deploy_age: table.parsed("deploy_age", Bound::parse),
        previous: table.parsed("previous_release", PreviousBound::parse),
        uptime: table.parsed("uptime", Bound::parse),
        // With an event it is that event's, else the last one's.
        exit_code: exit_code.filter(|_| event.is_none()),
        event,
        health: table.parsed("health", health).unwrap_or_default(),
        restart_count: table.parsed("restart_count", CountBound::parse),
        stats: table.texts("stat").iter().filter_map(|text| table.read(text, StatBound::parse)).collect(),
    };
    if table.is_empty() {
        table.sink.report(&table.span, format!("{} asks for nothing", table.what));
    }
    table.close();
    require
}

fn event(table: &Fields<'_>) -> Option<(EventPattern, Duration)> {
    let within = table.parsed("within", time);
    if !table.has("event") {
        if table.has("within") {
            table.sink.report(&table.span, format!("{} has `within` but no `event`", table.what));
        }
        return None;
    }
    let pattern = event_pattern(table)?;
    if pattern.kinds.contains(&EventKind::Destroy) {
        table.sink.report(&table.span, format!("{}: nothing comes after `destroy`", table.what));
    }
    Some((pattern, within.unwrap_or(EVENT_WITHIN)))
}

/// Reads `healthy|none`.
fn health(text: &str) -> Result<Vec<HealthState>, String> {
    text.split('|')
        .map(|word| {
            case::health(word.trim()).ok_or_else(|| {
                format!("{} is no health; choose from none, starting, healthy, unhealthy", quoted(word))
            })
        })
        .collect()
}

/// What confirms the trigger.
pub(super) fn confirm(rule: &Fields<'_>) -> Vec<Confirmation> {
    let Some(table) = rule.table("confirm") else {
        return Vec::new();
    };
    let entries = table.tables("any");
    let confirmations: Vec<Confirmation> = entries.into_iter().filter_map(confirmation).collect();
    if !table.has("any") || confirmations.is_empty() {
        table.sink.report(&table.span, format!("{} needs `any` with at least one event or stat", table.what));
    }
    table.close();
    confirmations
}

fn confirmation(entry: Fields<'_>) -> Option<Confirmation> {
    let proof = match (entry.has("event"), entry.has("stat")) {
        (true, true) => {
            entry
                .sink
                .report(&entry.span, format!("{} has both `event` and `stat`; make it two", entry.what));
            None
        }
        (false, true) => stat_bound(&entry).map(Proof::Stat),
        _ => event_pattern(&entry).map(Proof::Event),
    };
    let default = if matches!(proof, Some(Proof::Stat(_))) { SAMPLE_WITHIN } else { CONFIRM_WITHIN };
    let within = entry.parsed("within", duration::parse).unwrap_or(default);
    entry.close();
    Some(Confirmation { proof: proof?, within })
}
