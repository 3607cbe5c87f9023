//! `arcane init`: a key of one's own, a vault in the repository, and a place in the team. May be typed any number of
//! times: what is there stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::secrecy::{ExposeSecret as _, SecretString};

use super::args::InitVault;
use super::{context, install, prompt};
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::clock;
use crate::config::Project;
use crate::fleet::text::printable;
use crate::fleet::{EnvironmentName, MemberName};
use crate::git::Repository;
use crate::secrets::{
    Ask, Contents, Error, FileKey, Identities, IdentityFile, Member, Origin, Recipient, Vault,
};

const FIRST: &str = "production";

pub(in crate::cli) fn init(ui: &Ui, arguments: &Arguments, options: &InitVault) -> Result<u8, Failure> {
    let identities = identities(ui, options)?;
    let vault = match context::vault(arguments) {
        Err(Error::NoVault { .. }) => {
            Vault::create(&root(&arguments.directory))?;
            context::vault(arguments)?
        }
        found => found?,
    };
    let guard = vault.lock()?;
    let known = vault.environments()?;
    let mut new: Vec<EnvironmentName> = Vec::new();
    for name in options.env.iter().filter(|name| !known.contains(name)) {
        if !new.contains(name) {
            new.push(name.clone());
        }
    }
    if known.is_empty() && options.env.is_empty() {
        new.push(EnvironmentName::parse(FIRST).map_err(|error| Failure::new(exit::BUG, error.to_string()))?);
    }
    let mut member = member(&vault, options, &identities)?;
    for environment in &new {
        let mut contents = Contents::new(environment.clone(), FileKey::generate());
        // Of the team's file only what is at hand: anybody may have put another key there.
        let ours = identities.recipients().filter(|key| member.keys.contains(*key)).cloned();
        contents.readers.insert(member.name.clone(), ours.collect());
        // One of this name that was here before is gone, and this is another.
        guard.accept(&contents);
        guard.write(&contents)?;
        member.environments.insert(environment.clone());
    }
    guard.write_member(&member)?;
    if let Some(repository) = Repository::find(vault.directory())? {
        install::install(ui, &vault, &repository)?;
        install::open_files(ui, &repository, &identities)?;
    }
    let shown = printable(&vault.directory().to_string_lossy(), 200);
    ui.note(&format!("You are {} in the vault in {shown}.", member.name));
    for environment in &new {
        ui.note(&format!("Made the environment {environment}, for you to read."));
    }
    if member.environments.is_empty() {
        ui.note("You can read nothing yet.");
        ui.tagged(
            Tag::Hint,
            &format!(
                "commit {shown}/team/{0}.toml; then a teammate types `arcane team add {0} --env NAME`",
                member.name
            ),
        );
    } else {
        ui.tagged(Tag::Hint, &format!("set a secret with `arcane secrets set NAME`, and commit {shown}"));
    }
    Ok(exit::DONE)
}

/// The keys at hand; one is made when there is none.
fn identities(ui: &Ui, options: &InitVault) -> Result<Identities, Failure> {
    let named = std::env::var_os(context::IDENTITY).is_some_and(|text| !text.is_empty());
    if options.ssh && !named {
        let origin = Origin::Usual { identity: None, ssh: context::ssh_file() };
        return Ok(Identities::load(&origin, &prompt::ask())?);
    }
    let path = context::identity_file()
        .ok_or_else(|| Failure::new(exit::USAGE, "there is no HOME to keep a key in"))?;
    if !named && !path.exists() {
        let passphrase = if options.passphrase { Some(new_passphrase()?) } else { None };
        let shown = printable(&path.to_string_lossy(), 200);
        let key = IdentityFile::create(&path, passphrase.clone(), clock::now())?;
        ui.note(&format!("Made a key in {shown}. Keep a copy where you keep what must not be lost."));
        ui.note(&format!("Its public part is {key}"));
        // Only what was made just now: an SSH key that happens to be there is not meant.
        let origin = Origin::Usual { identity: Some(path), ssh: None };
        let known: Ask = Arc::new(move |_| passphrase.clone());
        return Ok(Identities::load(&origin, &known)?);
    }
    if options.passphrase {
        return Err(Failure::new(exit::USAGE, "there is a key already, and --passphrase makes a new one")
            .hint("remove --passphrase, or move the key away first"));
    }
    Ok(match named {
        true => context::identities()?,
        false => Identities::load(&Origin::Usual { identity: Some(path), ssh: None }, &prompt::ask())?,
    })
}

fn new_passphrase() -> Result<SecretString, Failure> {
    let ask = prompt::ask();
    let none = || Failure::from(Error::NoPassphrase);
    let first = ask("Passphrase of the new key").ok_or_else(none)?;
    let again = ask("The same passphrase again").ok_or_else(none)?;
    if first.expose_secret().is_empty() {
        return Err(Failure::new(exit::USAGE, "an empty passphrase protects nothing; no key was made"));
    }
    if first.expose_secret() != again.expose_secret() {
        return Err(Failure::new(exit::FAILED, "the two differ; no key was made"));
    }
    Ok(first)
}

/// Where a vault belongs: beside arcane.toml, else at the top of the repository, else here.
fn root(start: &Path) -> PathBuf {
    let start = context::whole(start);
    let top = context::top(&start);
    let mut inside = start.ancestors().take_while(|directory| directory.starts_with(&top));
    let project = inside.find(|directory| directory.join(Project::FILE).exists()).map(Path::to_owned);
    project.unwrap_or_else(|| if top.join(".git").exists() { top } else { start })
}

/// Our place in the team: the one that our key has, or a new one.
fn member(vault: &Vault, options: &InitVault, identities: &Identities) -> Result<Member, Failure> {
    let team = vault.team()?;
    let keys: Vec<&Recipient> = identities.recipients().collect();
    let ours = team.values().find(|member| keys.iter().any(|key| member.keys.contains(*key)));
    if let Some(member) = ours {
        if let Some(name) = options.name.as_ref().filter(|name| **name != member.name) {
            return Err(Failure::new(
                exit::USAGE,
                format!("your key is {}'s here, not {name}'s", member.name),
            ));
        }
        return Ok(member.clone());
    }
    let name = match &options.name {
        Some(name) => name.clone(),
        None => user().ok_or_else(|| {
            Failure::new(exit::USAGE, "your user name is not known, or cannot be a member's")
                .hint("say --as NAME")
        })?,
    };
    if team.contains_key(&name) {
        return Err(Failure::new(exit::USAGE, format!("the team has a {name}, with another key"))
            .hint("say --as NAME; if that is you on another machine, have the first one type `arcane team add` with this key"));
    }
    let mut member = Member::new(name);
    member.keys.extend(keys.first().map(|key| (*key).clone()));
    Ok(member)
}

fn user() -> Option<MemberName> {
    let names = ["LOGNAME", "USER"].into_iter().filter_map(|name| std::env::var(name).ok());
    names.into_iter().find_map(|name| MemberName::parse(&name).ok())
}
