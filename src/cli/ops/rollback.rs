//! `arcane rollback`.
//!
//! On several hosts it is an emergency brake: some at a time, so that not all of them are without an answer at once, but
//! a host on which it fails keeps nobody else from getting back what worked.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::context;
use super::rollout::{self, End, Tally};
use super::steps::Steps;
use super::vault::VaultSource;
use super::{unless, way_back};
use crate::cli::args::{Arguments, Rollback};
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::event::seconds;
use crate::deploy::remote::Pool;
use crate::deploy::rollback::{Changed, Request, rollback};
use crate::deploy::rollout::{AT_ONCE, Course, Ended, Kind, OnFailure, Stage, carry_out};
use crate::deploy::target::Wanted;
use crate::deploy::{Error, Event};
use crate::fleet::{Host, duration};

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Rollback,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let app = &context::app_name(ui, arguments, options.app.as_ref())?;
    let fleet = context::fleet(arguments)?;
    let pool = Pool::new(ui.redactor());
    let places = unless(cancel, context::places(&fleet, &pool, options.to.as_deref(), app)).await?;
    let hosts = places.all(&format!("arcane rollback {app}"))?;
    if options.plan {
        return way_back::run(ui, options, &pool, app, &hosts).await;
    }
    let source = VaultSource::new(arguments);
    let steps = Steps::new(ui, options.json);
    let tally = Tally::new(ui, options.json, app, &steps, rollout::Outcome::RolledBack);
    let several = hosts.len() > 1;
    let at_once = options.batch.of(hosts.len()).min(AT_ONCE);
    // No canary: what is gone back to is known to work.
    let gate = options.to.clone().unwrap_or_else(|| "-".to_owned());
    let mut course = Course::new(vec![Stage { gate, kind: Kind::Batch, hosts }], at_once, OnFailure::GoOn);
    carry_out(&mut course, cancel, |_, host| {
        let (tally, pool, source) = (&tally, &pool, &source);
        async move {
            let work = async {
                let begun = Instant::now();
                match one(tally, options, pool, &host, source, cancel).await {
                    Ok(changed) => {
                        show(tally, several, &host, &changed);
                        let Changed { release, before, took, .. } = changed;
                        tally.note(&host, End { release: Some(release), before, took, failed: None });
                        Ended::Done
                    }
                    Err(error) => {
                        tally.fail(&host, &Failure::from(error), begun.elapsed());
                        Ended::Failed
                    }
                }
            };
            tally.guard(&host, work).await
        }
    })
    .await;
    Ok(tally.finish(&course, cancel.is_cancelled()))
}

async fn one(
    tally: &Tally<'_>,
    options: &Rollback,
    pool: &Pool,
    host: &Host,
    source: &VaultSource,
    cancel: &CancellationToken,
) -> Result<Changed, Error> {
    let report = |event: Event| tally.steps.show(&event);
    let request = Request {
        app: tally.app,
        expect: None,
        by: context::who(),
        now: crate::clock::now(),
        wait: options.wait,
        report: &report,
        cancel,
        source,
    };
    let remote = tokio::select! {
        biased;
        remote = pool.get(host) => remote?,
        () = cancel.cancelled() => {
            return Err(Error::Interrupted { state: format!("{} runs what it ran", host.name) });
        }
    };
    rollback(&remote, &request, wanted(options)).await
}

/// What to go back to.
pub(super) fn wanted(options: &Rollback) -> Wanted<'_> {
    Wanted { release: options.release.as_ref(), across_migration: options.across_migration }
}

fn show(tally: &Tally<'_>, several: bool, host: &Host, changed: &Changed) {
    let Tally { ui, json, app, steps, .. } = tally;
    if *json {
        return ui.json(&serde_json::json!({
            "event": "done", "app": app, "host": host.name, "release": changed.release, "before": changed.before,
            "seconds": seconds(changed.took), "gap_seconds": seconds(changed.gap), "outcome": "rolled_back",
        }));
    }
    let (name, release, took) = (&host.name, &changed.release, duration::brief(changed.took));
    match &changed.before {
        Some(before) if several => steps.say(name, &format!("runs {release} again, no longer {before}")),
        None if several => steps.say(name, &format!("runs {release} again, after an interrupted change")),
        Some(before) => ui.out(&format!(
            "Rolled {app} on {name} back from {before} to {release} in {took}.\n\
             Undo with `arcane rollback {app} --to {name} --release {before}`"
        )),
        None => {
            ui.out(&format!("Brought {app} {release} on {name} back after an interrupted change, in {took}."))
        }
    }
}
