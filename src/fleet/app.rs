//! An app: what its owner asks for, validated and with every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::blue_green::BlueGreen;
use super::duration;
use super::health::HealthCheck;
use super::hook::{Hooks, ReleaseCommand};
use super::name::{AppName, HostName, ImageRef, VariableName};
use super::profile::Kind;
use super::remedy::HealPolicy;
use super::secret::AppSecret;

/// An app as `arcane.toml` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name; also the name of its live container.
    pub name: AppName,
    /// Where its image comes from.
    pub source: Source,
    /// How a new release takes over.
    pub strategy: Strategy,
    /// Hosts or groups it goes to when `--to` does not say; names as in fleet.toml.
    pub to: Vec<HostName>,
    /// The host port that is published, if one is.
    pub publish: Option<u16>,
    /// Its slots and its site, when it is swapped blue/green; `publish` is `None` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// The app's own port inside the container.
    pub port: Option<u16>,
    /// How a release proves itself.
    pub health: HealthCheck,
    /// Plain environment variables. Never secrets: Docker writes these to disk and shows them.
    pub env: BTreeMap<VariableName, String>,
    /// The secrets that it gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<VariableName, AppSecret>,
    /// What it does for other apps, when its owner says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Kind>,
    /// The command, when the image's own is not wanted.
    pub command: Option<Vec<String>>,
    /// Volumes to mount.
    pub volumes: Vec<Volume>,
    /// Memory limit.
    pub memory: Option<MemoryLimit>,
    /// An existing Docker network to join instead of the default bridge.
    pub network: Option<String>,
    /// How long a container may take to stop after SIGTERM before it is killed.
    #[serde(with = "duration::text")]
    pub stop_timeout: Duration,
    /// How long a release must have run before it counts as proved: good enough to roll back to.
    #[serde(with = "duration::text")]
    pub prove: Duration,
    /// How many older releases are kept for a rollback.
    pub keep: usize,
    /// What the supervisor may do.
    pub heal: HealPolicy,
    /// What is run once per release before it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseCommand>,
    /// Whether a release changes its data for good, so that an older one may not understand it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub migrates: bool,
    /// How long a release that is healthy is watched before it counts as released.
    #[serde(default, with = "duration::text", skip_serializing_if = "Duration::is_zero")]
    pub bake: Duration,
    /// What is run around a switch. Only the machine that pushes knows: no part of what is recorded on a host.
    #[serde(skip)]
    pub hooks: Hooks,
}

impl App {
    /// Older releases kept when nothing is declared.
    pub const DEFAULT_KEEP: usize = 3;
    /// Docker's own default, stated so that a plan can show it.
    pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);
    /// Long enough to meet most faults that come with a release.
    pub const DEFAULT_PROVE: Duration = Duration::from_secs(600);
}

/// Where an app's image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Built from this directory with `docker build`.
    Build(PathBuf),
    /// An image that the local engine already has.
    Image(ImageRef),
}

/// How a new release takes over from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Stop the old, start the new, put the old back if the new does not get healthy.
    #[default]
    SmartSwap,
    /// Start the new beside the old, let Caddy lead to it once it is healthy, stop the old when it has finished.
    BlueGreen,
}

impl Strategy {
    /// Every strategy, the default first.
    pub const ALL: [Self; 2] = [Self::SmartSwap, Self::BlueGreen];

    /// The name in arcane.toml, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SmartSwap => "smart-swap",
            Self::BlueGreen => "blue-green",
        }
    }
}

impl FromStr for Strategy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.as_str() == text);
        found.ok_or_else(|| "no strategy has this name".to_owned())
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A volume: a named one, or a directory of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// A volume name or an absolute path on the host.
    pub source: String,
    /// An absolute path in the container.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// A memory limit in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLimit(pub u64);
