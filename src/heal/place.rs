//! What is known of one app on one host, put together from facts that may come twice, late or out of order. Facts are
//! ordered by the host's clock, which is compared only with itself; how long something lasts is measured in our own
//! steady time.

use std::collections::BTreeSet;

use crate::fleet::{
    ContainerId, Deployment, Fact, HealthState, Observation, ReleaseId, Role, Subject, Timestamp,
};

/// Containers that play another part, remembered so that a signal about one is not taken for the live one.
const BYSTANDERS: usize = 32;

/// Signals that an operator sends to a container that shall go on: reload, dump the threads, rotate a log, more or fewer
/// workers, resize a terminal. Of a container that is stopped with one of them the engine says that it was stopped.
const HARMLESS: [u8; 9] = [1, 3, 10, 12, 17, 18, 21, 22, 28];

/// One app on one host.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// What is deployed, when it has been read.
    pub(super) deployment: Option<Deployment>,
    deployment_read_at: Timestamp,
    /// Whether the live container runs; `None` when it is not known (any more).
    pub(super) running: Option<bool>,
    /// When `running` was last confirmed, in steady time.
    pub(super) confirmed: Timestamp,
    /// What its `HEALTHCHECK` says.
    pub(super) health: Option<HealthState>,
    /// Its last start, by the host's clock.
    pub(super) started_at: Option<Timestamp>,
    died_at: Option<Timestamp>,
    /// Somebody stopped it, and it has not been started since.
    pub(super) halt: Option<Halt>,
    bystanders: BTreeSet<ContainerId>,
}

/// A stop that was asked for through the engine. Our own actions cause these too; then a start follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Halt {
    /// In words: `stopped`, `killed with signal 15`, `removed`, `paused`.
    pub(super) how: String,
    /// By the host's clock.
    pub(super) at: Timestamp,
    /// When it was seen, in steady time.
    pub(super) since: Timestamp,
    container: ContainerId,
}

/// What a fact changed, as far as an incident cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The container is seen running.
    Running,
    /// It does not run, but nobody needs to be blamed: it was stopped, or it is not known why.
    Down,
    /// It died, ran out of memory or got unhealthy, by itself, at this time of the host's.
    Trouble(String, Timestamp),
    /// A stretch of its log is missing.
    Gap,
}

impl Place {
    /// Takes in what is deployed. Returns whether that is news: another release than was known.
    pub(super) fn deploy(&mut self, at: Timestamp, deployment: &Deployment) -> bool {
        if self.deployment.is_some() && at < self.deployment_read_at {
            return false;
        }
        self.deployment_read_at = at;
        let news = self.release() != Some(&deployment.release);
        if news && self.deployment.is_some() {
            self.halt = None;
        }
        self.deployment = Some(deployment.clone());
        news
    }

    /// The release that is live, when it is known.
    pub(super) fn release(&self) -> Option<&ReleaseId> {
        self.deployment.as_ref().map(|deployment| &deployment.release)
    }

    /// Whether this container was last seen as a candidate or a kept release.
    pub(super) fn is_bystander(&self, container: &ContainerId) -> bool {
        self.bystanders.contains(container)
    }

    /// Whether its own `HEALTHCHECK`, if it has one, has nothing to say against it.
    pub(super) fn is_well(&self) -> bool {
        !matches!(self.health, Some(HealthState::Starting | HealthState::Unhealthy))
    }

    /// Whether its own `HEALTHCHECK` is known to pass, or known not to be there.
    pub(super) fn is_known_well(&self) -> bool {
        matches!(self.health, Some(HealthState::Healthy | HealthState::None))
    }

    /// Whether it is down because its process ended, and nobody stopped it.
    pub(super) fn died_alone(&self) -> bool {
        self.running == Some(false) && self.halt.is_none() && self.died_at > self.started_at
    }

    /// Whether it died and was started again after this moment of the host's clock.
    pub(super) fn was_revived_since(&self, at: Timestamp) -> bool {
        self.running == Some(true)
            && self.halt.is_none()
            && self.died_at.is_some_and(|died| self.started_at.is_some_and(|start| start >= died))
            && self.started_at > Some(at)
    }

    /// Forgets whether it runs: the host was out of sight.
    pub(super) fn lose_sight(&mut self) {
        self.running = None;
        self.health = None;
    }

    /// A stop that was seen since then was ours.
    pub(super) fn forget_halt_since(&mut self, since: Timestamp) {
        self.halt = self.halt.take().filter(|halt| halt.since < since);
    }

    /// Our action has ended: a stop that was seen may be part of it, and gets its time anew for a start to follow.
    pub(super) fn settle_anew(&mut self, now: Timestamp) {
        if let Some(halt) = &mut self.halt {
            halt.since = now;
        }
    }

    /// Takes in a fact about one of the app's containers at steady time `now`.
    pub(super) fn observe(
        &mut self,
        now: Timestamp,
        observation: &Observation,
        subject: &Subject,
    ) -> Option<Change> {
        let at = observation.at;
        if subject.role != Role::Live {
            self.watch_bystander(&observation.fact, subject);
            return None;
        }
        self.bystanders.remove(&subject.container);
        match &observation.fact {
            Fact::Started => self.started(now, at, &subject.container),
            Fact::Died { exit_code } => self.died(now, at, *exit_code),
            Fact::State { running, started_at, health, .. } => self.read(now, *running, *started_at, *health),
            Fact::Killed { signal } if HARMLESS.contains(signal) => None,
            Fact::Killed { signal } => self.halted(now, at, format!("killed with signal {signal}"), subject),
            Fact::Stopped => self.halted(now, at, "stopped".to_owned(), subject),
            Fact::Destroyed => self.halted(now, at, "removed".to_owned(), subject),
            Fact::Paused => self.halted(now, at, "paused".to_owned(), subject),
            Fact::Unpaused => {
                self.lift_halt(at);
                None
            }
            Fact::OutOfMemory => self.trouble("ran out of memory", at),
            Fact::SecretsGone => {
                // The engine has tried to start it, which it does with none that somebody stopped.
                self.lift_halt(at);
                self.trouble("has lost its secrets to a reboot", at)
            }
            Fact::Health { state } => self.health_changed(*state, at),
            Fact::Gap { .. } => Some(Change::Gap),
            Fact::Line { .. }
            | Fact::Stats { .. }
            | Fact::Log { .. }
            | Fact::Deployed { .. }
            | Fact::HostUnreachable { .. }
            | Fact::HostReachable => None,
        }
    }

    /// This container has the app's name: a candidate that got healthy, or a release that was brought back.
    pub(super) fn is_live(&mut self, container: &ContainerId) {
        self.bystanders.remove(container);
    }

    fn watch_bystander(&mut self, fact: &Fact, subject: &Subject) {
        let halted = self.halt.as_ref().map(|halt| &halt.container);
        if matches!(fact, Fact::Started) && halted == Some(&subject.container) {
            // A push that failed puts the old container back under its old name only after it has started it.
            self.halt = None;
        }
        self.bystanders.insert(subject.container.clone());
        if self.bystanders.len() > BYSTANDERS {
            self.bystanders.pop_first();
        }
    }

    fn started(&mut self, now: Timestamp, at: Timestamp, container: &ContainerId) -> Option<Change> {
        if self.started_at.is_some_and(|known| at <= known) || self.died_at.is_some_and(|died| at < died) {
            return None;
        }
        if self.halt.as_ref().is_some_and(|halt| halt.container != *container) {
            self.halt = None;
        }
        self.lift_halt(at);
        self.started_at = Some(at);
        self.health = None;
        self.running = Some(true);
        self.confirmed = now;
        Some(Change::Running)
    }

    fn died(&mut self, now: Timestamp, at: Timestamp, exit_code: i64) -> Option<Change> {
        if self.died_at.is_some_and(|known| at <= known) || self.started_at.is_some_and(|start| at < start) {
            return None;
        }
        self.died_at = Some(at);
        self.running = Some(false);
        self.confirmed = now;
        if self.halt.is_some() {
            return Some(Change::Down);
        }
        Some(Change::Trouble(format!("died with exit code {exit_code}"), at))
    }

    fn read(
        &mut self,
        now: Timestamp,
        running: bool,
        started_at: Option<Timestamp>,
        health: HealthState,
    ) -> Option<Change> {
        // The time of a reading is not the host's, so only the start that it tells of can be put in order.
        if let (Some(read), Some(known)) = (started_at, self.started_at)
            && read < known
        {
            return None;
        }
        if running && started_at.is_some() && started_at < self.died_at {
            return None;
        }
        self.running = Some(running);
        self.confirmed = now;
        self.health = Some(health);
        if let Some(started_at) = started_at {
            self.started_at = Some(started_at);
            if running {
                self.lift_halt(started_at);
            }
        }
        Some(if running { Change::Running } else { Change::Down })
    }

    fn halted(&mut self, now: Timestamp, at: Timestamp, how: String, subject: &Subject) -> Option<Change> {
        let over = self.started_at.is_some_and(|start| at < start);
        let known = self.halt.as_ref().is_some_and(|halt| at < halt.at);
        if over || known {
            return None;
        }
        // The first sign of a stop starts the clock; what follows only words it better.
        let since = self.halt.as_ref().map_or(now, |halt| halt.since);
        self.halt = Some(Halt { how, at, since, container: subject.container.clone() });
        Some(Change::Down)
    }

    fn lift_halt(&mut self, at: Timestamp) {
        if self.halt.as_ref().is_some_and(|halt| at >= halt.at) {
            self.halt = None;
        }
    }

    fn health_changed(&mut self, state: HealthState, at: Timestamp) -> Option<Change> {
        if self.started_at.is_some_and(|start| at < start) {
            return None;
        }
        self.health = Some(state);
        match state {
            HealthState::Unhealthy => self.trouble("got unhealthy", at),
            HealthState::Healthy => Some(Change::Running).filter(|_| self.running == Some(true)),
            HealthState::None | HealthState::Starting => None,
        }
    }

    fn trouble(&self, what: &str, at: Timestamp) -> Option<Change> {
        let earlier_life = self.started_at.is_some_and(|start| at < start);
        (!earlier_life && self.halt.is_none()).then(|| Change::Trouble(what.to_owned(), at))
    }
}
