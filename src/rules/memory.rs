//! What the engine remembers of apps and containers, apart from any rule: what is deployed, since when a process
//! runs, and the last state changes.

use std::sync::Arc;
use std::time::Duration;

use super::bounded::Bounded;
use super::event::{self, EventKind, EventPattern};
use super::history::{Circumstances, ContainerHistory, Previous};
use crate::fleet::{
    AppName, ContainerId, Deployment, Fact, Freshness, HostName, LogState, Observation, ReleaseId, Subject,
    Timestamp,
};

const APPS: usize = 10_000;
const CONTAINERS: usize = 10_000;

/// The longest time that a process takes to end when it is asked to: `docker stop` may wait that long.
const ASKED: Duration = Duration::from_secs(600);

/// Signals that nobody sends but to end a process: SIGINT, SIGKILL, SIGTERM.
const STOPPING: [u8; 3] = [2, 9, 15];
/// The exit code of a process that was killed.
const KILLED: i64 = 137;
/// Times of one host are out of step by no more than this: what lies further in the future was stamped by a clock that has
/// been set back since.
const OUT_OF_STEP: Duration = Duration::from_secs(60);

/// Signals that ask a process to reload or to talk, not to end: SIGHUP, SIGUSR1, SIGUSR2.
const NOT_STOPPING: [u8; 3] = [1, 10, 12];

/// A state change that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) kind: EventKind,
    pub(super) exit_code: Option<i64>,
    pub(super) signal: Option<u8>,
    pub(super) live: bool,
    /// Whether somebody had asked for it: an end that a signal was sent for is no fault.
    pub(super) asked_for: bool,
    pub(super) text: String,
}

impl Seen {
    /// The state change of an observation that is one.
    pub(super) fn of(observation: &Observation) -> Option<Self> {
        let kind = EventKind::of(&observation.fact)?;
        Some(Self {
            at: observation.at,
            kind,
            exit_code: event::exit_code(&observation.fact),
            signal: match observation.fact {
                Fact::Killed { signal } => Some(signal),
                _ => None,
            },
            live: observation.freshness == Freshness::Live,
            asked_for: false,
            text: event::describe(&observation.fact),
        })
    }

    /// Whether it shows by itself that something is wrong.
    pub(super) fn shows_fault(&self) -> bool {
        self.kind.shows_fault() && !self.asked_for
    }

    /// Whether it confirms what a rule suspects that waits for this. An end that was asked for confirms nothing.
    pub(super) fn confirms(&self, pattern: &EventPattern) -> bool {
        !self.asked_for && pattern.matches(self.kind, self.exit_code)
    }

    /// Whether it makes what a line says a fault. That a process has ended well does not: many do, whatever they log.
    pub(super) fn confirms_fault(&self) -> bool {
        self.shows_fault() && self.exit_code != Some(0)
    }

    /// Whether a process that ended with `exit_code` can have ended because of this. A signal that asks for a reload
    /// explains an end only when it is what the process died of; and what was killed was not killed by one that asks for
    /// something else, like the thread dump that SIGQUIT is.
    pub(super) fn explains_end(&self, exit_code: Option<i64>) -> bool {
        self.signal.is_none_or(|signal| {
            let died_of_it = exit_code == Some(128 + i64::from(signal));
            let may_end = !NOT_STOPPING.contains(&signal) && exit_code != Some(KILLED);
            STOPPING.contains(&signal) || died_of_it || may_end
        })
    }
}

/// What is remembered. Bounded: the container heard of least recently is forgotten first.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    apps: Bounded<(HostName, AppName), Option<Arc<Deployment>>>,
    containers: Bounded<(HostName, ContainerId), ContainerHistory>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { apps: Bounded::new(APPS), containers: Bounded::new(CONTAINERS) }
    }

    /// Learns from an observation what must be known before rules judge it.
    pub(super) fn learn(&mut self, observation: &Observation) {
        if let Fact::Deployed { deployment } = &observation.fact {
            let key = (observation.host.clone(), deployment.app.clone());
            *self.apps.entry(&key) = Some(Arc::new(deployment.clone()));
        }
        let Some(subject) = &observation.subject else {
            if matches!(observation.fact, Fact::HostUnreachable { .. }) {
                let lost = Fact::Log { state: LogState::Interrupted { since: observation.at } };
                let there = self.containers.iter_mut().filter(|((host, _), _)| *host == observation.host);
                there.for_each(|(_, container)| container.learn(observation.at, &lost));
            }
            return;
        };
        if matches!(observation.fact, Fact::Line { .. } | Fact::Deployed { .. } | Fact::Destroyed) {
            return;
        }
        self.containers.entry(&key(&observation.host, subject)).learn(observation.at, &observation.fact);
    }

    /// The host's clock was set, and shows `at` now.
    pub(super) fn clock_set(&mut self, host: &HostName, at: Timestamp) {
        let there = self.containers.iter_mut().filter(|((known, _), _)| known == host);
        there.for_each(|(_, container)| container.clock_set(at));
    }

    /// Remembers a state change, after rules have judged it.
    pub(super) fn remember(&mut self, host: &HostName, subject: &Subject, seen: Seen) {
        let key = key(host, subject);
        if seen.kind == EventKind::Destroy {
            self.containers.remove(&key);
            return;
        }
        self.containers.entry(&key).remember(seen);
    }

    /// What is true of `subject` at `at`.
    pub(super) fn circumstances(
        &self,
        host: &HostName,
        subject: &Subject,
        at: Timestamp,
    ) -> Circumstances<'_> {
        let deployment = self
            .apps
            .get(&(host.clone(), subject.app.clone()))
            .and_then(Option::as_deref)
            .filter(|deployment| is_of(deployment, &subject.release));
        Circumstances {
            at,
            deploy_age: deployment.and_then(|deployment| age(at, deployment.deployed_at)),
            previous: deployment.and_then(|deployment| {
                let previous = deployment.previous.as_ref()?;
                Some(Previous { ran_for: previous.ran_for, prove: deployment.prove })
            }),
            container: self.container(host, subject),
        }
    }

    /// What is known of a container.
    pub(super) fn container(&self, host: &HostName, subject: &Subject) -> Option<&ContainerHistory> {
        self.containers.get(&key(host, subject))
    }

    /// Whether the container's process was sent a signal to end it, in this life of it and not long before `end`, which is
    /// its end.
    pub(super) fn was_asked_for(&self, host: &HostName, subject: &Subject, end: &Seen) -> bool {
        let container = self.container(host, subject).filter(|container| container.is_kill_pending());
        let events = container.into_iter().flat_map(|container| container.events().rev());
        // What ran out of memory since then was ended by that.
        let mut since_oom = events.take_while(|seen| seen.kind != EventKind::OutOfMemory);
        let asks = |seen: &Seen| {
            seen.kind == EventKind::Kill
                && seen.signal.is_some_and(|signal| STOPPING.contains(&signal))
                && seen.at <= end.at
                && end.at.since(seen.at) <= ASKED
        };
        end.kind == EventKind::Die && since_oom.any(asks)
    }

    /// The latest event of one of `kinds` that explains why the container's process ended: not longer before `at`
    /// than `within`.
    pub(super) fn preceded_by(
        &self,
        host: &HostName,
        subject: &Subject,
        end: &Seen,
        (kind, within): (EventKind, Duration),
    ) -> Option<&Seen> {
        self.container(host, subject)?.events().rev().find(|seen| {
            seen.kind == kind
                && seen.at <= end.at
                && end.at.since(seen.at) <= within
                && seen.explains_end(end.exit_code)
        })
    }

    /// A state change of the container, not further from `at` than `within` in either direction, that confirms.
    pub(super) fn near(
        &self,
        host: &HostName,
        subject: &Subject,
        at: Timestamp,
        (pattern, within): (&EventPattern, Duration),
    ) -> Option<&Seen> {
        self.container(host, subject)?
            .events()
            .rev()
            .find(|seen| seen.confirms(pattern) && at.since(seen.at).max(seen.at.since(at)) <= within)
    }

    /// How often the container was started on purpose.
    pub(super) fn deliberate_starts(&self, host: &HostName, subject: &Subject) -> u64 {
        self.container(host, subject).map_or(0, ContainerHistory::deliberate_starts)
    }

    /// How much had to be forgotten.
    pub(super) fn evicted(&self) -> u64 {
        self.apps.evicted() + self.containers.evicted()
    }
}

/// How long ago something was, if that can be said.
pub(super) fn age(at: Timestamp, then: Timestamp) -> Option<Duration> {
    (then <= at + OUT_OF_STEP).then(|| at.since(then))
}

/// Whether the record is of the release that the container was made for: right after a switch it may not be yet.
fn is_of(deployment: &Deployment, release: &ReleaseId) -> bool {
    deployment.release == *release
}

fn key(host: &HostName, subject: &Subject) -> (HostName, ContainerId) {
    (host.clone(), subject.container.clone())
}
