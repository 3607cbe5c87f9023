//! `arcane secrets check`: what is to be said against the secrets of an environment.

use std::collections::BTreeSet;

use serde_json::json;

use super::context;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::config::declared_secrets;
use crate::fleet::{EnvironmentName, VariableName};
use crate::secrets::{Contents, Error, weakness};

/// One thing that was found.
struct Finding {
    environment: EnvironmentName,
    name: Option<VariableName>,
    kind: &'static str,
    text: String,
}

pub(super) fn run(
    ui: &Ui,
    arguments: &Arguments,
    environment: Option<&EnvironmentName>,
    json: bool,
) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let declared: BTreeSet<VariableName> =
        declared_secrets(&arguments.directory)?.into_values().flatten().collect();
    let identities = context::identities()?;
    let environments = match environment {
        Some(name) => vec![vault.environment(Some(name))?],
        None => vault.environments()?,
    };
    if environments.is_empty() {
        return Err(Error::WhichEnvironment { known: environments }.into());
    }
    let (mut findings, mut seen, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for name in environments {
        match vault.read(&name, &identities) {
            Ok(contents) => {
                for (kind, found) in [("older", vault.newest(&contents)), ("team", vault.agree(&contents))] {
                    if let Err(error) = found {
                        let (environment, text) = (name.clone(), error.to_string());
                        findings.push(Finding { environment, name: None, kind, text });
                    }
                }
                judge(&contents, &declared, &seen, &mut findings);
                seen.push(contents);
            }
            // Not being let in is nothing against what is in there, unless it was asked for.
            Err(Error::NotForUs { .. }) if environment.is_none() => {
                ui.tagged(Tag::Warning, &format!("{name} was not looked into: it is not sealed for you"));
                unread.push(name);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if json {
        let rows = findings.iter().map(|finding| {
            json!({ "environment": finding.environment, "name": finding.name, "kind": finding.kind, "text": finding.text })
        });
        ui.json(&json!({ "findings": rows.collect::<Vec<_>>(), "not_read": unread }));
    } else if findings.is_empty() {
        ui.out("Nothing found.");
    } else {
        let rows = findings.iter().map(|finding| {
            let name = finding.name.as_ref().map_or("-", VariableName::as_str).to_owned();
            vec![finding.environment.to_string(), name, finding.kind.to_owned(), finding.text.clone()]
        });
        ui.out(&table(&["ENVIRONMENT", "NAME", "FOUND", ""], &rows.collect::<Vec<_>>()));
    }
    Ok(if findings.is_empty() { exit::DONE } else { exit::FOUND })
}

fn judge(
    contents: &Contents,
    declared: &BTreeSet<VariableName>,
    others: &[Contents],
    findings: &mut Vec<Finding>,
) {
    let mut found = |name: &VariableName, kind, text| {
        let environment = contents.environment.clone();
        findings.push(Finding { environment, name: Some(name.clone()), kind, text });
    };
    for name in declared.iter().filter(|name| !contents.secrets.contains_key(name)) {
        found(name, "missing", "an app in arcane.toml needs it".to_owned());
    }
    for (name, secret) in &contents.secrets {
        if !declared.is_empty() && !declared.contains(name) {
            found(name, "unused", "no app in arcane.toml declares it".to_owned());
        }
        if let Some(weakness) = weakness(&secret.value) {
            found(name, weakness.as_str(), format!("the value {weakness}"));
        }
        if !secret.known_by.is_empty() {
            let names: Vec<&str> = secret.known_by.iter().map(AsRef::as_ref).collect();
            found(name, "known", format!("{} knew this value and left; change it", names.join(", ")));
        }
        let twin = others.iter().find(|other| {
            !secret.value.is_empty()
                && other.secrets.get(name).is_some_and(|theirs| theirs.value == secret.value)
        });
        if let Some(other) = twin {
            found(name, "shared", format!("{} has the same value", other.environment));
        }
    }
}
