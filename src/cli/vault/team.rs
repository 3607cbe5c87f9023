//! `arcane team`: who may read what. Whoever lets somebody in or out has to be able to read the environment, because it is
//! encrypted anew for those who may read it from then on.

use std::collections::BTreeSet;

use serde_json::json;

use super::args::Team;
use super::context;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::fleet::{EnvironmentName, MemberName};
use crate::secrets::{Contents, Error, FileKey, Member, Recipient};

pub(in crate::cli) fn team(ui: &Ui, arguments: &Arguments, command: &Team) -> Result<u8, Failure> {
    match command {
        Team::Add { name, key, all_keys, env } => {
            let choice = if *all_keys { Choice::All } else { Choice::These(key) };
            add(ui, arguments, name, &choice, env)
        }
        Team::Remove { name, key: Some(key), .. } => drop_key(ui, arguments, name, key),
        Team::Remove { name, key: None, env } => remove(ui, arguments, name, env),
        Team::List { json } => list(ui, arguments, *json),
    }
}

/// What a new key for files asks for.
const RENORMALIZE: &str = "`git add -A` and `git add --renormalize .` encrypt files with the new key";

/// Which keys of a member are let in. Anybody who may push can write one into the team's files.
enum Choice<'k> {
    /// Those named; the only one that there is when none is.
    These(&'k [Recipient]),
    /// All that the team's files have.
    All,
}

impl Choice<'_> {
    /// The keys to be let in, of `told` in the team's file and `known` in what we can read.
    fn of(
        &self,
        name: &MemberName,
        told: &BTreeSet<Recipient>,
        known: &BTreeSet<Recipient>,
    ) -> Result<BTreeSet<Recipient>, Failure> {
        let new: Vec<&Recipient> = told.difference(known).collect();
        match self {
            Self::These([]) | Self::All if told.is_empty() && known.is_empty() => {
                Err(Failure::new(exit::USAGE, format!("no key of {name} is known")).hint(
                    "say --key, with what their `arcane init` printed or with their SSH key's public part",
                ))
            }
            // Whoever is new has one key; whoever is known brings another only when somebody says so.
            Self::These([]) if new.len() > usize::from(known.is_empty()) => {
                let new: Vec<&str> = new.iter().map(|key| key.as_str()).collect();
                let what = if new.len() == 1 { "a key" } else { "keys" };
                let message = format!(
                    "the team's file of {name} names {what} that nobody has let in: {}",
                    new.join(", ")
                );
                Err(Failure::new(exit::USAGE, message)
                    .hint(format!("ask {name} which are theirs; then say --key KEY for each, or --all-keys")))
            }
            Self::These([]) | Self::All => Ok(told.union(known).cloned().collect()),
            Self::These(named) => Ok(named.iter().chain(known).cloned().collect()),
        }
    }
}

fn add(
    ui: &Ui,
    arguments: &Arguments,
    name: &MemberName,
    choice: &Choice<'_>,
    environments: &[EnvironmentName],
) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let environments: BTreeSet<EnvironmentName> = match environments {
        [] => BTreeSet::from([vault.environment(None)?]),
        named => named.iter().map(|name| vault.environment(Some(name))).collect::<Result<_, _>>()?,
    };
    let identities = context::identities()?;
    let guard = vault.lock()?;
    let mut member = vault.team()?.remove(name).unwrap_or_else(|| Member::new(name.clone()));
    // All are opened before the first is written.
    let (mut opened, mut unread) = (Vec::new(), Vec::new());
    for environment in vault.environments()? {
        let asked = environments.contains(&environment);
        match guard.open(&environment, &identities) {
            // A new key counts wherever they are let in already.
            Ok(contents) if asked || contents.readers.contains_key(name) => {
                vault.newest(&contents)?;
                opened.push(contents);
            }
            Ok(_) => {}
            Err(Error::NotForUs { .. }) if !asked => unread.push(environment),
            Err(error) => return Err(error.into()),
        }
    }
    let known = opened.iter().filter_map(|contents| contents.readers.get(name)).flatten().cloned().collect();
    let keys = choice.of(name, &member.keys, &known)?;
    for contents in &mut opened {
        contents.readers.insert(name.clone(), keys.clone());
        guard.write(contents)?;
    }
    // What nobody let in does not stay beside what somebody did; only where we cannot read it may count.
    let left: Vec<_> = member.keys.difference(&keys).cloned().collect();
    let elsewhere = unread.iter().any(|environment| member.environments.contains(environment));
    if !elsewhere {
        member.keys.clear();
    }
    member.keys.extend(keys.iter().cloned());
    member.environments.extend(environments.iter().cloned());
    guard.write_member(&member)?;
    for contents in &opened {
        ui.note(&format!("{name} can read {}, with {}.", contents.environment, listed(&keys)));
    }
    for key in left.iter().filter(|_| !elsewhere) {
        ui.note(&format!("Took {key} out of the team's file of {name}: nobody has let it in."));
    }
    // What was typed is done; what differs besides is not to go unnoticed.
    for contents in &opened {
        if let Err(error) = vault.agree(contents) {
            context::warn(ui, &error);
        }
    }
    Ok(exit::DONE)
}

fn listed(keys: &BTreeSet<Recipient>) -> String {
    keys.iter().map(Recipient::as_str).collect::<Vec<_>>().join(", ")
}

/// Takes one of several keys from somebody who can still read with the others.
fn drop_key(ui: &Ui, arguments: &Arguments, name: &MemberName, key: &Recipient) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let identities = context::identities()?;
    let guard = vault.lock()?;
    let mut team = vault.team()?;
    let member = team
        .remove(name)
        .ok_or_else(|| Error::NoMember { name: name.clone(), known: team.keys().cloned().collect() })?;
    let mut opened = Vec::new();
    for environment in vault.environments()? {
        match guard.open(&environment, &identities) {
            Ok(mut contents) => {
                if contents.readers.get(name).is_some_and(|keys| keys.contains(key)) {
                    vault.newest(&contents)?;
                    contents.drop_key(name, key, FileKey::generate());
                    opened.push(contents);
                }
            }
            Err(Error::NotForUs { .. }) if !member.environments.contains(&environment) => {}
            Err(error) => {
                return Err(Failure::from(error).hint(format!(
                    "{name} keeps the key: it counts in all that they read, so somebody who can read all of it has to remove it"
                )));
            }
        }
    }
    let last = |keys: Option<&BTreeSet<Recipient>>| keys.is_some_and(BTreeSet::is_empty);
    let rest: BTreeSet<Recipient> = member.keys.iter().filter(|theirs| *theirs != key).cloned().collect();
    if opened.is_empty() && rest.len() == member.keys.len() {
        return Err(Failure::new(exit::USAGE, format!("{name} has no such key"))
            .hint(format!("theirs: {}", listed(&member.keys))));
    }
    if rest.is_empty() || opened.iter().any(|contents| last(contents.readers.get(name))) {
        return Err(Failure::new(exit::USAGE, format!("{name} has no other key; nothing was changed")).hint(format!(
            "say `arcane team remove {name}`, or first `arcane team add {name} --key KEY` with the new one"
        )));
    }
    for contents in &opened {
        guard.write(contents)?;
    }
    guard.write_member(&Member { keys: rest, ..member })?;
    for contents in &opened {
        ui.note(&format!("{key} no longer opens {} as it is from now on.", contents.environment));
    }
    tell_known(ui, "whoever has that key may know", &opened);
    ui.tagged(Tag::Hint, RENORMALIZE);
    Ok(exit::DONE)
}

fn remove(
    ui: &Ui,
    arguments: &Arguments,
    name: &MemberName,
    environments: &[EnvironmentName],
) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let known = vault.environments()?;
    for environment in environments {
        vault.environment(Some(environment))?;
    }
    let identities = context::identities()?;
    let guard = vault.lock()?;
    let mut team = vault.team()?;
    let member = team.get(name).cloned();
    let selected: Vec<_> =
        known.into_iter().filter(|found| environments.is_empty() || environments.contains(found)).collect();
    let (mut opened, mut unread) = (Vec::new(), Vec::new());
    for environment in selected {
        match guard.open(&environment, &identities) {
            Ok(mut contents) => {
                if contents.readers.contains_key(name) {
                    vault.newest(&contents)?;
                    contents.dismiss(name, FileKey::generate());
                    if contents.readers.is_empty() {
                        return Err(Error::LastReader { environment, name: name.clone() }.into());
                    }
                    opened.push(contents);
                }
            }
            // We cannot tell who reads what we cannot read; the team's files say, and only that environment stops us.
            Err(error @ Error::NotForUs { .. }) => {
                if member.as_ref().is_some_and(|member| member.environments.contains(&environment)) {
                    return Err(Failure::from(error)
                        .hint(format!("{name} stays in everything; name what you can read with --env")));
                }
                unread.push(environment);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if opened.is_empty() && member.is_none() {
        let known = team.into_keys().collect();
        return Err(Error::NoMember { name: name.clone(), known }.into());
    }
    for contents in &opened {
        guard.write(contents)?;
    }
    if let Some(mut member) = team.remove(name) {
        member.environments.retain(|found| {
            !(environments.is_empty() || environments.contains(found)) || unread.contains(found)
        });
        if member.environments.is_empty() && environments.is_empty() {
            guard.remove_member(name)?;
        } else {
            guard.write_member(&member)?;
        }
    }
    for contents in &opened {
        ui.note(&format!("{name} can no longer read {} as it is from now on.", contents.environment));
    }
    tell_known(ui, &format!("{name} has known"), &opened);
    ui.tagged(Tag::Hint, "`arcane secrets check` lists what is left to change");
    ui.tagged(Tag::Hint, RENORMALIZE);
    Ok(exit::DONE)
}

/// Which values somebody knows who can read no longer.
fn tell_known(ui: &Ui, who: &str, opened: &[Contents]) {
    let known: Vec<_> = opened
        .iter()
        .flat_map(|contents| {
            contents.secrets.keys().map(|name| vec![contents.environment.to_string(), name.to_string()])
        })
        .collect();
    if known.is_empty() {
        return;
    }
    ui.tagged(Tag::Warning, &format!("{who} these values, and older commits still hold them; change each:"));
    ui.out(&table(&["ENVIRONMENT", "NAME"], &known));
}

fn list(ui: &Ui, arguments: &Arguments, json: bool) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let team = vault.team()?;
    if json {
        let rows = team.values().map(
            |member| json!({ "name": member.name, "keys": member.keys, "environments": member.environments }),
        );
        ui.json(&rows.collect::<Vec<_>>());
        return Ok(exit::DONE);
    }
    let rows: Vec<_> = team
        .values()
        .map(|member| {
            let environments: Vec<&str> = member.environments.iter().map(AsRef::as_ref).collect();
            let reads = if environments.is_empty() { "nothing".to_owned() } else { environments.join(", ") };
            vec![member.name.to_string(), reads, listed(&member.keys)]
        })
        .collect();
    ui.out(&table(&["NAME", "READS", "KEYS"], &rows));
    // With a key at hand, what the files say is compared with what is sealed.
    if let Ok(identities) = context::identities() {
        for environment in vault.environments()? {
            if let Ok(contents) = vault.read(&environment, &identities) {
                context::warn_of_older(ui, &vault, &contents);
                if let Err(error) = vault.agree(&contents) {
                    context::warn(ui, &error);
                }
            }
        }
    }
    Ok(exit::DONE)
}
