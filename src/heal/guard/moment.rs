//! Whether anybody, human or not, may act now.

use crate::fleet::Rung;

use super::refusal::{Guard, Refusal, refuse};
use super::scene::Scene;

pub(in crate::heal) fn frozen(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match scene.freezes.holds(&scene.case.incident.app) {
        Some(why) => Err(refuse(Guard::Freeze, why)),
        None => Ok(()),
    }
}

/// Whether nobody is to be woken for this now. What a human decides, a human decides.
pub(in crate::heal) fn quiet_hours(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let Some(hours) = &rung.quiet_hours else {
        return Ok(());
    };
    match hours.over_after(scene.wall) {
        Some(end) => Err(Refusal {
            until: Some(scene.now + end.since(scene.wall)),
            ..refuse(Guard::QuietHours, format!("no {} in the quiet hours {hours}", rung.remedy))
        }),
        None => Ok(()),
    }
}

pub(super) fn reachable(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let host = &scene.case.incident.host;
    match scene.world.unreachable(host) {
        Some(reason) => Err(refuse(
            Guard::Reachable,
            format!("{host} cannot be reached ({reason}); that does not mean it is down"),
        )),
        None => Ok(()),
    }
}

pub(super) fn operator_stop(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match scene.place().and_then(|place| place.halt.as_ref()) {
        Some(halt) => {
            let why = format!("it was {} and has not been started since", halt.how);
            Err(refuse(Guard::OperatorStop, why))
        }
        None => Ok(()),
    }
}

pub(super) fn known(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.deployment().is_some() {
        return Ok(());
    }
    let incident = &scene.case.incident;
    let why = format!("no deployment of {} is known on {}", incident.app, incident.host);
    Err(refuse(Guard::Known, why))
}

pub(super) fn role(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let container = scene.case.container.as_ref();
    let bystander =
        scene.place().zip(container).is_some_and(|(place, container)| place.is_bystander(container));
    if bystander {
        return Err(refuse(Guard::Role, "its container is not the live one"));
    }
    Ok(())
}

pub(super) fn release(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let incident = &scene.case.incident;
    match scene.deployment() {
        Some(deployment) if deployment.release != incident.release => {
            Err(refuse(Guard::Release, format!("{} is live, not {}", deployment.release, incident.release)))
        }
        _ => Ok(()),
    }
}

pub(super) fn in_flight(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match scene.ledger.in_flight(&scene.case.incident.app) {
        Some(entry) => Err(refuse(
            Guard::InFlight,
            format!("a {} of {} is under way on {}", entry.remedy, entry.app, entry.host),
        )),
        None => Ok(()),
    }
}
