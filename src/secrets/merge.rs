//! Two branches' versions of one environment, made one again by name: what only one side changed is taken from it, and
//! what both changed differently is left to a person.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::contents::{Contents, Secret};
use super::file_key::FileKey;
use super::recipient::Recipient;
use crate::fleet::{MemberName, VariableName};

/// One secret that both sides changed, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its name.
    pub name: VariableName,
    /// What our side did: when and by whom; `None` when it removed it.
    pub ours: Option<(String, String)>,
    /// What their side did.
    pub theirs: Option<(String, String)>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<(String, String)>| match side {
            Some((by, at)) => format!("set by {by} at {at}"),
            None => "removed".to_owned(),
        };
        write!(f, "{}: ours {}, theirs {}", self.name, side(&self.ours), side(&self.theirs))
    }
}

type Readers = BTreeMap<MemberName, BTreeSet<Recipient>>;

/// Two versions made one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What came out.
    pub contents: Contents,
    /// Every secret that both sides changed differently; ours is in what came out.
    pub conflicts: Vec<Conflict>,
    /// Keys that only their side let in. They are left out: age says nothing of who wrote a file, so anybody who may push
    /// could have. Whoever merges lets them in, if they mean to.
    pub uninvited: BTreeSet<(MemberName, Recipient)>,
}

/// Merges two versions that come from `base`, or from nothing. `fresh` becomes the key for files when their side brings a
/// new one, which somebody who is out may know.
///
/// A reader that either side took out is out, and whatever the other side set meanwhile counts as known by them. `None`
/// when their version does not come from `base`: every successor keeps the keys of its files.
#[must_use]
pub fn merge(base: Option<&Contents>, ours: &Contents, theirs: &Contents, fresh: FileKey) -> Option<Merged> {
    if base.is_some_and(|base| base.file_keys.iter().any(|key| !theirs.file_keys.contains(key))) {
        return None;
    }
    let none = BTreeMap::new();
    let before = base.map_or(&none, |base| &base.secrets);
    let names: BTreeSet<&VariableName> =
        before.keys().chain(ours.secrets.keys()).chain(theirs.secrets.keys()).collect();
    let no_readers = Readers::new();
    let (readers, uninvited) =
        readers(base.map_or(&no_readers, |base| &base.readers), &ours.readers, &theirs.readers);
    let mut merged = Contents {
        environment: ours.environment.clone(),
        readers,
        file_keys: file_keys(ours, theirs, fresh),
        secrets: BTreeMap::new(),
    };
    let mut conflicts = Vec::new();
    for name in names {
        let (old, our, their) = (before.get(name), ours.secrets.get(name), theirs.secrets.get(name));
        let chosen = choose(old, our, their).unwrap_or_else(|()| {
            let told =
                |secret: Option<&Secret>| secret.map(|secret| (secret.by.clone(), secret.set.to_string()));
            conflicts.push(Conflict { name: name.clone(), ours: told(our), theirs: told(their) });
            our.map(|secret| (secret, (true, false)))
        });
        let Some((secret, sides)) = chosen else {
            continue;
        };
        let mut secret = secret.clone();
        if sides == (true, true) {
            // What either side knows of one value.
            secret.known_by.extend([our, their].into_iter().flatten().flat_map(|it| it.known_by.clone()));
        }
        let seen_by = [(sides.0, &ours.readers), (sides.1, &theirs.readers)];
        let seen_by = seen_by.into_iter().filter(|(seen, _)| *seen).flat_map(|(_, readers)| readers.keys());
        secret.known_by.extend(seen_by.filter(|name| !merged.readers.contains_key(*name)).cloned());
        merged.secrets.insert(name.clone(), secret);
    }
    Some(Merged { contents: merged, conflicts, uninvited })
}

/// A secret, and whether it was in our side's file and in theirs.
type Chosen<'s> = Option<(&'s Secret, (bool, bool))>;

fn choose<'s>(
    old: Option<&'s Secret>,
    our: Option<&'s Secret>,
    their: Option<&'s Secret>,
) -> Result<Chosen<'s>, ()> {
    let same = |one: Option<&Secret>, other: Option<&Secret>| {
        one.map(|secret| &secret.value) == other.map(|secret| &secret.value)
    };
    if same(our, their) {
        // The same value twice: the younger record, which knows more.
        let younger =
            if our.map(|secret| secret.version) < their.map(|secret| secret.version) { their } else { our };
        return Ok(younger.map(|secret| (secret, (true, true))));
    }
    if same(old, our) {
        return Ok(their.map(|secret| (secret, (false, true))));
    }
    if same(old, their) {
        return Ok(our.map(|secret| (secret, (true, false))));
    }
    Err(())
}

/// All of both sides'. One that was replaced on a branch is not used again; one that only their side brings is not used
/// at all.
fn file_keys(ours: &Contents, theirs: &Contents, fresh: FileKey) -> Vec<FileKey> {
    let brought = theirs.file_keys.first().is_some_and(|key| !ours.file_keys.contains(key));
    let mut keys: Vec<_> = brought.then_some(fresh).into_iter().collect();
    for key in ours.file_keys.iter().chain(&theirs.file_keys) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// Key by key: out when either side took it out, in when ours put it in. Those that only theirs put in are told.
fn readers(base: &Readers, ours: &Readers, theirs: &Readers) -> (Readers, BTreeSet<(MemberName, Recipient)>) {
    let has = |readers: &Readers, name, key| readers.get(name).is_some_and(|keys| keys.contains(key));
    let (mut merged, mut uninvited) = (Readers::new(), BTreeSet::new());
    for (name, keys) in ours.iter().chain(theirs) {
        for key in keys {
            match (has(base, name, key), has(ours, name, key), has(theirs, name, key)) {
                (_, true, true) | (false, true, false) => {
                    merged.entry(name.clone()).or_default().insert(key.clone());
                }
                (false, false, true) => {
                    uninvited.insert((name.clone(), key.clone()));
                }
                _ => {}
            }
        }
    }
    (merged, uninvited)
}
