//! The guards: one function per promise, each of which can stop an action and says why. The supervisor asks them in
//! three lists: [`RUNG`] decides whether a rung makes sense at all, [`UNATTENDED`] whether a human must be asked, and
//! [`BEFORE_ACTING`] whether now is the moment; the last holds for humans too.

use std::fmt;
use std::time::Duration;

use crate::fleet::duration::{brief, format};
use crate::fleet::text::plural;
use crate::fleet::{HealPolicy, Remedy, Rung, Timestamp};

use super::case::{Case, Phase};
use super::freeze::Freezes;
use super::ledger::{Entry, Ledger};
use super::place::Place;
use super::settings::{Budget, Settings};
use super::world::World;

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
    /// A release is rolled back once, and one that was rolled back to is not left again.
    RollbackOnce,
    /// The release is too old for this rung.
    DeployAge,
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
            Self::RollbackOnce => "rollback-once",
            Self::DeployAge => "deploy-age",
            Self::Attempts => "attempts",
            Self::Mode => "mode",
            Self::Remedies => "remedies",
            Self::StateEvidence => "state-evidence",
            Self::Live => "live",
            Self::Doubt => "doubt",
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
    pub(super) until: Option<Timestamp>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guard `{}`: {}", self.guard.as_str(), self.why)
    }
}

/// A no without a date.
pub(super) fn refuse(guard: Guard, why: impl Into<String>) -> Refusal {
    Refusal { guard, why: why.into(), until: None }
}

/// Everything that a guard may look at.
pub(super) struct Scene<'a> {
    pub(super) settings: &'a Settings,
    pub(super) policy: &'a HealPolicy,
    pub(super) world: &'a World,
    pub(super) ledger: &'a Ledger,
    pub(super) freezes: &'a Freezes,
    pub(super) case: &'a Case,
    /// Other cases of the same app.
    pub(super) siblings: Vec<&'a Case>,
    pub(super) now: Timestamp,
}

type Check = fn(&Scene<'_>, &Rung) -> Result<(), Refusal>;

/// Whether a remedy makes sense for this case, whoever decides.
pub(super) const SENSE: [Check; 7] =
    [class, forbid, already_rolled_back, rollback_target, rollback_proved, rollback_spec, rollback_once];

/// Whether a rung's own limits still allow it.
pub(super) const RUNG: [Check; 3] = [deploy_age, attempts, limit];

/// What only a human may do.
pub(super) const UNATTENDED: [Check; 4] = [remedies, doubt, state_evidence, live];

/// Whether anybody may act now.
pub(super) const BEFORE_ACTING: [Check; 7] =
    [frozen, reachable, operator_stop, known, role, release, in_flight];

/// Whether it is time to act unattended.
pub(super) const PACE: [Check; 2] = [one_host, backoff];

/// How much may happen unattended.
pub(super) const BUDGETS: [Check; 3] = [budget_app, budget_host, budget_fleet];

/// The first no of a list.
pub(super) fn ask(checks: &[Check], scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    checks.iter().try_for_each(|check| check(scene, rung))
}

impl Scene<'_> {
    pub(super) fn place(&self) -> Option<&Place> {
        self.world.place(&self.case.incident.host, &self.case.incident.app)
    }

    fn deployment(&self) -> Option<&crate::fleet::Deployment> {
        self.place()?.deployment.as_ref()
    }
}

fn class(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    use crate::fleet::Class;
    let class = scene.case.incident.class;
    let helps = match rung.remedy {
        Remedy::Restart => class.restart_can_help(),
        // A new container of the same release takes up a secret or certificate that was changed meanwhile.
        Remedy::Redeploy => {
            class.restart_can_help()
                || matches!(class, Class::AuthFailure | Class::TlsFailure | Class::BadConfig)
        }
        Remedy::Rollback => class != Class::Benign,
        Remedy::Wait | Remedy::Escalate => true,
    };
    if helps {
        return Ok(());
    }
    Err(refuse(Guard::Class, format!("{} cannot help against {class}", rung.remedy)))
}

fn forbid(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    if scene.case.forbid.contains(&rung.remedy) {
        let why = format!("{} forbids {}", scene.case.incident.rule, rung.remedy);
        return Err(refuse(Guard::Forbid, why));
    }
    Ok(())
}

/// Once we have rolled back, another release is live: what the ladder says was meant for the bad one.
fn already_rolled_back(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.case.rolled_back.is_some() {
        let why = format!("{} was rolled back already", scene.case.incident.release);
        return Err(refuse(Guard::Release, why));
    }
    Ok(())
}

fn rollback_target(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match scene.deployment() {
        Some(deployment) if rung.remedy == Remedy::Rollback && deployment.previous.is_none() => Err(refuse(
            Guard::RollbackTarget,
            format!("no older release is kept on {}", scene.case.incident.host),
        )),
        _ => Ok(()),
    }
}

/// The deployment and what a rollback would bring back, when the rung is a rollback.
fn rollback<'a>(
    scene: &'a Scene<'_>,
    rung: &Rung,
) -> Option<(&'a crate::fleet::Deployment, &'a crate::fleet::PreviousRelease)> {
    let deployment = scene.deployment().filter(|_| rung.remedy == Remedy::Rollback)?;
    Some((deployment, deployment.previous.as_ref()?))
}

fn rollback_proved(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match rollback(scene, rung) {
        Some((deployment, previous)) if !previous.is_proved(deployment.prove) => Err(refuse(
            Guard::RollbackProved,
            format!(
                "{} ran for {} only, {} would prove it",
                previous.release,
                brief(previous.ran_for),
                format(deployment.prove)
            ),
        )),
        _ => Ok(()),
    }
}

fn rollback_spec(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match rollback(scene, rung) {
        Some((deployment, previous)) if previous.spec == deployment.spec => Err(refuse(
            Guard::RollbackSpec,
            format!("{} has the same image and settings as {}", previous.release, deployment.release),
        )),
        _ => Ok(()),
    }
}

/// Ids sort by age, so one comparison forbids all three: the same rollback again, one from where a rollback led to,
/// and (on any host) one to a release that was rolled back.
fn rollback_once(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let Some((deployment, previous)) = rollback(scene, rung) else {
        return Ok(());
    };
    let incident = &scene.case.incident;
    for done in scene.ledger.rollbacks(&incident.app) {
        if done.host == incident.host && done.release >= deployment.release {
            let why = format!(
                "{} was rolled back on {} already; this would be a step further",
                done.release, done.host
            );
            return Err(refuse(Guard::RollbackOnce, why));
        }
        if done.release == previous.release {
            let why = format!("{} itself was rolled back on {}", previous.release, done.host);
            return Err(refuse(Guard::RollbackOnce, why));
        }
    }
    Ok(())
}

fn deploy_age(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let (Some(limit), Some(deployment)) = (rung.if_deploy_younger_than, scene.deployment()) else {
        return Ok(());
    };
    // Both times are of the host's clock.
    let age = scene.case.newest_signal.since(deployment.deployed_at);
    if age < limit {
        return Ok(());
    }
    let why = format!(
        "{} was deployed {} before, {} is for releases younger than {}",
        deployment.release,
        brief(age),
        rung.remedy,
        format(limit)
    );
    Err(refuse(Guard::DeployAge, why))
}

fn attempts(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let incident = &scene.case.incident;
    let here = scene.case.tries(rung.remedy);
    let within = scene.ledger.newest_first(|entry| {
        let same = entry.host == incident.host && entry.app == incident.app && entry.remedy == rung.remedy;
        same && match rung.per {
            Some(per) => scene.now.since(entry.at) < per,
            None => entry.release == incident.release,
        }
    });
    // A short window must not make a ladder endless: `max` holds for one incident as a whole, too.
    let tried = within.count().max(usize::try_from(here).unwrap_or(usize::MAX));
    if tried < usize::try_from(rung.max).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let window =
        rung.per.map_or_else(|| format!("for {}", incident.release), |per| format!("in {}", format(per)));
    let why = format!("{} was tried {} {window}, {} allowed", rung.remedy, plural(tried, "time"), rung.max);
    Err(refuse(Guard::Attempts, why))
}

fn limit(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let actions = scene.case.incident.actions.len();
    if actions < scene.settings.limits.actions {
        return Ok(());
    }
    Err(refuse(Guard::Limit, format!("{actions} actions were recorded for it already")))
}

fn remedies(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    if scene.policy.remedies.contains(&rung.remedy) {
        return Ok(());
    }
    let why = format!("the policy of {} does not let auto {}", scene.case.incident.app, rung.remedy);
    Err(refuse(Guard::Remedies, why))
}

fn state_evidence(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.case.trust.state {
        return Ok(());
    }
    let why = format!("{} has the text of a log only, and that can be forged", scene.case.incident.rule);
    Err(refuse(Guard::StateEvidence, why))
}

fn live(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.case.trust.live {
        return Ok(());
    }
    Err(refuse(Guard::Live, "the evidence was read up after the fact"))
}

fn doubt(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match &scene.case.trust.doubt {
        Some(doubt) => Err(refuse(Guard::Doubt, doubt.clone())),
        None => Ok(()),
    }
}

pub(super) fn frozen(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match scene.freezes.holds(&scene.case.incident.app) {
        Some(why) => Err(refuse(Guard::Freeze, why)),
        None => Ok(()),
    }
}

fn reachable(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let host = &scene.case.incident.host;
    match scene.world.unreachable(host) {
        Some(reason) => Err(refuse(
            Guard::Reachable,
            format!("{host} cannot be reached ({reason}); that does not mean it is down"),
        )),
        None => Ok(()),
    }
}

fn operator_stop(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match scene.place().and_then(|place| place.halt.as_ref()) {
        Some(halt) => {
            let why = format!("it was {} and has not been started since", halt.how);
            Err(refuse(Guard::OperatorStop, why))
        }
        None => Ok(()),
    }
}

fn known(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.deployment().is_some() {
        return Ok(());
    }
    let incident = &scene.case.incident;
    let why = format!("no deployment of {} is known on {}", incident.app, incident.host);
    Err(refuse(Guard::Known, why))
}

fn role(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let container = scene.case.container.as_ref();
    let bystander =
        scene.place().zip(container).is_some_and(|(place, container)| place.is_bystander(container));
    if bystander {
        return Err(refuse(Guard::Role, "its container is not the live one"));
    }
    Ok(())
}

fn release(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let incident = &scene.case.incident;
    match scene.deployment() {
        Some(deployment) if deployment.release != incident.release => {
            Err(refuse(Guard::Release, format!("{} is live, not {}", deployment.release, incident.release)))
        }
        _ => Ok(()),
    }
}

fn in_flight(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match scene.ledger.in_flight(&scene.case.incident.app) {
        Some(entry) => Err(refuse(
            Guard::InFlight,
            format!("a {} of {} is under way on {}", entry.remedy, entry.app, entry.host),
        )),
        None => Ok(()),
    }
}

fn one_host(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let proving = scene.siblings.iter().map(|case| (&case.incident.host, &case.phase));
    for (host, phase) in proving {
        let elsewhere = *host != scene.case.incident.host && scene.world.unreachable(host).is_none();
        if elsewhere && matches!(phase, Phase::Verifying(_)) {
            let why = format!("the last action on {host} has yet to prove itself");
            return Err(refuse(Guard::OneHost, why));
        }
    }
    Ok(())
}

fn backoff(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match scene.case.pause {
        Some((remedy, until)) if remedy == rung.remedy && scene.now < until => Err(Refusal {
            until: Some(until),
            ..refuse(Guard::Backoff, format!("{remedy} is due after a pause, for it was tried before"))
        }),
        _ => Ok(()),
    }
}

fn budget_app(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let app = &scene.case.incident.app;
    let budget = scene.settings.budgets.app;
    spend(scene, Guard::BudgetApp, budget, &format!("of {app}"), |entry| entry.app == *app)
}

fn budget_host(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let host = &scene.case.incident.host;
    let budget = scene.settings.budgets.host;
    spend(scene, Guard::BudgetHost, budget, &format!("on {host}"), |entry| entry.host == *host)
}

fn budget_fleet(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let budget = scene.settings.budgets.fleet;
    spend(scene, Guard::BudgetFleet, budget, "in the fleet", |_| true)
}

fn spend(
    scene: &Scene<'_>,
    guard: Guard,
    budget: Budget,
    whose: &str,
    counts: impl Fn(&Entry) -> bool,
) -> Result<(), Refusal> {
    let spent: Vec<Timestamp> = scene
        .ledger
        .newest_first(|entry| counts(entry) && scene.now.since(entry.at) < budget.per)
        .map(|entry| entry.at)
        .collect();
    if spent.len() < budget.max {
        return Ok(());
    }
    // It has room again once the action that is `max` back has left the window.
    let freed = spent.get(budget.max.saturating_sub(1)).copied();
    Err(Refusal {
        until: freed.map(|at| at + budget.per),
        ..refuse(
            guard,
            format!(
                "{} {whose} in {}, {} allowed",
                plural(spent.len(), "action"),
                format(budget.per),
                budget.max
            ),
        )
    })
}

/// Holds back what is founded on log text alone until some time after a deploy; `quiet` is how long it must then have
/// been quiet to be forgotten.
pub(super) fn grace(scene: &Scene<'_>, quiet: Duration) -> Result<(), Refusal> {
    let Some(deployment) = scene.deployment().filter(|_| !scene.case.trust.state) else {
        return Ok(());
    };
    let age = scene.case.newest_signal.since(deployment.deployed_at);
    let grace = scene.settings.grace;
    let until = scene.case.noise_at + grace.saturating_sub(age) + quiet;
    if age >= grace || until <= scene.now {
        return Ok(());
    }
    let why = format!(
        "{} was deployed {} before; a starting app complains about much that passes",
        deployment.release,
        brief(age)
    );
    Err(Refusal { until: Some(until), ..refuse(Guard::Grace, why) })
}
