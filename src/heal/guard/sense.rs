//! Whether a remedy makes sense for a case at all, and whether its rung still allows it.

use crate::fleet::duration::{brief, format};
use crate::fleet::text::plural;
use crate::fleet::{Class, Deployment, PreviousRelease, Remedy, Rung};

use super::super::case::OUT_OF_ORDER;
use super::refusal::{Guard, Refusal, refuse};
use super::scene::Scene;

pub(super) fn class(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let class = scene.case.incident.class;
    let helps = match rung.remedy {
        Remedy::Restart => class.restart_can_help(),
        // A new container of the same release takes up a secret or certificate that was changed meanwhile.
        Remedy::Redeploy => {
            class.restart_can_help()
                || matches!(class, Class::AuthFailure | Class::TlsFailure | Class::BadConfig)
        }
        Remedy::Rollback => class != Class::Benign,
        Remedy::Reinject => class == Class::BadConfig,
        Remedy::Wait | Remedy::Escalate => true,
    };
    if helps {
        return Ok(());
    }
    Err(refuse(Guard::Class, format!("{} cannot help against {class}", rung.remedy)))
}

pub(super) fn forbid(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    if scene.case.forbid.contains(&rung.remedy) {
        let why = format!("{} forbids {}", scene.case.incident.rule, rung.remedy);
        return Err(refuse(Guard::Forbid, why));
    }
    Ok(())
}

/// Once we have rolled back, another release is live: what the ladder says was meant for the bad one.
pub(super) fn already_rolled_back(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.case.rolled_back.is_some() {
        let why = format!("{} was rolled back already", scene.case.incident.release);
        return Err(refuse(Guard::Release, why));
    }
    Ok(())
}

pub(super) fn rollback_target(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match scene.deployment() {
        Some(deployment) if rung.remedy == Remedy::Rollback && deployment.previous.is_none() => Err(refuse(
            Guard::RollbackTarget,
            format!("no older release is kept on {}", scene.case.incident.host),
        )),
        _ => Ok(()),
    }
}

/// The deployment and what a rollback would bring back, when the rung is a rollback.
fn rollback<'a>(scene: &'a Scene<'_>, rung: &Rung) -> Option<(&'a Deployment, &'a PreviousRelease)> {
    let deployment = scene.deployment().filter(|_| rung.remedy == Remedy::Rollback)?;
    Some((deployment, deployment.previous.as_ref()?))
}

pub(super) fn rollback_proved(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
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

pub(super) fn rollback_spec(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match rollback(scene, rung) {
        Some((deployment, previous)) if previous.spec == deployment.spec => Err(refuse(
            Guard::RollbackSpec,
            format!("{} has the same image and settings as {}", previous.release, deployment.release),
        )),
        _ => Ok(()),
    }
}

pub(super) fn rollback_migration(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match rollback(scene, rung) {
        Some((_, previous)) if previous.across_migration => Err(refuse(
            Guard::RollbackMigration,
            format!("{} is older than the data, which a newer release has migrated", previous.release),
        )),
        _ => Ok(()),
    }
}

/// Ids sort by age, so one comparison forbids all three: the same rollback again, one from where a rollback led to,
/// and (on any host) one to a release that was rolled back.
pub(super) fn rollback_once(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
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

pub(super) fn deploy_age(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let (Some(limit), Some(deployment)) = (rung.if_deploy_younger_than, scene.deployment()) else {
        return Ok(());
    };
    // Both times are of the host's clock, which may have been set back in between.
    let newest = scene.case.newest_signal;
    if deployment.deployed_at > newest + OUT_OF_ORDER {
        let why = format!("{} was deployed in the future, by the host's clock", deployment.release);
        return Err(refuse(Guard::DeployAge, why));
    }
    let age = newest.since(deployment.deployed_at);
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

/// What the rule asks for of this rung was asked when it fired last.
pub(super) fn condition(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match &rung.unmet {
        Some(unmet) => {
            let rule = &scene.case.incident.rule;
            Err(refuse(Guard::Condition, format!("{rule} does not {} now: {unmet}", rung.remedy)))
        }
        None => Ok(()),
    }
}

pub(super) fn attempts(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
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

pub(super) fn limit(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let actions = scene.case.incident.actions.len();
    if actions < scene.settings.limits.actions {
        return Ok(());
    }
    Err(refuse(Guard::Limit, format!("{actions} actions were recorded for it already")))
}
