//! State changes that count only when they last: begun by an event, ended by its opposite, due when neither the event nor
//! time was taken back.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{Engine, SETTLE, Scene};
use super::event::EventKind;
use super::hit::Hit;
use super::rule::Trigger;
use super::trace::Outcome;
use crate::fleet::{Fact, Freshness, HostName, Observation, Subject, Timestamp};

/// A look at a container is this much older than the events that came meanwhile, at most.
const OUT_OF_STEP: Duration = Duration::from_secs(60);

/// A state that must last.
#[derive(Debug, Clone, Default)]
pub(super) struct Hold(Option<(Hit, Arc<Subject>)>);

/// Something that fires by time alone.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// The rule, as an index into the set's rules.
    pub(super) rule: usize,
    pub(super) host: HostName,
    pub(super) subject: Arc<Subject>,
    pub(super) hit: Hit,
}

impl Engine {
    /// A state has begun. One that holds already goes on.
    pub(super) fn begin_hold(&mut self, number: usize, scene: Scene<'_>, hit: Hit, lasts: Duration) {
        self.note(number, &hit, Outcome::Lasting { lasted: Duration::ZERO, need: lasts });
        let hold = self.states[number].holds.entry(&scene.whereabouts());
        hold.0.get_or_insert_with(|| (hit, Arc::clone(scene.subject)));
    }

    /// Ends the states that this fact takes back.
    pub(super) fn end_holds(&mut self, scene: Scene<'_>, observation: &Observation) {
        let (at, fact) = (observation.at, &observation.fact);
        // Events come in their order, whatever a clock says; a look at a container may be older than the last of them.
        let in_order =
            observation.freshness == Freshness::Live && !matches!(observation.fact, Fact::State { .. });
        let rules = Arc::clone(&self.rules);
        let place = scene.whereabouts();
        for &number in &rules.by_trigger().event {
            let rule = &rules.rules()[number];
            let Trigger::Event(event) = &rule.trigger else { continue };
            if rule.threshold.holds.is_none() {
                continue;
            }
            let holds = &mut self.states[number].holds;
            let Some((hit, _)) = holds.get(&place).and_then(|hold| hold.0.as_ref()) else { continue };
            // What is that much older, and yet comes later, has happened after the host's clock was set back.
            let is_later = in_order || at >= hit.at || at + OUT_OF_STEP < hit.at;
            if is_later && shown_by(fact, hit.at).into_iter().any(|kind| event.is_ended_by(kind)) {
                holds.remove(&place);
            }
        }
    }

    /// The clock of `host` was set, and shows `at` now: what is known to hold still must last from then on, the rest has
    /// ended.
    pub(super) fn hold_anew(&mut self, host: &HostName, at: Timestamp) {
        let rules = Arc::clone(&self.rules);
        for &number in &rules.by_trigger().event {
            let Trigger::Event(event) = &rules.rules()[number].trigger else { continue };
            let stood = event.is_ended_by(EventKind::Start) && !event.is_ended_by(EventKind::Die);
            let memory = &self.memory;
            let held = self.states[number].holds.iter_mut().filter(|((known, _), _)| known == host);
            for (_, Hold(held)) in held {
                let Some((mut hit, subject)) = held.take() else { continue };
                let known = memory.container(host, &subject);
                let now = known.map(|known| known.shows(stood)).unwrap_or_default();
                if !now.into_iter().any(|kind| event.is_ended_by(kind)) {
                    hit.at = at;
                    *held = Some((hit, subject));
                }
            }
        }
    }

    /// When the states that hold will have lasted long enough, each by the clock of its host.
    pub(super) fn holds_at(&self) -> impl Iterator<Item = (&HostName, Timestamp)> {
        let held = self.rules.by_trigger().event.iter().filter_map(|&number| {
            let lasts = self.rules.rules()[number].threshold.holds?;
            Some(self.states[number].holds.iter().map(move |holding| (lasts, holding)))
        });
        held.flatten()
            .filter_map(|(lasts, ((host, _), Hold(held)))| Some((host, held.as_ref()?.0.at + lasts)))
    }

    /// The states that have lasted long enough.
    pub(super) fn holds_due(&mut self) -> Vec<Due> {
        let rules = Arc::clone(&self.rules);
        let mut due = Vec::new();
        for &number in &rules.by_trigger().event {
            let Some(lasts) = rules.rules()[number].threshold.holds else { continue };
            let clocks = &self.clocks;
            let ended = self.states[number].holds.iter_mut().filter_map(|((host, _), hold)| {
                let (hit, _) = hold.0.as_ref()?;
                let end = hit.at + lasts;
                if end + SETTLE > clocks.time_on(host)? {
                    return None;
                }
                let (hit, subject) = hold.0.take()?;
                let hit = Hit {
                    behind: vec![hit.evidence()],
                    at: end,
                    text: format!("{} still holds", hit.text),
                    ..hit
                };
                Some(Due { rule: number, host: host.clone(), subject, hit })
            });
            due.extend(ended);
        }
        due
    }
}

/// The events that a fact is, or tells of: a container that is looked at and runs was started.
fn shown_by(fact: &Fact, since: Timestamp) -> Vec<EventKind> {
    match fact {
        Fact::State { running, started_at, health, .. } => {
            let started = *running && started_at.is_some_and(|started| started > since);
            EventKind::shown_by(started, *running, *health)
        }
        other => EventKind::of(other).into_iter().collect(),
    }
}
