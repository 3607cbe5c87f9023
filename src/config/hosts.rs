//! fleet.toml: the hosts and groups of a team.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::{Error, Result};
use super::report::Report;
use super::search;
use super::section::{self, Field, Section};
use super::suggest::{advice, listed};
use crate::fleet::text::{printable, quoted};
use crate::fleet::{Gate, GroupName, Host, HostName};

/// The hosts and groups that one fleet.toml describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The file.
    pub path: PathBuf,
    /// The hosts; at least one.
    pub hosts: BTreeMap<HostName, Host>,
    /// The groups; each has at least one host, in the order to go through them.
    pub groups: BTreeMap<GroupName, Vec<HostName>>,
}

const EXAMPLE: &str = "\
[host.web1]
ssh = \"deploy@203.0.113.10\"

[group]
production = [\"web1\"]
";

/// As long as a DNS name can be.
const LONGEST_SSH: usize = 255;

impl Fleet {
    /// The name of the file.
    pub const FILE: &str = "fleet.toml";

    /// Reads the fleet's file: the `explicit` one when given (a flag or `ARCANE_FLEET`), else the nearest fleet.toml in
    /// `start` or a directory above it, else `arcane/fleet.toml` in the user's `config_home`.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it has problems.
    pub fn find(explicit: Option<&Path>, start: &Path, config_home: Option<&Path>) -> Result<Self> {
        let looked = match explicit {
            Some(path) => vec![path.to_owned()],
            None => {
                let home = config_home.map(|home| home.join("arcane").join(Self::FILE));
                search::upward(start, Self::FILE).into_iter().chain(home).collect()
            }
        };
        match search::first(&looked)? {
            Some(document) => Self::read(&document),
            None => Err(Error::Missing { file: Self::FILE, looked, example: EXAMPLE }),
        }
    }

    /// Takes the bytes of a file that is, or would be, at `path`.
    ///
    /// # Errors
    /// When they have problems.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        Self::read(&Document::from_bytes(path, bytes.to_vec())?)
    }

    fn read(document: &Document) -> Result<Self> {
        let (hosts, groups) = section::parse(document, read).map_err(Error::Invalid)?;
        Ok(Self { path: document.path.clone(), hosts, groups })
    }

    /// The host `name`.
    ///
    /// # Errors
    /// When there is none; the hint says which there are.
    pub fn host(&self, name: &str) -> Result<&Host> {
        let host = self.hosts.values().find(|host| host.name.as_str() == name);
        host.ok_or_else(|| Error::Unknown {
            kind: "host",
            name: name.to_owned(),
            place: self.place(),
            known: self.hosts.keys().map(ToString::to_string).collect(),
        })
    }

    /// The hosts that `text` names: hosts and groups with commas between them. Each host comes once, where it was
    /// first named.
    ///
    /// # Errors
    /// When a name does not exist, or one or all of them are empty: nothing never means everything.
    pub fn select(&self, text: &str) -> Result<Vec<Host>> {
        Ok(self.select_gates(text)?.into_iter().flat_map(|gate| gate.hosts).collect())
    }

    /// The same, still told apart by the names that were given.
    ///
    /// # Errors
    /// Those of [`Self::select`].
    pub fn select_gates(&self, text: &str) -> Result<Vec<Gate>> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        if names.iter().any(|name| name.is_empty()) {
            return Err(Error::NothingSelected { text: text.to_owned() });
        }
        self.gates(names)
    }

    /// The hosts that `names` stand for, hosts or groups, name by name; for an app's own `to`. Each host comes once,
    /// and a name that adds none is left out.
    ///
    /// # Errors
    /// When a name does not exist, or there is none.
    pub fn gates<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Result<Vec<Gate>> {
        let mut gates: Vec<Gate> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let mut hosts = Vec::new();
            for host in self.named(name).ok_or_else(|| self.unknown(name))? {
                if !gates.iter().flat_map(|gate| &gate.hosts).any(|other| &other.name == host) {
                    hosts.extend(self.hosts.get(host).cloned());
                }
            }
            if !hosts.is_empty() {
                gates.push(Gate { name: name.to_owned(), hosts });
            }
        }
        if gates.is_empty() {
            return Err(Error::NothingSelected { text: String::new() });
        }
        Ok(gates)
    }

    /// The hosts that a name stands for; `None` when nothing has it.
    pub(super) fn expand(&self, name: &HostName) -> Option<&[HostName]> {
        self.named(name.as_str())
    }

    fn named(&self, name: &str) -> Option<&[HostName]> {
        let host = self.hosts.keys().find(|host| host.as_str() == name);
        let group = || self.groups.iter().find(|(group, _)| group.as_str() == name);
        host.map(std::slice::from_ref).or_else(|| group().map(|(_, members)| members.as_slice()))
    }

    /// Every name of a host or group.
    pub(super) fn names(&self) -> Vec<&str> {
        let groups = self.groups.keys().map(GroupName::as_str);
        self.hosts.keys().map(HostName::as_str).chain(groups).collect()
    }

    fn unknown(&self, name: &str) -> Error {
        Error::Unknown {
            kind: "host or group",
            name: name.to_owned(),
            place: self.place(),
            known: self.names().into_iter().map(str::to_owned).collect(),
        }
    }

    fn place(&self) -> String {
        printable(&self.path.to_string_lossy(), 200)
    }
}

type Hosts = BTreeMap<HostName, Host>;
type Groups = BTreeMap<GroupName, Vec<HostName>>;

fn read(mut root: Section<'_>, report: &mut Report<'_>) -> (Hosts, Groups) {
    let (hosts, groups) = (root.field("host"), root.field("group"));
    root.refuse("app", "`app` belongs in arcane.toml", "fleet.toml has hosts and groups only", report);
    root.finish(report);
    let entries = hosts.map(|field| field.entries(report)).unwrap_or_default();
    if entries.is_empty() && report.is_empty() {
        report.add(&(0..0), "no host is described", "add a section like [host.web1]");
    }
    let mut places: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    let mut hosts = Hosts::new();
    for entry in &entries {
        // A host with problems still counts as known, or every mention of it would be one more.
        places.insert(entry.key, entry.key_span.clone());
        hosts.extend(host(entry, report).map(|host| (host.name.clone(), host)));
    }
    let entries = groups.map(|field| field.entries(report)).unwrap_or_default();
    let groups = entries.iter().filter_map(|entry| group(entry, &entries, &places, report));
    (hosts, groups.collect())
}

fn host(entry: &Field<'_>, report: &mut Report<'_>) -> Option<Host> {
    let name = entry.name::<HostName>(report);
    let mut section = entry.section(report)?;
    let ssh = section.field("ssh");
    section.finish(report);
    let Some(ssh) = ssh else {
        let message = format!("host {} has no address", entry.called());
        report.add(&entry.key_span, message, "add `ssh = \"user@address\"`, or an alias of ~/.ssh/config");
        return None;
    };
    Some(Host { name: name?, ssh: address(&ssh, report)? })
}

/// Where a host is. What it means is the ssh room's business; here it must only be unable to pass for anything else.
fn address(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report)?;
    let address = text.rsplit_once('@').map_or(text, |(_, address)| address);
    let problem = if address.is_empty() || text.starts_with('@') {
        "has an empty part"
    } else if text.starts_with('-') || address.starts_with('-') {
        "starts with -, as an option of ssh would"
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "has a space or control character in it"
    } else if text.len() > LONGEST_SSH {
        "is longer than 255 bytes"
    } else {
        return Some(text.to_owned());
    };
    let rule = "write [user@]address[:port], or an alias of ~/.ssh/config";
    field.wrong(format!("address {} {problem}; {rule}", quoted(text)), "", report);
    None
}

fn group(
    entry: &Field<'_>,
    groups: &[Field<'_>],
    hosts: &BTreeMap<&str, Range<usize>>,
    report: &mut Report<'_>,
) -> Option<(GroupName, Vec<HostName>)> {
    let name = entry.name::<GroupName>(report);
    if let Some(host) = hosts.get(entry.key) {
        let message = format!("{} is both a host and a group", entry.called());
        report.add_pair(message, (&entry.key_span, "a group here"), (host, "a host here"));
    }
    let members = entry.list("a list of hosts, like [\"web1\"]", report)?;
    if members.is_empty() {
        entry.wrong(format!("group {} is empty", entry.called()), "a group has at least one host", report);
    }
    let known: Vec<&str> = hosts.keys().copied().collect();
    let mut names: Vec<HostName> = Vec::new();
    for member in members {
        let Some(host) = member.parsed::<HostName>(report) else {
            continue;
        };
        let shown = quoted(host.as_str());
        if !hosts.contains_key(host.as_str()) {
            let nested = groups.iter().any(|group| group.key == host.as_str());
            let label = if nested {
                format!("a group has hosts only: {}", listed(&known))
            } else {
                advice(host.as_str(), &known)
            };
            member.wrong(format!("there is no host {shown}"), label, report);
        } else if names.contains(&host) {
            member.wrong(format!("{shown} is named twice"), "", report);
        } else {
            names.push(host);
        }
    }
    Some((name?, names))
}
