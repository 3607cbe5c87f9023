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
use super::situation::Situation;
use super::switch::Change;
use crate::docker::Container;
use crate::fleet::text::plural;
use crate::fleet::{App, AppName, ReleaseId, SecretForm, SecretVersion, VariableName};
use crate::secrets::{Contents, Value};

use keep::Helper;
pub(super) use keep::name as helper_name;
pub use launcher::command;
pub(super) use launcher::{dress, is_ours};

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
    ///
    /// # Errors
    /// In words, why not: no vault here, no key, a name that is gone.
    fn values(&self, app: &App) -> Result<(Values, Vec<VariableName>), String>;
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

impl Source for NoSource {
    fn values(&self, _: &App) -> Result<(Values, Vec<VariableName>), String> {
        Err("this command opens no vault".to_owned())
    }
}

impl Change<'_> {
    fn helper<'h>(&'h self, image: &'h str) -> Helper<'h> {
        Helper { remote: self.remote, app: &self.app.name, image }
    }

    /// Puts the secrets of a new release into the host's memory.
    pub(super) async fn put_secrets(&self, values: &Values, image: &str) -> Result<(), Error> {
        if self.app.secrets.is_empty() {
            return Ok(());
        }
        self.guarded(Step::Secrets, values.names()).await?;
        let parcel = parcel::pack(self.app, values, launcher::launcher(self.remote));
        self.helper(image).put(self.release, &parcel).await
    }

    /// Makes sure that the secrets of a release are there, and brings them again if not.
    pub(super) async fn ensure_secrets(&self, record: &Record, source: &dyn Source) -> Result<(), Error> {
        let (app, release) = (&record.app, &record.release);
        let image = image_tag(&app.name, release);
        if app.secrets.is_empty() || self.helper(&image).has(release).await? {
            return Ok(());
        }
        let (host, name) = (self.remote.name().clone(), app.name.clone());
        let gone = |why| Error::SecretsGone { host, app: name, release: release.clone(), why };
        let (values, newer) = source.values(app).map_err(gone)?;
        let names = values.names();
        let newer: Vec<&str> = newer.iter().map(AsRef::as_ref).collect();
        let detail = match &newer[..] {
            [] => format!("{names} again"),
            newer => format!("{names} again; newer than they were: {}", newer.join(", ")),
        };
        self.guarded(Step::Secrets, detail).await?;
        let parcel = parcel::pack(app, &values, launcher::launcher(self.remote));
        self.helper(&image).put(release, &parcel).await
    }
}

/// Wipes the secrets of a release that is gone, while its image, of which the helper is made, is still there. What cannot be
/// wiped now is by a later change.
pub(super) async fn forget(remote: &Remote, app: &App, release: &ReleaseId) {
    if app.secrets.is_empty() {
        return;
    }
    let Ok(deployed) = remote.app(&app.name).await else { return };
    // A release whose container cannot be understood may need its own.
    if deployed.strange.is_empty() {
        let records = records(&deployed.situation);
        let needed = records.into_iter().map(|record| &record.release).filter(|other| *other != release);
        let _ = wipe(remote, &app.name, &needed.collect()).await;
    }
}

/// The releases that are there or could be made anew.
fn records(situation: &Situation) -> Vec<&Record> {
    situation.all().map(|found| &found.record).chain(situation.forgotten()).collect()
}

async fn wipe(remote: &Remote, app: &AppName, needed: &BTreeSet<&ReleaseId>) -> Result<(), Error> {
    let images = remote.engine.list_images(Some(&format!("{}:*", repository(app)))).await?;
    let Some(image) = images.iter().find_map(|image| image.tags.first()) else { return Ok(()) };
    Helper { remote, app, image }.sweep(needed).await
}

/// Wipes what is in the host's memory for an app, but for the releases that are there or could be made anew and of which
/// `stays` is true.
pub(super) async fn wipe_all_but(
    remote: &Remote,
    app: &AppName,
    situation: &Situation,
    stays: impl Fn(&ReleaseId) -> bool,
) -> Result<(), Error> {
    let records = records(situation);
    // Of an app that is gone nobody knows whether it had any.
    if !records.is_empty() && records.iter().all(|record| record.app.secrets.is_empty()) {
        return Ok(());
    }
    let needed = records.into_iter().map(|record| &record.release).filter(|release| stays(release)).collect();
    wipe(remote, app, &needed).await
}

/// Whether a container cannot be started because its secrets are gone: an engine names what it could not mount.
#[must_use]
pub fn are_gone(record: &Record, container: &Container) -> bool {
    let place = format!("{}/", keep::directory(&record.app.name, &record.release));
    let named = container.state.error.as_ref().is_some_and(|error| error.contains(&place));
    !record.app.secrets.is_empty() && !container.state.is_running() && named
}
