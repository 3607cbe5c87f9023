//! Reading what a rule does about it: `heal`, `verify`, `forbid`.

use std::time::Duration;

use super::super::compare::Bound;
use super::super::problem::nearest;
use super::super::require::Require;
use super::fields::{Fields, Text};
use super::require::require;
use crate::fleet::text::quoted;
use crate::fleet::{Class, Mode, OnFail, QuietHours, Remedy, Rung, Symptom, Verify, duration};

/// The ladder, and what each of its rungs asks for. Its rungs are checked against what can help the class at all, and
/// against `forbid`.
pub(super) fn ladder(
    rule: &Fields<'_>,
    class: Option<Class>,
    forbid: &[Remedy],
) -> Vec<(Rung, Require, Target)> {
    if let Some(span) = rule.empty_list("heal") {
        rule.sink.report_with_hint(
            &span,
            format!("{} has an empty `heal`, which could mean two things", rule.what),
            Some(
                "leave it out for the ladder of its class, or write `[{ do = \"escalate\" }]` to try nothing"
                    .to_owned(),
            ),
        );
    }
    rule.tables("heal").into_iter().filter_map(|entry| rung(entry, class, forbid)).collect()
}

/// What a rung is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Where the rule fired.
    Here,
    /// Where its sequence began.
    Cause,
}

fn rung(entry: Fields<'_>, class: Option<Class>, forbid: &[Remedy]) -> Option<(Rung, Require, Target)> {
    let word = entry.required_text("do");
    let remedy = word.as_ref().and_then(|word| remedy(&entry, word));
    let mode = entry.parsed("mode", str::parse::<Mode>);
    let max = entry.number("max", 1..=1000).and_then(|max| u32::try_from(max).ok()).unwrap_or(1);
    let per = entry.parsed("per", per).flatten();
    let backoff = entry.parsed("backoff", backoff);
    let condition = require(&entry, "if");
    let quiet_hours = entry.parsed("quiet_hours", QuietHours::parse);
    let target = entry.parsed("target", |text| match text {
        "self" => Ok(Target::Here),
        "cause" => Ok(Target::Cause),
        other => Err(format!("{} is no target; choose from self, cause", quoted(other))),
    });
    let then_dependents = entry.parsed("then", |text| match text {
        "dependents" => Ok(true),
        other => Err(format!("{} cannot follow; the only choice is dependents", quoted(other))),
    });
    if let (Some(word), Some(remedy)) = (&word, remedy) {
        check_allowed(&entry, word, remedy, class, forbid);
        if !remedy.changes_server() && (then_dependents.is_some() || quiet_hours.is_some()) {
            let message = format!("`then` and `quiet_hours` are for what changes a server, not for {remedy}");
            entry.sink.report(&word.span, message);
        }
    }
    entry.close();
    let remedy = remedy?;
    // Nobody is asked whether to wait or to call a human; everything that changes a server is asked for by default.
    let default = if remedy.changes_server() { Mode::Approve } else { Mode::Auto };
    let rung = Rung {
        remedy,
        mode: mode.unwrap_or(default),
        max,
        per,
        backoff,
        // The supervisor asks for this one itself, at the moment of acting.
        if_deploy_younger_than: condition.deploy_age.and_then(Bound::younger_than),
        unmet: None,
        quiet_hours,
        then_dependents: then_dependents.unwrap_or(false),
    };
    Some((rung, condition, target.unwrap_or(Target::Here)))
}

fn remedy(table: &Fields<'_>, word: &Text<'_>) -> Option<Remedy> {
    let found = word.value.parse::<Remedy>();
    if let Err(error) = &found {
        let meant = nearest(word.value, Remedy::ALL.map(Remedy::as_str));
        table.sink.report_with_hint(
            &word.span,
            error.to_string(),
            meant.map(|meant| format!("did you mean `{meant}`?")),
        );
    }
    found.ok()
}

fn check_allowed(
    entry: &Fields<'_>,
    word: &Text<'_>,
    remedy: Remedy,
    class: Option<Class>,
    forbid: &[Remedy],
) {
    if let Some(class) = class
        && remedy == Remedy::Restart
        && !class.restart_can_help()
    {
        entry.sink.report(&word.span, format!("a restart cannot help against {class}"));
    } else if forbid.contains(&remedy) {
        entry
            .sink
            .report(&word.span, format!("{} is among the rule's own `forbid`", quoted(remedy.as_str())));
    }
}

/// Reads a time, or `release`.
fn per(text: &str) -> Result<Option<Duration>, String> {
    if text == "release" {
        return Ok(None);
    }
    duration::parse(text).map(Some).map_err(|error| format!("{error}, or release"))
}

/// Reads `10s..10m`.
fn backoff(text: &str) -> Result<(Duration, Duration), String> {
    let fail = || format!("{} is not a backoff; write it like 10s..10m", quoted(text));
    let (first, last) = text.split_once("..").ok_or_else(fail)?;
    let first = duration::parse(first).map_err(|error| error.to_string())?;
    let last = duration::parse(last).map_err(|error| error.to_string())?;
    if first > last { Err(fail()) } else { Ok((first, last)) }
}

/// What healed means.
pub(super) fn verify(rule: &Fields<'_>) -> Option<Verify> {
    let table = rule.table("verify")?;
    let running = table.required_text("running").and_then(|text| table.read(&text, duration::parse));
    let deadline = table.required_text("deadline").and_then(|text| table.read(&text, duration::parse));
    if let (Some(running), Some(deadline)) = (running, deadline)
        && running > deadline
    {
        table.sink.report(&table.span, "`running` is longer than `deadline`, so it could never be verified");
    }
    let health = table.parsed("health", |text| match text {
        "healthy" => Ok(true),
        "any" => Ok(false),
        other => Err(format!("{} proves nothing; choose from healthy, any", quoted(other))),
    });
    let quiet = table.parsed("quiet", |text| match text {
        "self" => Ok(Symptom::Own),
        "class" => Ok(Symptom::Class),
        "app" => Ok(Symptom::App),
        other => Err(format!("{} cannot be listened to; choose from self, class, app", quoted(other))),
    });
    table.close();
    Some(Verify {
        running: running?,
        deadline: deadline?,
        health: health.unwrap_or(false),
        quiet: quiet.unwrap_or_default(),
    })
}

/// `on_fail`: what to do when nothing has helped. A human is called in any case.
pub(super) fn on_fail(rule: &Fields<'_>) -> OnFail {
    let read = rule.parsed("on_fail", |text| {
        let mut on_fail = OnFail::default();
        for word in text.split('+') {
            match word.trim() {
                "escalate" => {}
                "freeze" => on_fail.freeze = true,
                other => {
                    return Err(format!(
                        "{} is unknown; choose from escalate, freeze+escalate",
                        quoted(other)
                    ));
                }
            }
        }
        Ok(on_fail)
    });
    read.unwrap_or_default()
}

/// Remedies never to use; a restart is among them wherever it cannot help.
pub(super) fn forbid(rule: &Fields<'_>, class: Option<Class>) -> Vec<Remedy> {
    let mut forbidden: Vec<Remedy> =
        rule.texts("forbid").iter().filter_map(|word| remedy(rule, word)).collect();
    let useless = class.is_some_and(|class| !class.restart_can_help());
    if useless && !forbidden.contains(&Remedy::Restart) {
        forbidden.push(Remedy::Restart);
    }
    forbidden
}
