//! What is known of one container: since when its process runs, its last state changes, what it uses, and whether its log
//! can be heard; and what that comes to at some moment.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{EventKind, EventPattern};
use super::memory::{Seen, age};
use super::stat::Stat;
use crate::fleet::{Fact, HealthState, LogState, Timestamp};

/// State changes kept for each container.
const EVENTS: usize = 32;
/// A sample that is older than this says nothing of now.
pub(super) const SAMPLE_HOLDS: Duration = Duration::from_secs(90);

/// What is known of a container.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerHistory {
    running: Option<bool>,
    started_at: Option<Timestamp>,
    events: VecDeque<Seen>,
    kill_pending: bool,
    deliberate_starts: u64,
    exit_code: Option<i64>,
    health: Option<HealthState>,
    restart_count: Option<u64>,
    sample: Option<Sample>,
    /// Since when every line is heard, if that is so.
    heard_since: Option<Timestamp>,
}

/// What a container used.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Timestamp,
    memory: u64,
    limit: Option<u64>,
    cpu: f64,
}

impl ContainerHistory {
    /// Learns what must be known before rules judge a fact.
    pub(super) fn learn(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::Started => self.start(at),
            Fact::Died { exit_code } => {
                self.running = Some(false);
                self.exit_code = Some(*exit_code);
            }
            Fact::Health { state } => self.health = Some(*state),
            Fact::State { running, started_at, restart_count, health } => {
                self.running = Some(*running);
                self.started_at = *started_at;
                self.restart_count = Some(*restart_count);
                self.health = Some(*health);
            }
            Fact::Stats { memory_bytes, memory_limit, cpu_percent } => {
                let (memory, limit, cpu) = (*memory_bytes, *memory_limit, *cpu_percent);
                self.sample = Some(Sample { at, memory, limit, cpu });
            }
            Fact::Log { state } => self.heard_since = (*state == LogState::Live).then_some(at),
            // What was not read may have been anything: it is listened to anew.
            Fact::Gap { .. } => self.heard_since = self.heard_since.map(|_| at),
            _ => {}
        }
    }

    fn start(&mut self, at: Timestamp) {
        self.running = Some(true);
        self.started_at = Some(at);
        if std::mem::take(&mut self.kill_pending) {
            self.deliberate_starts += 1;
        } else if self.events.back().is_some_and(|last| last.kind == EventKind::Die) {
            self.restart_count = self.restart_count.map(|count| count + 1);
        }
    }

    /// Remembers a state change, after rules have judged it.
    pub(super) fn remember(&mut self, seen: Seen) {
        self.kill_pending |= seen.kind == EventKind::Kill && seen.explains_end(None);
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(seen);
    }

    /// The last state changes, oldest first.
    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = &Seen> {
        self.events.iter()
    }

    /// The host's clock was set, and shows `at` now.
    pub(super) fn clock_set(&mut self, at: Timestamp) {
        self.started_at = self.started_at.min(Some(at));
        self.heard_since = self.heard_since.map(|_| at);
    }

    /// The state changes that what is known of it now tells of; a start, if it runs although it `stood` still once.
    pub(super) fn shows(&self, stood: bool) -> Vec<EventKind> {
        let Some(running) = self.running else { return Vec::new() };
        EventKind::shown_by(running && stood, running, self.health.unwrap_or(HealthState::Starting))
    }

    /// Whether a signal that may end it was sent since it was last started.
    pub(super) fn is_kill_pending(&self) -> bool {
        self.kill_pending
    }

    /// How often it was started after somebody had sent it a signal: by an operator, or by a remedy of ours.
    pub(super) fn deliberate_starts(&self) -> u64 {
        self.deliberate_starts
    }

    /// Since when its process runs, if it does.
    pub(super) fn running_since(&self) -> Option<Timestamp> {
        self.started_at.filter(|_| self.running == Some(true))
    }

    /// Since when every line it writes is heard, if that is so.
    pub(super) fn heard_since(&self) -> Option<Timestamp> {
        self.heard_since
    }
}

/// What is true of a container and its app at some moment, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Circumstances<'m> {
    pub(super) at: Timestamp,
    pub(super) deploy_age: Option<Duration>,
    pub(super) previous: Option<Previous>,
    pub(super) container: Option<&'m ContainerHistory>,
}

/// What is known of the release before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) ran_for: Duration,
    pub(super) prove: Duration,
}

impl Circumstances<'_> {
    /// How long the process has run, or had when it ended.
    pub(super) fn uptime(&self) -> Option<Duration> {
        age(self.at, self.container?.started_at?)
    }

    pub(super) fn exit_code(&self) -> Option<i64> {
        self.container?.exit_code
    }

    pub(super) fn health(&self) -> Option<HealthState> {
        self.container?.health
    }

    pub(super) fn restart_count(&self) -> Option<u64> {
        self.container?.restart_count
    }

    /// Whether such an event came not longer before than `within`.
    pub(super) fn event_within(&self, pattern: &EventPattern, within: Duration) -> bool {
        let mut events = self.container.into_iter().flat_map(ContainerHistory::events);
        events.any(|seen| {
            pattern.matches(seen.kind, seen.exit_code)
                && seen.at <= self.at
                && self.at.since(seen.at) <= within
        })
    }

    /// The same, when it was known not longer before than `within`; and when that was.
    pub(super) fn stat_within(&self, stat: Stat, within: Duration) -> Option<(Timestamp, f64)> {
        let at = match stat {
            Stat::RestartCount => self.at,
            _ => self.container?.sample?.at,
        };
        let apart = self.at.since(at).max(at.since(self.at));
        (apart <= within).then_some(())?;
        Some((at, self.stat(stat)?))
    }

    /// A number that is known of it now.
    #[expect(
        clippy::cast_precision_loss,
        reason = "what is compared are percents, megabytes and small counts"
    )]
    pub(super) fn stat(&self, stat: Stat) -> Option<f64> {
        if stat == Stat::RestartCount {
            return self.restart_count().map(|count| count as f64);
        }
        let sample = self.container?.sample.filter(|sample| self.at.since(sample.at) <= SAMPLE_HOLDS)?;
        match stat {
            Stat::MemoryPercent => {
                let limit = sample.limit.filter(|limit| *limit > 0)?;
                Some(sample.memory as f64 * 100.0 / limit as f64)
            }
            Stat::MemoryBytes => Some(sample.memory as f64),
            Stat::CpuPercent => Some(sample.cpu),
            Stat::RestartCount => None,
        }
    }
}
