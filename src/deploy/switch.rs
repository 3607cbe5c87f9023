//! The smart swap: one release out, another in, and back again if the other is no good.
//!
//! The new container is made beforehand, so that between stopping the old one and starting the new one there is
//! nothing else to do. Whatever fails on the way, [`super::boomerang`] brings the old release back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::blue_green::{self, Slots};
use super::error::Error;
use super::event::{Event, Report, Speaker, Step};
use super::health::{self, Verdict};
use super::lock::{Guard, Lock, Owner, Then};
use super::oneoff::{self, Stopped};
use super::remote::Remote;
use super::secrets::{self, Source};
use super::situation::{Found, Repair, Situation, back_name, kept_name, old_name};
use super::{bake, bake_log};
use crate::fleet::{App, ContainerId, ReleaseId, duration};

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
    /// The slots, when it is a swap blue/green.
    pub(super) slots: Option<Slots>,
    /// Whether what serves was touched: the live release was asked to stop, or Caddy to lead elsewhere. From then on it
    /// has to be brought back.
    pub(super) touched: AtomicBool,
    /// Who brings secrets again.
    pub(super) source: &'a dyn Source,
    /// What only a new release has; `None` when a kept one is brought back.
    pub(super) fresh: Option<Fresh<'a>>,
}

/// A new release.
pub(super) struct Fresh<'a> {
    /// The reference of its image on the host.
    pub(super) image: &'a str,
}

/// How the candidate failed.
pub(super) enum Failure {
    /// It was started and is no good.
    Unhealthy(String),
    /// Its release command failed, before it was started.
    Command(oneoff::Failed),
    /// A step failed, or the operator interrupted.
    Broken(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Failed(failed) => Self::Command(failed),
            Stopped::Broken(error) => Self::Broken(error),
        }
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
    pub(super) async fn guarded(&self, step: Step, detail: impl Into<String>) -> Result<(), Error> {
        self.lock.check(self.remote.name()).await?;
        self.step(step, detail);
        Ok(())
    }

    /// Undoes what an interrupted change left, if one did. Returns the situation as it is then.
    pub(super) async fn settle(&self) -> Result<Situation, Error> {
        // First of all: it may be writing to what is about to be started.
        oneoff::sweep(self.remote, self.app).await?;
        let situation = self.remote.app(&self.app.name).await?.situation;
        self.ensure_interrupted(&situation).await?;
        if let Some(slots) = blue_green::cut_off(&situation) {
            self.settle_slots(slots).await?;
            return Ok(self.remote.app(&self.app.name).await?.situation);
        }
        let repairs = situation.repairs();
        if repairs.is_empty() {
            return Ok(situation);
        }
        self.guarded(Step::Repair, "what an interrupted change left").await?;
        repair(self.remote, self.lock, self.app, &repairs).await?;
        Ok(self.remote.app(&self.app.name).await?.situation)
    }

    /// Puts the candidate, which has this name, in the place of the live release. Returns how long nothing answered.
    ///
    /// # Errors
    /// [`Error::RolledBack`] when the candidate is no good and the old release is live again, which is the promise;
    /// [`Error::NotRestored`] when it could not be kept.
    pub(super) async fn switch(
        &self,
        situation: &Situation,
        candidate: &ContainerId,
        name: &str,
    ) -> Result<Duration, Error> {
        if let Some(slots) = &self.slots {
            return self.swap_slots(situation, candidate, slots).await.map(|()| Duration::ZERO);
        }
        let begun = Instant::now();
        let replaced = match self.guard(situation.live.as_ref(), name).await {
            Ok(()) => self.replace(situation, candidate).await,
            Err(error) => Err(Failure::Broken(error)),
        };
        let switched = match replaced {
            Ok(gap) => Ok(gap),
            Err(failure) => {
                self.boomerang(situation, candidate, failure, begun).await.map(|()| begun.elapsed())
            }
        };
        self.lock.unguard().await;
        switched
    }

    /// Has the lock's holder bring the old release back if we cannot.
    async fn guard(&self, live: Option<&Found>, candidate: &str) -> Result<(), Error> {
        let app = &self.app.name;
        let then = if candidate == back_name(app) {
            Then::Keep(kept_name(app, self.release))
        } else {
            let is_only = live.is_none_or(|live| live.record.release != *self.release);
            Then::Remove(is_only.then(|| super::push::image_tag(app, self.release)))
        };
        let stop_timeout = live.map_or(self.app.stop_timeout, |live| live.record.app.stop_timeout);
        let was_running = live.is_some_and(|live| live.running);
        let live = live.map(|live| &live.id);
        let guard = Guard { candidate, app, live, was_running, stop_timeout, then };
        self.lock.guard(self.remote.name(), &guard).await
    }

    async fn replace(&self, situation: &Situation, candidate: &ContainerId) -> Result<Duration, Failure> {
        self.interrupted()?;
        let name = &self.app.name;
        let engine = &self.remote.engine;
        let live = situation.live.as_ref();
        if let Some(old) = situation.old.as_ref().filter(|old| live.is_some() && old.id != *candidate) {
            let kept = kept_name(name, &old.record.release);
            if situation.has_twice(&old.record.release) {
                // Left by a redeploy that was cut off after it had succeeded: the same release is there once more.
                self.guarded(Step::Tidy, old.name.as_str()).await?;
                engine.remove(&old.id.0).await?;
            } else {
                self.guarded(Step::Rename, format!("{} to {kept}", old.name)).await?;
                engine.rename(&old.id.0, &kept).await?;
            }
        }
        let stopped = Instant::now();
        if let Some(live) = live {
            // Stopped before it is renamed: an engine cannot rename a container that is just being restarted, as one
            // in a crash loop is most of the time ("sandbox … not found", seen with 20.10).
            self.guarded(Step::Stop, live.record.release.as_str()).await?;
            self.touched.store(true, Ordering::Relaxed);
            engine.stop(&live.id.0, live.record.app.stop_timeout).await?;
            self.guarded(Step::Rename, format!("{name} to {}", old_name(name))).await?;
            engine.rename(&live.id.0, &old_name(name)).await?;
        }
        if let Some(Fresh { image }) = &self.fresh
            && let Some(command) = self.app.release.as_ref().filter(|command| command.volumes)
        {
            self.release_command(command, image).await?;
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
        if self.fresh.is_some() && !self.app.bake.is_zero() {
            self.bake(candidate).await?;
        }
        self.guarded(Step::Switch, name.as_str()).await?;
        engine.rename(&candidate.0, name.as_str()).await?;
        Ok(gap)
    }

    /// Watches the candidate, which serves already, before it counts as released.
    pub(super) async fn bake(&self, candidate: &ContainerId) -> Result<(), Failure> {
        self.step(Step::Bake, format!("for {}", duration::format(self.app.bake)));
        let tell = |line| {
            let (host, app, release) =
                (self.remote.name().clone(), self.app.name.clone(), self.release.clone());
            (self.report)(Event::Output { host, app, release, from: Speaker::Log, line });
        };
        let verdict = tokio::select! {
            verdict = bake::watch(self.remote, candidate, self.app) => verdict?,
            never = bake_log::listen(self.remote, candidate, tell) => match never {},
            () = self.cancel.cancelled() => {
                return Err(Failure::Broken(Error::Interrupted { state: "the new release was being watched".to_owned() }));
            }
        };
        match verdict {
            Verdict::Healthy => Ok(()),
            Verdict::Unhealthy(why) => Err(Failure::Unhealthy(why)),
        }
    }

    /// The operator's interruption, before anything is changed.
    pub(super) fn interrupted(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted { state: format!("{} runs what it ran", self.remote.name()) });
        }
        Ok(())
    }
}

/// Carries repairs out, making sure before each that the lock is still ours.
pub(super) async fn repair(remote: &Remote, lock: &Lock, app: &App, repairs: &[Repair]) -> Result<(), Error> {
    let engine = &remote.engine;
    for repair in repairs {
        lock.check(remote.name()).await?;
        match repair {
            Repair::StopCandidate(id) => engine.stop(&id.0, app.stop_timeout).await?,
            Repair::RestoreOld(id) => engine.rename(&id.0, app.name.as_str()).await?,
            Repair::Start(id) => engine.start(&id.0).await?,
            Repair::RemoveCandidate(id, release) => {
                // What it was pushed with, which may be something else than what is pushed now.
                let now = remote.app(&app.name).await?.situation;
                engine.discard(&id.0).await?;
                let_go(remote, now.find(id).map_or(app, |found| &found.record.app), release).await;
            }
            Repair::KeepCandidate(id, release) => {
                engine.rename(&id.0, &kept_name(&app.name, release)).await?;
            }
        }
    }
    Ok(())
}

/// Lets go of a release's secrets and image, unless another container is of the same release. Best effort: what is left is
/// tidied after the next push.
pub(super) async fn let_go(remote: &Remote, app: &App, release: &ReleaseId) {
    if let Ok(now) = remote.app(&app.name).await
        && !now.situation.has(release)
    {
        secrets::forget(remote, app).await;
        let _ = remote.engine.remove_image(&super::push::image_tag(&app.name, release)).await;
    }
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
