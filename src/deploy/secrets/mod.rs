//! Secrets on their way from the vault into a container, by way of the host's memory and of nothing else.
//!
//! An engine writes a container's environment to disk and shows it to whoever asks, so none of it is a secret. Instead the
//! values go over the line into a file system in memory, `/run/arcane/APP/RELEASE` on the host ([`keep`]), from which a
//! container of that release has them mounted: as files in `/run/secrets`, and beside the launcher, which a container runs
//! first ([`launcher`]). So a container can be restarted by anybody, and after a reboot of the host it cannot be started at
//! all until somebody who can open the vault has brought them again ([`ensure`]).
//!
//! Each release has secrets of its own, those that it was pushed with, for as long as it can be gone back to.

mod keep;
mod launcher;
mod parcel;

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::event::Step;
use super::labels::Record;
use super::push::{image_tag, repository};
use super::remote::Remote;
use super::situation::{Found, Situation};
use super::switch::Change;
use crate::docker::{Container, ContainerSpec};
use crate::fleet::text::plural;
use crate::fleet::{App, AppName, ContainerId, Host, ReleaseId, SecretForm, SecretVersion, VariableName};
use crate::secrets::{Contents, Value};

use keep::Memory;
pub(super) use keep::name as container_name;
pub use launcher::command;
pub(super) use launcher::{is_ours, launcher};

/// The most that Linux takes as one variable, in bytes, its name and a NUL included (`MAX_ARG_STRLEN`).
const VARIABLE_LIMIT: usize = 128 * 1024;
/// The most that all of them may come to. Linux allows 2 MiB for arguments and environment of a program with the usual stack.
const VARIABLES_LIMIT: usize = 1536 * 1024;

/// The values of an app's secrets.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<VariableName, Value>);

/// Why values cannot become an app's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A value that no variable can hold.
    #[error("the value of {0} holds a NUL byte, which no variable can")]
    Nul(VariableName),
    /// A value that is too large for one.
    #[error("the value of {0} is too large for a variable: Linux takes 128 KiB")]
    Large(VariableName),
    /// All of them together.
    #[error("the values of all `secrets` come to more than the 1.5 MiB that fit into an environment")]
    AllTooLarge,
}

impl Values {
    /// The values of what an app declares, out of an environment that holds them all.
    ///
    /// # Errors
    /// When one cannot be a variable and is to be one; one that is missing counts as no value, and is left out.
    pub fn of(app: &App, contents: &Contents) -> Result<Self, Unfit> {
        let mut values = BTreeMap::new();
        let mut total = 0;
        for (name, secret) in &app.secrets {
            let Some(found) = contents.secrets.get(name) else { continue };
            let size = name.as_str().len() + found.value.len() + 2;
            if secret.form == SecretForm::Variable {
                if found.value.expose().contains(&0) {
                    return Err(Unfit::Nul(name.clone()));
                }
                if size > VARIABLE_LIMIT {
                    return Err(Unfit::Large(name.clone()));
                }
                total += size;
            }
            values.insert(name.clone(), found.value.clone());
        }
        if total > VARIABLES_LIMIT { Err(Unfit::AllTooLarge) } else { Ok(Self(values)) }
    }
}

impl Values {
    /// Of what they are, for a line.
    fn names(&self) -> String {
        const SHOWN: usize = 5;
        let names: Vec<&str> = self.0.keys().map(AsRef::as_ref).collect();
        if names.len() <= SHOWN { names.join(", ") } else { plural(names.len(), "secret") }
    }
}

/// Writes down which version of each secret a release of the app gets: with another value it is another release.
pub fn pin(app: &mut App, contents: &Contents) {
    for (name, secret) in &mut app.secrets {
        secret.version = contents.secrets.get(name).map(|found| SecretVersion {
            environment: contents.environment.clone(),
            number: found.version,
            set: found.set,
        });
    }
}

/// Whoever can open the vault when secrets have to be brought again.
pub trait Source: Send + Sync {
    /// The values of an app's secrets as they are now, and the names of those that are newer than what the release had.
    /// What the app says of itself was read on the host, which is who asks: it is to be believed only where something here
    /// says the same.
    ///
    /// # Errors
    /// In words, why not: no vault here, no key, a name that is gone, a host that is not to have them.
    fn values(&self, app: &App, host: &Host) -> Result<(Values, Vec<VariableName>), String>;
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

impl Source for NoSource {
    fn values(&self, _: &App, _: &Host) -> Result<(Values, Vec<VariableName>), String> {
        Err("this command opens no vault".to_owned())
    }
}

impl Change<'_> {
    fn memory<'m>(&'m self, image: &'m str) -> Memory<'m> {
        Memory { remote: self.remote, app: &self.app.name, image }
    }

    /// Puts the secrets of a new release into the host's memory.
    pub(super) async fn put_secrets(
        &self,
        values: &Values,
        situation: &Situation,
        image: &str,
    ) -> Result<(), Error> {
        if self.app.secrets.is_empty() {
            return Ok(());
        }
        self.guarded(Step::Secrets, values.names()).await?;
        let parcel = parcel::pack(self.app, values, launcher(self.remote)?);
        // What a push that was killed had put there goes now; but a container that cannot be understood may need its own.
        let is_clear = self.remote.app(&self.app.name).await?.strange.is_empty();
        let needed = releases(situation);
        self.memory(image).put(self.release, &parcel, is_clear.then_some(&needed)).await
    }

    /// The same for whatever an interrupted change may have to start again: a reboot may have been what interrupted it.
    pub(super) async fn ensure_interrupted(&self, situation: &Situation) -> Result<(), Error> {
        if situation.interruption().is_some() {
            let candidate = situation.candidate.iter().filter(|found| found.record.slot.is_some());
            let started = situation.live.iter().chain(&situation.old).chain(candidate);
            let down: Vec<&Found> = started.filter(|found| !found.running).collect();
            for found in down {
                self.ensure_secrets(&found.record).await?;
            }
        }
        Ok(())
    }

    /// Makes sure that the secrets of a release are there, and brings them again if not.
    pub(super) async fn ensure_secrets(&self, record: &Record) -> Result<(), Error> {
        let (app, release) = (&record.app, &record.release);
        let image = image_tag(&app.name, release);
        if app.secrets.is_empty() || self.memory(&image).has(release).await? {
            return Ok(());
        }
        let (host, name) = (self.remote.name().clone(), app.name.clone());
        let gone = |why| Error::SecretsGone { host, app: name, release: release.clone(), why };
        let (values, newer) = self.source.values(app, &self.remote.host).map_err(gone)?;
        let names = values.names();
        let newer: Vec<&str> = newer.iter().map(AsRef::as_ref).collect();
        let detail = match &newer[..] {
            [] => format!("{names} again"),
            newer => format!("{names} again; newer than they were: {}", newer.join(", ")),
        };
        self.guarded(Step::Secrets, detail).await?;
        let parcel = parcel::pack(app, &values, launcher(self.remote)?);
        self.memory(&image).put(release, &parcel, None).await
    }
}

/// Gives a container of a release its secrets, if it has any.
pub(super) async fn dress(
    remote: &Remote,
    spec: &mut ContainerSpec,
    app: &App,
    release: &ReleaseId,
) -> Result<(), Error> {
    if app.secrets.is_empty() {
        return Ok(());
    }
    let image = remote.engine.image(&spec.image).await?;
    let image = image.ok_or_else(|| Error::NoImage { image: spec.image.clone() })?;
    launcher::dress(spec, &app.name, release, &image);
    Ok(())
}

/// Wipes the secrets of a release that is gone. What cannot be wiped now is by a later change.
pub(super) async fn forget(remote: &Remote, app: &App) {
    if app.secrets.is_empty() {
        return;
    }
    let Ok(deployed) = remote.app(&app.name).await else { return };
    // A release whose container cannot be understood may need its own.
    if deployed.strange.is_empty() {
        let _ = sweep(remote, &app.name, &releases(&deployed.situation)).await;
    }
}

/// The releases that are there or could be made anew.
fn releases(situation: &Situation) -> BTreeSet<&ReleaseId> {
    records(situation).into_iter().map(|record| &record.release).collect()
}

fn records(situation: &Situation) -> Vec<&Record> {
    situation.all().map(|found| &found.record).chain(situation.forgotten()).collect()
}

async fn sweep(remote: &Remote, app: &AppName, needed: &BTreeSet<&ReleaseId>) -> Result<(), Error> {
    let images = remote.engine.list_images(Some(&format!("{}:*", repository(app)))).await?;
    // Of an app without any, any other will do.
    let image = images.iter().find_map(|image| image.tags.first()).map_or("arcane/none", String::as_str);
    Memory { remote, app, image }.sweep(needed).await
}

/// What of an app is about to go.
#[derive(Debug, Default)]
pub(super) struct Going<'a> {
    /// Containers.
    pub(super) containers: BTreeSet<&'a ContainerId>,
    /// Images of releases that have no container.
    pub(super) images: BTreeSet<&'a ReleaseId>,
}

/// Wipes what is in the host's memory for an app, but for the releases of which a container or an image stays.
pub(super) async fn wipe(
    remote: &Remote,
    app: &AppName,
    situation: &Situation,
    going: &Going<'_>,
) -> Result<(), Error> {
    let (records, past) = (records(situation), situation.forgotten());
    // Of an app that is gone nobody knows whether it had any.
    let is_gone = records.is_empty();
    if !is_gone && records.iter().all(|record| record.app.secrets.is_empty()) {
        return Ok(());
    }
    let kept = situation.all().filter(|found| !going.containers.contains(&found.id));
    let images = past.iter().map(|record| &record.release).filter(|release| !going.images.contains(release));
    let needed: BTreeSet<&ReleaseId> = kept.map(|found| &found.record.release).chain(images).collect();
    match sweep(remote, app, &needed).await {
        Err(error) if is_gone => {
            tracing::warn!(%error, %app, "it may have left secrets in the host's memory; a reboot wipes them");
            Ok(())
        }
        swept => swept,
    }
}

/// Whether a container cannot be started because its secrets are gone: an engine names what it could not mount.
#[must_use]
pub fn are_gone(record: &Record, container: &Container) -> bool {
    let place = format!("{}/", keep::directory(&record.app.name, &record.release));
    let named = container.state.error.as_ref().is_some_and(|error| error.contains(&place));
    !record.app.secrets.is_empty() && !container.state.is_running() && named
}
