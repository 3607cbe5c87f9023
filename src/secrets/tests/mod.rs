//! The vault as a whole: what goes in comes out, for those it was sealed for, and nothing else ever does.

mod dotenv;
mod files;
mod merging;
mod redacting;

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::fleet::{EnvironmentName, MemberName, Timestamp, VariableName};

/// Somebody with a key of their own.
struct Person {
    name: MemberName,
    identities: Identities,
    key: Recipient,
}

/// Nobody is asked for a passphrase.
fn nobody() -> Ask {
    Arc::new(|_| None)
}

fn person(name: &str) -> Person {
    use age::secrecy::ExposeSecret as _;
    let key = age::x25519::Identity::generate();
    let origin = Origin::Named(key.to_string().expose_secret().to_owned());
    let identities = Identities::load(&origin, &nobody()).unwrap();
    let key = identities.recipients().next().unwrap().clone();
    Person { name: MemberName::parse(name).unwrap(), identities, key }
}

fn variable(name: &str) -> VariableName {
    VariableName::parse(name).unwrap()
}

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// An environment that these people may read, with these secrets.
fn contents(name: &str, people: &[&Person], secrets: &[(&str, &str)]) -> Contents {
    let mut contents = Contents::new(environment(name), FileKey::generate());
    for person in people {
        contents.readers.entry(person.name.clone()).or_default().insert(person.key.clone());
    }
    for (name, value) in secrets {
        contents.set(variable(name), Value::from(*value), "alice", at(1)).unwrap();
    }
    contents
}

/// A directory of one test, removed with everything in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("arcane-vault-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn vault(&self) -> Vault {
        Vault::create(&self.0).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
