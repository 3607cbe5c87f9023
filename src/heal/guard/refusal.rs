//! A guard's name and its no.

use std::fmt;

use crate::fleet::Timestamp;

/// Names a guard, in refusals and in the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Somebody froze healing.
    Freeze,
    /// An unreachable host is not a host that is down.
    Reachable,
    /// What is deployed has not been read yet.
    Known,
    /// An operator stopped it.
    OperatorStop,
    /// The container is a candidate or a kept release.
    Role,
    /// Another release is live than the one with the problem.
    Release,
    /// One action at a time per app.
    InFlight,
    /// One host of an app at a time, each proved before the next.
    OneHost,
    /// The class of failure cannot be helped by this.
    Class,
    /// The rule forbids it.
    Forbid,
    /// There is nothing to roll back to.
    RollbackTarget,
    /// What there is to roll back to has not proved itself.
    RollbackProved,
    /// What there is to roll back to is the same.
    RollbackSpec,
    /// What there is to roll back to is older than the app's data.
    RollbackMigration,
    /// A release is rolled back once, and one that was rolled back to is not left again.
    RollbackOnce,
    /// The release is too old for this rung.
    DeployAge,
    /// What the rung asks for did not hold.
    Condition,
    /// Tried often enough.
    Attempts,
    /// What the rule, the owner or this process allows.
    Mode,
    /// The owner does not let `auto` do this.
    Remedies,
    /// Log text alone is evidence, never an order.
    StateEvidence,
    /// The evidence was read up after the fact.
    Live,
    /// Something has made the evidence doubtful.
    Doubt,
    /// The engine's own restart policy comes first.
    Engine,
    /// The hours in which nobody is to be woken.
    QuietHours,
    /// The pause before the next try.
    Backoff,
    /// The time after a deploy in which log text alone counts for nothing.
    Grace,
    /// Actions of one app in a window.
    BudgetApp,
    /// Actions on one host in a window.
    BudgetHost,
    /// Actions in the fleet in a window.
    BudgetFleet,
    /// Somebody else holds the deploy lock.
    Lock,
    /// A limit of memory.
    Limit,
    /// There is no such open incident, or no such remedy.
    Incident,
}

impl Guard {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Reachable => "reachable",
            Self::Known => "known",
            Self::OperatorStop => "operator-stop",
            Self::Role => "role",
            Self::Release => "release",
            Self::InFlight => "in-flight",
            Self::OneHost => "one-host",
            Self::Class => "class",
            Self::Forbid => "forbid",
            Self::RollbackTarget => "rollback-target",
            Self::RollbackProved => "rollback-proved",
            Self::RollbackSpec => "rollback-spec",
            Self::RollbackMigration => "rollback-migration",
            Self::RollbackOnce => "rollback-once",
            Self::DeployAge => "deploy-age",
            Self::Condition => "condition",
            Self::Attempts => "attempts",
            Self::Mode => "mode",
            Self::Remedies => "remedies",
            Self::StateEvidence => "state-evidence",
            Self::Live => "live",
            Self::Doubt => "doubt",
            Self::Engine => "engine",
            Self::QuietHours => "quiet-hours",
            Self::Backoff => "backoff",
            Self::Grace => "grace",
            Self::BudgetApp => "budget-app",
            Self::BudgetHost => "budget-host",
            Self::BudgetFleet => "budget-fleet",
            Self::Lock => "lock",
            Self::Limit => "limit",
            Self::Incident => "incident",
        }
    }
}

/// A guard's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose.
    pub guard: Guard,
    /// Why.
    pub why: String,
    /// When it may be asked again, if that is known; in the supervisor's steady time.
    pub(in crate::heal) until: Option<Timestamp>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guard `{}`: {}", self.guard.as_str(), self.why)
    }
}

/// A no without a date.
pub(in crate::heal) fn refuse(guard: Guard, why: impl Into<String>) -> Refusal {
    Refusal { guard, why: why.into(), until: None }
}
