//! Host keys that may not be trusted, and what to do then. Nothing here accepts one.

use std::fmt;
use std::path::PathBuf;

use crate::fleet::HostName;

/// A host key as a known_hosts file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKey {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The kind of key.
    pub algorithm: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

impl fmt::Display for RecordedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} has {} {}", self.file.display(), self.line, self.algorithm, self.fingerprint)
    }
}

fn list(recorded: &[RecordedKey]) -> String {
    recorded.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a host's key may not be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyError {
    /// The host.
    pub host: HostName,
    /// The name that was looked up, as known_hosts writes it.
    pub name: String,
    /// The address that `ssh` and `ssh-keyscan` take.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The kind of key that the host shows.
    pub algorithm: String,
    /// That key's fingerprint.
    pub fingerprint: String,
    /// What is wrong with it.
    pub problem: HostKeyProblem,
}

/// What is wrong with a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyProblem {
    /// It is in none of the known_hosts files, and neither is another one for this host.
    Unknown,
    /// These are recorded instead: the host was reinstalled, or somebody is in between.
    Changed(Vec<RecordedKey>),
    /// It is marked `@revoked`.
    Revoked(RecordedKey),
}

impl std::error::Error for HostKeyError {}

impl fmt::Display for HostKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, name, algorithm, fingerprint, .. } = self;
        match &self.problem {
            HostKeyProblem::Unknown => {
                write!(f, "{host}: the host key of {name} is not known: {algorithm} {fingerprint}")
            }
            HostKeyProblem::Changed(recorded) => write!(
                f,
                "{host}: THE HOST KEY OF {name} HAS CHANGED, refusing to connect: it shows {algorithm} \
                 {fingerprint}, but {}",
                list(recorded)
            ),
            HostKeyProblem::Revoked(recorded) => {
                write!(f, "{host}: the host key of {name} is revoked, refusing to connect: {recorded}")
            }
        }
    }
}

impl HostKeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let Self { name, address, port, .. } = self;
        match &self.problem {
            HostKeyProblem::Unknown => format!(
                "compare the fingerprint with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the \
                 host's own console, then accept it with `ssh-keyscan -p {port} {address} >> ~/.ssh/known_hosts`"
            ),
            HostKeyProblem::Changed(recorded) => {
                let file = recorded.first().map(|key| format!(" -f {}", key.file.display()));
                format!(
                    "if the host was reinstalled, forget its old key with `ssh-keygen -R '{name}'{}` and accept the \
                     new one; if it was not, somebody may be in between: do not connect",
                    file.unwrap_or_default()
                )
            }
            HostKeyProblem::Revoked(_) => {
                "the key was given up on purpose: ask whoever revoked it, and give the host a new one"
                    .to_owned()
            }
        }
    }
}
