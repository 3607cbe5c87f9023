//! `arcane rollback`.

use tokio_util::sync::CancellationToken;

use super::context;
use super::steps::Steps;
use crate::cli::args::{Arguments, Rollback};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::event::seconds;
use crate::deploy::rollback::{Changed, Request, rollback};
use crate::deploy::{Event, Remote};
use crate::fleet::{AppName, Host, duration};

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Rollback,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let app = context::app_name(ui, arguments, options.app.as_ref())?;
    let fleet = context::fleet(arguments)?;
    let hosts = hosts_of(&fleet, options.to.as_deref(), &app).await?;
    let mut failures = Vec::new();
    for host in &hosts {
        match one(ui, options, &app, host, cancel).await {
            Ok(changed) => show(ui, options.json, &app, host, &changed),
            Err(failure) => failures.push(failure),
        }
    }
    let code = context::exit_code(&failures, hosts.len());
    for failure in &failures {
        failure.render(ui, options.json);
    }
    Ok(code)
}

/// The hosts of `--to`, or all on which the app is found.
pub(super) async fn hosts_of(
    fleet: &crate::config::Fleet,
    to: Option<&str>,
    app: &AppName,
) -> Result<Vec<Host>, Failure> {
    let hosts = context::hosts(fleet, to)?;
    if to.is_some() || hosts.len() == 1 {
        return Ok(hosts);
    }
    let mut found = Vec::new();
    for (host, remote) in context::connect(&hosts).await {
        // A host that cannot be asked might have it: leaving it out silently would be a half-done rollback.
        let deployed = remote?.app(app).await?;
        if deployed.live.is_some() || deployed.situation.interruption().is_some() {
            found.push(host);
        }
    }
    if found.is_empty() {
        return Err(Failure::new(exit::FAILED, format!("{app} is on no host of the fleet"))
            .hint("see what is there with `arcane status`"));
    }
    Ok(found)
}

async fn one(
    ui: &Ui,
    options: &Rollback,
    app: &AppName,
    host: &Host,
    cancel: &CancellationToken,
) -> Result<Changed, Failure> {
    let steps = Steps::new(ui, options.json);
    let report = |event: Event| steps.show(&event);
    let request = Request {
        app,
        expect: None,
        by: context::who(),
        now: crate::clock::now(),
        wait: options.wait,
        report: &report,
        cancel,
    };
    let remote = Remote::connect(host).await?;
    Ok(rollback(&remote, &request, options.release.as_ref()).await?)
}

fn show(ui: &Ui, json: bool, app: &AppName, host: &Host, changed: &Changed) {
    if json {
        ui.json(&serde_json::json!({
            "event": "done", "app": app, "host": host.name, "release": changed.release, "before": changed.before,
            "seconds": seconds(changed.took), "gap_seconds": seconds(changed.gap), "outcome": "rolled_back",
        }));
        return;
    }
    let (release, took) = (&changed.release, duration::brief(changed.took));
    let text = match &changed.before {
        Some(before) => format!(
            "Rolled {app} on {} back from {before} to {release} in {took}.\nUndo with `arcane rollback {app} --to {} --release {before}`",
            host.name, host.name
        ),
        None => {
            format!("Brought {app} {release} on {} back after an interrupted change, in {took}.", host.name)
        }
    };
    ui.out(&text);
}
