//! `arcane push`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::rollout::{self, End, Tally};
use super::steps::{self, Steps};
use super::vault::{self, VaultSource};
use super::{context, masking, plan, unless};
use crate::cli::args::{Arguments, Push};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::event::seconds;
use crate::deploy::give_back::give_back;
use crate::deploy::labels::spec_digest;
use crate::deploy::push::{Order, check, push};
use crate::deploy::remote::Pool;
use crate::deploy::rollback::Request;
use crate::deploy::rollout::{AT_ONCE, Course, Ended, Errand, OnFailure, carry_out, on_each, stages};
use crate::deploy::secrets::{Source, Values};
use crate::deploy::{Done, Error, Event, Outcome, RolledBack, build};
use crate::docker::{Engine, Image};
use crate::fleet::text::plural;
use crate::fleet::{App, Host, ReleaseId};
use crate::journal::{self, Journal, ReleaseRecord};
use crate::secrets::Redactor;

/// How long giving a host back what it ran waits for a lock, at least: nobody is there to type it again.
const GIVE_BACK_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Push,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let project = context::project(ui, arguments)?;
    let mut app = context::app(&project, options.app.as_ref(), options.env.as_ref())?;
    slots(&mut app, options)?;
    let values = vault::values(ui, arguments, &mut app, options.env.as_ref())?;
    masking::renew(ui, arguments);
    let app = app;
    let source = VaultSource::new(arguments);
    let fleet = context::fleet(arguments)?;
    let stages = stages(&context::targets(&fleet, options.to.as_deref(), &app)?, options.batch);
    let on_failure = if options.all_or_nothing { OnFailure::GiveBack } else { OnFailure::Stop };
    let local = Engine::local().await.map_err(local_engine)?;
    if options.plan {
        return unless(cancel, plan::run(ui, options, &local, &app, &stages, on_failure)).await;
    }
    // A builder that writes to the terminal itself can draw there, and cannot be masked.
    let tell = |line: &str| ui.note(line);
    let tell = (!ui.redactor().is_empty()).then_some(&tell as build::Tell<'_>);
    let (image, image_name) = build::image(&local, &app, tell, cancel).await?;
    let order = order(options, &app, &image, image_name, (&values, &source));
    let (steps, pool) = (Steps::new(ui, options.json), Pool::new(ui.redactor()));
    let tally = Tally::new(ui, options.json, &app.name, &steps, rollout::Outcome::Released);
    let several = stages.iter().map(|stage| stage.hosts.len()).sum::<usize>() > 1;
    let pushing =
        Pushing { options, local: &local, pool: &pool, order: &order, tally: &tally, several, cancel };
    let mut course = Course::new(stages, AT_ONCE, on_failure);
    if several && on_failure == OnFailure::GiveBack {
        pushing.look_ahead(&mut course).await;
    }
    carry_out(&mut course, cancel, |errand, host| {
        let pushing = &pushing;
        async move {
            let work = async {
                match errand {
                    Errand::Change(_) => pushing.push_to(&host).await,
                    Errand::GiveBack(_) => pushing.give_back(&host).await,
                }
            };
            pushing.tally.guard(&host, work).await
        }
    })
    .await;
    let code = tally.finish(&course, cancel.is_cancelled());
    if let Some(to) = tally.to_undo(&course).filter(|_| several) {
        rollout::hint_undo(ui, options.json, &app.name, &to);
    }
    Ok(code)
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
pub(super) fn order<'a>(
    options: &Push,
    app: &'a App,
    image: &'a Image,
    image_name: String,
    (secrets, source): (&'a Values, &'a dyn Source),
) -> Order<'a> {
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
        secrets,
        source,
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

/// A push on its way to all of its hosts.
struct Pushing<'a> {
    options: &'a Push,
    local: &'a Engine,
    /// Kept open, so that a host that is given back what it ran is not connected to anew.
    pool: &'a Pool,
    order: &'a Order<'a>,
    tally: &'a Tally<'a>,
    several: bool,
    cancel: &'a CancellationToken,
}

impl Pushing<'_> {
    /// Asks every host whether it could take the release before the first of them is touched: what can be known
    /// beforehand need not be given back afterwards. It makes the connections that are needed anyway.
    async fn look_ahead(&self, course: &mut Course) {
        let hosts: Vec<Host> = course.hosts().map(|(host, _, _)| host.clone()).collect();
        let looks = on_each(&hosts, AT_ONCE, |host| async move {
            let begun = Instant::now();
            let looked = async { check(&self.pool.get(&host).await?, self.order).await };
            (looked.await, begun.elapsed())
        });
        let Some(looks) = self.cancel.run_until_cancelled(looks).await else { return };
        for (host, (looked, took)) in hosts.iter().zip(looks) {
            if let Err(error) = looked {
                self.tally.fail(host, &Failure::from(error), took);
                course.refuse(&host.name);
            }
        }
    }

    async fn push_to(&self, host: &Host) -> Ended {
        let Self { options, order, tally, cancel, .. } = self;
        let report = |event: Event| tally.steps.show(&event);
        let begun = Instant::now();
        let pushed = tokio::select! {
            biased;
            remote = self.pool.get(host) => match remote {
                Ok(remote) => push(self.local, &remote, order, &report, cancel).await,
                Err(error) => Err(error),
            },
            () = cancel.cancelled() => {
                Err(Error::Interrupted { state: format!("{} runs what it ran", host.name) })
            }
        };
        tally.steps.clear(&host.name);
        let took = begun.elapsed();
        record(host, order, &pushed, took, self.pool.redactor().clone()).await;
        match pushed {
            Ok(done) => {
                self.show(&done);
                let ended = if done.outcome == Outcome::Unchanged { Ended::Unchanged } else { Ended::Done };
                let Done { release, before, .. } = done;
                tally.note(host, End { release: Some(release), before, took, failed: None });
                ended
            }
            Err(error) => {
                let (reason, done) = match &error {
                    Error::RolledBack(failed) => {
                        tally.note(host, End { release: failed.restored.clone(), ..End::default() });
                        (Some(failed.cause.clone()), Some(rolled_back(failed, took)))
                    }
                    Error::AfterHook { done, why, .. } => {
                        let Done { release, before, .. } = (**done).clone();
                        tally.note(host, End { release: Some(release), before, ..End::default() });
                        let line = serde_json::to_value(Event::Done((**done).clone())).ok();
                        (Some(format!("it is live, but its `after` hook failed: {why}")), line)
                    }
                    _ => (None, None),
                };
                let is_live = matches!(error, Error::AfterHook { .. });
                let is_stuck = is_live || matches!(error, Error::NotRestored { .. });
                let failure = Failure::from(error);
                let reason = reason.unwrap_or_else(|| failure.line());
                tally.fail_because(host, &failure, reason, took);
                // The last line about a host tells what it runs now.
                if let Some(done) = done.filter(|_| options.json) {
                    tally.ui.json(&done);
                }
                if is_live && options.all_or_nothing {
                    let failed = tally.end(&host.name).failed;
                    let given_back = self.give_back(host).await;
                    tally.note(host, End { failed, ..tally.end(&host.name) });
                    return if given_back == Ended::Done { Ended::Failed } else { Ended::Stuck };
                }
                if is_stuck { Ended::Stuck } else { Ended::Failed }
            }
        }
    }

    fn show(&self, done: &Done) {
        let Tally { ui, steps, .. } = self.tally;
        if self.options.json {
            ui.json(&Event::Done(done.clone()));
        } else if !self.several {
            ui.out(&summary(done));
        } else if done.outcome == Outcome::Unchanged {
            steps.say(&done.host, &format!("unchanged, {} is live", done.release));
        } else {
            let sent = steps::bytes(done.bytes_sent);
            steps.say(
                &done.host,
                &format!("released {}: sent {sent}, no answer for {:.1} s", done.release, done.gap_seconds),
            );
        }
    }

    /// Gives a host back what it ran before, since the release failed elsewhere. Not to be interrupted: it is the way
    /// back, and a second Ctrl-C ends the process anyway.
    async fn give_back(&self, host: &Host) -> Ended {
        let Self { options, order, tally, .. } = self;
        let app = &order.app.name;
        let (begun, end, never) = (Instant::now(), tally.end(&host.name), CancellationToken::new());
        let report = |event: Event| tally.steps.show(&event);
        let request = Request {
            app,
            expect: end.release.clone(),
            by: context::who(),
            now: crate::clock::now(),
            wait: options.wait.max(GIVE_BACK_WAIT),
            report: &report,
            cancel: &never,
            source: order.source,
        };
        tally.steps.say(&host.name, "gets back what it ran, since the release failed elsewhere");
        let given = async { give_back(&self.pool.get(host).await?, &request, end.before.as_ref()).await };
        match given.await {
            Ok(given) => {
                if options.json {
                    tally.ui.json(&json!({
                        "event": "done", "release": given.release, "before": end.release, "host": host.name,
                        "app": app, "bytes_sent": 0, "layers_sent": 0, "layers_skipped": 0,
                        "seconds": seconds(given.took), "gap_seconds": seconds(given.gap),
                        "outcome": Outcome::RolledBack,
                    }));
                } else {
                    let runs = given.release.as_ref().map_or("nothing, as before", ReleaseId::as_str);
                    tally.steps.say(&host.name, &format!("runs {runs}"));
                }
                let before = end.release;
                tally.note(host, End { release: given.release, before, took: begun.elapsed(), failed: None });
                Ended::Done
            }
            Err(error) => {
                let hint =
                    format!("it still has the new release; try `arcane rollback {app} --to {}`", host.name);
                let failure = Failure::from(error);
                let failure = if end.before.is_some() { failure.hint(hint) } else { failure };
                tally.fail(host, &failure, begun.elapsed());
                Ended::Failed
            }
        }
    }
}

/// The last line about a host whose release failed: like that of a release that did not, and `release` is the one that
/// runs again, or null when there was none before.
fn rolled_back(failed: &RolledBack, took: Duration) -> Value {
    json!({
        "event": "done", "release": failed.restored, "before": failed.restored, "host": failed.host,
        "app": failed.app, "bytes_sent": failed.transferred.bytes, "layers_sent": failed.transferred.layers_sent,
        "layers_skipped": failed.transferred.layers_skipped, "seconds": seconds(took),
        "gap_seconds": seconds(failed.gap), "outcome": Outcome::RolledBack, "migrated": failed.migrated,
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

/// Writes the release into this machine's journal. The journal is a memory, not a condition: a push that worked is
/// not failed because it could not be written down.
async fn record(
    host: &Host,
    order: &Order<'_>,
    pushed: &Result<Done, Error>,
    took: Duration,
    redactor: Redactor,
) {
    let (outcome, detail) = match pushed {
        Ok(done) if done.outcome == Outcome::Unchanged => return,
        Ok(_) => (journal::Outcome::Released, String::new()),
        Err(error @ Error::AfterHook { .. }) => (journal::Outcome::Released, error.to_string()),
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
        bytes_sent: match pushed {
            Ok(done) => done.bytes_sent,
            Err(Error::AfterHook { done, .. }) => done.bytes_sent,
            Err(_) => 0,
        },
        detail,
    };
    let written = tokio::task::spawn_blocking(move || {
        Journal::open(&Journal::default_path()?)?.masking(redactor).record_release(&record)
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "the release was not written into the journal");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::transfer::Transferred;
    use crate::fleet::{AppName, HostName};

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
            migrated: false,
            transferred: Transferred { bytes: 700, layers_sent: 1, layers_skipped: 2 },
            gap: Duration::from_millis(250),
        };
        let line = rolled_back(&failed, Duration::from_millis(1500));
        assert_eq!(
            (&line["event"], &line["outcome"], &line["release"], &line["seconds"]),
            (&"done".into(), &"rolled_back".into(), &Value::Null, &1.5.into())
        );
        // What went over the line and how long nothing answered is told of a failure, too.
        assert_eq!(
            (&line["bytes_sent"], &line["layers_sent"], &line["layers_skipped"], &line["gap_seconds"]),
            (&700.into(), &1.into(), &2.into(), &0.25.into())
        );
        let restored = RolledBack { restored: Some(failed.release.clone()), ..failed };
        assert_eq!(rolled_back(&restored, Duration::ZERO)["release"], restored.release.as_str());
    }
}
