//! Reading the tests that a rule carries.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::event::EventKind;
use super::super::rule::{Case, Place, Setting, Step};
use super::fields::{Fields, Text};
use super::trigger;
use crate::fleet::text::quoted;
use crate::fleet::{AppName, Fact, HealthState, HostName, Stream, duration};

/// Enough to cross any window that a rule may have.
const MOST_REPEATS: i64 = 10_000;
/// What a test plays in when it does not say: an old release with a proved one before it.
const OLD: Duration = Duration::from_secs(30 * 86_400);

/// The tests of a rule.
pub(super) fn cases(rule: &Fields<'_>, source: usize) -> Vec<Case> {
    rule.tables("test").into_iter().filter_map(|entry| case(entry, source)).collect()
}

fn case(entry: Fields<'_>, source: usize) -> Option<Case> {
    let place = Place { source, span: entry.span.clone() };
    let name = entry.text("name").map(|name| name.value.to_owned());
    let fires = entry.number("fires", 0..=MOST_REPEATS);
    if !entry.has("fires") {
        entry.missing("fires");
    }
    let setting = setting(&entry);
    let captures = captures(&entry);
    let also = entry.texts("also").iter().map(|text| text.value.to_owned()).collect();
    let before = entry.sink.count();
    let scripts = scripts(&entry, setting.as_ref().map_or(Stream::Stdout, |setting| setting.stream));
    if scripts.is_empty() && entry.sink.count() == before {
        entry.sink.report(
            &entry.span,
            format!("{} has nothing to play: give it a `line`, `lines`, `each` or `events`", entry.what),
        );
    }
    entry.close();
    Some(Case {
        name: name.unwrap_or_default(),
        fires: usize::try_from(fires?).ok()?,
        scripts,
        setting: setting?,
        captures,
        also,
        place,
    })
}

fn setting(entry: &Fields<'_>) -> Option<Setting> {
    let deploy_age = entry.parsed("deploy_age", duration::parse).unwrap_or(OLD);
    let app = entry.parsed("app", AppName::parse);
    let host = entry.parsed("host", HostName::parse);
    Some(Setting {
        app: app.or_else(|| AppName::parse("app").ok())?,
        host: host.or_else(|| HostName::parse("host").ok())?,
        deploy_age,
        previous: entry.parsed("previous", previous).unwrap_or(Some(OLD)),
        uptime: entry.parsed("uptime", duration::parse).unwrap_or(deploy_age),
        stream: trigger::stream(entry).unwrap_or(Stream::Stdout),
    })
}

/// Reads `proved`, `none`, or how long the release before ran.
fn previous(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "proved" => Ok(Some(OLD)),
        "none" => Ok(None),
        other => duration::parse(other).map(Some).map_err(|_| {
            format!("{} is not known here; write proved, none, or how long it ran", quoted(other))
        }),
    }
}

fn captures(entry: &Fields<'_>) -> BTreeMap<String, String> {
    entry.table("captures").map_or_else(BTreeMap::new, |table| {
        table.entries().into_iter().map(|(name, text)| (name.to_owned(), text.value.to_owned())).collect()
    })
}

/// What is played: `line`, `lines` and `events` together, or each of `each` by itself.
fn scripts(entry: &Fields<'_>, stream: Stream) -> Vec<Vec<Step>> {
    let repeat = entry.number("repeat", 1..=MOST_REPEATS).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let every = entry.parsed("every", duration::parse).unwrap_or(Duration::from_secs(1));
    let repeated = |text: &str| -> Vec<Step> {
        let line = |at| Step { at, fact: Fact::Line { stream, text: text.into() } };
        (0..repeat).map(|index| line(every.saturating_mul(index))).collect()
    };
    let mut together: Vec<Step> =
        entry.texts("events").iter().filter_map(|text| entry.read(text, event_step)).collect();
    together.extend(entry.texts("line").iter().flat_map(|text| repeated(text.value)));
    together.extend(entry.texts("lines").iter().filter_map(|text| line_step(entry, text, stream)));
    together.sort_by_key(|step| step.at);
    let alone = entry.texts("each");
    let alone = alone.iter().map(|text| repeated(text.value));
    let together = if together.is_empty() { None } else { Some(together) };
    together.into_iter().chain(alone).collect()
}

/// Reads `5s the line`.
fn line_step(entry: &Fields<'_>, text: &Text<'_>, stream: Stream) -> Option<Step> {
    entry.read(text, |text| -> Result<Step, String> {
        let (at, line) = timed(text)?;
        Ok(Step { at, fact: Fact::Line { stream, text: line.into() } })
    })
}

fn timed(text: &str) -> Result<(Duration, &str), String> {
    let (at, rest) =
        text.split_once(' ').ok_or_else(|| format!("{} needs a time first, like 5s …", quoted(text)))?;
    let at = duration::parse(at).map_err(|error| format!("{error}, as the time of {}", quoted(text)))?;
    Ok((at, rest))
}

/// Reads `5s die exit=1`, `0s kill sig=15`, `3s health unhealthy`, `9s stop`.
fn event_step(text: &str) -> Result<Step, String> {
    let (at, rest) = timed(text)?;
    let fact = event(rest).ok_or_else(|| {
        format!(
            "{} is not an event; write it like die exit=1, kill sig=15, oom, start, stop or health unhealthy",
            quoted(rest)
        )
    })?;
    Ok(Step { at, fact })
}

fn event(text: &str) -> Option<Fact> {
    let mut words = text.split_whitespace();
    let fact = match (words.next()?, words.next()) {
        ("die", Some(code)) => Fact::Died { exit_code: code.strip_prefix("exit=")?.parse().ok()? },
        ("kill", Some(signal)) => Fact::Killed { signal: signal.strip_prefix("sig=")?.parse().ok()? },
        ("health", Some("healthy")) => Fact::Health { state: HealthState::Healthy },
        ("health", Some("unhealthy")) => Fact::Health { state: HealthState::Unhealthy },
        (word, None) => match EventKind::from_word(word)? {
            EventKind::OutOfMemory => Fact::OutOfMemory,
            EventKind::SecretsGone => Fact::SecretsGone,
            EventKind::Start => Fact::Started,
            EventKind::Stop => Fact::Stopped,
            EventKind::Destroy => Fact::Destroyed,
            EventKind::Pause => Fact::Paused,
            EventKind::Unpause => Fact::Unpaused,
            _ => return None,
        },
        _ => return None,
    };
    words.next().is_none().then_some(fact)
}
