//! Remedies: what can be done about a failure, who may decide it, and the ladder a rule proposes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hours::QuietHours;
use super::text::quoted;

/// One thing that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Restart the container of the same release.
    Restart,
    /// Bring the previous proved release back.
    Rollback,
    /// Make a new container of the same release; frees what the old one held.
    Redeploy,
    /// Bring the secrets of the same release again, which a reboot of the host has wiped, and start it.
    Reinject,
    /// Do nothing for now: what is missing is expected to come back.
    Wait,
    /// Hand it to a human.
    Escalate,
}

impl Remedy {
    /// Every remedy.
    pub const ALL: [Self; 6] =
        [Self::Restart, Self::Rollback, Self::Redeploy, Self::Reinject, Self::Wait, Self::Escalate];

    /// The name in rules, arcane.toml and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Rollback => "rollback",
            Self::Redeploy => "redeploy",
            Self::Reinject => "reinject",
            Self::Wait => "wait",
            Self::Escalate => "escalate",
        }
    }

    /// Whether it changes a server.
    #[must_use]
    pub const fn changes_server(self) -> bool {
        matches!(self, Self::Restart | Self::Rollback | Self::Redeploy | Self::Reinject)
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no remedy or mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a {kind}; choose from {choices}", quoted(value))]
pub struct UnknownWord {
    /// What it should have been.
    pub kind: &'static str,
    /// What was given.
    pub value: String,
    /// What there is.
    pub choices: &'static str,
}

impl std::str::FromStr for Remedy {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|remedy| remedy.as_str() == text).ok_or_else(|| UnknownWord {
            kind: "remedy",
            value: text.to_owned(),
            choices: "restart, rollback, redeploy, reinject, wait, escalate",
        })
    }
}

/// Who decides. Ordered: a policy caps what a rule proposes, so the effective mode is the smaller of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nobody: the incident is recorded, nothing is proposed.
    Off,
    /// A human, elsewhere: the remedy is named, never carried out.
    Suggest,
    /// A human, here: carried out when approved.
    Approve,
    /// The supervisor, within its guards.
    Auto,
}

impl Mode {
    /// Every mode, from the most to the least careful.
    pub const ALL: [Self; 4] = [Self::Off, Self::Suggest, Self::Approve, Self::Auto];

    /// The name in rules, arcane.toml and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Suggest => "suggest",
            Self::Approve => "approve",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Mode {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| UnknownWord {
            kind: "mode",
            value: text.to_owned(),
            choices: "off, suggest, approve, auto",
        })
    }
}

/// What an app's owner lets the supervisor do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealPolicy {
    /// The most that may happen without a human.
    pub mode: Mode,
    /// Remedies that `auto` may carry out by itself; others are asked for.
    pub remedies: Vec<Remedy>,
    /// How long the symptom must stay away after a remedy before the incident counts as healed.
    #[serde(with = "super::duration::text")]
    pub verify: Duration,
}

impl Default for HealPolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Approve,
            remedies: vec![Remedy::Restart, Remedy::Rollback, Remedy::Reinject],
            verify: Duration::from_secs(60),
        }
    }
}

/// One rung of a rule's ladder: a remedy and the limits it is tried within.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What to do.
    pub remedy: Remedy,
    /// The most that the rule's author trusts it with.
    pub mode: Mode,
    /// How often it may be tried …
    pub max: u32,
    /// … within this time; `None` means per release.
    pub per: Option<Duration>,
    /// The pause before a second try, and its limit: doubled from the first to the second.
    pub backoff: Option<(Duration, Duration)>,
    /// Only when the release is younger than this.
    pub if_deploy_younger_than: Option<Duration>,
    /// What its rule asks for and did not hold when the rule fired, in words: then it is not tried.
    #[serde(default)]
    pub unmet: Option<String>,
    /// The hours of a day in which it is not begun, nor asked for.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
    /// Whether the apps that depend on it are to be restarted after it.
    #[serde(default)]
    pub then_dependents: bool,
}
