//! Incidents: one problem of one app release on one host, from opened to healed, escalated or dismissed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::name::{AppName, HostName};
use super::novelty::Novelty;
use super::release::ReleaseId;
use super::remedy::{Mode, Remedy};
use super::signal::Evidence;
use super::text::quoted;
use super::time::Timestamp;

/// Identifies an incident in the journal: a small number, easy to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A text that is not an incident id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an incident id; `arcane incidents` lists them", quoted(.0))]
pub struct IncidentIdError(pub String);

impl std::str::FromStr for IncidentId {
    type Err = IncidentIdError;
    fn from_str(text: &str) -> Result<Self, IncidentIdError> {
        text.trim_start_matches('#').parse().map(Self).map_err(|_| IncidentIdError(text.to_owned()))
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// Where.
    pub host: HostName,
    /// Of which app.
    pub app: AppName,
    /// Of which release.
    pub release: ReleaseId,
    /// What is wrong.
    pub class: Class,
    /// The rule that opened it.
    pub rule: String,
    /// How sure the finder is, in percent; a deterministic rule is always 100.
    pub confidence: u8,
    /// The sentence for a person.
    pub say: String,
    /// Where it stands.
    pub state: IncidentState,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often its rule has fired.
    pub signals: u64,
    /// The lines and events that made the rule fire.
    pub evidence: Vec<Evidence>,
    /// What the app's log says that it never said before this release; what looks most like trouble first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub novelty: Vec<Novelty>,
    /// What could be done, best first.
    pub proposals: Vec<Proposal>,
    /// What was done.
    pub actions: Vec<ActionRecord>,
    /// Why it stands where it stands: the guard that refused, the reason it was escalated.
    pub note: Option<String>,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Found; nothing is proposed or due yet.
    Open,
    /// A remedy waits for a human to approve it.
    AwaitingApproval,
    /// A remedy is due at a later time (backoff, grace).
    Waiting,
    /// A remedy is being carried out.
    Acting,
    /// A remedy was carried out; whether it helped is being watched.
    Verifying,
    /// The symptom stayed away.
    Healed,
    /// Everything allowed was tried, or nothing is: a human must look.
    Escalated,
    /// A human said that it is nothing.
    Dismissed,
}

impl IncidentState {
    /// Whether anything can still happen to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Healed | Self::Dismissed)
    }

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Waiting => "waiting",
            Self::Acting => "acting",
            Self::Verifying => "verifying",
            Self::Healed => "healed",
            Self::Escalated => "escalated",
            Self::Dismissed => "dismissed",
        }
    }
}

impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that could be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What.
    pub remedy: Remedy,
    /// Who decides.
    pub mode: Mode,
    /// Why it is proposed, or which guard keeps it from being carried out.
    pub reason: String,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// What.
    pub remedy: Remedy,
    /// Who decided: `auto`, or the person who approved.
    pub by: String,
    /// When it began.
    pub at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: ActionOutcome,
    /// What it did or why it failed, in words.
    pub detail: String,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// Recorded before it began; still here after a crash, it means "ask the host".
    Begun,
    /// Carried out; whether it helped is not known yet.
    Done,
    /// Carried out, and the symptom stayed away.
    Healed,
    /// Carried out, and the symptom came back.
    NotHealed,
    /// Refused by a guard on the way, for instance a held lock.
    Refused,
    /// Tried and failed.
    Failed,
}
