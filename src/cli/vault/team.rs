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
        Team::Add { name, key, env } => add(ui, arguments, name, key, env),
        Team::Remove { name, env } => remove(ui, arguments, name, env),
        Team::List { json } => list(ui, arguments, *json),
    }
}

fn add(
    ui: &Ui,
    arguments: &Arguments,
    name: &MemberName,
    keys: &[Recipient],
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
    member.keys.extend(keys.iter().cloned());
    if member.keys.is_empty() {
        return Err(Failure::new(exit::USAGE, format!("no key of {name} is known"))
            .hint("say --key, with what their `arcane init` printed or with their SSH key's public part"));
    }
    // All are opened before the first is written.
    let mut opened = Vec::new();
    for environment in vault.environments()? {
        let asked = environments.contains(&environment);
        let mut contents = match vault.read(&environment, &identities) {
            Ok(contents) => contents,
            Err(Error::NotForUs { .. }) if !asked => continue,
            Err(error) => return Err(error.into()),
        };
        // A new key counts wherever they are let in already.
        if asked || contents.readers.contains_key(name) {
            contents.readers.insert(name.clone(), member.keys.clone());
            opened.push(contents);
        }
    }
    for contents in &opened {
        guard.write(contents)?;
    }
    member.environments.extend(environments.iter().cloned());
    guard.write_member(&member)?;
    for contents in &opened {
        ui.note(&format!("{name} can read {}, with {}.", contents.environment, keys_of(&member)));
    }
    // What was typed is done; what differs besides is not to go unnoticed.
    for contents in &opened {
        if let Err(error) = vault.agree(contents) {
            warn(ui, &error);
        }
    }
    Ok(exit::DONE)
}

fn keys_of(member: &Member) -> String {
    member.keys.iter().map(Recipient::as_str).collect::<Vec<_>>().join(", ")
}

fn warn(ui: &Ui, error: &Error) {
    ui.tagged(Tag::Warning, &error.to_string());
    if let Some(hint) = error.hint() {
        ui.tagged(Tag::Hint, &hint);
    }
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
        match vault.read(&environment, &identities) {
            Ok(mut contents) => {
                if contents.dismiss(name, FileKey::generate()) {
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
    tell(ui, name, &opened);
    Ok(exit::DONE)
}

/// Who is gone from where, and what they know.
fn tell(ui: &Ui, name: &MemberName, opened: &[Contents]) {
    for contents in opened {
        ui.note(&format!("{name} can no longer read {} as it is from now on.", contents.environment));
    }
    let known: Vec<_> = opened
        .iter()
        .flat_map(|contents| {
            contents.secrets.keys().map(|name| vec![contents.environment.to_string(), name.to_string()])
        })
        .collect();
    if known.is_empty() {
        return;
    }
    ui.tagged(
        Tag::Warning,
        &format!("{name} has known these values, and older commits still hold them; change each:"),
    );
    ui.out(&table(&["ENVIRONMENT", "NAME"], &known));
    ui.tagged(
        Tag::Hint,
        "`arcane secrets check` lists what is left to change; `git add -A` and `git add --renormalize .` encrypt files with the new key",
    );
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
            vec![member.name.to_string(), reads, keys_of(member)]
        })
        .collect();
    ui.out(&table(&["NAME", "READS", "KEYS"], &rows));
    // With a key at hand, what the files say is compared with what is sealed.
    if let Ok(identities) = context::identities() {
        for environment in vault.environments()? {
            if let Ok(contents) = vault.read(&environment, &identities)
                && let Err(error) = vault.agree(&contents)
            {
                warn(ui, &error);
            }
        }
    }
    Ok(exit::DONE)
}
