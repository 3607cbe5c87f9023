//! Reading what makes a rule fire: `log`, `on`, `scope`, `require`, `confirm`.

use std::time::Duration;

use super::super::event::{EventKind, EventPattern, ExitCodes};
use super::super::log::LogPattern;
use super::super::pattern::{AnyOf, FieldPattern, Pattern};
use super::super::problem::nearest;
use super::super::require::{Bound, PreviousBound, Require};
use super::super::rule::{Confirmation, Trigger};
use super::super::scope::{Glob, Names, Scope};
use super::fields::{Fields, Text};
use crate::fleet::text::quoted;
use crate::fleet::{Stream, duration};

/// How far a confirmation may be from its trigger when the rule does not say.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// The trigger: exactly one.
pub(super) fn trigger(rule: &Fields<'_>) -> Option<Trigger> {
    match (rule.table("log"), rule.table("on")) {
        (Some(log), None) => log_pattern(log).map(|pattern| Trigger::Log(Box::new(pattern))),
        (None, Some(on)) => event_trigger(on),
        (Some(_), Some(on)) => {
            rule.sink
                .report(&on.span, format!("{} has both `log` and `on`; a rule has one trigger", rule.what));
            None
        }
        (None, None) => {
            if !rule.has("log") && !rule.has("on") {
                rule.sink.report(&rule.span, format!("{} has no trigger: write `log` or `on`", rule.what));
            }
            None
        }
    }
}

fn log_pattern(log: Fields<'_>) -> Option<LogPattern> {
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

fn event_trigger(on: Fields<'_>) -> Option<Trigger> {
    let pattern = event_pattern(&on);
    let not_preceded_by =
        on.texts("not_preceded_by").iter().filter_map(|text| on.read(text, preceding)).collect();
    on.close();
    Some(Trigger::Event { on: pattern?, not_preceded_by })
}

/// `event` and `exit_code` of a table.
fn event_pattern(table: &Fields<'_>) -> Option<EventPattern> {
    let event = table.required_text("event")?;
    let kinds: Vec<EventKind> =
        event.value.split('|').filter_map(|word| kind(table, &event, word.trim())).collect();
    let exit_code = table.parsed("exit_code", ExitCodes::parse);
    if kinds.len() != event.value.split('|').count() {
        return None;
    }
    if table.has("exit_code") && !kinds.contains(&EventKind::Die) {
        table.sink.report(&event.span, "`exit_code` belongs to the event `die`");
    }
    Some(EventPattern { kinds, exit_code })
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

/// What the rule is about.
pub(super) fn scope(rule: &Fields<'_>) -> Scope {
    let Some(table) = rule.table("scope") else {
        return Scope::default();
    };
    let globs = |key| table.texts(key).iter().map(|text| Glob::new(text.value)).collect();
    let scope = Scope {
        app: Names { only: globs("app"), not: globs("not_app") },
        host: Names { only: globs("host"), not: globs("not_host") },
        stream: stream(&table),
    };
    for key in ["app", "host"] {
        if table.has(key) && table.texts(key).is_empty() {
            table.sink.report(
                &table.span,
                format!("`{key}` of {} names nothing, so the rule could never fire", table.what),
            );
        }
    }
    table.close();
    scope
}

/// `stream` of a table.
pub(super) fn stream(table: &Fields<'_>) -> Option<Stream> {
    table.parsed("stream", |text| match text {
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        other => Err(format!("{} is not a stream; choose from stdout, stderr", quoted(other))),
    })
}

/// What must be true for a hit to count.
pub(super) fn require(rule: &Fields<'_>) -> Require {
    let Some(table) = rule.table("require") else {
        return Require::default();
    };
    let require = Require {
        deploy_age: table.parsed("deploy_age", Bound::parse),
        previous: table.parsed("previous_release", PreviousBound::parse),
        uptime: table.parsed("uptime", Bound::parse),
    };
    table.close();
    require
}

/// State changes that confirm the trigger.
pub(super) fn confirm(rule: &Fields<'_>) -> Vec<Confirmation> {
    let Some(table) = rule.table("confirm") else {
        return Vec::new();
    };
    let confirmations: Vec<Confirmation> = table
        .tables("any")
        .into_iter()
        .filter_map(|entry| {
            let event = event_pattern(&entry);
            let within = entry.parsed("within", duration::parse).unwrap_or(CONFIRM_WITHIN);
            entry.close();
            Some(Confirmation { event: event?, within })
        })
        .collect();
    if confirmations.is_empty() {
        table.sink.report(&table.span, format!("{} needs `any` with at least one event", table.what));
    }
    table.close();
    confirmations
}
