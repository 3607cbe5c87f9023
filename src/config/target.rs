//! `to`: the hosts and groups that an app goes to, remembered with their places so that fleet.toml can be asked later.

use std::ops::Range;

use super::report::Report;
use super::section::Field;
use crate::fleet::HostName;
use crate::fleet::text::quoted;

/// A name in a `to`, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: HostName,
    pub(super) span: Range<usize>,
}

/// Reads a `to`. A name said twice is a problem: it is either a slip or a misspelt other host.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let entries = field.list("a list of hosts and groups, like [\"web1\"]", report);
    for entry in entries.unwrap_or_default() {
        let Some(name) = entry.parsed::<HostName>(report) else {
            continue;
        };
        if targets.iter().any(|target| target.name == name) {
            entry.wrong(format!("{} is named twice", quoted(name.as_str())), "", report);
        } else {
            targets.push(Target { name, span: entry.span.clone() });
        }
    }
    targets
}

/// The names alone.
pub(super) fn names(targets: &[Target]) -> Vec<HostName> {
    targets.iter().map(|target| target.name.clone()).collect()
}
