//! What is known of a container's state, what an event says of it, and what must have happened when it is found
//! otherwise. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::docker::{Container, Event};
use crate::fleet::{Fact, HealthState, Timestamp};

/// The exit code of a run whose exit was missed: the engine forgets it at the next start.
const EXIT_UNKNOWN: i64 = -1;
/// The engine reports a change this much later than it dates it.
const LAG: Duration = Duration::from_millis(250);

/// A container's state as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    running: bool,
    started_at: Option<Timestamp>,
    /// The stamp of its last event.
    told: Option<Timestamp>,
    /// Changes up to this time have been inferred: events about them come too late.
    inferred: Option<Timestamp>,
}

impl Known {
    /// What the engine says.
    pub(super) fn from_container(container: &Container) -> Self {
        Self {
            running: container.state.is_running(),
            started_at: container.state.started_at,
            told: None,
            inferred: None,
        }
    }

    /// Nothing yet: it was just made.
    pub(super) const fn new() -> Self {
        Self { running: false, started_at: None, told: None, inferred: None }
    }

    /// Whether its process runs.
    pub(super) const fn is_running(&self) -> bool {
        self.running
    }

    /// Whether events have told more than what was read before `at`.
    pub(super) fn is_newer_than(&self, at: Timestamp) -> bool {
        self.told.is_some_and(|told| told > at)
    }

    /// Takes note of an event. The fact in it, unless there is none, or it was inferred before.
    pub(super) fn hear(&mut self, event: &Event) -> Option<Fact> {
        let fact = fact(&event.action, &event.attributes)?;
        let is_change = matches!(fact, Fact::Started | Fact::Died { .. } | Fact::OutOfMemory);
        if is_change && self.inferred.is_some_and(|inferred| event.at <= inferred) {
            return None;
        }
        self.told = self.told.max(Some(event.at));
        match fact {
            Fact::Started => (self.running, self.started_at) = (true, Some(event.at)),
            Fact::Died { .. } => self.running = false,
            _ => {}
        }
        Some(fact)
    }

    /// Compares with what the engine says now. Returns what must have happened up to `until`, oldest first; of what is
    /// younger an event may still be on its way.
    pub(super) fn catch_up(&mut self, container: &Container, until: Timestamp) -> Vec<(Timestamp, Fact)> {
        let state = &container.state;
        let (started, finished) = (state.started_at, state.finished_at.unwrap_or_default());
        let restarted = started > self.started_at;
        let began = started.unwrap_or_default();
        let mut facts = Vec::new();
        if self.running && restarted {
            let ended = if finished < began { finished } else { began };
            let ended = ended.max(self.started_at.unwrap_or_default());
            facts.push((ended, Fact::Died { exit_code: EXIT_UNKNOWN }));
        }
        if restarted {
            facts.push((began, Fact::Started));
        }
        let ended = !state.is_running() && (restarted || (self.running && Some(finished) > self.started_at));
        if ended {
            if state.oom_killed {
                facts.push((finished, Fact::OutOfMemory));
            }
            facts.push((finished, Fact::Died { exit_code: state.exit_code }));
        }
        if facts.iter().any(|(at, _)| *at > until) {
            return Vec::new();
        }
        if let Some((last, _)) = facts.last() {
            self.inferred = Some(*last + LAG);
            self.running = state.is_running();
            self.started_at = started;
        }
        facts
    }
}

/// What is true of a container.
pub(super) fn state(container: &Container) -> Fact {
    Fact::State {
        running: container.state.is_running(),
        started_at: container.state.started_at,
        restart_count: container.restart_count,
        health: container.health,
    }
}

/// What an event says, if it is one of those that are told.
fn fact(action: &str, attributes: &BTreeMap<String, String>) -> Option<Fact> {
    let number = |key: &str| attributes.get(key).and_then(|value| value.parse::<i64>().ok());
    Some(match action {
        "start" => Fact::Started,
        "die" => Fact::Died { exit_code: number("exitCode").unwrap_or(EXIT_UNKNOWN) },
        "oom" => Fact::OutOfMemory,
        "kill" => Fact::Killed { signal: number("signal").and_then(|n| u8::try_from(n).ok()).unwrap_or(0) },
        "stop" => Fact::Stopped,
        "destroy" => Fact::Destroyed,
        "pause" => Fact::Paused,
        "unpause" => Fact::Unpaused,
        _ => Fact::Health { state: health(action.strip_prefix("health_status:")?.trim())? },
    })
}

fn health(word: &str) -> Option<HealthState> {
    match word {
        "healthy" => Some(HealthState::Healthy),
        "unhealthy" => Some(HealthState::Unhealthy),
        "starting" => Some(HealthState::Starting),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{State, Status};
    use crate::fleet::ContainerId;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn event(seconds: i64, action: &str, attributes: &[(&str, &str)]) -> Event {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Event {
            at: at(seconds),
            action: action.to_owned(),
            actor: "c".to_owned(),
            attributes: attributes.iter().map(owned).collect(),
        }
    }

    fn container(status: Status, exit_code: i64, started: i64, finished: i64) -> Container {
        Container {
            id: ContainerId("c".to_owned()),
            name: "shop".to_owned(),
            labels: BTreeMap::new(),
            image_id: String::new(),
            image: String::new(),
            created: None,
            state: State {
                status,
                exit_code,
                oom_killed: exit_code == 137,
                error: None,
                pid: None,
                started_at: Some(at(started)),
                finished_at: (finished > 0).then(|| at(finished)),
            },
            restart_count: 0,
            health: HealthState::None,
            health_output: None,
            addresses: BTreeMap::new(),
            ports: Vec::new(),
            tty: false,
            restarts: false,
            memory_limit: None,
            made: crate::docker::Made::default(),
        }
    }

    #[test]
    fn events_in_the_engines_words() {
        let mut known = Known::new();
        for (action, attributes, expected) in [
            ("start", &[][..], Some(Fact::Started)),
            ("die", &[("exitCode", "101")], Some(Fact::Died { exit_code: 101 })),
            ("die", &[("exitCode", "x")], Some(Fact::Died { exit_code: -1 })),
            ("oom", &[], Some(Fact::OutOfMemory)),
            ("kill", &[("signal", "15")], Some(Fact::Killed { signal: 15 })),
            ("kill", &[("signal", "1500")], Some(Fact::Killed { signal: 0 })),
            ("stop", &[], Some(Fact::Stopped)),
            ("destroy", &[], Some(Fact::Destroyed)),
            ("pause", &[], Some(Fact::Paused)),
            ("unpause", &[], Some(Fact::Unpaused)),
            ("health_status: unhealthy", &[], Some(Fact::Health { state: HealthState::Unhealthy })),
            ("health_status:healthy", &[], Some(Fact::Health { state: HealthState::Healthy })),
            ("health_status: great", &[], None),
            ("rename", &[], None),
            ("restart", &[], None),
        ] {
            assert_eq!(known.hear(&event(1, action, attributes)), expected, "{action}");
        }
    }

    #[test]
    fn what_was_missed_is_inferred() {
        let died = |exit_code| Fact::Died { exit_code };
        let running = container(Status::Running, 0, 100, 0);
        for (now, expected) in [
            (container(Status::Running, 0, 100, 0), vec![]),
            (container(Status::Exited, 1, 100, 150), vec![(150, died(1))]),
            (container(Status::Exited, 137, 100, 150), vec![(150, Fact::OutOfMemory), (150, died(137))]),
            (container(Status::Running, 0, 200, 150), vec![(150, died(-1)), (200, Fact::Started)]),
            (
                container(Status::Exited, 3, 200, 300),
                vec![(200, died(-1)), (200, Fact::Started), (300, died(3))],
            ),
        ] {
            let mut known = Known::from_container(&running);
            let facts = known.catch_up(&now, NOW);
            let expected: Vec<_> = expected.into_iter().map(|(seconds, fact)| (at(seconds), fact)).collect();
            assert_eq!(facts, expected, "{:?}", now.state);
            assert_eq!(known.catch_up(&now, NOW), [], "once is enough");
            assert_eq!(known.is_running(), now.state.is_running());
        }
        let mut stopped = Known::from_container(&container(Status::Exited, 1, 100, 150));
        assert_eq!(
            stopped.catch_up(&container(Status::Running, 0, 200, 150), NOW),
            [(at(200), Fact::Started)]
        );
    }

    #[test]
    fn what_events_told_is_not_inferred_and_what_was_inferred_is_not_told() {
        let mut known = Known::from_container(&container(Status::Running, 0, 100, 0));
        assert!(known.hear(&event(150, "die", &[("exitCode", "1")])).is_some());
        assert!(known.hear(&event(201, "start", &[])).is_some());
        assert_eq!(known.catch_up(&container(Status::Running, 0, 200, 150), NOW), []);

        let mut known = Known::from_container(&container(Status::Running, 0, 100, 0));
        assert_eq!(known.catch_up(&container(Status::Exited, 1, 100, 150), NOW).len(), 1);
        assert_eq!(known.hear(&event(150, "die", &[("exitCode", "1")])), None);
        assert!(known.hear(&event(160, "start", &[])).is_some());
    }

    #[test]
    fn what_is_young_is_left_to_events() {
        let mut known = Known::from_container(&container(Status::Running, 0, 100, 0));
        let now = container(Status::Exited, 1, 100, 150);
        assert_eq!(known.catch_up(&now, at(149)), []);
        assert!(known.is_running());
        assert_eq!(known.catch_up(&now, at(150)).len(), 1);
    }

    #[test]
    fn an_old_reading_undoes_no_event() {
        let mut known = Known::from_container(&container(Status::Exited, 1, 100, 150));
        known.hear(&event(200, "start", &[]));
        assert_eq!(known.catch_up(&container(Status::Exited, 1, 100, 150), NOW), []);
        assert!(known.is_running() && known.is_newer_than(at(199)));
    }
}
