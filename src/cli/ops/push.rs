//! `arcane push`.

use tokio_util::sync::CancellationToken;

use super::context;
use super::steps::{self, Steps};
use crate::cli::args::{Arguments, Push};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::labels::spec_digest;
use crate::deploy::push::{Order, push};
use crate::deploy::{Done, Error, Event, Outcome, Remote, build};
use crate::docker::{Engine, Image};
use crate::fleet::text::plural;
use crate::fleet::{App, Host, ReleaseId, duration};
use crate::journal::{self, Journal, ReleaseRecord};

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Push,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let project = context::project(ui, arguments)?;
    let app = context::app(&project, options.app.as_ref(), options.env.as_ref())?;
    let fleet = context::fleet(arguments)?;
    let hosts = context::targets(&fleet, options.to.as_deref(), &app)?;
    let local = Engine::local().await.map_err(local_engine)?;
    let (image, image_name) = build::image(&local, &app, cancel).await?;
    if options.plan {
        return plan(ui, &app, &image, &image_name, &hosts).await;
    }
    let now = crate::clock::now();
    let order = Order {
        app: &app,
        environment: options.env.as_ref().map(ToString::to_string),
        image: &image,
        image_name,
        release: ReleaseId::new(now, salt(now.as_nanos())),
        by: context::who(),
        now,
        wait: options.wait,
        force: options.force,
    };
    // One host after the other: a release that fails on the first is not tried on the rest.
    for (index, host) in hosts.iter().enumerate() {
        if let Err(failure) = push_to(ui, options, &local, host, &order, cancel).await {
            let untouched = &hosts[index + 1..];
            return Err(with_rest(failure, index, untouched));
        }
    }
    Ok(exit::DONE)
}

fn local_engine(source: crate::docker::Error) -> Failure {
    let hint = source.hint().unwrap_or_else(|| "start Docker on this machine, or set DOCKER_HOST".to_owned());
    Failure::from_error(exit::FAILED, &source).hint(hint)
}

/// Tells two releases of the same second apart; the low digits of the clock are as good as chance for that.
fn salt(nanos: i64) -> u16 {
    u16::try_from((nanos / 1_000).rem_euclid(1 << 16)).unwrap_or(0)
}

async fn push_to(
    ui: &Ui,
    options: &Push,
    local: &Engine,
    host: &Host,
    order: &Order<'_>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let steps = Steps::new(ui, options.json);
    let report = |event: Event| steps.show(&event);
    let begun = std::time::Instant::now();
    let pushed = match Remote::connect(host).await {
        Ok(remote) => push(local, &remote, order, &report, cancel).await,
        Err(error) => Err(error),
    };
    let done = match &pushed {
        Ok(done) => Some(done.clone()),
        Err(Error::RolledBack(failed)) => failed.restored.clone().map(|release| Done {
            release,
            host: host.name.clone(),
            app: order.app.name.clone(),
            bytes_sent: 0,
            layers_sent: 0,
            layers_skipped: 0,
            seconds: begun.elapsed().as_secs_f64(),
            gap_seconds: 0.0,
            outcome: Outcome::RolledBack,
        }),
        Err(_) => None,
    };
    record(host, order, &pushed, begun.elapsed()).await;
    if let Some(done) = done {
        steps.show(&Event::Done(done.clone()));
        if options.json {
            ui.json(&Event::Done(done));
        } else if pushed.is_ok() {
            ui.out(&summary(&done));
        }
    }
    pushed.map(drop).map_err(Failure::from)
}

fn summary(done: &Done) -> String {
    let Done { app, release, host, seconds, gap_seconds, .. } = done;
    match done.outcome {
        Outcome::Unchanged => {
            format!("{app} on {host} is unchanged: {release} is live. Make it anew with --force.")
        }
        _ => format!(
            "Released {app} {release} on {host} in {seconds:.1} s: sent {} in {}, no answer for {gap_seconds:.1} s.\n\
             Undo with `arcane rollback {app} --to {host}`",
            steps::bytes(done.bytes_sent),
            plural(done.layers_sent, "layer"),
        ),
    }
}

fn with_rest(failure: Failure, done: usize, untouched: &[Host]) -> Failure {
    let names = |hosts: &[Host]| hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ");
    match (done, untouched) {
        (0, []) => failure,
        (_, []) => {
            failure.hint(format!("{} before it in the order has the new release", plural(done, "host")))
        }
        (_, rest) => failure.hint(format!("not tried: {}", names(rest))),
    }
}

/// Writes the release into this machine's journal. The journal is a memory, not a condition: a push that worked is
/// not failed because it could not be written down.
async fn record(host: &Host, order: &Order<'_>, pushed: &Result<Done, Error>, took: std::time::Duration) {
    let (outcome, detail) = match pushed {
        Ok(done) if done.outcome == Outcome::Unchanged => return,
        Ok(_) => (journal::Outcome::Released, String::new()),
        Err(error @ Error::RolledBack(_)) => (journal::Outcome::RolledBack, error.to_string()),
        Err(error) => (journal::Outcome::Failed, error.to_string()),
    };
    let record = ReleaseRecord {
        host: host.name.clone(),
        app: order.app.name.clone(),
        release: order.release.clone(),
        image: order.image_name.clone(),
        image_id: order.image.id.clone(),
        spec: spec_digest(order.app, &order.image.id),
        by: order.by.clone(),
        at: order.now,
        strategy: order.app.strategy,
        outcome,
        seconds: took.as_secs_f64(),
        bytes_sent: pushed.as_ref().map_or(0, |done| done.bytes_sent),
        detail,
    };
    let written = tokio::task::spawn_blocking(move || {
        Journal::open(&Journal::default_path()?)?.record_release(&record)
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "the release was not written into the journal");
    }
}

async fn plan(ui: &Ui, app: &App, image: &Image, image_name: &str, hosts: &[Host]) -> Result<u8, Failure> {
    for host in hosts {
        let remote = Remote::connect(host).await?;
        let situation = remote.app(&app.name).await?.situation;
        let has = remote.engine.image(&image.id).await.map_err(Error::from)?;
        ui.out(&format!("{} on {}", app.name, host.name));
        ui.out(&format!(
            "  image    {image_name} ({}, {})",
            plural(image.layers.len(), "layer"),
            steps::bytes(image.size)
        ));
        ui.out(&format!(
            "  sent     {}",
            if has.is_some() { "nothing, the host has it" } else { "all of it" }
        ));
        match &situation.live {
            Some(live) if live.record.spec == spec_digest(app, &image.id) => {
                ui.out("  change   none, it is live already")
            }
            Some(live) => ui.out(&format!("  replaces {} ({})", live.record.release, live.record.image)),
            None => ui.out("  replaces nothing, it is new there"),
        }
        if let Some(interruption) = situation.interruption() {
            ui.out(&format!("  repairs  {}", super::status::interruption_text(interruption)));
        }
        ui.out(&format!("  health   {}", app.health));
        ui.out(&format!(
            "  keeps    {} for a rollback, {} proves a release",
            plural(app.keep, "release"),
            duration::format(app.prove)
        ));
        let steps: Vec<_> = steps::PLAN.iter().map(|step| step.verb()).collect();
        ui.out(&format!("  steps    {}", steps.join(", ")));
    }
    Ok(exit::DONE)
}
