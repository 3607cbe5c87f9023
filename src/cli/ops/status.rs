//! `arcane status`.

use serde::Serialize;

use super::context;
use crate::cli::args::{Arguments, Status};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::deploy::drift::{Drift, drifts, nothing_live};
use crate::deploy::lock::Lock;
use crate::deploy::remote::Deployed;
use crate::deploy::rollout::{AT_ONCE, on_each};
use crate::deploy::situation::Interruption;
use crate::deploy::{Error, Remote};
use crate::docker::Container;
use crate::fleet::text::printable;
use crate::fleet::{AppName, HealthState, Host, HostName, ReleaseId, Timestamp, duration};

/// How much of a container's name, or of what is wrong with it, is shown, in characters.
const SHOWN: usize = 200;

#[derive(Debug, Serialize)]
struct Report {
    hosts: Vec<HostReport>,
}

#[derive(Debug, Serialize)]
struct HostReport {
    name: HostName,
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_by: Option<String>,
    /// Why it is not known whether the host is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_unknown: Option<String>,
    /// Containers with our label that cannot be understood.
    strange: Vec<Strange>,
    apps: Vec<AppReport>,
}

#[derive(Debug, Serialize)]
struct Strange {
    app: AppName,
    container: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct AppReport {
    app: AppName,
    release: Option<ReleaseId>,
    image: Option<String>,
    state: String,
    health: String,
    strategy: Option<String>,
    slot: Option<u16>,
    since: Option<Timestamp>,
    restarts: u64,
    /// What is not as it was recorded.
    drift: Vec<Drift>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn run(ui: &Ui, arguments: &Arguments, options: &Status) -> Result<u8, Failure> {
    let fleet = context::fleet(arguments)?;
    let hosts = context::hosts(&fleet, options.to.as_deref())?;
    let mut failures = Vec::new();
    let mut report = Report { hosts: Vec::new() };
    let looks = on_each(&hosts, AT_ONCE, |host| async move { look(&host).await }).await;
    for (host, looked) in hosts.iter().zip(looks) {
        report.hosts.push(looked.unwrap_or_else(|error| {
            let failure = Failure::from(error);
            let report = HostReport {
                name: host.name.clone(),
                reachable: false,
                error: Some(failure.line()),
                locked_by: None,
                lock_unknown: None,
                strange: Vec::new(),
                apps: Vec::new(),
            };
            failures.push(failure);
            report
        }));
    }
    if options.json {
        ui.json(&report);
    } else {
        show(ui, &report);
    }
    for failure in &failures {
        failure.render(ui, false);
    }
    let drifted = report.hosts.iter().flat_map(|host| &host.apps).any(AppReport::is_off);
    match context::exit_code(&failures, hosts.len()) {
        exit::DONE if options.check && drifted => Ok(exit::FOUND),
        code => Ok(code),
    }
}

impl AppReport {
    fn is_off(&self) -> bool {
        !self.drift.is_empty() || self.interrupted.is_some()
    }
}

async fn look(host: &Host) -> Result<HostReport, Error> {
    let remote = Remote::connect(host).await?;
    let (apps, holder) = tokio::join!(remote.apps(), Lock::holder(&remote.session));
    // A host whose lock cannot be read still tells what runs.
    let (holder, lock_unknown) = match holder {
        Ok(holder) => (holder, None),
        Err(error) => (None, Some(Failure::from(error).line())),
    };
    let apps = apps?;
    let strange = apps.iter().flat_map(|(app, deployed)| strange(app, deployed)).collect();
    let apps =
        apps.into_iter().map(|(app, deployed)| app_report(app, &deployed, host, holder.is_some())).collect();
    Ok(HostReport {
        name: host.name.clone(),
        reachable: true,
        error: None,
        locked_by: holder.map(|holder| holder.to_string()),
        lock_unknown,
        strange,
        apps,
    })
}

fn strange(app: &AppName, deployed: &Deployed) -> Vec<Strange> {
    let strange = deployed.strange.iter().map(|(container, why)| Strange {
        app: app.clone(),
        container: container.clone(),
        why: why.clone(),
    });
    strange.collect()
}

/// The state of an app's live container, in a word.
fn state(deployed: &Deployed) -> &'static str {
    match &deployed.live {
        Some(container) => container.state.status.as_str(),
        None if deployed.strange.is_empty() => "missing",
        None => "unknown",
    }
}

fn app_report(app: AppName, deployed: &Deployed, host: &Host, locked: bool) -> AppReport {
    let live = deployed.situation.live.as_ref();
    let interruption = deployed.situation.interruption().filter(|_| !locked);
    let next = interruption.map(|interruption| match interruption {
        Interruption::DuringSwitch => format!("arcane rollback {app} --to {}", host.name),
        Interruption::BeforeSwitch
        | Interruption::FirstRelease
        | Interruption::BetweenSlots
        | Interruption::OldStillRuns => {
            format!("arcane push {app} --to {}", host.name)
        }
    });
    AppReport {
        release: live.map(|live| live.record.release.clone()),
        image: live.map(|live| live.record.image.clone()),
        state: state(deployed).to_owned(),
        health: deployed.live.as_ref().map_or("-", health).to_owned(),
        strategy: live.map(|live| live.record.app.strategy.to_string()),
        slot: live.and_then(|live| live.record.slot),
        since: live.and_then(|live| if live.running { live.started_at } else { live.finished_at }),
        restarts: deployed.live.as_ref().map_or(0, |container| container.restart_count),
        // While a change is under way or half done, nothing is as recorded.
        drift: if locked || interruption.is_some() { Vec::new() } else { drift(&app, deployed) },
        interrupted: interruption.map(|interruption| interruption_text(interruption).to_owned()),
        next,
        app,
    }
}

fn drift(app: &AppName, deployed: &Deployed) -> Vec<Drift> {
    match (&deployed.situation.live, &deployed.live) {
        (Some(live), Some(container)) => drifts(&live.record, container),
        _ => {
            let renamed = deployed.strange.first().map(|(container, _)| container.as_str());
            vec![nothing_live(app.as_str(), renamed)]
        }
    }
}

fn health(container: &Container) -> &'static str {
    match container.health {
        HealthState::None => "-",
        HealthState::Starting => "starting",
        HealthState::Healthy => "healthy",
        HealthState::Unhealthy => "unhealthy",
    }
}

/// What an interrupted change left, in words.
pub(super) const fn interruption_text(interruption: Interruption) -> &'static str {
    match interruption {
        Interruption::BeforeSwitch => "a change was interrupted before it touched the live release",
        Interruption::DuringSwitch => {
            "a change was interrupted half-way; the release before is stopped, ready to come back"
        }
        Interruption::BetweenSlots => {
            "a change was interrupted between two slots; the one that Caddy leads to is live"
        }
        Interruption::OldStillRuns => "a change was interrupted before it stopped the release before",
        Interruption::FirstRelease => "the first push was interrupted; nothing is live",
    }
}

fn show(ui: &Ui, report: &Report) {
    let now = crate::clock::now();
    let mut rows = Vec::new();
    for host in &report.hosts {
        if !host.reachable {
            rows.push(vec![host.name.to_string(), "unreachable".to_owned()]);
        } else if host.apps.is_empty() {
            rows.push(vec![host.name.to_string(), "-".to_owned(), String::new(), "no apps".to_owned()]);
        }
        for app in &host.apps {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            rows.push(vec![
                host.name.to_string(),
                app.app.to_string(),
                app.release.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                app.state.clone(),
                app.health.clone(),
                app.since.map_or_else(|| "-".to_owned(), |since| duration::brief(now.since(since))),
                app.restarts.to_string(),
                text(&app.image),
            ]);
        }
    }
    ui.out(&table(&["HOST", "APP", "RELEASE", "STATE", "HEALTH", "SINCE", "RESTARTS", "IMAGE"], &rows));
    for host in &report.hosts {
        if let Some(holder) = &host.locked_by {
            ui.note(&format!("{} is locked by {holder}", host.name));
        }
        if let Some(why) = &host.lock_unknown {
            ui.tagged(Tag::Warning, &format!("whether {} is locked is not known: {why}", host.name));
        }
        for Strange { app, container, why } in &host.strange {
            let (container, why) = (printable(container, SHOWN), printable(why, SHOWN));
            ui.tagged(
                Tag::Warning,
                &format!(
                    "container {container} on {} says it is {app}'s, but is not understood: {why}",
                    host.name
                ),
            );
        }
        for app in &host.apps {
            for Drift { what, recorded, actual } in &app.drift {
                let shown = |value: &Option<String>| {
                    value.as_ref().map_or_else(|| "nothing".to_owned(), |value| printable(value, SHOWN))
                };
                ui.tagged(
                    Tag::Warning,
                    &format!(
                        "{} on {} has drifted: {} is {}, recorded is {}",
                        app.app,
                        host.name,
                        printable(what, SHOWN),
                        shown(actual),
                        shown(recorded)
                    ),
                );
            }
            let push = format!("arcane push {} --to {}", app.app, host.name);
            if app.drift.iter().any(|drift| drift.what == "secrets") {
                ui.tagged(
                    Tag::Hint,
                    &format!("`arcane heal --once` brings them again and starts it, or `{push}`"),
                );
            } else if !app.drift.is_empty() {
                ui.tagged(Tag::Hint, &format!("`{push} --force` makes it what arcane.toml says"));
            }
            if let (Some(interrupted), Some(next)) = (&app.interrupted, &app.next) {
                ui.tagged(Tag::Warning, &format!("{} on {}: {interrupted}", app.app, host.name));
                ui.tagged(Tag::Hint, &format!("`{next}`"));
            }
        }
    }
}
