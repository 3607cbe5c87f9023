//! `[app.NAME]`: one app, every default filled in.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::report::Report;
use super::section::{Field, Section};
use super::target::{self, Target};
use super::{blue_green, environment, environment::Overlay, health, hooks, launch, secrets};
use crate::fleet::text::quoted;
use crate::fleet::{
    App, AppName, EnvironmentName, HealPolicy, ImageRef, Mode, Remedy, Source, Strategy, Volume,
};

/// An app, and what of its description an [`App`] does not hold.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) app: App,
    pub(super) overlays: BTreeMap<EnvironmentName, Overlay>,
    /// The entries of its own `to`.
    pub(super) to: Vec<Target>,
    /// Its host ports, and where they stand.
    pub(super) published: Vec<(u16, Range<usize>)>,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Docker counts whole seconds here.
const STOP: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;
const PROVE: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY.saturating_mul(30);
const VERIFY: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
/// More would fill a server's disk with images nobody goes back to.
const MOST_KEPT: i64 = 100;

/// Reads one app. `directory` is where arcane.toml is: what `build` is relative to.
pub(super) fn read(
    entry: &Field<'_>,
    directory: &Path,
    report: &mut Report<'_>,
    warnings: &mut Report<'_>,
) -> Option<Described> {
    let name = entry.name::<AppName>(report);
    let mut section = entry.section(report)?;
    let source = source(entry, &mut section, directory, report);
    let strategy = section.field("strategy").and_then(|field| strategy(&field, report)).unwrap_or_default();
    let to = section.field("to").map(|field| target::read(&field, report)).unwrap_or_default();
    let port = section.field("port").map(|field| field.port(report));
    let (ports, domain, drain) = (section.field("ports"), section.field("domain"), section.field("drain"));
    let fields = blue_green::Fields {
        entry,
        ports: ports.as_ref(),
        domain: domain.as_ref(),
        drain: drain.as_ref(),
        has_port: port.is_some(),
    };
    let (blue_green, published) = match strategy {
        Strategy::SmartSwap => {
            fields.absent(report);
            let publish = ports.as_ref().and_then(|field| publish(field, port.is_some(), report));
            (None, Some(publish.into_iter().collect()))
        }
        Strategy::BlueGreen => fields.read(report).unzip(),
    };
    let published: Vec<_> = published.unwrap_or_default();
    absent(&mut section, report);
    let health = section.field("health").and_then(|field| health::read(&field, port.is_some(), report));
    let env = section.field("env").map(|field| environment::variables(&field, report, warnings));
    let secrets = secrets::read(&mut section, report);
    let overlays = section.field("environment").map(|field| environment::overlays(&field, report, warnings));
    secrets::apart(
        &secrets,
        env.iter().chain(overlays.iter().flat_map(|it| it.values().map(|it| &it.env))),
        entry,
        report,
    );
    let role = section.field("role").and_then(|field| field.parsed(report));
    let command = section.field("command").and_then(|field| launch::command(&field, report));
    let volumes = section.field("volumes").map(|field| launch::volumes(&field, report));
    if strategy == Strategy::BlueGreen {
        two_writers(volumes.as_deref().unwrap_or_default(), entry, warnings);
    }
    secrets::room(&secrets, volumes.as_deref().unwrap_or_default(), entry, report);
    let memory = section.field("memory").and_then(|field| launch::memory(&field, report));
    let network =
        section.field("network").and_then(|field| launch::network(&field, !published.is_empty(), report));
    let stop_timeout = section.field("stop_timeout").and_then(|field| field.duration(STOP, report));
    let prove = section.field("prove").and_then(|field| field.duration(PROVE, report));
    let keep = section.field("keep").and_then(|field| field.integer(0..=MOST_KEPT, report));
    let heal = section.field("heal").and_then(|field| heal(&field, report));
    let has_volumes = volumes.as_ref().is_some_and(|volumes| !volumes.is_empty());
    let takeover = hooks::read(&mut section, directory, has_volumes, report);
    if takeover.release.as_ref().is_some_and(|command| command.volumes) {
        no_volumes_yet(strategy, entry, report);
    }
    section.finish(report);
    let app = App {
        name: name?,
        source: source?,
        strategy,
        to: target::names(&to),
        publish: published.first().filter(|_| strategy == Strategy::SmartSwap).map(|(port, _)| *port),
        blue_green,
        port: port.flatten(),
        health: health.unwrap_or_default(),
        env: env.unwrap_or_default(),
        secrets,
        role,
        command,
        volumes: volumes.unwrap_or_default(),
        memory,
        network,
        stop_timeout: stop_timeout.unwrap_or(App::DEFAULT_STOP_TIMEOUT),
        prove: prove.unwrap_or(App::DEFAULT_PROVE),
        keep: keep.and_then(|keep| usize::try_from(keep).ok()).unwrap_or(App::DEFAULT_KEEP),
        heal: heal.unwrap_or_default(),
        release: takeover.release,
        migrates: takeover.migrates,
        bake: takeover.bake,
        hooks: takeover.hooks,
    };
    Some(Described { app, overlays: overlays.unwrap_or_default(), to, published })
}

fn source(
    entry: &Field<'_>,
    section: &mut Section<'_>,
    directory: &Path,
    report: &mut Report<'_>,
) -> Option<Source> {
    let (build, image) = (section.field("build"), section.field("image"));
    match (build, image) {
        (Some(build), Some(image)) => {
            let message = "an app has either `build` or `image`".to_owned();
            report.add_pair(message, (&image.key_span, "choose between this"), (&build.key_span, "and this"));
            None
        }
        (Some(build), None) => context(&build, directory, report).map(Source::Build),
        (None, Some(image)) => image.parsed::<ImageRef>(report).map(Source::Image),
        (None, None) => {
            let message = format!("app {} has no image", entry.called());
            report.add(&entry.key_span, message, "add `build = \".\"` or `image = \"NAME:TAG\"`");
            None
        }
    }
}

/// A release command that has the volumes runs while nothing else does, which blue-green cannot give.
fn no_volumes_yet(strategy: Strategy, entry: &Field<'_>, report: &mut Report<'_>) {
    if strategy == Strategy::BlueGreen {
        let message =
            "`release_volumes` needs the release before to be stopped, which blue-green never does first";
        report.add(&entry.key_span, message, "leave it out, or use smart-swap");
    }
}

/// The directory to build, made independent of where Arcane is started.
fn context(field: &Field<'_>, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    let text = field.text(report)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        field.wrong("`build` must be the path of a directory", "`.` is the one of this file", report);
        return None;
    }
    let joined = directory.join(text);
    let tidy: PathBuf = joined.components().filter(|part| *part != Component::CurDir).collect();
    Some(if tidy.as_os_str().is_empty() { PathBuf::from(".") } else { tidy })
}

fn strategy(field: &Field<'_>, report: &mut Report<'_>) -> Option<Strategy> {
    if field.text(report)? == "swarm" {
        let label = "this version has smart-swap and blue-green";
        field.wrong("strategy `swarm` is not in this version", label, report);
        return None;
    }
    field.choice("strategy", &Strategy::ALL.map(|strategy| (strategy.as_str(), strategy)), report)
}

/// The host port to publish, and where it stands.
fn publish(field: &Field<'_>, has_port: bool, report: &mut Report<'_>) -> Option<(u16, Range<usize>)> {
    let entries = field.list("a list of one host port, like [8001]", report)?;
    let [entry] = &entries[..] else {
        let label = "smart-swap publishes one host port; two are for `strategy = \"blue-green\"`";
        let label = if entries.is_empty() { "leave it out to publish none" } else { label };
        field.wrong(format!("`ports` has {} entries instead of one", entries.len()), label, report);
        return None;
    };
    if !has_port {
        let label = "add `port`, for instance `port = 8080`";
        report.add(&field.key_span, "`ports` needs the app's own port", label);
    }
    let port = entry.port(report)?;
    Some((port, entry.span.clone()))
}

/// Keys that people know from elsewhere and this version does not have.
fn absent(section: &mut Section<'_>, report: &mut Report<'_>) {
    let (message, label) =
        ("`dockerfile` is not in this version", "the file in `build` must be called Dockerfile");
    section.refuse("dockerfile", message, label, report);
}

/// Blue/green runs two releases side by side for a while: both write to what both mount.
fn two_writers(volumes: &[Volume], entry: &Field<'_>, warnings: &mut Report<'_>) {
    if let Some(volume) = volumes.iter().find(|volume| !volume.read_only) {
        let message =
            format!("both slots of {} write to {} during a swap", entry.called(), quoted(&volume.source));
        let label = "see that the app can bear it, add `:ro`, or use smart-swap";
        warnings.add(&entry.key_span, message, label);
    }
}

fn heal(field: &Field<'_>, report: &mut Report<'_>) -> Option<HealPolicy> {
    let mut section = field.section(report)?;
    let mut policy = HealPolicy::default();
    if let Some(field) = section.field("mode") {
        let modes = Mode::ALL.map(|mode| (mode.as_str(), mode));
        policy.mode = field.choice("mode", &modes, report).unwrap_or(policy.mode);
    }
    if let Some(field) = section.field("remedies") {
        policy.remedies = remedies(&field, report);
    }
    if let Some(field) = section.field("verify") {
        policy.verify = field.duration(VERIFY, report).unwrap_or(policy.verify);
    }
    section.finish(report);
    Some(policy)
}

fn remedies(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Remedy> {
    let words = Remedy::ALL.map(|remedy| (remedy.as_str(), remedy));
    let mut remedies = Vec::new();
    let entries = field.list("a list, like [\"restart\", \"rollback\"]", report);
    for entry in entries.unwrap_or_default() {
        match entry.choice("remedy", &words, report) {
            Some(remedy) if remedies.contains(&remedy) => {
                entry.wrong(format!("{} is named twice", quoted(remedy.as_str())), "", report);
            }
            found => remedies.extend(found),
        }
    }
    remedies
}
