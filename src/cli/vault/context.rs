//! What every command about secrets begins with: the vault, who we are, and what is in an environment.

use std::path::PathBuf;

use super::prompt;
use crate::cli::args::Arguments;
use crate::config::config_home;
use crate::fleet::EnvironmentName;
use crate::secrets::{Ask, Contents, Guard, Identities, Origin, Result, Vault};

/// The variable that names the only key to be used.
pub(super) const IDENTITY: &str = "ARCANE_IDENTITY";

pub(in crate::cli) fn vault(arguments: &Arguments) -> Result<Vault> {
    Vault::find(&arguments.directory)
}

/// Where `arcane init` keeps the key it makes.
pub(super) fn identity_file() -> Option<PathBuf> {
    config_home().map(|directory| directory.join("arcane").join("identity"))
}

/// The user's SSH key.
pub(super) fn ssh_file() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ssh").join("id_ed25519"))
}

/// The keys at hand. Who has a passphrase is asked for it.
pub(super) fn identities() -> Result<Identities> {
    load(&prompt::ask())
}

/// The only key to be used, if there is one.
pub(super) fn named() -> Option<String> {
    std::env::var(IDENTITY).ok().filter(|text| !text.trim().is_empty())
}

pub(super) fn load(ask: &Ask) -> Result<Identities> {
    let origin = match named() {
        Some(text) => Origin::Named(text),
        None => Origin::Usual { identity: identity_file(), ssh: ssh_file() },
    };
    Identities::load(&origin, ask)
}

/// An environment to look into.
pub(super) fn read(arguments: &Arguments, asked: Option<&EnvironmentName>) -> Result<Contents> {
    let vault = vault(arguments)?;
    let environment = vault.environment(asked)?;
    vault.read(&environment, &identities()?)
}

/// An environment that nobody else changes meanwhile.
pub(super) struct Opened {
    pub(super) guard: Guard,
    pub(super) contents: Contents,
    /// Who we are in it.
    pub(super) by: String,
}

/// An environment to change.
pub(super) fn open(arguments: &Arguments, asked: Option<&EnvironmentName>) -> Result<Opened> {
    let vault = vault(arguments)?;
    let environment = vault.environment(asked)?;
    // A passphrase is typed before the lock is taken: nobody waits for a person.
    let identities = identities()?;
    let guard = vault.lock()?;
    let contents = guard.read(&environment, &identities)?;
    let by = author(&contents, &identities);
    Ok(Opened { guard, contents, by })
}

/// What those who read our changes will call us: a name that the environment knows.
pub(super) fn author(contents: &Contents, identities: &Identities) -> String {
    match contents.reader(identities.recipients()) {
        Some(name) => name.to_string(),
        None => "somebody".to_owned(),
    }
}

/// For whom an environment is sealed, in words.
pub(super) fn readers(contents: &Contents) -> String {
    let names: Vec<&str> = contents.readers.keys().map(AsRef::as_ref).collect();
    names.join(", ")
}
