//! Observations: single timestamped facts about one container, or about a host as a whole. They are the only thing
//! that flows from the watcher to the rules and the supervisor, live or replayed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::line::LineText;
use super::name::{AppName, HostName};
use super::profile::Profile;
use super::release::{Deployment, ReleaseId};
use super::time::Timestamp;

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When it happened, by the host's Docker clock.
    pub at: Timestamp,
    /// Where.
    pub host: HostName,
    /// Which container, unless the fact is about the host.
    pub subject: Option<Arc<Subject>>,
    /// Whether it is new, or was read up after the fact.
    pub freshness: Freshness,
    /// What.
    pub fact: Fact,
}

/// The container that a fact is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The app it belongs to.
    pub app: AppName,
    /// The release it was made for.
    pub release: ReleaseId,
    /// The container.
    pub container: ContainerId,
    /// Its part in the app at that moment.
    pub role: Role,
    /// What it is.
    #[serde(default)]
    pub profile: Profile,
}

/// A container's id: 64 hexadecimal digits, as the engine gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerId(pub String);

impl ContainerId {
    /// The twelve digits that `docker ps` shows.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The part a container plays in its app. Only the live one is judged by rules and healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It has the app's name: a release that was healthy when it took over.
    Live,
    /// A push or rollback is still deciding about it.
    Candidate,
    /// A release kept to roll back to.
    Kept,
}

/// Whether a fact may be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// It came as it happened.
    Live,
    /// It was caught up with after a pause: shown and recorded, never a reason to act by itself.
    Backlog,
}

/// Where a log line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output; also everything of a container with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What Docker's own `HEALTHCHECK` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// The image declares none.
    None,
    /// Within its start period.
    Starting,
    /// The last probe passed.
    Healthy,
    /// As many probes in a row failed as it takes.
    Unhealthy,
}

/// How a container's log is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LogState {
    /// As it is written.
    Live,
    /// Later than it is written, for more comes than is taken. Told anew from time to time while it is so.
    Behind {
        /// How old what comes is.
        #[serde(with = "duration::text")]
        by: Duration,
    },
    /// Not now. What is written meanwhile is read later, if it is still there.
    Interrupted {
        /// Since when, by the host's clock.
        since: Timestamp,
    },
    /// Never: its log driver cannot be read. What happens to the container is seen nonetheless.
    EventsOnly {
        /// What the engine says.
        reason: String,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// A whole log line, joined from its fragments, without its newline.
    Line {
        /// Where it was written.
        stream: Stream,
        /// The text; invalid UTF-8 replaced, at most 64 KiB.
        text: LineText,
    },
    /// The container's process started.
    Started,
    /// The container's process ended.
    Died {
        /// Its exit code; 128 + n when signal n killed it.
        exit_code: i64,
    },
    /// The kernel killed a process of the container for want of memory.
    OutOfMemory,
    /// Somebody sent it a signal through the engine.
    Killed {
        /// The signal's number.
        signal: u8,
    },
    /// Somebody asked the engine to stop it; comes after `Died`.
    Stopped,
    /// The container was removed.
    Destroyed,
    /// It was paused.
    Paused,
    /// It was let go on.
    Unpaused,
    /// Docker's `HEALTHCHECK` changed its mind.
    Health {
        /// To this.
        state: HealthState,
    },
    /// A sample of what it uses.
    Stats {
        /// Bytes of memory in use, page cache not counted.
        memory_bytes: u64,
        /// Its limit in bytes, when it has one.
        memory_limit: Option<u64>,
        /// Hundredths of a core since the last sample.
        cpu_percent: f64,
    },
    /// State as read on (re)connection: what is true now, whatever was missed.
    State {
        /// Whether its process runs.
        running: bool,
        /// When it last started.
        started_at: Option<Timestamp>,
        /// How often the engine's restart policy restarted it.
        restart_count: u64,
        /// What its `HEALTHCHECK` says.
        health: HealthState,
    },
    /// The container cannot be started, for its secrets were in the host's memory and are gone: the host was rebooted.
    SecretsGone,
    /// What is deployed of the app on this host, after anything of it changed.
    Deployed {
        /// The record.
        deployment: Deployment,
    },
    /// The container's log is read in another way from now on.
    Log {
        /// In this one.
        #[serde(flatten)]
        state: LogState,
    },
    /// A stretch of this container's log could not be read.
    Gap {
        /// Why.
        reason: String,
    },
    /// The host could not be reached. It does not mean that its apps are down.
    HostUnreachable {
        /// What failed.
        reason: String,
    },
    /// The host answers (again).
    HostReachable,
}
