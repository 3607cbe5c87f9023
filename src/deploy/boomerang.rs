//! Boomerang: the way back of a switch that failed, however it failed.
//!
//! It is the way back of a crash, too: look at the names, and carry out [`Situation::repairs`]. What is added here is
//! that we know what was live before, so that we can insist: an engine that is down is waited for, a line that dropped is
//! made anew, a stop that is still under way is waited out, and in the end we look whether what should run does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::error::{Error, RolledBack};
use super::event::Step;
use super::lock::Lock;
use super::oneoff;
use super::output::Parts;
use super::remote::Remote;
use super::situation::{Found, Repair, Situation};
use super::switch::{Change, Failure, chain, repair};
use super::transfer::Transferred;
use crate::docker::LogOptions;
use crate::fleet::text::printable;
use crate::fleet::{ContainerId, ReleaseId};

/// How many of a failed container's last lines are shown.
const LAST_LINES: usize = 20;
/// How long an engine may take to tell them. They are worth less than the time without an answer that they cost.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long is tried to bring the old release back, before a human is told that it could not be done.
const PATIENCE: Duration = Duration::from_secs(90);
/// The holder that we lost gives the lock up after 20 s.
const LOCK_WAIT: Duration = Duration::from_secs(25);

/// What undoing came to.
enum Undone {
    /// What was live before is live again.
    Restored,
    /// The candidate is live after all: the switch had succeeded, and only its answer was lost.
    Succeeded,
}

impl Change<'_> {
    /// Brings back what was live before, which was stopped at about `stopped`. `Ok` when it turns out that the switch had
    /// succeeded.
    pub(super) async fn boomerang(
        &self,
        before: &Situation,
        candidate: &ContainerId,
        failure: Failure,
        stopped: std::time::Instant,
    ) -> Result<(), Error> {
        let interrupted = matches!(failure, Failure::Broken(Error::Interrupted { .. }));
        let cause = match &failure {
            Failure::Unhealthy(why) => why.clone(),
            Failure::Command(failed) => format!("its release command failed: {}", failed.why),
            Failure::Broken(error) => chain(error),
        };
        let last_lines = match failure {
            Failure::Command(failed) => failed.last_lines,
            _ => last_lines(self.remote, candidate).await,
        };
        let restored = before.live.as_ref().map(|live| live.record.release.clone());
        self.step(Step::Boomerang, restored.as_ref().map_or("nothing ran before", ReleaseId::as_str));
        let undone = self.insist(before, candidate).await;
        let failed = Box::new(RolledBack {
            host: self.remote.name().clone(),
            app: self.app.name.clone(),
            release: self.release.clone(),
            restored,
            cause,
            last_lines,
            interrupted,
            migrated: self.fresh.is_some() && self.app.migrates,
            transferred: Transferred::default(),
            gap: if self.slots.is_none() && self.touched.load(Ordering::Relaxed) {
                stopped.elapsed()
            } else {
                Duration::ZERO
            },
        });
        match undone {
            Ok(Undone::Succeeded) => Ok(()),
            Ok(Undone::Restored) => Err(Error::RolledBack(failed)),
            Err(error) => Err(Error::NotRestored { failure: failed, why: chain(&error) }),
        }
    }

    /// Tries until it is done, or patience ends. Every failure is tried again: an engine that restarts, a line that drops.
    async fn insist(&self, before: &Situation, candidate: &ContainerId) -> Result<Undone, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let here = self.lock.check(self.remote.name()).await.is_ok();
            let undone = if here {
                undo(self.remote, self.lock, self, before, candidate).await
            } else {
                self.undo_anew(before, candidate).await
            };
            match undone {
                Err(
                    error @ (Error::Superseded { .. }
                    | Error::NotDeployed { .. }
                    | Error::NothingToLeadTo { .. }),
                ) => return Err(error),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_secs(1)).await,
                Ok(undone) => return Ok(undone),
            }
        }
    }

    /// Through a new connection, and with the lock taken anew before anything is touched.
    async fn undo_anew(&self, before: &Situation, candidate: &ContainerId) -> Result<Undone, Error> {
        let remote = self.remote.again().await?;
        let lock = Lock::acquire(&remote.session, self.owner, LOCK_WAIT, &|_| ()).await?;
        let undone = undo(&remote, &lock, self, before, candidate).await;
        lock.release().await;
        undone
    }
}

async fn undo(
    remote: &Remote,
    lock: &Lock,
    change: &Change<'_>,
    before: &Situation,
    candidate: &ContainerId,
) -> Result<Undone, Error> {
    let app = change.app;
    // First of all: it may be writing to what is about to be started.
    oneoff::sweep(remote, app).await?;
    let was_running = before.live.as_ref().is_some_and(|live| live.running);
    if let Some(slots) = &change.slots {
        change.undo_slots(remote, lock, slots, before).await?;
        let live = remote.app(&app.name).await?.situation.live;
        // What was stopped before we came stays so.
        let ours = |live: &&Found| was_running || live.id == *candidate;
        if let Some(live) = live.as_ref().filter(ours) {
            revive(remote, lock, live).await?;
        }
        if live.is_some_and(|live| live.id == *candidate) {
            if slots.condemned.load(Ordering::Relaxed) {
                return Err(Error::NothingToLeadTo {
                    host: remote.name().clone(),
                    release: change.release.clone(),
                });
            }
            return Ok(Undone::Succeeded);
        }
        return verify(remote, before.live.as_ref(), was_running, change).await;
    }
    let now = remote.app(&app.name).await?.situation;
    if let Some(live) = now.live.as_ref().filter(|live| live.id == *candidate) {
        revive(remote, lock, live).await?;
        return Ok(Undone::Succeeded);
    }
    if now.candidate.is_none()
        && let (Some(old), Some(live)) = (&before.live, &now.live)
        && live.id == old.id
        && live.running
    {
        // The lock's holder was faster.
        return Ok(Undone::Restored);
    }
    if let Some(old) = &before.live {
        if now.find(&old.id).is_none() {
            return Err(Error::NotDeployed { app: app.name.clone(), host: remote.name().clone() });
        }
        // A stop or a start whose answer was lost may still be under way: stopping once more waits for either.
        if change.touched.load(Ordering::Relaxed) {
            lock.check(remote.name()).await?;
            remote.engine.stop(&candidate.0, app.stop_timeout).await.or_else(gone)?;
            remote.engine.stop(&old.id.0, old.record.app.stop_timeout).await?;
        }
    }
    let repairs = remote.app(&app.name).await?.situation.repairs();
    let wanted: Vec<_> =
        repairs.into_iter().filter(|repair| was_running || !matches!(repair, Repair::Start(_))).collect();
    repair(remote, lock, app, &wanted).await?;
    verify(remote, before.live.as_ref(), was_running, change).await
}

/// Starts what is live, if it does not run. An engine that was killed stops what it finds running when it comes back, and
/// Docker 20.10 does not always start that again: it takes its own stop for one by hand.
async fn revive(remote: &Remote, lock: &Lock, live: &Found) -> Result<(), Error> {
    if !live.running {
        lock.check(remote.name()).await?;
        remote.engine.start(&live.id.0).await?;
    }
    Ok(())
}

/// A container that does not exist cannot be in the way.
fn gone(error: crate::docker::Error) -> Result<(), crate::docker::Error> {
    if error.is_not_found() { Ok(()) } else { Err(error) }
}

/// Whether what should be live is.
async fn verify(
    remote: &Remote,
    wanted: Option<&Found>,
    running: bool,
    change: &Change<'_>,
) -> Result<Undone, Error> {
    let app = &change.app.name;
    let live = remote.app(app).await?.situation.live;
    match (wanted, live) {
        (None, None) => Ok(Undone::Restored),
        (Some(wanted), Some(live)) if live.id == wanted.id && (live.running || !running) => {
            Ok(Undone::Restored)
        }
        (wanted, live) => Err(Error::Superseded {
            app: app.clone(),
            host: remote.name().clone(),
            expected: wanted.map_or_else(|| change.release.clone(), |wanted| wanted.record.release.clone()),
            live: live.map(|live| live.record.release),
        }),
    }
}

/// The last lines that a container wrote, made safe to show. Best effort: a failure to read them hides no failure.
async fn last_lines(remote: &Remote, id: &ContainerId) -> Vec<String> {
    timeout(LAST_WORDS, read_last_lines(remote, id)).await.unwrap_or_default()
}

async fn read_last_lines(remote: &Remote, id: &ContainerId) -> Vec<String> {
    let options = LogOptions { tail: Some(LAST_LINES), ..LogOptions::default() };
    let Ok(mut log) = remote.engine.logs(&id.0, &options).await else { return Vec::new() };
    let redactor = &remote.redactor;
    let (mut lines, mut parts) = (Vec::new(), Parts::default());
    while let Some(Ok(frame)) = log.next().await
        && lines.len() < LAST_LINES
    {
        // A line of more than 16 KiB comes in parts, of which the first is enough; but the log may begin with another.
        if parts.continue_with(&frame) {
            continue;
        }
        // Each message begins with its time stamp.
        let bytes = frame.bytes.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or(&frame.bytes);
        let bytes = if lines.is_empty() { redactor.redact_rest(bytes) } else { bytes.into() };
        let line = redactor.redact_cut(&bytes);
        lines.push(printable(String::from_utf8_lossy(&line).trim_end(), 400));
    }
    lines
}
