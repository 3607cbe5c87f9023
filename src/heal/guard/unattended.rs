//! What only a human may do, and how much may happen in which time without one.

use std::time::Duration;

use crate::fleet::duration::{brief, format};
use crate::fleet::text::plural;
use crate::fleet::{Remedy, Rung, Timestamp};

use super::refusal::{Guard, Refusal, refuse};
use super::scene::Scene;
use crate::heal::case::Phase;
use crate::heal::ledger::Entry;
use crate::heal::settings::Budget;

/// How long the engine gets to restart what died.
const ENGINE: Duration = Duration::from_millis(1500);

pub(super) fn remedies(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    if scene.policy.remedies.contains(&rung.remedy) {
        return Ok(());
    }
    let why = format!("the policy of {} does not let auto {}", scene.case.incident.app, rung.remedy);
    Err(refuse(Guard::Remedies, why))
}

pub(super) fn state_evidence(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.case.trust.state {
        return Ok(());
    }
    let why = format!("{} has the text of a log only, and that can be forged", scene.case.incident.rule);
    Err(refuse(Guard::StateEvidence, why))
}

pub(super) fn live(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    if scene.case.trust.live {
        return Ok(());
    }
    Err(refuse(Guard::Live, "the evidence was read up after the fact"))
}

pub(super) fn doubt(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    match &scene.case.trust.doubt {
        Some(doubt) => Err(refuse(Guard::Doubt, doubt.clone())),
        None => Ok(()),
    }
}

pub(super) fn one_host(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
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

pub(super) fn backoff(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    match scene.case.pause {
        Some((remedy, until)) if remedy == rung.remedy && scene.now < until => Err(Refusal {
            until: Some(until),
            ..refuse(Guard::Backoff, format!("{remedy} is due after a pause, for it was tried before"))
        }),
        _ => Ok(()),
    }
}

/// What died by itself is restarted by the engine, mostly within 100 ms. A restart of ours beside it would be one too
/// many.
pub(super) fn engine(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    let down = scene.place().filter(|place| rung.remedy == Remedy::Restart && place.died_alone());
    match down.map(|place| place.confirmed + ENGINE) {
        Some(until) if scene.now < until => Err(Refusal {
            until: Some(until),
            ..refuse(Guard::Engine, "it has just died, and the engine may restart it by itself")
        }),
        _ => Ok(()),
    }
}

pub(super) fn budget_app(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let app = &scene.case.incident.app;
    let budget = scene.settings.budgets.app;
    spend(scene, Guard::BudgetApp, budget, &format!("of {app}"), |entry| entry.app == *app)
}

pub(super) fn budget_host(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
    let host = &scene.case.incident.host;
    let budget = scene.settings.budgets.host;
    spend(scene, Guard::BudgetHost, budget, &format!("on {host}"), |entry| entry.host == *host)
}

pub(super) fn budget_fleet(scene: &Scene<'_>, _: &Rung) -> Result<(), Refusal> {
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
pub(in crate::heal) fn grace(scene: &Scene<'_>, quiet: Duration) -> Result<(), Refusal> {
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
