//! Lines that should have come. Silence is evidence only while every line is heard: of a container that runs, whose log
//! has been live the whole time, on a host that can be reached.

use std::sync::Arc;

use super::clocks::SET_BACK;
use super::compare::{Bound, Operator};
use super::engine::{Engine, SETTLE, Scene};
use super::history::ContainerHistory;
use super::hit::Hit;
use super::hold::Due;
use super::rule::{Absent, Trigger};
use crate::fleet::{Fact, HostName, Subject, Timestamp, duration};

/// When a line last came.
#[derive(Debug, Clone, Default)]
pub(super) struct Absence {
    subject: Option<Arc<Subject>>,
    seen: Option<Timestamp>,
    /// Since when it had been missing when that was told.
    told: Option<Timestamp>,
}

impl Absence {
    /// The host's clock was set: it is waited for from `at` on.
    pub(super) fn begin_anew(&mut self, at: Timestamp) {
        // What was told stays told.
        self.told = self.told.map(|told| if self.seen.is_none_or(|seen| told >= seen) { at } else { told });
        self.seen = self.seen.map(|_| at);
    }
}

impl Engine {
    /// Notes a container from which lines are expected.
    pub(super) fn attend(&mut self, scene: Scene<'_>, fact: &Fact) {
        let rules = Arc::clone(&self.rules);
        for &number in &rules.by_trigger().absent {
            if *fact == Fact::Destroyed {
                self.states[number].absences.remove(&scene.whereabouts());
            } else if rules.rules()[number].scope.admits(scene.host, scene.subject, None) {
                let absence = self.states[number].absences.entry(&scene.whereabouts());
                absence.subject = Some(Arc::clone(scene.subject));
            }
        }
    }

    /// The line came.
    pub(super) fn see_expected(&mut self, number: usize, scene: Scene<'_>, at: Timestamp) {
        let absence = self.states[number].absences.entry(&scene.whereabouts());
        absence.subject = Some(Arc::clone(scene.subject));
        if absence.seen.is_some_and(|seen| at + SET_BACK < seen) {
            // Lines of one container come in order.
            self.clocks.doubt(scene.host);
        }
        absence.seen = absence.seen.max(Some(at));
    }

    /// When the lines that are waited for will have been missing for long enough, each by the clock of its host.
    pub(super) fn absences_at(&self) -> impl Iterator<Item = (&HostName, Timestamp)> {
        let waited_for = self.rules.by_trigger().absent.iter().filter_map(|&number| {
            let Trigger::Absent(absent) = &self.rules.rules()[number].trigger else { return None };
            Some(self.states[number].absences.iter().map(move |waiting| (absent, waiting)))
        });
        waited_for.flatten().filter_map(|(absent, ((host, _), absence))| {
            let container = self.memory.container(host, absence.subject.as_ref()?)?;
            let (since, at) = missing(absent, absence, container)?;
            (absence.told != Some(since)).then_some((host, at))
        })
    }

    /// The lines that have been missing for long enough.
    pub(super) fn absences_due(&mut self) -> Vec<Due> {
        let rules = Arc::clone(&self.rules);
        let mut due = Vec::new();
        for &number in &rules.by_trigger().absent {
            let Trigger::Absent(absent) = &rules.rules()[number].trigger else { continue };
            let (memory, clocks) = (&self.memory, &self.clocks);
            let missing = self.states[number].absences.iter_mut().filter_map(|((host, _), absence)| {
                let subject = Arc::clone(absence.subject.as_ref()?);
                let (since, at) = missing(absent, absence, memory.container(host, &subject)?)?;
                if absence.told == Some(since) || at + SETTLE > clocks.time_on(host)? {
                    return None;
                }
                absence.told = Some(since);
                let last = absence
                    .seen
                    .map_or("never before".to_owned(), |seen| format!("last at {}", seen.clock_time()));
                let text = format!("not a line of it for {} ({last})", duration::format(absent.lasts));
                Some(Due { rule: number, host: host.clone(), subject, hit: Hit::new(at, text, true) })
            });
            due.extend(missing);
        }
        due
    }
}

/// Since when a line is missing, and when that is worth telling.
fn missing(
    absent: &Absent,
    absence: &Absence,
    container: &ContainerHistory,
) -> Option<(Timestamp, Timestamp)> {
    let started = container.running_since()?;
    let since = absence.seen.unwrap_or(started).max(started).max(container.heard_since()?);
    let end = since + absent.lasts;
    let at = absent.uptime.map_or(end, |bound| end.max(old_enough(bound, started)));
    let fits = absent.uptime.is_none_or(|bound| bound.holds(at.since(started)));
    fits.then_some((since, at))
}

/// When a process that started then first has the uptime that is asked for, if that is a lower bound.
fn old_enough(bound: Bound, started: Timestamp) -> Timestamp {
    match bound.operator {
        Operator::AtLeast => started + bound.limit(),
        Operator::More => started + bound.limit() + std::time::Duration::from_nanos(1),
        Operator::Less | Operator::AtMost => started,
    }
}
