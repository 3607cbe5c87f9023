//! Our side of the SSH protocol: which host keys are accepted, and what is noted when the connection ends.

use std::sync::Arc;

use russh::client::{self, DisconnectReason};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use tokio::sync::watch;

use super::error::Error;
use super::host_key::{HostKeyError, HostKeyProblem};
use super::known_hosts::{KnownKeys, Verdict, fingerprint};
use super::target::Target;
use crate::fleet::text::quoted;

/// The callbacks of one connection.
pub(super) struct Client {
    known: KnownKeys,
    target: Arc<Target>,
    ended: watch::Sender<Option<String>>,
}

/// What the library's loop fails with.
#[derive(Debug)]
pub(super) enum Failure {
    Protocol(russh::Error),
    HostKey(Box<HostKeyError>),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

impl Failure {
    pub(super) fn on(self, target: &Target) -> Error {
        match self {
            Self::Protocol(source) => Error::Handshake { host: target.host.clone(), source },
            Self::HostKey(error) => Error::HostKey(error),
        }
    }
}

impl Client {
    pub(super) fn new(known: KnownKeys, target: Arc<Target>, ended: watch::Sender<Option<String>>) -> Self {
        Self { known, target, ended }
    }

    fn check(&self, key: &PublicKey) -> Result<(), Box<HostKeyError>> {
        let problem = match self.known.judge(key) {
            Verdict::Known => return Ok(()),
            Verdict::Unknown => HostKeyProblem::Unknown,
            Verdict::Changed(recorded) => HostKeyProblem::Changed(recorded),
            Verdict::Revoked(recorded) => HostKeyProblem::Revoked(recorded),
        };
        Err(Box::new(HostKeyError {
            host: self.target.host.clone(),
            name: self.target.known_hosts_name(),
            address: self.target.address.clone(),
            port: self.target.port,
            algorithm: key.algorithm().to_string(),
            fingerprint: fingerprint(key),
            problem,
        }))
    }
}

impl client::Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        match presented {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.check(key).map_err(Failure::HostKey)?;
                Ok(true)
            }
            // Never asked for, so never acceptable.
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        let (words, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                (format!("the server says {}", quoted(&info.message)), Ok(()))
            }
            DisconnectReason::Error(Failure::Protocol(error)) => {
                (explain(&error), Err(Failure::Protocol(error)))
            }
            DisconnectReason::Error(Failure::HostKey(error)) => {
                (error.to_string(), Err(Failure::HostKey(error)))
            }
        };
        self.ended.send_replace(Some(words));
        result
    }
}

fn explain(error: &russh::Error) -> String {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        russh::Error::KeepaliveTimeout => "the host does not answer any more".to_owned(),
        russh::Error::HUP | russh::Error::Disconnect => "the host closed it".to_owned(),
        russh::Error::IO(io) => match io.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => {
                "the host closed it".to_owned()
            }
            _ => io.to_string(),
        },
        error => error.to_string(),
    }
}
