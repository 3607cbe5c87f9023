//! Everything that can go wrong with a vault. None of it ever holds a value.

use std::io;
use std::path::{Path, PathBuf};

use super::recipient::RecipientError;
use crate::fleet::text::{printable, quoted};
use crate::fleet::{EnvironmentName, MemberName, VariableName};

/// What this room gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a vault, a key or a secret cannot be used. The files are as they were unless the text says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no vault here.
    #[error("no vault was found in {}{}", shown(.start), above(.start, .top))]
    NoVault {
        /// Where the search began.
        start: PathBuf,
        /// Where it ended.
        top: PathBuf,
    },
    /// The vault has no such environment.
    #[error("the vault has no environment {}", quoted(name.as_str()))]
    NoEnvironment {
        /// The name asked for.
        name: EnvironmentName,
        /// Those that are there.
        known: Vec<EnvironmentName>,
    },
    /// An environment has to be named, because there are several or none.
    #[error("{}", if known.is_empty() { "the vault has no environment yet" } else { "the vault has several environments" })]
    WhichEnvironment {
        /// Those that are there.
        known: Vec<EnvironmentName>,
    },
    /// Names that the environment does not hold.
    #[error("{environment} has no secret {}", names.iter().map(|name| quoted(name.as_str())).collect::<Vec<_>>().join(", "))]
    NoSecret {
        /// The environment.
        environment: EnvironmentName,
        /// The names asked for.
        names: Vec<VariableName>,
        /// Those that are there.
        known: Vec<VariableName>,
    },
    /// The system refused something.
    #[error("cannot {doing} {}", shown(.path))]
    Io {
        /// What was being done: `read`, `write`, …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// More than fits.
    #[error("{what} is larger than {} MiB", limit / 1024 / 1024)]
    TooLarge {
        /// What is.
        what: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A vault file that is not encrypted.
    #[error("{} is not encrypted, and is not read as a vault", shown(.path))]
    NotSealed {
        /// The file.
        path: PathBuf,
    },
    /// A vault file in which a merge left its marks.
    #[error("{} holds the marks of a merge that did not succeed", shown(.path))]
    Unmerged {
        /// The file.
        path: PathBuf,
    },
    /// A vault file that is cut off or changed.
    #[error("{} is damaged: {why}", shown(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        why: &'static str,
    },
    /// None of our keys opens it.
    #[error("{} is not sealed for any key of yours", shown(.path))]
    NotForUs {
        /// The file.
        path: PathBuf,
        /// The keys that were tried: each with where it came from.
        tried: Vec<String>,
    },
    /// A file that no key of the environment opens.
    #[error("{} is not sealed with a key of {environment}", shown(.path))]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The environment whose keys were tried.
        environment: EnvironmentName,
    },
    /// There is no key at all.
    #[error("you have no identity here; looked for {}", looked.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", "))]
    NoIdentity {
        /// Where one was looked for.
        looked: Vec<PathBuf>,
    },
    /// A private key that others on this machine can read.
    #[error("{} can be read by others (mode {mode:04o}), so it is not used", shown(.path))]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A private key that cannot be used.
    #[error("{place} cannot be used: {why}")]
    Identity {
        /// Where it came from.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is one already.
    #[error("{} is there already", shown(.path))]
    IdentityExists {
        /// The file.
        path: PathBuf,
    },
    /// One environment's file in the place of another's.
    #[error("{} holds the secrets of {}, not those of {expected}", shown(.path), quoted(found))]
    Swapped {
        /// The file.
        path: PathBuf,
        /// What its name promises.
        expected: EnvironmentName,
        /// What its sealed contents say.
        found: String,
    },
    /// It was opened, and what is inside is no vault.
    #[error("{} was opened, but what it holds is no vault: {why}", shown(.path))]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong. Names no value.
        why: String,
    },
    /// Written by an arcane that knows more than this one.
    #[error("{} was written in format {found}, and this arcane reads format {known}", shown(.path))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// A member's file is wrong.
    #[error("{}: {why}", shown(.path))]
    Team {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key that is none.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// What `team` says and what the environment is sealed for differ.
    #[error(
        "{environment} is not sealed for those who its team files name: {}",
        difference(unsealed, untold)
    )]
    TeamDiffers {
        /// The environment.
        environment: EnvironmentName,
        /// Members of whom a key is in the team files, but was never sealed for.
        unsealed: Vec<MemberName>,
        /// Members of whom a key is sealed for, but is not in the team files.
        untold: Vec<MemberName>,
    },
    /// An older version than this clone has seen.
    #[error("{environment} is older here than what this clone has seen{}", again(back))]
    Older {
        /// The environment.
        environment: EnvironmentName,
        /// Who can read this version, and could not read the one that was seen.
        back: Vec<MemberName>,
    },
    /// What this clone has seen is not understood.
    #[error("{} should hold a public key and names, and does not", shown(.path))]
    Seen {
        /// The file.
        path: PathBuf,
    },
    /// Something else wrote a vault file while it was being changed.
    #[error("{} was changed by something else meanwhile, git perhaps; nothing was written", shown(.path))]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// There is no such member.
    #[error("the team has no member {}", quoted(name.as_str()))]
    NoMember {
        /// The name asked for.
        name: MemberName,
        /// Those that are there.
        known: Vec<MemberName>,
    },
    /// Nobody would be left to read the environment.
    #[error("{name} is the last who can read {environment}")]
    LastReader {
        /// The environment.
        environment: EnvironmentName,
        /// Who was to be removed.
        name: MemberName,
    },
    /// A second arcane is changing the vault.
    #[error("another arcane is changing the vault in {}", shown(.path))]
    Busy {
        /// The vault's directory.
        path: PathBuf,
    },
    /// A passphrase was asked for, and nobody was there or they gave up.
    #[error("a passphrase is needed, and none was given")]
    NoPassphrase,
}

impl Error {
    /// What to type next, when there is something to say beyond the error itself.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let known = |names: &[String]| match names {
            [] => "there is none at all".to_owned(),
            names => format!("choose from {}", names.join(", ")),
        };
        let text = match self {
            Self::NoVault { .. } => "make one with `arcane init`, in the directory of arcane.toml".to_owned(),
            Self::NoEnvironment { known: names, name } => {
                format!("{}; a new one is made with `arcane init --env {name}`", known(&strings(names)))
            }
            Self::WhichEnvironment { known: names } if names.is_empty() => {
                "make one with `arcane init --env production`".to_owned()
            }
            Self::WhichEnvironment { known: names } => format!("say --env; {}", known(&strings(names))),
            Self::NoSecret { known: names, environment, names: asked } => match asked.first() {
                Some(name) => format!(
                    "{}; set it with `arcane secrets set {name} --env {environment}`",
                    known(&strings(names))
                ),
                None => known(&strings(names)),
            },
            Self::NotSealed { path } => format!(
                "nothing was read from it. Take back the encrypted one with `git checkout -- {0}`; what stood here in the open \
                 is known to whoever saw it",
                shown(path)
            ),
            Self::Unmerged { path } => format!(
                "type `arcane init` once in this clone, so that git merges vaults by name, then `git checkout -m -- {}`",
                shown(path)
            ),
            Self::Damaged { path, .. } | Self::Contents { path, .. } => {
                format!("take back the last good one with `git checkout -- {}`", shown(path))
            }
            Self::NotForUs { tried, .. } => format!(
                "tried {}. A teammate who can read it lets you in with `arcane team add NAME --key KEY`",
                tried.join(", ")
            ),
            Self::NoIdentity { .. } => {
                "make one with `arcane init`, or name one in ARCANE_IDENTITY".to_owned()
            }
            Self::Exposed { path, .. } => format!("type `chmod 600 {}`", shown(path)),
            Self::Swapped { path, .. } => {
                format!("one file was put in the place of another; see `git log -- {}`", shown(path))
            }
            Self::Newer { .. } => "use a newer arcane".to_owned(),
            Self::TeamDiffers { unsealed, untold, environment } => match (unsealed.first(), untold.first()) {
                (Some(name), _) => format!(
                    "if {name} may read {environment}, say so with `arcane team add {name} --env {environment}`; else take the \
                     key out of the team file"
                ),
                (None, Some(name)) => format!(
                    "if {name} may no longer read {environment}, say so with `arcane team remove {name} --env {environment}`; \
                     else with `arcane team add`"
                ),
                (None, None) => return None,
            },
            Self::Older { environment, .. } => format!(
                "an older commit is checked out, or somebody put its version back; `git log -p -- '*{environment}.age'` tells. To go \
                 on from this version and its readers, say `arcane secrets rotate --env {environment} --accept`"
            ),
            Self::Seen { path } => {
                format!("remove {}: what is there now counts as the newest then", shown(path))
            }
            Self::Changed { .. } => "look with `git status`, then type it again".to_owned(),
            Self::NoMember { known: names, .. } => known(&strings(names)),
            Self::LastReader { environment, .. } => {
                format!("add somebody else first, or remove the file of {environment} with git")
            }
            Self::NoPassphrase => {
                "type it in a terminal, or name a key without one in ARCANE_IDENTITY".to_owned()
            }
            Self::Busy { .. } => "wait until it has ended; an editor left open counts".to_owned(),
            Self::Io { .. }
            | Self::OtherKey { .. }
            | Self::TooLarge { .. }
            | Self::Identity { .. }
            | Self::IdentityExists { .. }
            | Self::Team { .. }
            | Self::Recipient(_) => return None,
        };
        Some(text)
    }
}

fn strings<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().take(40).map(ToString::to_string).collect()
}

/// A path in a message.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy(), 200)
}

/// How far was looked.
fn above(start: &Path, top: &Path) -> String {
    if start == top { String::new() } else { format!(" or above it, up to {}", shown(top)) }
}

fn again(back: &[MemberName]) -> String {
    if back.is_empty() { String::new() } else { format!("; {} can read it again", strings(back).join(", ")) }
}

fn difference(unsealed: &[MemberName], untold: &[MemberName]) -> String {
    let mut parts = Vec::new();
    if !unsealed.is_empty() {
        parts.push(format!("no reader agreed to the key of {}", strings(unsealed).join(", ")));
    }
    if !untold.is_empty() {
        parts.push(format!("a key of {} opens it and is not named", strings(untold).join(", ")));
    }
    parts.join("; ")
}
