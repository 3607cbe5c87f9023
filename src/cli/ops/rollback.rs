//! `arcane rollback`.

use tokio_util::sync::CancellationToken;

use super::context;
use super::steps::Steps;
use super::unless;
use crate::cli::args::{Arguments, Rollback};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::event::seconds;
use crate::deploy::rollback::{Changed, Request, Wanted, rollback};
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
    let places = unless(cancel, context::places(&fleet, options.to.as_deref(), &app)).await?;
    let hosts = places.all(&format!("arcane rollback {app}"))?;
    let mut failures = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(not_tried(&hosts[index..]));
        }
        match one(ui, options, &app, host, cancel).await {
            Ok(changed) => show(ui, options.json, &app, host, &changed),
            Err(failure) => {
                // At once, so that the last line about a host is followed by nothing but other hosts.
                failure.render(ui, options.json);
                failures.push(failure);
            }
        }
    }
    Ok(context::exit_code(&failures, hosts.len()))
}

fn not_tried(hosts: &[Host]) -> Failure {
    Failure::new(exit::INTERRUPTED, format!("interrupted; not tried: {}", context::names(hosts)))
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
    let remote = unless(cancel, async { Ok(Remote::connect(host).await?) }).await?;
    let wanted = Wanted { release: options.release.as_ref(), across_migration: options.across_migration };
    Ok(rollback(&remote, &request, wanted).await?)
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
