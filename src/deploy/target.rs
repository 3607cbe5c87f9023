//! What a rollback goes back to: which release, whether its container is still there or is made anew from its image, and
//! whether the app's data allows it. [`look`] tells it without touching anything.

use std::collections::BTreeSet;

use super::error::Error;
use super::labels::Record;
use super::push::{image_tag, repository};
use super::remote::{Deployed, Remote};
use super::situation::{Found, Situation};
use crate::fleet::{AppName, BlueGreen, ReleaseId};

/// What to go back to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The release; `None` for the one that was live before.
    pub release: Option<&'a ReleaseId>,
    /// Even if the app's data was changed for good since, which whoever asks has thought about.
    pub across_migration: bool,
}

impl<'a> From<Option<&'a ReleaseId>> for Wanted<'a> {
    fn from(release: Option<&'a ReleaseId>) -> Self {
        Self { release, across_migration: false }
    }
}

/// A release that can be brought back.
pub(super) enum Target<'s> {
    /// Its container is there.
    Kept(&'s Found),
    /// Its container is gone, its image is there, and so is what is recorded of it.
    Forgotten(&'s Record),
}

impl Target<'_> {
    /// What is recorded of it.
    pub(super) fn record(&self) -> &Record {
        match self {
            Self::Kept(found) => &found.record,
            Self::Forgotten(record) => record,
        }
    }
}

/// The kept release that was asked for, or the one that was live last of those older than the live one.
async fn find<'s>(
    remote: &Remote,
    app: &AppName,
    situation: &'s Situation,
    to: Option<&ReleaseId>,
) -> Result<Target<'s>, Error> {
    let found = match to {
        Some(release) => situation.restorable().find(|found| found.record.release == *release),
        None => situation.previous(),
    };
    if let Some(found) = found {
        return Ok(Target::Kept(found));
    }
    let forgotten = forgotten(remote, app, situation).await?;
    let live = situation.live.as_ref().map(|live| &live.record.release);
    let found = forgotten.iter().find(|record| match to {
        Some(release) => record.release == *release,
        None => live.is_some_and(|live| record.release < *live),
    });
    if let Some(record) = found {
        return Ok(Target::Forgotten(record));
    }
    if situation.live.is_none() && situation.restorable().next().is_none() {
        return Err(Error::NotDeployed { app: app.clone(), host: remote.name().clone() });
    }
    let kept = situation.restorable().map(|found| &found.record).chain(forgotten);
    Err(Error::NoRelease {
        app: app.clone(),
        host: remote.name().clone(),
        wanted: to.map_or_else(|| "older than the live one".to_owned(), ToString::to_string),
        kept: kept.map(|record| record.release.clone()).collect(),
    })
}

/// The releases without a container that can be made anew, because their image is still there.
///
/// # Errors
/// When the engine cannot be asked.
pub async fn forgotten<'s>(
    remote: &Remote,
    app: &AppName,
    situation: &'s Situation,
) -> Result<Vec<&'s Record>, Error> {
    let forgotten = situation.forgotten();
    if forgotten.is_empty() {
        return Ok(forgotten);
    }
    let images = remote.engine.list_images(Some(&format!("{}:*", repository(app)))).await?;
    let tags: BTreeSet<&String> = images.iter().flat_map(|image| &image.tags).collect();
    Ok(forgotten.into_iter().filter(|record| tags.contains(&image_tag(app, &record.release))).collect())
}

/// The release to bring back.
///
/// # Errors
/// [`Error::NoRelease`] and [`Error::NotDeployed`] when there is none; [`Error::AcrossMigration`] when it is older than the
/// data, and whoever asks has not said that this is fine.
pub(super) async fn choose<'s>(
    remote: &Remote,
    app: &AppName,
    situation: &'s Situation,
    to: Option<&ReleaseId>,
    across_migration: bool,
) -> Result<Target<'s>, Error> {
    let target = find(remote, app, situation, to).await?;
    let release = &target.record().release;
    match situation.migrated_since(release).filter(|_| !across_migration) {
        Some(migrated) => Err(Error::AcrossMigration {
            app: app.clone(),
            host: remote.name().clone(),
            release: release.clone(),
            migrated: migrated.clone(),
        }),
        None => Ok(target),
    }
}

/// The slots by which a release comes back: those of the live one, or its own when that has none. `None` when it is swapped
/// in another way.
pub(super) fn slots<'s>(situation: &'s Situation, target: &'s Record) -> Option<&'s BlueGreen> {
    let own = target.app.blue_green.as_ref()?;
    Some(situation.live.as_ref().and_then(|live| live.record.app.blue_green.as_ref()).unwrap_or(own))
}

/// What a rollback would do.
#[derive(Debug)]
pub struct WayBack {
    /// What is on the host.
    pub deployed: Deployed,
    /// What would be live; `None` where only the end of an interrupted change can tell.
    pub target: Option<Record>,
    /// How it would come back.
    pub how: How,
    /// By which slots, if it is swapped so.
    pub slots: Option<BlueGreen>,
}

/// How a release comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its container, which is stopped, is started.
    Start,
    /// A container is made of its image and its record.
    Make,
    /// A change that was interrupted is brought to its end first, and what that leaves decides.
    Repair,
}

/// Looks what a rollback would do, and touches nothing.
///
/// # Errors
/// As the rollback itself, when there is nothing to go back to.
pub async fn look(remote: &Remote, app: &AppName, wanted: Wanted<'_>) -> Result<WayBack, Error> {
    let deployed = remote.app(app).await?;
    let situation = &deployed.situation;
    if situation.interruption().is_some() {
        return Ok(WayBack { deployed, target: None, how: How::Repair, slots: None });
    }
    let target = choose(remote, app, situation, wanted.release, wanted.across_migration).await?;
    let record = target.record();
    let slots = slots(situation, record).cloned();
    // A container that was made for the slot that is live cannot be started in the other.
    let live_slot = situation.live.as_ref().and_then(|live| live.record.slot);
    let fits = slots.is_none() || record.slot != live_slot;
    let how = if matches!(target, Target::Kept(_)) && fits { How::Start } else { How::Make };
    let target = Some(record.clone());
    Ok(WayBack { deployed, target, how, slots })
}
