//! What the supervisor is told once, at its start: who may decide what, how much may happen in which time, and how
//! much it may remember. Every limit has a default that an owner of a few servers would choose.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fleet::{AppName, HealPolicy, IncidentId, Mode};

/// The supervisor's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The number of the next incident. Numbers only go up from here; the journal knows the highest one given out,
    /// and [`super::Supervisor::restore`] moves past every one it sees.
    pub next_incident: IncidentId,
    /// The most that this process may do, whatever rules and policies say: `Suggest` for `watch`, `Approve` for
    /// `heal`, `Auto` for `heal --auto`.
    pub ceiling: Mode,
    /// Policies of this machine's own arcane.toml. They win over the policy that was deployed with an app.
    pub policies: BTreeMap<AppName, HealPolicy>,
    /// The policy of an app that neither arcane.toml nor its deployment has one for.
    pub default_policy: HealPolicy,
    /// How many actions may begin unattended.
    pub budgets: Budgets,
    /// How long after a deploy the text of a log alone opens nothing that asks for a human: a starting app complains
    /// about much that passes. State evidence is never held back: a crash loop after a deploy is what must be cured.
    pub grace: Duration,
    /// A symptom that returns this soon after the incident was healed proves that it was not.
    pub recurrence: Duration,
    /// How long a rule stays quiet about a release after a human said that it is nothing.
    pub mute: Duration,
    /// How long `wait` waits when neither the rung nor the rule says.
    pub wait: Duration,
    /// How long an action may be under way before a human is told. It stays "in flight" until its end is reported.
    pub action_deadline: Duration,
    /// How long a due action may be held up by something other than a freeze or an unreachable host.
    pub hold_limit: Duration,
    /// A signal older than this by our clock is no reason to act by itself.
    pub stale_after: Duration,
    /// What to do when somebody else holds the deploy lock.
    pub lock: LockRetry,
    /// Seeds the jitter of every pause.
    pub seed: u64,
    /// What is kept in memory.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            next_incident: IncidentId(1),
            ceiling: Mode::Approve,
            policies: BTreeMap::new(),
            default_policy: HealPolicy::default(),
            budgets: Budgets::default(),
            grace: Duration::from_secs(30),
            recurrence: Duration::from_secs(600),
            mute: Duration::from_secs(3600),
            wait: Duration::from_secs(300),
            action_deadline: Duration::from_secs(900),
            hold_limit: Duration::from_secs(1800),
            stale_after: Duration::from_secs(300),
            lock: LockRetry::default(),
            seed: 0,
            limits: Limits::default(),
        }
    }
}

/// How many actions may begin within a sliding window before a human is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// For one app, over all hosts.
    pub app: Budget,
    /// On one host.
    pub host: Budget,
    /// In the whole fleet.
    pub fleet: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { app: Budget::new(5, 3600), host: Budget::new(3, 600), fleet: Budget::new(10, 600) }
    }
}

/// At most so many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Actions that may begin …
    pub max: usize,
    /// … in any window of this length.
    pub per: Duration,
}

impl Budget {
    /// `max` in any window of `seconds`.
    #[must_use]
    pub const fn new(max: usize, seconds: u64) -> Self {
        Self { max, per: Duration::from_secs(seconds) }
    }
}

/// A held lock is somebody at work: worth waiting for, not for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockRetry {
    /// How often in all.
    pub tries: u32,
    /// The pause before the second try; doubled with each one after.
    pub pause: Duration,
}

impl Default for LockRetry {
    fn default() -> Self {
        Self { tries: 6, pause: Duration::from_secs(15) }
    }
}

/// Bounds of the memory: what comes from a server must not be able to fill this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Incidents, over ones counted. When all of them are open, no more are opened.
    pub incidents: usize,
    /// Pieces of evidence of one incident: the oldest ten and the newest are kept.
    pub evidence: usize,
    /// Apps on hosts that are kept track of.
    pub places: usize,
    /// Actions of one incident.
    pub actions: usize,
    /// Characters of one text.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { incidents: 1000, evidence: 50, places: 4096, actions: 64, text: 500 }
    }
}
