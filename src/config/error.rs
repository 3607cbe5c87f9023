//! Everything that can go wrong with the two files, and with asking for names that should be in them.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::problem::Problem;
use super::suggest::{listed, nearest};
use crate::fleet::text::{plural, printable, quoted};

/// What reading a file of ours, or looking a name up in it, gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file cannot be used, or a name cannot be found in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has problems; `Display` shows each with its line.
    #[error("{}", rendered(.0))]
    Invalid(Vec<Problem>),
    /// There is no such file.
    #[error("no {file} was found; looked for {}", places(looked))]
    Missing {
        /// Its usual name.
        file: &'static str,
        /// Where it was looked for, in order.
        looked: Vec<PathBuf>,
        /// A minimal one, to copy.
        example: &'static str,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {}", printable(&path.to_string_lossy(), 200))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is too large to be one of ours.
    #[error("{} is larger than 1 MiB", printable(&path.to_string_lossy(), 200))]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A name that is not there.
    #[error("{place} has no {kind} {}", quoted(name))]
    Unknown {
        /// What was asked for: `app`, `host`, `host or group`, `environment`.
        kind: &'static str,
        /// The name given.
        name: String,
        /// Where it was looked up: a file, or an app in a file.
        place: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// An empty selection, or one with an empty name in it, which must never come to mean "all".
    #[error("{}", nothing(.text))]
    NothingSelected {
        /// What was given.
        text: String,
    },
    /// An app's name was left out, and there are several.
    #[error("{place} has several apps")]
    SeveralApps {
        /// The file.
        place: String,
        /// Their names.
        known: Vec<String>,
    },
}

impl Error {
    /// What to do about it, when there is something to say beyond the error itself. May span several lines.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { example, .. } => Some(format!("write one, for instance:\n\n{example}")),
            Self::Unknown { kind, name, known, .. } => {
                Some(match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean {}? choose from {}", quoted(near), listed(known)),
                    None if known.is_empty() => format!("there is no {kind} at all"),
                    None => format!("choose from {}", listed(known)),
                })
            }
            Self::NothingSelected { .. } => Some("name hosts or groups, like web1,staging".to_owned()),
            Self::SeveralApps { known, .. } => Some(format!("name one of {}", listed(known))),
            Self::Invalid(_) | Self::Unreadable { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// How many problems are shown at once; a broken file can have one per byte.
const SHOWN: usize = 20;

fn rendered(problems: &[Problem]) -> String {
    let mut out = String::new();
    for (index, problem) in problems.iter().take(SHOWN).enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        let _ = write!(out, "{separator}{problem}");
    }
    if problems.len() > SHOWN {
        let _ = write!(
            out,
            "
… and {}",
            plural(problems.len() - SHOWN, "more problem")
        );
    }
    out
}

fn places(looked: &[PathBuf]) -> String {
    let shown: Vec<_> = looked.iter().map(|path| path.to_string_lossy()).collect();
    listed(&shown)
}

fn nothing(text: &str) -> String {
    if text.trim().is_empty() {
        "no host is selected".to_owned()
    } else {
        format!("{} has an empty name in it", quoted(text))
    }
}
