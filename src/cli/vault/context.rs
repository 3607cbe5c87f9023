//! What every command about secrets begins with: the vault, who we are, and what is in an environment.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::prompt;
use crate::cli::args::Arguments;
use crate::cli::ui::{Tag, Ui};
use crate::config::config_home;
use crate::fleet::EnvironmentName;
use crate::git::Repository;
use crate::secrets::{Ask, Contents, Error, Guard, Identities, Origin, Result, Vault};

/// The variable that names the only key to be used.
pub(super) const IDENTITY: &str = "ARCANE_IDENTITY";

pub(in crate::cli) fn vault(arguments: &Arguments) -> Result<Vault> {
    vault_above(&arguments.directory)
}

/// The nearest vault in a directory or above it.
pub(super) fn vault_above(start: &Path) -> Result<Vault> {
    let start = whole(start);
    let vault = Vault::find(&start, &top(&start))?;
    // Where git's own library sees no repository it has no place for us either.
    let repository = Repository::find(vault.directory()).ok().flatten();
    Ok(match &repository {
        Some(repository) => remembering(vault, repository),
        None => vault,
    })
}

/// The vault of a file of this repository, `path` counted from the root: a service of several may have its own.
pub(super) fn vault_of(repository: &Repository, path: &Path) -> Result<Vault> {
    let root = whole(repository.root());
    let full = root.join(path);
    Ok(remembering(Vault::find(full.parent().unwrap_or(&root), &root)?, repository))
}

/// Every vault of this repository.
pub(super) fn vaults(repository: &Repository) -> std::result::Result<Vec<Vault>, crate::git::Error> {
    let root = whole(repository.root());
    let known = repository.directories(Vault::DIRECTORY)?;
    // The one at the top may be too new for git to know it.
    let mut parents: BTreeSet<PathBuf> =
        known.iter().filter_map(|path| path.parent()).map(|path| root.join(path)).collect();
    parents.insert(root.join(""));
    let found = parents.iter().filter_map(|parent| Vault::find(parent, parent).ok());
    Ok(found.map(|vault| remembering(vault, repository)).collect())
}

/// A vault that keeps in this clone, beside what git keeps there, what it has seen.
pub(super) fn remembering(vault: Vault, repository: &Repository) -> Vault {
    let directory = whole(vault.directory());
    match directory.strip_prefix(whole(repository.root())) {
        Ok(inside) => {
            let place = repository.common_directory().join("arcane").join("seen").join(inside);
            vault.remembering(place)
        }
        Err(_) => vault,
    }
}

/// A path without links, when there is something.
pub(super) fn whole(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Where a search upwards ends: at the top of the repository; in none, at the user's home or the file system's root.
pub(super) fn top(start: &Path) -> PathBuf {
    if let Some(repository) = start.ancestors().find(|directory| directory.join(".git").exists()) {
        return repository.to_owned();
    }
    let home = std::env::var_os("HOME").map(|home| whole(Path::new(&home)));
    if let Some(home) = home.filter(|home| start.starts_with(home)) {
        return home;
    }
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let here = start.ancestors().find_map(device);
    let places = start.ancestors().take_while(|path| device(path).is_none_or(|found| Some(found) == here));
    places.last().unwrap_or(start).to_owned()
}

/// Says that what is read is an older version than was seen, if it is.
pub(in crate::cli) fn warn_of_older(ui: &Ui, vault: &Vault, contents: &Contents) {
    if let Err(error) = vault.newest(contents) {
        warn(ui, &error);
    }
}

/// Something that keeps nobody from going on.
pub(super) fn warn(ui: &Ui, error: &Error) {
    ui.tagged(Tag::Warning, &error.to_string());
    if let Some(hint) = error.hint() {
        ui.tagged(Tag::Hint, &hint);
    }
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
pub(super) fn read(ui: &Ui, arguments: &Arguments, asked: Option<&EnvironmentName>) -> Result<Contents> {
    let vault = vault(arguments)?;
    let environment = vault.environment(asked)?;
    let contents = vault.read(&environment, &identities()?)?;
    warn_of_older(ui, &vault, &contents);
    Ok(contents)
}

/// An environment that nobody else changes meanwhile.
pub(super) struct Opened {
    pub(super) guard: Guard,
    pub(super) identities: Identities,
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
    Ok(Opened { guard, identities, contents, by })
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
