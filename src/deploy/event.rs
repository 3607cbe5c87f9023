//! What a push tells while it works: steps for a person, a line of JSON each for a program.

use std::time::Duration;

use serde::Serialize;

use crate::fleet::{AppName, HostName, ReleaseId};

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step began.
    Step {
        /// Where.
        host: HostName,
        /// Which app.
        app: AppName,
        /// Which release.
        release: ReleaseId,
        /// Which step.
        step: Step,
        /// About what: a container, a size, a probe.
        detail: String,
    },
    /// Bytes of the image on their way.
    Sent {
        /// Where to.
        host: HostName,
        /// Compressed bytes given to the line so far.
        bytes_sent: u64,
        /// Compressed bytes a second, on average.
        bytes_per_second: u64,
        /// Layers that are through.
        layers_sent: usize,
        /// Layers that the host had.
        layers_skipped: usize,
        /// Layers of the image.
        layers_total: usize,
        /// About how many unpacked bytes are through.
        bytes_read: u64,
        /// About how many unpacked bytes are to be sent.
        bytes_total: u64,
    },
    /// A line that a command of the app's owner wrote, or the app itself.
    Output {
        /// Where.
        host: HostName,
        /// Which app.
        app: AppName,
        /// Which release.
        release: ReleaseId,
        /// Which one.
        from: Speaker,
        /// The line, made safe to show.
        line: String,
    },
    /// Somebody else holds the lock; waiting.
    LockWait {
        /// Where.
        host: HostName,
        /// Who holds it.
        holder: String,
    },
    /// The end for one host.
    Done(Done),
}

/// How a push ended on one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// Which release is live now.
    pub release: ReleaseId,
    /// Which release was live before; `None` when none was.
    pub before: Option<ReleaseId>,
    /// Where.
    pub host: HostName,
    /// Which app.
    pub app: AppName,
    /// Compressed bytes that went over the line.
    pub bytes_sent: u64,
    /// Layers that went over the line.
    pub layers_sent: usize,
    /// Layers that the host had.
    pub layers_skipped: usize,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How long nothing answered, in seconds: from stopping the old release to the health of the new one.
    pub gap_seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new release is live.
    Released,
    /// The new release failed; the one before is live again.
    RolledBack,
    /// The same image with the same settings was live already.
    Unchanged,
}

/// Whose output a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The release command's.
    Release,
    /// The hook's before the switch.
    Before,
    /// The hook's after it.
    After,
    /// The release's own: a line of its log that a rule knows, while it is being watched.
    Log,
}

impl Speaker {
    /// Its name in arcane.toml and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Before => "before",
            Self::After => "after",
            Self::Log => "log",
        }
    }
}

/// The steps of a change, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Building the image on this machine.
    Build,
    /// Asking the host what it is and has.
    Look,
    /// Sending the image.
    Transfer,
    /// Taking the deploy lock.
    Lock,
    /// Undoing what an interrupted change left.
    Repair,
    /// Running a hook.
    Hook,
    /// Putting the release's secrets into the host's memory.
    Secrets,
    /// Running the release command.
    Release,
    /// Making the new container.
    Create,
    /// Renaming a container.
    Rename,
    /// Stopping the release before.
    Stop,
    /// Starting the new release.
    Start,
    /// Waiting for its health.
    Health,
    /// Making Caddy lead to it.
    Route,
    /// Watching it for a while.
    Bake,
    /// Giving it the app's name.
    Switch,
    /// Letting the release before finish what it is answering.
    Drain,
    /// Bringing the release before back.
    Boomerang,
    /// Removing releases beyond those that are kept.
    Tidy,
}

impl Step {
    /// What it does, for a person.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Build => "building",
            Self::Look => "looking at",
            Self::Transfer => "sending",
            Self::Lock => "locking",
            Self::Repair => "repairing",
            Self::Hook => "running the hook",
            Self::Secrets => "bringing secrets",
            Self::Release => "running the release command",
            Self::Create => "creating",
            Self::Rename => "renaming",
            Self::Stop => "stopping",
            Self::Start => "starting",
            Self::Health => "checking",
            Self::Route => "routing",
            Self::Bake => "watching",
            Self::Switch => "switching",
            Self::Drain => "draining",
            Self::Boomerang => "rolling back",
            Self::Tidy => "tidying",
        }
    }
}

/// Where events go. Called from async code, so it must not block.
pub type Report<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// Seconds of a duration, with milliseconds: what JSON carries.
#[must_use]
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
