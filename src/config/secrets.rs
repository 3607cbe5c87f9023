//! `secrets` and `secret_files`: the names of what an app gets out of the vault.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::report::Report;
use super::section::{Field, Section};
use crate::fleet::text::quoted;
use crate::fleet::{AppSecret, SecretForm, VariableName, Volume};

/// Where a container gets secrets as files, and the launcher.
const PLACES: [[&str; 2]; 2] = [["run", "secrets"], ["run", "arcane"]];

/// Reads both lists.
pub(super) fn read(section: &mut Section<'_>, report: &mut Report<'_>) -> BTreeMap<VariableName, AppSecret> {
    let mut secrets = BTreeMap::new();
    for (key, form) in [("secrets", SecretForm::Variable), ("secret_files", SecretForm::File)] {
        if let Some(field) = section.field(key) {
            list(&field, form, &mut secrets, report);
        }
    }
    secrets
}

fn list(
    field: &Field<'_>,
    form: SecretForm,
    secrets: &mut BTreeMap<VariableName, AppSecret>,
    report: &mut Report<'_>,
) {
    let entries = field.list("a list of names, like [\"DATABASE_URL\"]", report);
    for entry in entries.unwrap_or_default() {
        let Some(name) = entry.parsed::<VariableName>(report) else { continue };
        match secrets.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(AppSecret { form, version: None });
            }
            Entry::Occupied(known) => {
                let label = "`secrets` are files, too: those of `secret_files` are nothing else";
                entry.wrong(format!("{} is named twice", quoted(known.key().as_str())), label, report);
            }
        }
    }
}

/// A name is either a secret or a plain variable: which of the two an app would get is nobody's guess.
pub(super) fn apart<'e>(
    secrets: &BTreeMap<VariableName, AppSecret>,
    plain: impl Iterator<Item = &'e BTreeMap<VariableName, String>>,
    entry: &Field<'_>,
    report: &mut Report<'_>,
) {
    for name in plain.flat_map(BTreeMap::keys).filter(|name| secrets.contains_key(*name)) {
        let message =
            format!("{} of {} is both a secret and in `env`", quoted(name.as_str()), entry.called());
        report.add(&entry.key_span, message, "choose one");
    }
}

/// No volume may lie where secrets do.
pub(super) fn room(
    secrets: &BTreeMap<VariableName, AppSecret>,
    volumes: &[Volume],
    entry: &Field<'_>,
    report: &mut Report<'_>,
) {
    let is_within = |volume: &&Volume| {
        let parts: Vec<&str> = volume.target.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        // An image's /var/run mostly leads to its /run.
        let parts =
            parts.strip_prefix(&["var"]).filter(|parts| parts.first() == Some(&"run")).unwrap_or(&parts);
        PLACES.iter().any(|place| parts.starts_with(place))
    };
    let taken = volumes.iter().find(is_within);
    if let Some(volume) = taken.filter(|_| !secrets.is_empty()) {
        let message =
            format!("{} mounts a volume at {}, where its secrets are", entry.called(), volume.target);
        report.add(&entry.key_span, message, "mount it elsewhere");
    }
}
