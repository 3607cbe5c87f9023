//! Everything that can reach the supervisor.

use crate::fleet::{ActionOutcome, AppName, IncidentId, Observation, ReleaseId, Remedy, Signal};

use super::effect::ActionId;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A rule fired.
    Signal(Signal),
    /// A fact from a host. Log lines and samples are ignored; state changes, deployments, gaps and whether the host
    /// answers are what the guards judge by, so all of those must come, of every role.
    Observed(Observation),
    /// An action that [`super::Effect::Act`] asked for has ended. Every action must be answered by exactly one of
    /// these; another one for the same action is ignored.
    ActionEnded {
        /// Which.
        action: ActionId,
        /// `Done`, `Refused` (nothing was changed, for instance because the lock is held) or `Failed`.
        outcome: ActionOutcome,
        /// What it did or why it failed, in words.
        detail: String,
        /// The release that is live now, when the action knows.
        release: Option<ReleaseId>,
    },
    /// A human approves a remedy.
    Approve {
        /// Of this incident.
        incident: IncidentId,
        /// This one; without it, the first that is proposed.
        remedy: Option<Remedy>,
        /// Who.
        by: String,
    },
    /// A human says that it is nothing.
    Dismiss {
        /// Which incident.
        incident: IncidentId,
        /// Who.
        by: String,
    },
    /// Stop beginning actions. What is under way ends by itself.
    Freeze {
        /// Of this app; without it, of all.
        app: Option<AppName>,
        /// Who.
        by: String,
    },
    /// Take a freeze back. A freeze of everything and one of an app are independent.
    Thaw {
        /// Of this app; without it, the freeze of everything.
        app: Option<AppName>,
        /// Who.
        by: String,
    },
    /// Time has passed. To be sent when [`super::Supervisor::next_wake`] is due.
    Tick,
}
