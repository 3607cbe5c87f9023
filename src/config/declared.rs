//! The names of secrets that arcane.toml declares, for those who need nothing else of it.
//!
//! Reads no more than `secrets` and `secret_files` of each app, so it answers for a file of which a deploy would complain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::{Error, Result};
use super::project::Project;
use super::report::Report;
use super::section::{self, Section};
use super::{search, secrets};
use crate::fleet::{AppName, VariableName};

/// The secrets that each app declares, in the nearest arcane.toml in `start` or above it; none without such a file.
///
/// # Errors
/// When the file cannot be read, is no TOML, or a name in it is wrong.
pub fn declared_secrets(start: &Path) -> Result<BTreeMap<AppName, BTreeSet<VariableName>>> {
    let Some(document) = search::first(&search::upward(start, Project::FILE))? else {
        return Ok(BTreeMap::new());
    };
    section::parse(&document, declared).map_err(Error::Invalid)
}

fn declared(mut root: Section<'_>, report: &mut Report<'_>) -> BTreeMap<AppName, BTreeSet<VariableName>> {
    let apps = root.field("app").map(|field| field.entries(report)).unwrap_or_default();
    let mut found = BTreeMap::new();
    for entry in apps {
        let Some(name) = entry.name::<AppName>(report) else {
            continue;
        };
        let secrets = entry.section(report).map(|mut section| secrets::read(&mut section, report));
        let names: BTreeSet<_> = secrets.into_iter().flat_map(BTreeMap::into_keys).collect();
        if !names.is_empty() {
            found.insert(name, names);
        }
    }
    found
}
