//! Reading the tests that a rule carries.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::case::{Actor, Case, Played, Setting, Surroundings};
use super::super::event::EventKind;
use super::super::rule::Place;
use super::fields::{Fields, Text};
use super::pack;
use crate::fleet::text::quoted;
use crate::fleet::{
    AppName, Fact, HealthState, HostName, Kind, LogState, Profile, Stream, Timestamp, duration,
};

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
    let surroundings = surroundings(&entry);
    let captures = captures(&entry);
    let target = entry.parsed("target", AppName::parse);
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
        surroundings,
        captures,
        target,
        also,
        place,
    })
}

fn setting(entry: &Fields<'_>) -> Option<Setting> {
    let profile = profile(entry);
    let deploy_age = entry.parsed("deploy_age", duration::parse).unwrap_or(OLD);
    let app = entry.parsed("app", AppName::parse).or_else(|| AppName::parse("app").ok())?;
    let host = entry.parsed("host", HostName::parse).or_else(|| HostName::parse("host").ok())?;
    Some(Setting {
        app,
        host,
        deploy_age,
        previous: entry.parsed("previous", previous).unwrap_or(Some(OLD)),
        uptime: entry.parsed("uptime", duration::parse).unwrap_or(deploy_age),
        stream: stream(entry),
        profile,
    })
}

fn surroundings(entry: &Fields<'_>) -> Surroundings {
    let profiles = profiles(entry);
    let disconnected = entry.text("stream").is_some_and(|text| text.value == "disconnected");
    Surroundings { profiles, advance: entry.parsed("advance", pack::time).unwrap_or_default(), disconnected }
}

/// `stream`: which one lines are written to; `disconnected` is for what can be read after the script.
fn stream(entry: &Fields<'_>) -> Stream {
    let read = entry.parsed("stream", |text| match text {
        "stdout" | "disconnected" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        other => Err(format!("{} is not a stream; choose from stdout, stderr, disconnected", quoted(other))),
    });
    read.unwrap_or(Stream::Stdout)
}

/// `apps`: what the containers of other apps are.
fn profiles(entry: &Fields<'_>) -> BTreeMap<AppName, Profile> {
    let Some(table) = entry.table("apps") else {
        return BTreeMap::new();
    };
    let described = table.named_tables().into_iter().filter_map(|(name, fields)| {
        let app = table.read(&name, AppName::parse);
        let profile = profile(&fields);
        fields.close();
        Some((app?, profile))
    });
    described.collect()
}

/// What a container is: `image`, `role`, `env`, `label`.
fn profile(entry: &Fields<'_>) -> Profile {
    let image = entry.text("image").map_or("", |text| text.value);
    let labels: BTreeMap<String, String> = entry.table("label").map_or_else(BTreeMap::new, |table| {
        table.entries().into_iter().map(|(name, text)| (name.to_owned(), text.value.to_owned())).collect()
    });
    Profile {
        environment: entry.text("env").map(|text| text.value.to_owned()),
        ..Profile::new(image, &labels, entry.parsed("role", Kind::parse))
    }
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
fn scripts(entry: &Fields<'_>, stream: Stream) -> Vec<Vec<Played>> {
    let repeat = entry.number("repeat", 1..=MOST_REPEATS).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let every = entry.parsed("every", duration::parse).unwrap_or(Duration::from_secs(1));
    let repeated = |text: &str| -> Vec<Played> {
        let line =
            |at| Played { at, actor: Actor::default(), fact: Fact::Line { stream, text: text.into() } };
        (0..repeat).map(|index| line(every.saturating_mul(index))).collect()
    };
    let mut together: Vec<Played> =
        entry.texts("events").iter().filter_map(|text| entry.read(text, event_step)).collect();
    together.extend(entry.texts("line").iter().flat_map(|text| repeated(text.value)));
    together.extend(entry.texts("lines").iter().filter_map(|text| line_step(entry, text, stream)));
    together.sort_by_key(|step| step.at);
    let alone = entry.texts("each");
    let alone = alone.iter().map(|text| repeated(text.value));
    let together = if together.is_empty() { None } else { Some(together) };
    together.into_iter().chain(alone).collect()
}

/// Reads `5s the line`, or `5s @app the line`.
fn line_step(entry: &Fields<'_>, text: &Text<'_>, stream: Stream) -> Option<Played> {
    entry.read(text, |text| -> Result<Played, String> {
        let (at, actor, line) = timed(text)?;
        Ok(Played { at, actor, fact: Fact::Line { stream, text: line.into() } })
    })
}

/// A time, whose step it is, and the rest: `5s rest`, `5s @app rest`, `5s @host/app rest`. A rest that itself begins with
/// an `@` has two.
fn timed(text: &str) -> Result<(Duration, Actor, &str), String> {
    let (at, rest) =
        text.split_once(' ').ok_or_else(|| format!("{} needs a time first, like 5s …", quoted(text)))?;
    let at = duration::parse(at).map_err(|error| format!("{error}, as the time of {}", quoted(text)))?;
    let Some(named) = rest.strip_prefix('@') else {
        return Ok((at, Actor::default(), rest));
    };
    if named.starts_with('@') {
        return Ok((at, Actor::default(), named));
    }
    let (place, rest) = named
        .split_once(' ')
        .ok_or_else(|| format!("{} needs something that happens to @{named}", quoted(text)))?;
    let (host, app) = place.split_once('/').map_or((None, place), |(host, app)| (Some(host), app));
    let host = host.map(HostName::parse).transpose().map_err(|error| error.to_string())?;
    let app = AppName::parse(app).map_err(|error| error.to_string())?;
    Ok((at, Actor { host, app: Some(app) }, rest))
}

/// Reads `5s die exit=1`, `0s @db kill sig=15`, `3s health unhealthy`, `9s stop`.
fn event_step(text: &str) -> Result<Played, String> {
    let (at, actor, rest) = timed(text)?;
    let fact = event(rest).ok_or_else(|| {
        format!(
            "{} is not an event; write it like die exit=1, kill sig=15, oom, start, stop, health unhealthy, \
             stats mem_pct=95, state restart_count=3 or log interrupted",
            quoted(rest)
        )
    })?;
    Ok(Played { at, actor, fact })
}

fn event(text: &str) -> Option<Fact> {
    let mut words = text.split_whitespace();
    let fact = match (words.next()?, words.next()) {
        ("stats", Some(first)) => return stats(first, words),
        ("state", Some(first)) => return state(first, words),
        ("log", Some("live")) => Fact::Log { state: LogState::Live },
        ("log", Some("interrupted")) => {
            Fact::Log { state: LogState::Interrupted { since: Timestamp::EPOCH } }
        }
        ("log", Some("events-only")) => {
            Fact::Log { state: LogState::EventsOnly { reason: "cannot be read".to_owned() } }
        }
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

/// A limit that makes percents of memory whole bytes.
const LIMIT: u64 = 1 << 30;

/// Reads `mem_pct=95 cpu_pct=10`, of which none must be given twice.
fn stats<'t>(first: &'t str, rest: impl Iterator<Item = &'t str>) -> Option<Fact> {
    let (mut bytes, mut limit, mut cpu) = (None, None, None);
    for word in std::iter::once(first).chain(rest) {
        match word.split_once('=')? {
            ("mem_pct", value) if bytes.is_none() => {
                let share: u64 = value.parse().ok().filter(|share| *share <= 100)?;
                // Rounded up, so that so many percent are not a little less.
                (bytes, limit) = (Some((LIMIT * share).div_ceil(100)), Some(LIMIT));
            }
            ("mem_bytes", value) if bytes.is_none() => bytes = Some(value.parse().ok()?),
            ("cpu_pct", value) if cpu.is_none() => {
                cpu = Some(value.parse::<f64>().ok().filter(|share| share.is_finite() && *share >= 0.0)?);
            }
            _ => return None,
        }
    }
    Some(Fact::Stats {
        memory_bytes: bytes.unwrap_or(0),
        memory_limit: limit,
        cpu_percent: cpu.unwrap_or(0.0),
    })
}

/// Reads `restart_count=3 health=unhealthy`: what is found when a container is looked at.
fn state<'t>(first: &'t str, rest: impl Iterator<Item = &'t str>) -> Option<Fact> {
    let (mut count, mut found) = (0, HealthState::None);
    for word in std::iter::once(first).chain(rest) {
        match word.split_once('=')? {
            ("restart_count", value) => count = value.parse().ok()?,
            ("health", value) => found = health(value)?,
            _ => return None,
        }
    }
    Some(Fact::State { running: true, started_at: None, restart_count: count, health: found })
}

pub(super) fn health(word: &str) -> Option<HealthState> {
    Some(match word {
        "none" => HealthState::None,
        "starting" => HealthState::Starting,
        "healthy" => HealthState::Healthy,
        "unhealthy" => HealthState::Unhealthy,
        _ => return None,
    })
}
