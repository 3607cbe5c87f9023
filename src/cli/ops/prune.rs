//! `arcane prune`.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::steps::{Steps, bytes};
use super::{context, unless};
use crate::cli::args::{Arguments, Prune};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Ui, table};
use crate::deploy::prune::{Leftover, apps, look, prune};
use crate::deploy::rollback::Request;
use crate::deploy::secrets::NoSource;
use crate::deploy::{Error, Event, Remote};
use crate::fleet::{AppName, Host, HostName};

/// What was, or would be, removed on one host of one app; a line of JSON.
#[derive(Debug, Serialize)]
struct Pruned {
    event: &'static str,
    host: HostName,
    app: AppName,
    removed: Vec<Leftover>,
    bytes: u64,
}

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Prune,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let fleet = context::fleet(arguments)?;
    let hosts = context::hosts(&fleet, options.to.as_deref())?;
    let mut failures = Vec::new();
    let mut pruned = Vec::new();
    for host in &hosts {
        if cancel.is_cancelled() {
            failures
                .push(Failure::new(exit::INTERRUPTED, format!("interrupted; {} was not tried", host.name)));
            break;
        }
        let mut failed = Vec::new();
        match unless(cancel, async { Ok(on(host, options).await) }).await? {
            Ok((remote, apps)) => {
                for app in apps {
                    match one(ui, options, &remote, &app, cancel).await {
                        Ok(done) if options.json => ui.json(&done),
                        Ok(done) => pruned.push(done),
                        Err(error) => failed.push(Failure::from(error)),
                    }
                }
            }
            Err(error) => failed.push(Failure::from(error)),
        }
        // Each app's, but a host counts once.
        failed.iter().for_each(|failure| failure.render(ui, options.json));
        failures.extend(failed.into_iter().next());
    }
    if !options.json {
        ui.out(&text(&pruned, options.plan));
    }
    Ok(context::exit_code(&failures, hosts.len()))
}

async fn on(host: &Host, options: &Prune) -> Result<(Remote, BTreeSet<AppName>), Error> {
    let remote = Remote::connect(host).await?;
    let apps = match &options.app {
        Some(app) => BTreeSet::from([app.clone()]),
        None => apps(&remote).await?,
    };
    Ok((remote, apps))
}

async fn one(
    ui: &Ui,
    options: &Prune,
    remote: &Remote,
    app: &AppName,
    cancel: &CancellationToken,
) -> Result<Pruned, Error> {
    let now = crate::clock::now();
    let removed = if options.plan {
        look(remote, app, now).await?
    } else {
        let steps = Steps::new(ui, options.json);
        let report = |event: Event| steps.show(&event);
        let request = Request {
            app,
            expect: None,
            by: context::who(),
            now,
            wait: options.wait,
            report: &report,
            cancel,
            source: &NoSource,
        };
        prune(remote, &request).await?
    };
    Ok(Pruned {
        event: if options.plan { "plan" } else { "pruned" },
        host: remote.name().clone(),
        app: app.clone(),
        bytes: removed.iter().map(|leftover| leftover.bytes).sum(),
        removed,
    })
}

fn text(pruned: &[Pruned], plan: bool) -> String {
    let row = |of: &Pruned, leftover: &Leftover| {
        vec![
            of.host.to_string(),
            of.app.to_string(),
            leftover.kind.as_str().to_owned(),
            leftover.name.clone(),
            bytes(leftover.bytes),
        ]
    };
    let rows: Vec<_> = pruned.iter().flat_map(|of| of.removed.iter().map(move |it| row(of, it))).collect();
    if rows.is_empty() {
        return "Nothing to remove.".to_owned();
    }
    let total = bytes(pruned.iter().map(|of| of.bytes).sum());
    let end = if plan { format!("Would free {total}.") } else { format!("Freed {total}.") };
    format!("{}\n{end}", table(&["HOST", "APP", "WHAT", "NAME", "FREES"], &rows))
}
