//! What the engine remembers of apps and containers, apart from any rule: what is deployed, since when a process
//! runs, and the last state changes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::bounded::Bounded;
use super::event::{self, EventKind, EventPattern};
use crate::fleet::{
    AppName, ContainerId, Deployment, Fact, Freshness, HostName, Observation, ReleaseId, Subject, Timestamp,
};

const APPS: usize = 10_000;
const CONTAINERS: usize = 10_000;
/// State changes kept for each container.
const EVENTS: usize = 32;

/// Signals that ask a process to reload or to talk, not to end: SIGHUP, SIGUSR1, SIGUSR2.
const NOT_STOPPING: [u8; 3] = [1, 10, 12];

/// What is true of a container's app at some moment, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub(super) deploy_age: Option<Duration>,
    pub(super) uptime: Option<Duration>,
    pub(super) previous: Option<Previous>,
}

/// What is known of the release before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) ran_for: Duration,
    pub(super) prove: Duration,
}

/// A state change that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) kind: EventKind,
    pub(super) exit_code: Option<i64>,
    pub(super) signal: Option<u8>,
    pub(super) live: bool,
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
            text: event::describe(&observation.fact),
        })
    }

    /// Whether a process that ended with `exit_code` can have ended because of this. A signal that asks for a reload
    /// explains an end only when it is what the process died of.
    fn explains_end(&self, exit_code: Option<i64>) -> bool {
        self.signal.is_none_or(|signal| {
            !NOT_STOPPING.contains(&signal) || exit_code == Some(128 + i64::from(signal))
        })
    }
}

#[derive(Debug, Clone, Default)]
struct Container {
    started_at: Option<Timestamp>,
    events: VecDeque<Seen>,
    kill_pending: bool,
    /// How often it was started after somebody had sent it a signal: by an operator, or by a remedy of ours.
    deliberate_starts: u64,
}

/// What is remembered. Bounded: the container heard of least recently is forgotten first.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    apps: Bounded<(HostName, AppName), Option<Arc<Deployment>>>,
    containers: Bounded<(HostName, ContainerId), Container>,
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
            return;
        };
        let started_at = match observation.fact {
            Fact::Started => Some(observation.at),
            Fact::State { started_at, .. } => started_at,
            _ => return,
        };
        let container = self.containers.entry(&key(&observation.host, subject));
        container.started_at = started_at;
        if observation.fact == Fact::Started && std::mem::take(&mut container.kill_pending) {
            container.deliberate_starts += 1;
        }
    }

    /// Remembers a state change, after rules have judged it.
    pub(super) fn remember(&mut self, host: &HostName, subject: &Subject, seen: Seen) {
        let key = key(host, subject);
        if seen.kind == EventKind::Destroy {
            self.containers.remove(&key);
            return;
        }
        let container = self.containers.entry(&key);
        container.kill_pending |= seen.kind == EventKind::Kill && seen.explains_end(None);
        if container.events.len() == EVENTS {
            container.events.pop_front();
        }
        container.events.push_back(seen);
    }

    /// What is true of `subject` at `at`.
    pub(super) fn circumstances(&self, host: &HostName, subject: &Subject, at: Timestamp) -> Circumstances {
        let started_at = self.containers.get(&key(host, subject)).and_then(|container| container.started_at);
        let deployment = self
            .apps
            .get(&(host.clone(), subject.app.clone()))
            .and_then(Option::as_deref)
            .filter(|deployment| is_of(deployment, &subject.release));
        Circumstances {
            deploy_age: deployment.map(|deployment| at.since(deployment.deployed_at)),
            uptime: started_at.map(|started_at| at.since(started_at)),
            previous: deployment.and_then(|deployment| {
                let previous = deployment.previous.as_ref()?;
                Some(Previous { ran_for: previous.ran_for, prove: deployment.prove })
            }),
        }
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
        self.containers.get(&key(host, subject))?.events.iter().rev().find(|seen| {
            seen.kind == kind
                && seen.at <= end.at
                && end.at.since(seen.at) <= within
                && seen.explains_end(end.exit_code)
        })
    }

    /// A state change of the container, not further from `at` than `within` in either direction, that fits.
    pub(super) fn near(
        &self,
        host: &HostName,
        subject: &Subject,
        at: Timestamp,
        (pattern, within): (&EventPattern, Duration),
    ) -> Option<&Seen> {
        self.containers.get(&key(host, subject))?.events.iter().rev().find(|seen| {
            pattern.matches(seen.kind, seen.exit_code) && at.since(seen.at).max(seen.at.since(at)) <= within
        })
    }

    /// How often the container was started on purpose.
    pub(super) fn deliberate_starts(&self, host: &HostName, subject: &Subject) -> u64 {
        self.containers.get(&key(host, subject)).map_or(0, |container| container.deliberate_starts)
    }

    /// How much had to be forgotten.
    pub(super) fn evicted(&self) -> u64 {
        self.apps.evicted() + self.containers.evicted()
    }
}

/// Whether the record is of the release that the container was made for: right after a switch it may not be yet.
fn is_of(deployment: &Deployment, release: &ReleaseId) -> bool {
    deployment.release == *release
}

fn key(host: &HostName, subject: &Subject) -> (HostName, ContainerId) {
    (host.clone(), subject.container.clone())
}
