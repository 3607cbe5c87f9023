//! What is run around a switch: the release command, the time a new release is watched, and the hooks.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::launch;
use super::report::Report;
use super::section::{Field, Section};
use crate::fleet::text::quoted;
use crate::fleet::{Hook, Hooks, Place, ReleaseCommand};

/// What an app does to take over, besides being started.
#[derive(Debug)]
pub(super) struct Takeover {
    pub(super) release: Option<ReleaseCommand>,
    pub(super) migrates: bool,
    pub(super) bake: Duration,
    pub(super) hooks: Hooks,
}

const HOUR: Duration = Duration::from_secs(3600);
/// From what means anything to the longest migration that is run in a push rather than beside it.
const WITHIN: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR.saturating_mul(24);
const HOOK: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;
/// The deploy lock is held meanwhile, so it is no place for days.
const BAKE: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
/// What a line may be long: it goes to the host, and into a plan.
const LONGEST_LINE: usize = 16 * 1024;
/// Characters that mean something to a shell, which is not asked here.
const SHELL: &str = "'\"\\$`|&;<>(){}*?[]#~!";

/// Reads the keys of an app that are about its taking over.
pub(super) fn read(
    section: &mut Section<'_>,
    directory: &Path,
    has_volumes: bool,
    report: &mut Report<'_>,
) -> Takeover {
    let command = section.field("release");
    let within = section.field("release_within");
    let volumes = section.field("release_volumes");
    for field in [&within, &volumes].into_iter().flatten().filter(|_| command.is_none()) {
        let message = format!("{} is about a release command, and there is none", field.called());
        report.add(&field.key_span, message, "add `release`, for instance `release = \"bin/migrate\"`");
    }
    if let Some(field) = volumes.as_ref().filter(|_| !has_volumes) {
        report.add(&field.key_span, "`release_volumes` without `volumes`", "leave it out");
    }
    let limit = within.and_then(|field| field.duration(WITHIN, report));
    let with_volumes = volumes.map(|field| field.flag(report)).unwrap_or_default();
    let words = command.and_then(|field| words(&field, report));
    Takeover {
        release: words.map(|command| ReleaseCommand {
            command,
            within: limit.unwrap_or(ReleaseCommand::DEFAULT_WITHIN),
            volumes: with_volumes,
        }),
        migrates: section.field("migrates").map(|field| field.flag(report)).unwrap_or_default(),
        bake: section.field("bake").and_then(|field| field.duration(BAKE, report)).unwrap_or_default(),
        hooks: section.field("hooks").map(|field| hooks(&field, directory, report)).unwrap_or_default(),
    }
}

/// A command as a list, or as a text of plain words.
fn words(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    if !field.is_text() {
        return launch::command(field, report);
    }
    let text = field.text(report)?;
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        field.wrong(format!("{} is empty", field.called()), "leave it out", report);
        return None;
    }
    if let Some(found) = text.chars().find(|c| SHELL.contains(*c) || c.is_control()) {
        let message =
            format!("{} holds {}, and no shell takes it apart", field.called(), quoted(&found.to_string()));
        field.wrong(message, "write it as a list, like [\"sh\", \"-c\", \"…\"]", report);
        return None;
    }
    Some(words)
}

fn hooks(field: &Field<'_>, directory: &Path, report: &mut Report<'_>) -> Hooks {
    let Some(mut section) = field.section(report) else {
        return Hooks::default();
    };
    let mut read = |key| section.field(key).and_then(|field| hook(&field, directory, report));
    let hooks = Hooks { before: read("before"), after: read("after") };
    section.finish(report);
    hooks
}

/// A line, which is run here, or a table that says more.
fn hook(field: &Field<'_>, directory: &Path, report: &mut Report<'_>) -> Option<Hook> {
    let here =
        Place::Here(if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory.to_owned() });
    if field.is_text() {
        return Some(Hook { run: line(field, report)?, on: here, within: Hook::DEFAULT_WITHIN });
    }
    let mut section = field.section(report)?;
    let run = section.field("run");
    let on = section.field("on");
    let within = section.field("within").map(|field| field.duration(HOOK, report));
    // With a key misspelt, that problem says enough.
    if section.finish(report) && run.is_none() {
        field.wrong(format!("{} needs `run`", field.called()), "add the line to run", report);
    }
    let on = match on.map(|field| field.choice("place", &[("here", false), ("host", true)], report)) {
        None => here,
        Some(on) if on? => Place::Host,
        Some(_) => here,
    };
    let within = match within {
        None => Hook::DEFAULT_WITHIN,
        Some(within) => within?,
    };
    Some(Hook { run: line(&run?, report)?, on, within })
}

fn line(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report)?;
    let problem = if text.trim().is_empty() {
        "is empty"
    } else if text.contains('\0') {
        "holds a NUL, which no command can"
    } else if text.len() > LONGEST_LINE {
        "is longer than 16 KiB"
    } else {
        return Some(text.to_owned());
    };
    field.wrong(format!("{} {problem}", field.called()), "put a long one into a script and run that", report);
    None
}
