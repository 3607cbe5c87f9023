//! Changes to what is already on a host: go back to a kept release, restart, make the container anew. Each takes the
//! lock, settles what an interrupted change left, and tells what it did.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::event::{Report, Step};
use super::labels::Record;
use super::lock::{Holder, Lock, Owner};
use super::push::{create, image_tag};
use super::remote::Remote;
use super::secrets::Source;
use super::situation::{Found, Interruption, Situation, back_name, new_name};
use super::switch::Change;
use super::target::{Target, Wanted, choose, slots};
use crate::fleet::{App, AppName, BlueGreen, ReleaseId, Timestamp};

/// Who asks for a change, and how long it may wait for the lock.
#[derive(Clone)]
pub struct Request<'a> {
    /// Which app.
    pub app: &'a AppName,
    /// The release that must be live for the change to make sense. The supervisor names the one it found ill, so that
    /// a release that came meanwhile is never touched for the sins of the one before.
    pub expect: Option<ReleaseId>,
    /// Who asks: `user@machine`, with `heal` in front when the supervisor does.
    pub by: String,
    /// When, by this machine's clock.
    pub now: Timestamp,
    /// How long to wait for the lock.
    pub wait: Duration,
    /// Where progress is told.
    pub report: Report<'a>,
    /// The operator's interruption.
    pub cancel: &'a CancellationToken,
    /// Who opens the vault when secrets have to be brought again.
    pub source: &'a dyn Source,
}

/// What a change did.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The release that is live now.
    pub release: ReleaseId,
    /// The release that was live before; `None` when none was, because a change had been interrupted.
    pub before: Option<ReleaseId>,
    /// How long it took.
    pub took: Duration,
    /// How long nothing answered.
    pub gap: Duration,
}

/// Brings a kept release back: the one asked for, or the one that was live last of those older than the live one. Its
/// container is there, stopped, and only has to be started; if somebody removed it, it is made anew from the release's
/// image and record. When a change was interrupted and left no live release, bringing back the one before is all that is
/// done.
///
/// # Errors
/// [`Error::NoRelease`] when there is none; [`Error::AcrossMigration`] when the release is older than the data;
/// [`Error::RolledBack`] when the kept release failed and what was live runs again.
pub async fn rollback<'w>(
    remote: &Remote,
    request: &Request<'_>,
    wanted: impl Into<Wanted<'w>>,
) -> Result<Changed, Error> {
    let Wanted { release: to, across_migration } = wanted.into();
    let doing = to.map_or_else(|| "rollback".to_owned(), |release| format!("rollback to {release}"));
    under_lock(remote, request, &doing, async |locked| {
        let begun = Instant::now();
        // A rollback that was cut off is finished; a push that was cut off is undone.
        let unfinished =
            locked.before.candidate.as_ref().filter(|tried| tried.name == back_name(request.app));
        let to = to.or(unfinished.map(|tried| &tried.record.release));
        let interrupted = match locked.before.interruption() {
            Some(Interruption::DuringSwitch) => true,
            // Between two slots a change is ended or undone, by where Caddy led. What was ended is rolled back from.
            Some(Interruption::BetweenSlots) => unfinished.is_some() || !locked.ended(),
            _ => false,
        };
        let live = locked.settled.live.as_ref().map(|live| live.record.release.clone());
        if let Some(release) = live.clone().filter(|release| interrupted && to.is_none_or(|to| to == release))
        {
            return Ok(Changed { release, before: None, took: begun.elapsed(), gap: begun.elapsed() });
        }
        let target = choose(remote, request.app, &locked.settled, to, across_migration).await?;
        let Record { app, release, .. } = target.record();
        let change = locked.change(app, release);
        change.ensure_secrets(target.record()).await?;
        if let Some(of) = slots(&locked.settled, target.record()) {
            locked.back_to_slot(&target, of).await?;
            return Ok(Changed {
                release: release.clone(),
                before: live,
                took: begun.elapsed(),
                gap: Duration::ZERO,
            });
        }
        let back = back_name(request.app);
        let mut settled = locked.settled.clone();
        let candidate = match &target {
            Target::Kept(found) => {
                change.guarded(Step::Rename, format!("{} to {back}", found.name)).await?;
                remote.engine.rename(&found.id.0, &back).await?;
                settled.old = settled.old.filter(|old| old.id != found.id);
                found.id.clone()
            }
            Target::Forgotten(record) => {
                change.guarded(Step::Create, format!("{release}, whose container was removed")).await?;
                create(remote, &back, record, &image_tag(request.app, release)).await?
            }
        };
        let gap = change.switch(&settled, &candidate, &back).await?;
        Ok(Changed { release: release.clone(), before: live, took: begun.elapsed(), gap })
    })
    .await
}

/// Restarts the live release's container.
///
/// # Errors
/// [`Error::NotDeployed`] when nothing is live.
pub async fn restart(remote: &Remote, request: &Request<'_>) -> Result<Changed, Error> {
    under_lock(remote, request, "restart", async |locked| {
        let begun = Instant::now();
        let live = locked.live()?;
        let change = locked.change(&live.record.app, &live.record.release);
        if !live.running {
            change.ensure_secrets(&live.record).await?;
        }
        change.guarded(Step::Stop, request.app.as_str()).await?;
        let grace = live.record.app.stop_timeout;
        remote.engine.restart(&live.id.0, grace).await?;
        let release = live.record.release.clone();
        Ok(Changed { before: Some(release.clone()), release, took: begun.elapsed(), gap: begun.elapsed() })
    })
    .await
}

/// Brings the secrets of the live release again, where a reboot has wiped them, and starts its container.
///
/// # Errors
/// [`Error::NotDeployed`] when nothing is live; [`Error::SecretsGone`] when nobody here can open the vault.
pub async fn reinject(remote: &Remote, request: &Request<'_>) -> Result<Changed, Error> {
    under_lock(remote, request, "reinject", async |locked| {
        let begun = Instant::now();
        let live = locked.live()?;
        let change = locked.change(&live.record.app, &live.record.release);
        change.ensure_secrets(&live.record).await?;
        change.guarded(Step::Start, live.record.release.as_str()).await?;
        remote.engine.start(&live.id.0).await?;
        let release = live.record.release.clone();
        Ok(Changed { before: Some(release.clone()), release, took: begun.elapsed(), gap: begun.elapsed() })
    })
    .await
}

/// Makes a new container of the live release and puts it in the old one's place: frees whatever the old one held.
///
/// # Errors
/// [`Error::NotDeployed`] when nothing is live; [`Error::RolledBack`] when the new container is no good.
pub async fn redeploy(remote: &Remote, request: &Request<'_>) -> Result<Changed, Error> {
    under_lock(remote, request, "redeploy", async |locked| {
        let begun = Instant::now();
        let live = locked.live()?;
        let (app, release) = (&live.record.app, &live.record.release);
        let mut change = locked.change(app, release);
        change.ensure_secrets(&live.record).await?;
        if let Some(of) = slots(&locked.settled, &live.record) {
            change.slots = Some(change.free_slot(of).await?);
        }
        let slot = change.slots.as_ref().map(|slots| slots.slot);
        let record = Record { slot: slot.or(live.record.slot), ..live.record.clone() };
        change.guarded(Step::Create, release.as_str()).await?;
        let candidate =
            create(remote, &new_name(request.app), &record, &image_tag(request.app, release)).await?;
        let gap = change.switch(&locked.settled, &candidate, &new_name(request.app)).await?;
        // What was replaced is the same release: keeping it would only hide the one before.
        if locked.lock.check(remote.name()).await.is_ok()
            && let Err(error) = remote.engine.remove(&live.id.0).await
        {
            tracing::warn!(%error, "the replaced container is still there; the next push removes it");
        }
        Ok(Changed { release: release.clone(), before: Some(release.clone()), took: begun.elapsed(), gap })
    })
    .await
}

/// A change in progress: the lock is ours and nothing interrupted is left.
pub(super) struct Locked<'a> {
    remote: &'a Remote,
    request: &'a Request<'a>,
    lock: &'a Lock,
    owner: &'a Owner,
    /// What was there when we came.
    before: Situation,
    /// What is there after repairs.
    settled: Situation,
}

impl Locked<'_> {
    /// The live release.
    pub(super) fn live(&self) -> Result<&Found, Error> {
        let (app, host) = (self.request.app, self.remote.name());
        let not_deployed = || Error::NotDeployed { app: app.clone(), host: host.clone() };
        self.settled.live.as_ref().ok_or_else(not_deployed)
    }

    fn expected(&self) -> Result<(), Error> {
        let live = self.settled.live.as_ref().map(|live| &live.record.release);
        match (&self.request.expect, live) {
            (Some(expected), live) if live != Some(expected) => Err(Error::Superseded {
                app: self.request.app.clone(),
                host: self.remote.name().clone(),
                expected: expected.clone(),
                live: live.cloned(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether a change that had been cut off between two slots was brought to its end.
    fn ended(&self) -> bool {
        let id = |found: &Option<Found>| found.as_ref().map(|found| found.id.clone());
        id(&self.before.candidate) == id(&self.settled.live)
    }

    /// Brings a release back into the slot that is free. When its container was made for the other one, or removed,
    /// another is made of its image and its record.
    async fn back_to_slot(&self, target: &Target<'_>, of: &BlueGreen) -> Result<(), Error> {
        let (engine, name) = (&self.remote.engine, self.request.app);
        let Record { app, release, .. } = target.record();
        let mut change = self.change(app, release);
        let slots = change.free_slot(of).await?;
        let slot = slots.slot;
        change.slots = Some(slots);
        let mut settled = self.settled.clone();
        let back = back_name(name);
        if let Target::Kept(found) = target
            && found.record.slot == Some(slot)
        {
            change.guarded(Step::Rename, format!("{} to {back}", found.name)).await?;
            engine.rename(&found.id.0, &back).await?;
            settled.old = settled.old.filter(|old| old.id != found.id);
            return change.switch(&settled, &found.id, &back).await.map(drop);
        }
        let record = Record {
            app: App { blue_green: Some(of.clone()), ..app.clone() },
            slot: Some(slot),
            ..target.record().clone()
        };
        // One whose release is there once more is removed again if it fails.
        let candidate_name = if matches!(target, Target::Kept(_)) { new_name(name) } else { back };
        change.guarded(Step::Create, format!("{release} anew, for localhost:{slot}")).await?;
        let candidate = create(self.remote, &candidate_name, &record, &image_tag(name, release)).await?;
        change.switch(&settled, &candidate, &candidate_name).await?;
        // It is live, and there once more. Should this fail, the next swap keeps one of the two.
        if let Target::Kept(found) = target
            && self.lock.check(self.remote.name()).await.is_ok()
            && let Err(error) = engine.remove(&found.id.0).await
        {
            tracing::warn!(%error, "the container that was made for the other slot is still there");
        }
        Ok(())
    }

    pub(super) fn change<'c>(&'c self, app: &'c App, release: &'c ReleaseId) -> Change<'c> {
        Change {
            remote: self.remote,
            lock: self.lock,
            owner: self.owner,
            app,
            release,
            report: self.request.report,
            cancel: self.request.cancel,
            slots: None,
            source: self.request.source,
            touched: AtomicBool::new(false),
            fresh: None,
        }
    }
}

pub(super) async fn under_lock<T>(
    remote: &Remote,
    request: &Request<'_>,
    doing: &str,
    work: impl AsyncFnOnce(&Locked<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let before = remote.app(request.app).await?.situation;
    let Some(any) = before.live.iter().chain(before.candidate.iter()).chain(before.restorable()).next()
    else {
        return Err(Error::NotDeployed { app: request.app.clone(), host: remote.name().clone() });
    };
    let owner = Owner {
        who: request.by.clone(),
        doing: format!("{doing} {}", request.app),
        since: request.now,
        pid: std::process::id(),
    };
    let host = remote.name().clone();
    let waiting = |holder: &Holder| {
        (request.report)(super::event::Event::LockWait { host: host.clone(), holder: holder.to_string() });
    };
    let untouched = || Error::Interrupted { state: format!("{} runs what it ran", remote.name()) };
    let lock = tokio::select! {
        lock = Lock::acquire(&remote.session, &owner, request.wait, &waiting) => lock?,
        () = request.cancel.cancelled() => return Err(untouched()),
    };
    let mut locked = Locked {
        remote,
        request,
        lock: &lock,
        owner: &owner,
        before: Situation::default(),
        settled: Situation::default(),
    };
    let result = async {
        if request.cancel.is_cancelled() {
            return Err(untouched());
        }
        // Looked at again, now that nobody else can change it.
        locked.before = remote.app(request.app).await?.situation;
        locked.settled = locked.change(&any.record.app, &any.record.release).settle().await?;
        locked.expected()?;
        work(&locked).await
    }
    .await;
    lock.release().await;
    result
}
