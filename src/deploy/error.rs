//! What can go wrong when a server is changed, with the state that things are left in.

use crate::fleet::text::{plural, printable};
use crate::fleet::{AppName, HostName, ReleaseId};

use super::caddy::Problem;
use super::lock::Holder;

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
    /// The new release failed and the old one is back.
    #[error(transparent)]
    RolledBack(Box<RolledBack>),
    /// The new release failed and the old one could not be brought back.
    #[error("{failure}; and the release before could not be brought back: {why}")]
    NotRestored {
        /// The first failure.
        failure: Box<RolledBack>,
        /// What kept the old release from coming back.
        why: String,
    },
    /// The app is not on the host.
    #[error("{app} is not deployed on {host}")]
    NotDeployed {
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

    /// The next thing to type, when there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Docker(error) => error.hint(),
            Self::LockHeld { host, .. } => {
                Some(format!("wait for it with `--wait 5m`, or look who it is with `arcane unlock {host}`"))
            }
            Self::LockLost { .. } => Some("see what runs with `arcane status`, then push again".to_owned()),
            Self::NoImage { image } => {
                Some(format!("build it with `docker build -t {} .`", printable(image, 100)))
            }
            Self::NotRestored { failure, .. } => Some(format!(
                "bring it back with `arcane rollback {} --to {}` once the cause is gone",
                failure.app, failure.host
            )),
            Self::NotDeployed { app, host } => {
                Some(format!("deploy it with `arcane push {app} --to {host}`"))
            }
            Self::NoRelease { kept, .. } if !kept.is_empty() => {
                let names: Vec<_> = kept.iter().map(ReleaseId::as_str).collect();
                Some(format!("it keeps {}: {}", plural(kept.len(), "release"), names.join(", ")))
            }
            _ => None,
        }
    }
}
