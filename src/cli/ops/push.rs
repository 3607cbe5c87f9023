//! `arcane push`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::steps::{self, Steps};
use super::{context, plan, unless};
use crate::cli::args::{Arguments, Push};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::event::seconds;
use crate::deploy::labels::spec_digest;
use crate::deploy::push::{Order, push};
use crate::deploy::{Done, Error, Event, Outcome, Remote, RolledBack, build};
use crate::docker::{Engine, Image};
use crate::fleet::text::plural;
use crate::fleet::{App, Host, ReleaseId};
use crate::journal::{self, Journal, ReleaseRecord};

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Push,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let project = context::project(ui, arguments)?;
    let mut app = context::app(&project, options.app.as_ref(), options.env.as_ref())?;
    slots(&mut app, options)?;
    let app = app;
    let fleet = context::fleet(arguments)?;
    let hosts = context::targets(&fleet, options.to.as_deref(), &app)?;
    let local = Engine::local().await.map_err(local_engine)?;
    if options.plan {
        return unless(cancel, plan::run(ui, options, &local, &app, &hosts)).await;
    }
    let (image, image_name) = build::image(&local, &app, cancel).await?;
    let order = order(options, &app, &image, image_name);
    // One host after the other: a release that fails on the first is not tried on the rest.
    for (index, host) in hosts.iter().enumerate() {
        let (released, rest) = hosts.split_at(index);
        if cancel.is_cancelled() {
            return Err(placed(Failure::new(exit::INTERRUPTED, "interrupted"), released, rest));
        }
        match push_to(ui, options, &local, host, &order, cancel).await {
            Ok(done) if options.json => ui.json(&Event::Done(done)),
            Ok(done) => ui.out(&summary(&done)),
            Err((failure, done)) => {
                let failure = placed(failure, released, &rest[1..]);
                failure.render(ui, options.json);
                // The last line about a host tells what it runs now.
                if let Some(done) = done.filter(|_| options.json) {
                    ui.json(&done);
                }
                return Ok(failure.code());
            }
        }
    }
    Ok(exit::DONE)
}

/// Puts the slots of `--ports` in the place of those in arcane.toml.
fn slots(app: &mut App, options: &Push) -> Result<(), Failure> {
    match (options.ports, &mut app.blue_green) {
        (None, _) => Ok(()),
        (Some(ports), Some(slots)) => {
            slots.ports = ports;
            Ok(())
        }
        (Some(_), None) => Err(Failure::new(
            exit::USAGE,
            format!("--ports gives two slots, and {} is not swapped blue/green", app.name),
        )
        .hint("add `strategy = \"blue-green\"` and `domain` to it in arcane.toml")),
    }
}

/// What is asked for, as of now.
pub(super) fn order<'a>(options: &Push, app: &'a App, image: &'a Image, image_name: String) -> Order<'a> {
    let now = crate::clock::now();
    Order {
        app,
        environment: options.env.as_ref().map(ToString::to_string),
        image,
        image_name,
        release: ReleaseId::new(now, salt(now.as_nanos())),
        by: context::who(),
        now,
        wait: options.wait,
        force: options.force,
    }
}

fn local_engine(source: crate::docker::Error) -> Failure {
    let hint = source.hint().unwrap_or_else(|| "start Docker on this machine, or set DOCKER_HOST".to_owned());
    Failure::from_error(exit::FAILED, &source).hint(hint)
}

/// Tells two releases of the same second apart; the low digits of the clock are as good as chance for that.
fn salt(nanos: i64) -> u16 {
    u16::try_from((nanos / 1_000).rem_euclid(1 << 16)).unwrap_or(0)
}

/// Pushes to one host. A failure comes with the last line of JSON about the host, if the host runs something known.
async fn push_to(
    ui: &Ui,
    options: &Push,
    local: &Engine,
    host: &Host,
    order: &Order<'_>,
    cancel: &CancellationToken,
) -> Result<Done, (Failure, Option<Value>)> {
    let steps = Steps::new(ui, options.json);
    let report = |event: Event| steps.show(&event);
    let begun = std::time::Instant::now();
    let remote = unless(cancel, async { Ok(Remote::connect(host).await) }).await;
    let pushed = match remote.map_err(|interrupted| (interrupted, None))? {
        Ok(remote) => push(local, &remote, order, &report, cancel).await,
        Err(error) => Err(error),
    };
    steps.clear();
    record(host, order, &pushed, begun.elapsed()).await;
    pushed.map_err(|error| {
        let done = match &error {
            Error::RolledBack(failed) => Some(rolled_back(failed, begun.elapsed())),
            _ => None,
        };
        (Failure::from(error), done)
    })
}

/// The last line about a host whose release failed: like that of a release that did not, and `release` is the one that
/// runs again, or null when there was none before.
fn rolled_back(failed: &RolledBack, took: Duration) -> Value {
    json!({
        "event": "done", "release": failed.restored, "host": failed.host, "app": failed.app, "bytes_sent": 0,
        "layers_sent": 0, "layers_skipped": 0, "seconds": seconds(took), "gap_seconds": 0.0,
        "outcome": Outcome::RolledBack,
    })
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

/// A failure on one of several hosts, with what became of the others.
fn placed(failure: Failure, released: &[Host], untried: &[Host]) -> Failure {
    let mut failure = failure;
    if !released.is_empty() {
        let has = if released.len() == 1 { "has" } else { "have" };
        failure = failure.hint(format!("{} {has} the new release", context::names(released)));
        if failure.code() != exit::INTERRUPTED {
            failure = failure.with_code(exit::SOME_FAILED);
        }
    }
    if !untried.is_empty() {
        failure = failure.hint(format!("not tried: {}", context::names(untried)));
    }
    failure
}

/// Writes the release into this machine's journal. The journal is a memory, not a condition: a push that worked is
/// not failed because it could not be written down.
async fn record(host: &Host, order: &Order<'_>, pushed: &Result<Done, Error>, took: Duration) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{AppName, HostName};

    #[test]
    fn the_code_of_a_failure_tells_whether_other_hosts_have_the_release() {
        let host = |name: &str| Host { name: HostName::parse(name).unwrap(), ssh: name.to_owned() };
        let (a, b) = (host("a"), host("b"));
        for (code, released, untried, expected) in [
            (exit::ROLLED_BACK, vec![], vec![], exit::ROLLED_BACK),
            (exit::ROLLED_BACK, vec![], vec![b.clone()], exit::ROLLED_BACK),
            (exit::ROLLED_BACK, vec![a.clone()], vec![], exit::SOME_FAILED),
            (exit::UNREACHABLE, vec![a.clone()], vec![b.clone()], exit::SOME_FAILED),
            (exit::INTERRUPTED, vec![a], vec![b], exit::INTERRUPTED),
        ] {
            let failure = placed(Failure::new(code, "no"), &released, &untried);
            assert_eq!(failure.code(), expected, "{released:?} {untried:?}");
        }
    }

    #[test]
    fn a_first_release_that_fails_ends_with_a_line_too() {
        let failed = RolledBack {
            host: HostName::parse("web1").unwrap(),
            app: AppName::parse("shop").unwrap(),
            release: ReleaseId::parse("20261125-184203-3f2c").unwrap(),
            restored: None,
            cause: "503".to_owned(),
            last_lines: Vec::new(),
            interrupted: false,
        };
        let line = rolled_back(&failed, Duration::from_millis(1500));
        assert_eq!(
            (&line["event"], &line["outcome"], &line["release"], &line["seconds"]),
            (&"done".into(), &"rolled_back".into(), &Value::Null, &1.5.into())
        );
        let restored = RolledBack { restored: Some(failed.release.clone()), ..failed };
        assert_eq!(rolled_back(&restored, Duration::ZERO)["release"], restored.release.as_str());
    }
}
