//! Signals: a rule that fired, with everything the supervisor needs to act on it, so that it never has to ask the
//! rule engine back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::name::{AppName, HostName};
use super::novelty::Novelty;
use super::observation::ContainerId;
use super::release::ReleaseId;
use super::remedy::{Remedy, Rung};
use super::time::Timestamp;

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// When, by the clock of the observation that made it fire.
    pub at: Timestamp,
    /// The rule, as `pack/id`.
    pub rule: String,
    /// What the rule says is wrong.
    pub class: Class,
    /// The sentence for a person, captures filled in.
    pub say: String,
    /// On this host.
    pub host: HostName,
    /// Of this app.
    pub app: AppName,
    /// In this release.
    pub release: ReleaseId,
    /// In this container.
    pub container: ContainerId,
    /// Values that the rule's patterns captured.
    pub captures: BTreeMap<String, String>,
    /// What made it fire, oldest first.
    pub evidence: Vec<Evidence>,
    /// Whether state (an exit, an OOM event, health) is part of the evidence. Log text alone can be forged by
    /// whoever can make the app log a string, so it never justifies an unattended action.
    pub state_evidence: bool,
    /// Whether every piece of evidence came as it happened.
    pub live: bool,
    /// What to try, in order.
    pub ladder: Vec<Rung>,
    /// What "healed" means, when the rule knows better than the app's policy.
    pub verify: Option<Verify>,
    /// Remedies never to use for this.
    pub forbid: Vec<Remedy>,
    /// What the app's log says that it never said before this release, filled in by who knows. It explains, and never
    /// justifies anything: whoever can make the app log a string can make it up.
    #[serde(default)]
    pub novelty: Vec<Novelty>,
    /// What to do when nothing has helped, beside calling a human.
    #[serde(default)]
    pub on_fail: OnFail,
    /// Apps that show what is wrong here as symptoms of theirs.
    #[serde(default)]
    pub dependents: Vec<AppName>,
}

/// What to do when nothing has helped, beside calling a human.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnFail {
    /// Begin no more actions on the app until somebody thaws it.
    pub freeze: bool,
}

/// Which signals tell that a symptom is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// Those of the same rule.
    #[default]
    Own,
    /// Those of any rule that says the same is wrong.
    Class,
    /// Any, of this app.
    App,
}

/// One thing that made a rule fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it happened.
    pub at: Timestamp,
    /// The log line, or the event in words: `die exit=101`.
    pub text: String,
}

/// What must hold for a remedy to count as having worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// Running without the rule firing again for this long …
    #[serde(with = "super::duration::text")]
    pub running: Duration,
    /// … before this much time has passed.
    #[serde(with = "super::duration::text")]
    pub deadline: Duration,
    /// Whether its health must be known: that its own `HEALTHCHECK` passes, or that it has none. Without that it is enough
    /// that none is seen to fail.
    #[serde(default)]
    pub health: bool,
    /// What must stay away.
    #[serde(default)]
    pub quiet: Symptom,
}
