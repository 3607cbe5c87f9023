//! What can go wrong between here and a host, in words that say which host and what to type next.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::host_key::HostKeyError;
use super::target::AddressProblem;
use crate::fleet::HostName;
use crate::fleet::text::{printable, quoted};

/// How much of a server's own words is shown, in characters.
const SERVER_TEXT_LIMIT: usize = 200;

/// More refused keys than this may be what made the server hang up: its `MaxAuthTries` is 6, often less.
const MANY_OFFERS: usize = 4;

/// Why a host could not be reached, trusted or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address in fleet.toml cannot be one.
    #[error("{host}: ssh address {} {problem}", quoted(address))]
    Address {
        /// The host.
        host: HostName,
        /// What was given.
        address: String,
        /// What is wrong with it.
        problem: AddressProblem,
    },
    /// The SSH configuration asks for something that is not supported.
    #[error("{host}: the SSH configuration {problem}")]
    Config {
        /// The host.
        host: HostName,
        /// What it asks for.
        problem: String,
    },
    /// No TCP connection.
    #[error("{host}: cannot connect to {address}")]
    Connect {
        /// The host.
        host: HostName,
        /// Address and port that were tried.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It took longer than it may.
    #[error("{host}: {what} took longer than {}", crate::fleet::duration::format(*after))]
    Deadline {
        /// The host.
        host: HostName,
        /// What took so long.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// The two sides could not agree on a secure connection.
    #[error("{host}: no SSH connection")]
    Handshake {
        /// The host.
        host: HostName,
        /// Why.
        source: russh::Error,
    },
    /// The host's key may not be trusted.
    #[error(transparent)]
    HostKey(#[from] Box<HostKeyError>),
    /// A known_hosts file exists but cannot be read.
    #[error("{host}: cannot read {}", path.display())]
    KnownHosts {
        /// The host.
        host: HostName,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The host knows none of our keys.
    #[error("{host}: {login} was not let in: {}", offers(offered, locked))]
    Auth {
        /// The host.
        host: HostName,
        /// As whom, and where: `deploy@203.0.113.10:22`. With jump hosts this may be one of them.
        login: String,
        /// What was tried, in order.
        offered: Vec<Offer>,
        /// Keys that have a passphrase and are in no agent.
        locked: Vec<PathBuf>,
    },
    /// The connection is gone.
    #[error("{host}: the SSH connection is lost: {reason}")]
    Lost {
        /// The host.
        host: HostName,
        /// Why.
        reason: String,
    },
    /// The host does not open what was asked for.
    #[error("{host}: cannot open {what}: {failure}")]
    Channel {
        /// The host.
        host: HostName,
        /// What was asked for, in words.
        what: String,
        /// Why not.
        failure: ChannelFailure,
    },
    /// A stream to the host broke.
    #[error("{host}: {what}")]
    Stream {
        /// The host.
        host: HostName,
        /// What was being done.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A command wrote more than is kept.
    #[error("{host}: the command's output is longer than {limit} bytes")]
    TooLong {
        /// The host.
        host: HostName,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Why a host refused to open a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelFailure {
    /// sshd's configuration forbids it.
    Prohibited,
    /// Nothing answers there, or the user may not connect to it.
    ConnectFailed,
    /// sshd does not know this kind of channel.
    Unsupported,
    /// sshd has no room for another channel: `MaxSessions` commands run already.
    NoRoom,
    /// Something else, in the server's words.
    Other(String),
}

impl fmt::Display for ChannelFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prohibited => f.write_str("the server's configuration forbids it"),
            Self::ConnectFailed => f.write_str("connection refused"),
            Self::Unsupported => f.write_str("the server does not support it"),
            Self::NoRoom => f.write_str("the server has no room for another channel"),
            Self::Other(text) => write!(f, "the server says {}", printable(text, SERVER_TEXT_LIMIT)),
        }
    }
}

impl From<russh::ChannelOpenFailure> for ChannelFailure {
    fn from(failure: russh::ChannelOpenFailure) -> Self {
        use russh::ChannelOpenFailure as Theirs;
        match failure {
            Theirs::AdministrativelyProhibited => Self::Prohibited,
            Theirs::ConnectFailed => Self::ConnectFailed,
            Theirs::UnknownChannelType => Self::Unsupported,
            Theirs::ResourceShortage => Self::NoRoom,
            Theirs::Other { reason, .. } => Self::Other(reason),
        }
    }
}

/// A key that was offered to a host, and refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The kind of key and its fingerprint.
    pub key: String,
    /// Where it came from: `agent` or its file.
    pub origin: String,
    /// Why it could not even be used, when that is so: an agent may refuse to sign.
    pub failed: Option<String>,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.origin)?;
        self.failed.as_ref().map_or(Ok(()), |why| write!(f, ": {}", printable(why, SERVER_TEXT_LIMIT)))
    }
}

fn offers(offered: &[Offer], locked: &[PathBuf]) -> String {
    let mut parts = Vec::new();
    if offered.is_empty() {
        parts.push("there is no key to offer".to_owned());
    } else {
        let keys: Vec<_> = offered.iter().map(ToString::to_string).collect();
        parts.push(format!("refused {}", keys.join(", ")));
    }
    for path in locked {
        parts.push(format!("the key {} has a passphrase and is in no agent", path.display()));
    }
    parts.join("; ")
}

impl Error {
    /// Whether the host could not be reached, trusted or logged in to, as opposed to a host that answered and refused
    /// something.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Deadline { .. }
            | Self::Handshake { .. }
            | Self::HostKey(_)
            | Self::KnownHosts { .. }
            | Self::Auth { .. }
            | Self::Lost { .. }
            | Self::Stream { .. } => true,
            Self::Address { .. } | Self::Config { .. } | Self::Channel { .. } | Self::TooLong { .. } => false,
        }
    }

    /// What to type or change next, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { .. } => {
                Some("write it as [user@]address[:port], an IPv6 address in brackets".to_owned())
            }
            Self::HostKey(error) => Some(error.hint()),
            Self::Auth { locked, login, host, offered } => Some(match locked.first() {
                Some(path) => format!("add the key to an agent: `ssh-add {}`", path.display()),
                None if offered.len() > MANY_OFFERS => format!(
                    "sshd hangs up after a few wrong keys: name the right one for {host} in ~/.ssh/config, with \
                     IdentityFile and `IdentitiesOnly yes`"
                ),
                None => format!(
                    "check the user of {host} in fleet.toml, and that one of your keys is in the authorized_keys of \
                     {login}: `ssh-copy-id` puts it there"
                ),
            }),
            Self::Connect { .. } => {
                Some("check the address and port in fleet.toml, and that sshd runs there".to_owned())
            }
            Self::Channel { failure: ChannelFailure::Prohibited, .. } => Some(
                "sshd_config of the host must not forbid it: AllowStreamLocalForwarding, AllowTcpForwarding"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
