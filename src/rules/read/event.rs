//! Reading events and numbers as rules name them: `on`, and the same within `require`, `confirm` and steps.

use std::time::Duration;

use super::super::compare::Operator;
use super::super::event::{EventKind, EventPattern, ExitCodes};
use super::super::problem::nearest;
use super::super::rule::EventTrigger;
use super::super::stat::StatBound;
use super::fields::{Fields, Text};
use crate::fleet::duration;
use crate::fleet::text::quoted;

/// `on`: a table, or a text that names events only.
pub(super) fn event_trigger(parent: &Fields<'_>) -> Option<EventTrigger> {
    if let Some(event) = parent.only_text("on") {
        let kinds = kinds(parent, &event)?;
        return Some(EventTrigger {
            on: EventPattern { kinds, exit_code: None },
            not_preceded_by: Vec::new(),
        });
    }
    let on = parent.table("on")?;
    let pattern = event_pattern(&on);
    let not_preceded_by =
        on.texts("not_preceded_by").iter().filter_map(|text| on.read(text, preceding)).collect();
    on.close();
    Some(EventTrigger { on: pattern?, not_preceded_by })
}

/// `event` and `exit_code` of a table.
pub(super) fn event_pattern(table: &Fields<'_>) -> Option<EventPattern> {
    let event = table.required_text("event")?;
    let kinds = kinds(table, &event);
    let exit_code = table.parsed("exit_code", ExitCodes::parse);
    let kinds = kinds?;
    if table.has("exit_code") && !kinds.contains(&EventKind::Die) {
        table.sink.report(&event.span, "`exit_code` belongs to the event `die`");
    }
    Some(EventPattern { kinds, exit_code })
}

/// Reads `die|oom`.
fn kinds(table: &Fields<'_>, event: &Text<'_>) -> Option<Vec<EventKind>> {
    let words = event.value.split('|');
    let kinds: Vec<EventKind> = words.clone().filter_map(|word| kind(table, event, word.trim())).collect();
    (kinds.len() == words.count()).then_some(kinds)
}

fn kind(table: &Fields<'_>, text: &Text<'_>, word: &str) -> Option<EventKind> {
    let kind = EventKind::from_word(word);
    if kind.is_none() {
        let words = EventKind::ALL.map(EventKind::as_str);
        let hint = nearest(word, words).map_or_else(
            || format!("choose from {}", words.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        table.sink.report_with_hint(&text.span, format!("{} is not an event", quoted(word)), Some(hint));
    }
    kind
}

/// Reads `kill:15s`.
fn preceding(text: &str) -> Result<(EventKind, Duration), String> {
    let (word, within) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{} needs an event and a time, like kill:15s", quoted(text)))?;
    let kind = EventKind::from_word(word).ok_or_else(|| format!("{} is not an event", quoted(word)))?;
    let within = duration::parse(within).map_err(|error| error.to_string())?;
    Ok((kind, within))
}

/// `stat`: a comparison in one text, or the name of a stat with `op` and `value` beside it.
pub(super) fn stat_bound(table: &Fields<'_>) -> Option<StatBound> {
    let stat = table.required_text("stat")?;
    let (op, value) = (table.text("op"), table.float("value"));
    match (op, value) {
        (None, None) => table.read(&stat, StatBound::parse),
        (Some(op), Some(value)) => {
            let operator = Operator::split(op.value).filter(|(_, rest)| rest.is_empty());
            let Some((operator, _)) = operator else {
                table.sink.report(
                    &op.span,
                    format!("{} is no comparison; choose from <, <=, >, >=", quoted(op.value)),
                );
                return None;
            };
            table.read(&stat, |word| StatBound::new(word, operator, value))
        }
        _ => {
            let message = format!(
                "{} has one of `op` and `value` only; `stat = \"mem_pct >= 95\"` is shorter",
                table.what
            );
            table.sink.report(&table.span, message);
            None
        }
    }
}
