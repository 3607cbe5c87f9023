//! The smart swap: one release out, another in, and back again if the other is no good.
//!
//! The new container is made beforehand, so that between stopping the old one and starting the new one there is
//! nothing else to do. Whatever fails after the first rename, the way back is the same as after a crash: look at the
//! names, and carry out [`Situation::repairs`].

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::error::{Error, RolledBack};
use super::event::{Event, Report, Step};
use super::health::{self, Verdict};
use super::lock::{Lock, Owner};
use super::remote::Remote;
use super::situation::{Found, Repair, Situation, kept_name, old_name};
use crate::docker::{LogFrame, LogOptions};
use crate::fleet::text::printable;
use crate::fleet::{App, ContainerId, ReleaseId};

/// How many of a failed container's last lines are shown.
const LAST_LINES: usize = 20;
/// How long a lost connection is tried to be made again, to bring the old release back.
const RECONNECT: Duration = Duration::from_secs(60);

/// One change under the lock.
pub(super) struct Change<'a> {
    /// Where.
    pub(super) remote: &'a Remote,
    /// The lock that covers it.
    pub(super) lock: &'a Lock,
    /// Who makes it: to take the lock again if the line drops.
    pub(super) owner: &'a Owner,
    /// The app, as the candidate's release wants it.
    pub(super) app: &'a App,
    /// The candidate's release.
    pub(super) release: &'a ReleaseId,
    /// Where progress is told.
    pub(super) report: Report<'a>,
    /// The operator's interruption.
    pub(super) cancel: &'a CancellationToken,
}

/// How the candidate failed.
enum Failure {
    /// It was started and is no good.
    Unhealthy(String),
    /// A step failed, or the operator interrupted.
    Broken(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Change<'_> {
    pub(super) fn step(&self, step: Step, detail: impl Into<String>) {
        (self.report)(Event::Step {
            host: self.remote.name().clone(),
            app: self.app.name.clone(),
            release: self.release.clone(),
            step,
            detail: detail.into(),
        });
    }

    /// Makes sure that the lock is still ours, then tells what comes.
    async fn guarded(&self, step: Step, detail: impl Into<String>) -> Result<(), Error> {
        self.lock.check(self.remote.name()).await?;
        self.step(step, detail);
        Ok(())
    }

    /// Undoes what an interrupted change left, if one did. Returns the situation as it is then.
    pub(super) async fn settle(&self) -> Result<Situation, Error> {
        let situation = self.remote.app(&self.app.name).await?.situation;
        let repairs = situation.repairs();
        if repairs.is_empty() {
            return Ok(situation);
        }
        self.guarded(Step::Repair, "what an interrupted change left")
            .await?;
        repair(self.remote, self.app, &repairs).await?;
        Ok(self.remote.app(&self.app.name).await?.situation)
    }

    /// Puts the candidate in the place of the live release. Returns how long nothing answered.
    ///
    /// # Errors
    /// [`Error::RolledBack`] when the candidate is no good and the old release is live again, which is the promise;
    /// [`Error::NotRestored`] when it could not be kept.
    pub(super) async fn switch(
        &self,
        situation: &Situation,
        candidate: &ContainerId,
    ) -> Result<Duration, Error> {
        let gap = match self.replace(situation, candidate).await {
            Ok(gap) => gap,
            Err(failure) => return Err(self.boomerang(situation, candidate, failure).await),
        };
        Ok(gap)
    }

    async fn replace(&self, situation: &Situation, candidate: &ContainerId) -> Result<Duration, Failure> {
        let name = &self.app.name;
        let engine = &self.remote.engine;
        if let Some(live) = &situation.live {
            if let Some(old) = situation.old.as_ref().filter(|old| old.id != *candidate) {
                let kept = kept_name(name, &old.record.release);
                self.guarded(Step::Rename, format!("{} to {kept}", old.name))
                    .await?;
                engine.rename(&old.id.0, &kept).await?;
            }
            self.guarded(Step::Rename, format!("{name} to {}", old_name(name)))
                .await?;
            engine.rename(&live.id.0, &old_name(name)).await?;
        }
        let stopped = Instant::now();
        if let Some(live) = situation.live.as_ref().filter(|live| live.running) {
            self.guarded(Step::Stop, live.record.release.as_str()).await?;
            let grace = live.record.app.stop_timeout;
            engine.stop(&live.id.0, grace).await?;
        }
        self.guarded(Step::Start, self.release.as_str()).await?;
        engine.start(&candidate.0).await?;
        self.step(Step::Health, self.app.health.to_string());
        let verdict = tokio::select! {
            verdict = health::wait(self.remote, candidate, self.app) => verdict?,
            () = self.cancel.cancelled() => {
                return Err(Failure::Broken(Error::Interrupted { state: "the new release was being checked".to_owned() }));
            }
        };
        if let Verdict::Unhealthy(why) = verdict {
            return Err(Failure::Unhealthy(why));
        }
        let gap = stopped.elapsed();
        self.guarded(Step::Switch, name.as_str()).await?;
        engine.rename(&candidate.0, name.as_str()).await?;
        Ok(gap)
    }

    /// Brings the release before back, through a new connection if the old one is gone.
    async fn boomerang(&self, before: &Situation, candidate: &ContainerId, failure: Failure) -> Error {
        let interrupted = matches!(failure, Failure::Broken(Error::Interrupted { .. }));
        let (cause, last_lines) = match failure {
            Failure::Unhealthy(why) => (why, last_lines(self.remote, candidate).await),
            Failure::Broken(error) => (chain(&error), last_lines(self.remote, candidate).await),
        };
        let restored = before.live.as_ref().map(|live| live.record.release.clone());
        let failed = Box::new(RolledBack {
            host: self.remote.name().clone(),
            app: self.app.name.clone(),
            release: self.release.clone(),
            restored: restored.clone(),
            cause,
            last_lines,
            interrupted,
        });
        self.step(
            Step::Boomerang,
            restored.as_ref().map_or("nothing ran before", ReleaseId::as_str),
        );
        let was_running = before.live.as_ref().is_some_and(|live| live.running);
        match self.restore(was_running).await {
            Ok(()) => Error::RolledBack(failed),
            Err(error) => Error::NotRestored {
                failure: failed,
                why: chain(&error),
            },
        }
    }

    async fn restore(&self, start: bool) -> Result<(), Error> {
        if self.lock.check(self.remote.name()).await.is_ok() {
            match restore_on(self.remote, self.app, start).await {
                Err(error) if self.remote.session.is_closed() => drop(error),
                result => return result,
            }
        }
        // The line dropped: make a new one, and take the lock again before touching anything.
        let deadline = tokio::time::Instant::now() + RECONNECT;
        loop {
            match self.restore_anew(start).await {
                Err(error) if tokio::time::Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn restore_anew(&self, start: bool) -> Result<(), Error> {
        let remote = Remote::connect(&self.remote.host).await?;
        let lock = Lock::acquire(&remote.session, self.owner, Duration::from_secs(25), &|_| ()).await?;
        let restored = restore_on(&remote, self.app, start).await;
        lock.release().await;
        restored
    }
}

async fn restore_on(remote: &Remote, app: &App, start: bool) -> Result<(), Error> {
    let situation = remote.app(&app.name).await?.situation;
    let repairs: Vec<_> = situation
        .repairs()
        .into_iter()
        .filter(|repair| start || !matches!(repair, Repair::Start(_)))
        .collect();
    repair(remote, app, &repairs).await
}

async fn repair(remote: &Remote, app: &App, repairs: &[Repair]) -> Result<(), Error> {
    let engine = &remote.engine;
    for repair in repairs {
        match repair {
            Repair::StopCandidate(id) => {
                engine
                    .stop(&id.0, app.stop_timeout)
                    .await?;
            }
            Repair::RestoreOld(id) => engine
                .rename(&id.0, app.name.as_str())
                .await?,
            Repair::Start(id) => {
                engine
                    .start(&id.0)
                    .await?;
            }
            Repair::RemoveCandidate(id) => {
                engine
                    .remove(&id.0, true)
                    .await?;
            }
            Repair::KeepCandidate(id, release) => engine
                .rename(&id.0, &kept_name(&app.name, release))
                .await?,
        }
    }
    Ok(())
}

/// The last lines that a container wrote, made safe to show. Best effort: a failure to read them hides no failure.
async fn last_lines(remote: &Remote, id: &ContainerId) -> Vec<String> {
    let options = LogOptions { tail: Some(LAST_LINES), ..LogOptions::default() };
    let Ok(log) = remote.engine.logs(&id.0, &options).await else { return Vec::new() };
    let frames: Vec<_> = log.take(LAST_LINES).filter_map(async |frame| frame.ok()).collect().await;
    let text = |frame: &LogFrame| {
        let line = String::from_utf8_lossy(&frame.bytes).into_owned();
        // Each message begins with its time stamp.
        let line = line.split_once(' ').map_or(line.as_str(), |(_, text)| text);
        printable(line.trim_end(), 400)
    };
    frames.iter().map(text).collect()
}

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Removes releases beyond those that are kept, and the images that only they used. Only our own, only the surplus,
/// and a failure here does not undo a success: it is tried again after the next push.
pub(super) async fn tidy(change: &Change<'_>, surplus: &[&Found]) {
    for found in surplus {
        change.step(Step::Tidy, found.record.release.as_str());
        if change.remote.engine.remove(&found.id.0, false).await.is_ok() {
            let tag = super::push::image_tag(&change.app.name, &found.record.release);
            let _ = change.remote.engine.remove_image(&tag).await;
        }
    }
}
