//! What an app's owner has run around a switch: the release command, in a container of the new image, and the hooks, in a
//! shell of the host or of the machine that pushes.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// A command that is run once per release, in a container of its own of the new image, before the new release takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseCommand {
    /// The command and its arguments. No shell takes it apart.
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(with = "duration::text")]
    pub within: Duration,
    /// Whether it gets the app's volumes. Then the release before is stopped first: nothing is ever written to by two.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub volumes: bool,
}

impl ReleaseCommand {
    /// Migrations take their time; one that hangs must end all the same.
    pub const DEFAULT_WITHIN: Duration = Duration::from_secs(300);
}

/// The hooks of an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Run before anything is switched; its failure stops the push.
    pub before: Option<Hook>,
    /// Run once the new release is live; its failure is told, and changes nothing.
    pub after: Option<Hook>,
}

/// A line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The line.
    pub run: String,
    /// Whose shell.
    pub on: Place,
    /// How long it may take.
    pub within: Duration,
}

impl Hook {
    /// What a hook gets when nothing is declared.
    pub const DEFAULT_WITHIN: Duration = Duration::from_secs(60);
}

/// Where a hook is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the machine that pushes, in this directory.
    Here(PathBuf),
    /// On the host, as the user that arcane logs in as.
    Host,
}
