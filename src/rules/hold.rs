//! State changes that count only when they last: begun by an event, ended by its opposite, due when neither the event nor
//! time was taken back.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{Engine, SETTLE, Scene};
use super::event::EventKind;
use super::hit::Hit;
use super::rule::Trigger;
use super::trace::Outcome;
use crate::fleet::{Fact, HealthState, HostName, Subject, Timestamp};

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
    pub(super) fn end_holds(&mut self, scene: Scene<'_>, at: Timestamp, fact: &Fact) {
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
            let ends = |kind: EventKind| event.on.kinds.iter().any(|one| one.ended_by().contains(&kind));
            if at >= hit.at && shown_by(fact, hit.at).into_iter().any(ends) {
                holds.remove(&place);
            }
        }
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
            let healthy = matches!(health, HealthState::Healthy | HealthState::None);
            let shown = [
                (started, EventKind::Start),
                (!*running, EventKind::Die),
                (healthy, EventKind::Healthy),
                (*health == HealthState::Unhealthy, EventKind::Unhealthy),
            ];
            shown.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect()
        }
        other => EventKind::of(other).into_iter().collect(),
    }
}
