//! Who we are: the keys of the operator's agent, then key files. Never a password, never a prompt.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use super::client::Client;
use super::error::{Error, Offer};
use super::known_hosts::fingerprint;
use super::target::{Agent, Target};

/// A key file this large is none.
const KEY_FILE_LIMIT: u64 = 1 << 20;

/// Logs in as the target's user.
///
/// Each key costs one of the server's `MaxAuthTries` (6), so those that the configuration names come first.
pub(super) async fn authenticate(handle: &mut Handle<Client>, target: &Target) -> Result<(), Error> {
    let mut login =
        Login { handle, target, offered: Vec::new(), locked: Vec::new(), refused: Vec::new(), rsa: None };
    let files = login.read_files();
    if login.with_agent(&files).await? || login.with_files(files).await? {
        return Ok(());
    }
    Err(Error::Auth {
        host: target.host.clone(),
        login: login_of(target),
        offered: login.offered,
        locked: login.locked,
    })
}

fn login_of(target: &Target) -> String {
    format!("{}@{}", target.user, target.endpoint())
}

/// A private key file that exists.
struct KeyFile {
    path: PathBuf,
    public: PublicKey,
    /// `None` when it has a passphrase.
    secret: Option<Arc<PrivateKey>>,
}

struct Login<'a> {
    handle: &'a mut Handle<Client>,
    target: &'a Target,
    offered: Vec<Offer>,
    locked: Vec<PathBuf>,
    refused: Vec<PublicKey>,
    rsa: Option<Option<HashAlg>>,
}

impl Login<'_> {
    /// The configured key files that exist. One that cannot be used is noted.
    fn read_files(&mut self) -> Vec<KeyFile> {
        let mut files = Vec::new();
        for path in &self.target.identities {
            match read_key(path) {
                Ok(Some(file)) => files.push(file),
                Ok(None) => {}
                Err(why) => self.offered.push(Offer {
                    key: "a key".to_owned(),
                    origin: path.display().to_string(),
                    failed: Some(why),
                }),
            }
        }
        files
    }

    async fn with_agent(&mut self, files: &[KeyFile]) -> Result<bool, Error> {
        let Agent::Socket(socket) = &self.target.agent else {
            return Ok(false);
        };
        // An agent that is gone, or locked, is like none.
        let Ok(stream) = UnixStream::connect(socket).await else {
            return Ok(false);
        };
        let mut agent = AgentClient::connect(stream);
        if let Some(binding) = self.handle.agent_session_binding() {
            // Keys that are restricted to certain hosts need it; agents that do not know it refuse it.
            let _ = agent.bind_session(binding, false).await;
        }
        let mut identities = agent.request_identities().await.unwrap_or_default();
        let configured = |identity: &AgentIdentity| {
            files.iter().any(|file| file.public.key_data() == identity.public_key().key_data())
        };
        if self.target.identities_only {
            identities.retain(configured);
        }
        identities.sort_by_key(|identity| !configured(identity));
        for identity in identities {
            if self.offer_agent(&mut agent, identity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn offer_agent(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        identity: AgentIdentity,
    ) -> Result<bool, Error> {
        let user = self.target.user.clone();
        let public = identity.public_key().into_owned();
        let hash = self.rsa_hash(&public).await?;
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                self.handle.authenticate_publickey_with(user, key, hash, agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(user, certificate, hash, agent).await
            }
        };
        let failed = match result {
            Ok(AuthResult::Success) => return Ok(true),
            Ok(AuthResult::Failure { .. }) => None,
            Err(error) => Some(error.to_string()),
        };
        self.note(public, "agent".to_owned(), failed)
    }

    async fn with_files(&mut self, files: Vec<KeyFile>) -> Result<bool, Error> {
        for file in files {
            if self.refused.iter().any(|key| key.key_data() == file.public.key_data()) {
                continue;
            }
            let Some(secret) = file.secret else {
                self.locked.push(file.path);
                continue;
            };
            let hash = self.rsa_hash(&file.public).await?;
            let key = PrivateKeyWithHashAlg::new(secret, hash);
            let result = self.handle.authenticate_publickey(self.target.user.clone(), key).await;
            let failed = match result {
                Ok(AuthResult::Success) => return Ok(true),
                Ok(AuthResult::Failure { .. }) => None,
                Err(error) => Some(error.to_string()),
            };
            if self.note(file.public, file.path.display().to_string(), failed)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes a key that did not open the door. Ends the attempt when the server hung up, as it does after too many.
    fn note(&mut self, key: PublicKey, origin: String, failed: Option<String>) -> Result<bool, Error> {
        self.offered.push(Offer {
            key: format!("{} {}", key.algorithm(), fingerprint(&key)),
            origin,
            failed,
        });
        self.refused.push(key);
        if !self.handle.is_closed() {
            return Ok(false);
        }
        Err(Error::Auth {
            host: self.target.host.clone(),
            login: login_of(self.target),
            offered: std::mem::take(&mut self.offered),
            locked: std::mem::take(&mut self.locked),
        })
    }

    /// The hash to sign with, for an RSA key: the best that the server names, SHA-512 when it names none.
    async fn rsa_hash(&mut self, key: &PublicKey) -> Result<Option<HashAlg>, Error> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        if self.rsa.is_none() {
            let best = self
                .handle
                .best_supported_rsa_hash()
                .await
                .map_err(|source| Error::Handshake { host: self.target.host.clone(), source })?;
            self.rsa = Some(best.unwrap_or(Some(HashAlg::Sha512)));
        }
        Ok(self.rsa.flatten())
    }
}

/// Reads a private key. `None` when there is no such file or it holds a kind of key that lives elsewhere.
fn read_key(path: &Path) -> Result<Option<KeyFile>, String> {
    let text = match std::fs::metadata(path) {
        Ok(meta) if meta.len() > KEY_FILE_LIMIT => return Err("is too large for a key".to_owned()),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| error.to_string())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let file = |public: PublicKey, secret| Ok(Some(KeyFile { path: path.to_owned(), public, secret }));
    match russh::keys::decode_secret_key(&text, None) {
        Ok(secret) => file(secret.public_key().clone(), Some(Arc::new(secret))),
        Err(russh::keys::Error::KeyIsEncrypted) => match public_half(path, &text) {
            Some(public) => file(public, None),
            None => Err("has a passphrase".to_owned()),
        },
        Err(error) => match public_half(path, &text) {
            // A public key given as identity file picks the agent's key of that name.
            Some(public) => file(public, None),
            None => Err(error.to_string()),
        },
    }
}

/// The public half of a key that cannot be opened: an OpenSSH key has it in the clear, others beside them.
fn public_half(path: &Path, text: &str) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        return Some(key);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    PublicKey::from_openssh(std::fs::read_to_string(beside).ok()?.trim()).ok()
}
