//! What can go wrong when a server is changed, with the state that things are left in.

use std::time::Duration;

use crate::fleet::text::{plural, printable};
use crate::fleet::{AppName, HostName, ReleaseId};

use super::caddy::Problem;
use super::event::Done;
use super::lock::Holder;
use super::transfer::Transferred;

/// Why a change did not happen, or did not last.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host cannot be reached, does not let us in, or failed a command.
    #[error(transparent)]
    Ssh(#[from] crate::ssh::Error),
    /// An engine refused or failed.
    #[error(transparent)]
    Docker(#[from] crate::docker::Error),
    /// Somebody else changes something on the host.
    #[error("{host} is locked by {holder}")]
    LockHeld {
        /// Which host.
        host: HostName,
        /// Who.
        holder: Holder,
    },
    /// The lock was ours and is no more.
    #[error("the deploy lock on {host} was lost")]
    LockLost {
        /// Which host.
        host: HostName,
    },
    /// The process that holds the lock on the host does not answer, so that it would guard nothing.
    #[error("the process that holds the deploy lock on {host} has not answered for {} s", .waited.as_secs())]
    HolderSilent {
        /// Which host.
        host: HostName,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The host cannot keep a lock.
    #[error("cannot take the deploy lock on {host}: {why}")]
    Lock {
        /// Which host.
        host: HostName,
        /// Why not.
        why: String,
    },
    /// The image to push is not there.
    #[error("this machine's engine has no image {image}")]
    NoImage {
        /// Its name.
        image: String,
    },
    /// `docker build` failed.
    #[error("building {app} failed: {why}")]
    Build {
        /// Which app.
        app: AppName,
        /// How.
        why: String,
    },
    /// The image did not arrive.
    #[error("the image did not reach {host}: {why}; nothing was changed there")]
    Transfer {
        /// Where to.
        host: HostName,
        /// Why.
        why: String,
    },
    /// Something was found wrong before anything was changed.
    #[error("{host} cannot take this release: {why}; nothing was changed there")]
    Preflight {
        /// Which host.
        host: HostName,
        /// What is wrong.
        why: String,
    },
    /// The hook before a switch failed.
    #[error("the `before` hook of {app} failed for {host}: {why}; {host} runs what it ran")]
    BeforeHook {
        /// For which host.
        host: HostName,
        /// Of which app.
        app: AppName,
        /// How.
        why: String,
        /// The last lines that it wrote.
        last_lines: Vec<String>,
    },
    /// The release is live, and the hook after the switch failed.
    #[error("{} {} is live on {}, but its `after` hook failed: {why}", .done.app, .done.release, .done.host)]
    AfterHook {
        /// How the push ended otherwise.
        done: Box<Done>,
        /// How it failed.
        why: String,
        /// The last lines that it wrote.
        last_lines: Vec<String>,
    },
    /// The release command failed before anything was touched.
    #[error("the release command of {app} failed on {host}: {why}; {host} runs what it ran")]
    ReleaseCommand {
        /// On which host.
        host: HostName,
        /// Of which app.
        app: AppName,
        /// How.
        why: String,
        /// The last lines that it wrote.
        last_lines: Vec<String>,
    },
    /// The helper that keeps secrets in the host's memory failed.
    #[error(
        "the secrets of {app} in the memory of {host} could not be {what}: {why}; {host} runs what it ran"
    )]
    SecretsNotKept {
        /// On which host.
        host: HostName,
        /// Of which app.
        app: AppName,
        /// What was to be done: `kept`, `looked for`, `wiped`.
        what: &'static str,
        /// How.
        why: String,
    },
    /// The secrets of a release are wanted again, and nobody here can bring them.
    #[error(
        "the secrets of release {release} of {app} are not in the memory of {host} any more, and cannot be brought again: \
         {why}; {host} runs what it ran"
    )]
    SecretsGone {
        /// On which host.
        host: HostName,
        /// Of which app.
        app: AppName,
        /// Of which release.
        release: ReleaseId,
        /// Why not.
        why: String,
    },
    /// The new release failed and the old one is back.
    #[error(transparent)]
    RolledBack(Box<RolledBack>),
    /// The new release failed and the old one could not be brought back.
    #[error(
        "release {} of {} failed on {}: {}; and the release before could not be brought back: {why}",
        .failure.release, .failure.app, .failure.host, .failure.cause
    )]
    NotRestored {
        /// The first failure.
        failure: Box<RolledBack>,
        /// What kept the old release from coming back.
        why: String,
    },
    /// A release is no good, and no other ran that Caddy could lead to.
    #[error("no other release ran on {host}, so {release} stays live")]
    NothingToLeadTo {
        /// Which host.
        host: HostName,
        /// What stays live.
        release: ReleaseId,
    },
    /// The app is not on the host.
    #[error("{app} is not deployed on {host}")]
    NotDeployed {
        /// Which app.
        app: AppName,
        /// Which host.
        host: HostName,
    },
    /// A change was cut off, and what it left may still be needed.
    #[error("a change of {app} on {host} was cut off half-way; nothing was removed")]
    Unsettled {
        /// Which app.
        app: AppName,
        /// Which host.
        host: HostName,
    },
    /// There is no release to go back to.
    #[error("{host} keeps no release of {app} {wanted}")]
    NoRelease {
        /// Which app.
        app: AppName,
        /// Which host.
        host: HostName,
        /// What was asked for: `20261125-…`, or `older than the live one`.
        wanted: String,
        /// What there is instead.
        kept: Vec<ReleaseId>,
    },
    /// The release to go back to is older than the app's data.
    #[error(
        "guard `rollback-migration`: release {migrated} changed the data of {app} for good, and {release} is older and may \
         not understand it; nothing was changed on {host}"
    )]
    AcrossMigration {
        /// Which app.
        app: AppName,
        /// Which host.
        host: HostName,
        /// The release to go back to.
        release: ReleaseId,
        /// The release that migrated.
        migrated: ReleaseId,
    },
    /// Another release is live than the one that was to be changed.
    #[error("{host} no longer runs release {expected} of {app}, so nothing was changed")]
    Superseded {
        /// Which app.
        app: AppName,
        /// Which host.
        host: HostName,
        /// The release that was meant.
        expected: ReleaseId,
        /// The release that is live.
        live: Option<ReleaseId>,
    },
    /// Caddy cannot be made to lead to another slot.
    #[error("Caddy on {host}: {problem}")]
    Caddy {
        /// Which host.
        host: HostName,
        /// What is wrong.
        problem: Box<Problem>,
    },
    /// The operator interrupted.
    #[error("interrupted; {state}")]
    Interrupted {
        /// What state things are in.
        state: String,
    },
}

/// A release that failed on its way in.
#[derive(Debug, thiserror::Error)]
#[error("release {release} of {app} failed on {host}: {cause}{}", restored_text(.restored.as_ref()))]
pub struct RolledBack {
    /// Where.
    pub host: HostName,
    /// Which app.
    pub app: AppName,
    /// The release that failed.
    pub release: ReleaseId,
    /// The release that runs again; `None` when there was none before.
    pub restored: Option<ReleaseId>,
    /// What was wrong with it.
    pub cause: String,
    /// The last lines that its container wrote.
    pub last_lines: Vec<String>,
    /// Whether the operator interrupted, rather than the release failing.
    pub interrupted: bool,
    /// Whether it may have changed the app's data for good before it failed.
    pub migrated: bool,
    /// What went over the line for it.
    pub transferred: Transferred,
    /// How long nothing answered: from stopping the release before until it ran again.
    pub gap: Duration,
}

impl RolledBack {
    fn migrated_hint(&self) -> String {
        let (app, release) = (&self.app, &self.release);
        let works = match &self.restored {
            Some(restored) => format!("check that {restored} works with it"),
            None => "the next release will find it like that".to_owned(),
        };
        format!(
            "THE DATA OF {app} MAY BE MIGRATED: {release} `migrates`, and nobody has undone that; {works}"
        )
    }
}

fn restored_text(restored: Option<&ReleaseId>) -> String {
    restored.map_or_else(
        || "; it was removed, and there was no release before it".to_owned(),
        |release| format!("; rolled back to {release}"),
    )
}

impl Error {
    pub(super) fn caddy(host: &HostName, problem: Problem) -> Self {
        Self::Caddy { host: host.clone(), problem: Box::new(problem) }
    }

    /// Notes what had gone over the line before it failed.
    #[must_use]
    pub(super) fn after(mut self, transferred: Transferred) -> Self {
        if let Self::RolledBack(failed) | Self::NotRestored { failure: failed, .. } = &mut self {
            failed.transferred = transferred;
        }
        self
    }

    /// The next thing to type, when there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Docker(error) => error.hint(),
            Self::LockHeld { host, .. } => {
                Some(format!("wait for it with `--wait 5m`, or look who it is with `arcane unlock {host}`"))
            }
            Self::LockLost { .. } | Self::HolderSilent { .. } => {
                Some("see what runs with `arcane status`, then push again".to_owned())
            }
            Self::Transfer { .. } => Some(
                "type the push again once the cause is gone; layers that have arrived are not sent again"
                    .to_owned(),
            ),
            Self::NoImage { image } => {
                Some(format!("build it with `docker build -t {} .`", printable(image, 100)))
            }
            // Seen with Docker 20.10 that was killed while it started a container.
            Self::NotRestored { failure, why } if why.contains("port is already allocated") => Some(format!(
                "if no container has that port, only a restart of the engine frees the port: `systemctl restart docker` on \
                 {1}; then `arcane rollback {0} --to {1}`",
                failure.app, failure.host
            )),
            Self::NotRestored { failure, .. } => Some(format!(
                "bring it back with `arcane rollback {} --to {}` once the cause is gone",
                failure.app, failure.host
            )),
            Self::NotDeployed { app, host } => {
                Some(format!("deploy it with `arcane push {app} --to {host}`"))
            }
            Self::Unsettled { .. } => {
                Some("`arcane status` says which command mends it; do that first".to_owned())
            }
            Self::BeforeHook { .. } => Some("mend what it complains of, then push again".to_owned()),
            Self::AfterHook { .. } => {
                Some("the release stays; run the hook by hand, for a push of the same runs none".to_owned())
            }
            Self::SecretsGone { app, .. } => Some(format!(
                "type it again in the repository of {app}, with a key that reads its environment; `arcane secrets list` tells"
            )),
            Self::ReleaseCommand { app, .. } => Some(format!(
                "what it did before it ended is not undone: look at the data of {app}, then push again"
            )),
            Self::AcrossMigration { app, host, release, .. } => Some(format!(
                "if it does understand the data, or you have put that back: `arcane rollback {app} --to {host} --release \
                 {release} --across-migration`"
            )),
            Self::RolledBack(failed) if failed.migrated => Some(failed.migrated_hint()),
            Self::NoRelease { kept, .. } if !kept.is_empty() => {
                let names: Vec<_> = kept.iter().map(ReleaseId::as_str).collect();
                Some(format!("it keeps {}: {}", plural(kept.len(), "release"), names.join(", ")))
            }
            _ => None,
        }
    }
}
