//! Reading what a rule does about it: `heal`, `verify`, `forbid`.

use std::time::Duration;

use super::super::problem::nearest;
use super::super::require::Bound;
use super::fields::{Fields, Text};
use crate::fleet::text::quoted;
use crate::fleet::{Class, Mode, Remedy, Rung, Verify, duration};

/// The ladder; its rungs are checked against what can help the class at all, and against `forbid`.
pub(super) fn ladder(rule: &Fields<'_>, class: Option<Class>, forbid: &[Remedy]) -> Vec<Rung> {
    rule.tables("heal").into_iter().filter_map(|entry| rung(entry, class, forbid)).collect()
}

fn rung(entry: Fields<'_>, class: Option<Class>, forbid: &[Remedy]) -> Option<Rung> {
    let word = entry.required_text("do");
    let remedy = word.as_ref().and_then(|word| remedy(&entry, word));
    let mode = entry.parsed("mode", str::parse::<Mode>);
    let max = entry.number("max", 1..=1000).and_then(|max| u32::try_from(max).ok()).unwrap_or(1);
    let per = entry.parsed("per", per).flatten();
    let backoff = entry.parsed("backoff", backoff);
    let if_deploy_younger_than = condition(&entry);
    if let (Some(word), Some(remedy)) = (&word, remedy) {
        check_allowed(&entry, word, remedy, class, forbid);
    }
    entry.close();
    let remedy = remedy?;
    // Nobody is asked whether to wait or to call a human; everything that changes a server is asked for by default.
    let default = if remedy.changes_server() { Mode::Approve } else { Mode::Auto };
    Some(Rung { remedy, mode: mode.unwrap_or(default), max, per, backoff, if_deploy_younger_than })
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

fn condition(entry: &Fields<'_>) -> Option<Duration> {
    let table = entry.table("if")?;
    let younger = table.parsed("deploy_age", |text| {
        Bound::parse(text)?.younger_than().ok_or_else(|| {
            format!("{}: a rung can only ask for a release younger than a time, like <24h", quoted(text))
        })
    });
    if !table.has("deploy_age") {
        table.missing("deploy_age");
    }
    table.close();
    younger
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
    table.close();
    Some(Verify { running: running?, deadline: deadline? })
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
