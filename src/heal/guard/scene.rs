//! What a guard may look at, and which guards are asked when.

use crate::fleet::{Deployment, HealPolicy, Rung, Timestamp};

use super::refusal::Refusal;
use super::{moment, sense, unattended};
use crate::heal::case::Case;
use crate::heal::freeze::Freezes;
use crate::heal::ledger::Ledger;
use crate::heal::place::Place;
use crate::heal::settings::Settings;
use crate::heal::world::World;

/// Everything that a guard may look at.
pub(in crate::heal) struct Scene<'a> {
    pub(in crate::heal) settings: &'a Settings,
    pub(in crate::heal) policy: &'a HealPolicy,
    pub(in crate::heal) world: &'a World,
    pub(in crate::heal) ledger: &'a Ledger,
    pub(in crate::heal) freezes: &'a Freezes,
    pub(in crate::heal) case: &'a Case,
    /// Other cases of the same app.
    pub(in crate::heal) siblings: Vec<&'a Case>,
    pub(in crate::heal) now: Timestamp,
    /// The same by this machine's clock: people live by that.
    pub(in crate::heal) wall: Timestamp,
}

type Check = fn(&Scene<'_>, &Rung) -> Result<(), Refusal>;

/// Whether a remedy makes sense for this case, whoever decides.
pub(in crate::heal) const SENSE: [Check; 8] = [
    sense::class,
    sense::forbid,
    sense::already_rolled_back,
    sense::rollback_target,
    sense::rollback_proved,
    sense::rollback_spec,
    sense::rollback_migration,
    sense::rollback_once,
];

/// Whether a rung's own limits still allow it.
pub(in crate::heal) const RUNG: [Check; 4] =
    [sense::deploy_age, sense::condition, sense::attempts, sense::limit];

/// What only a human may do.
pub(in crate::heal) const UNATTENDED: [Check; 4] =
    [unattended::remedies, unattended::doubt, unattended::state_evidence, unattended::live];

/// Whether anybody may act now.
pub(in crate::heal) const BEFORE_ACTING: [Check; 7] = [
    moment::frozen,
    moment::reachable,
    moment::operator_stop,
    moment::known,
    moment::role,
    moment::release,
    moment::in_flight,
];

/// Whether it is time to act unattended.
pub(in crate::heal) const PACE: [Check; 3] = [unattended::one_host, unattended::backoff, unattended::engine];

/// How much may happen unattended.
pub(in crate::heal) const BUDGETS: [Check; 3] =
    [unattended::budget_app, unattended::budget_host, unattended::budget_fleet];

/// The first no of a list.
pub(in crate::heal) fn ask(checks: &[Check], scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    checks.iter().try_for_each(|check| check(scene, rung))
}

impl Scene<'_> {
    pub(in crate::heal) fn place(&self) -> Option<&Place> {
        self.world.place(&self.case.incident.host, &self.case.incident.app)
    }

    pub(super) fn deployment(&self) -> Option<&Deployment> {
        self.place()?.deployment.as_ref()
    }
}
