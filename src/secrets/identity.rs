//! Who we are: the private keys that open vaults, and where they are kept.
//!
//! A key named in `ARCANE_IDENTITY` is the only one then, so that a machine never opens more than it was meant to.
//! Otherwise it is the identity that `arcane init` made, and the user's SSH key. A passphrase is asked for only when a
//! file is sealed for the very key that it protects.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::{ExposeSecret as _, SecretString};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::error::{Error, Result, shown};
use super::recipient::Recipient;
use super::seal::is_sealed;
use super::store;
use crate::fleet::Timestamp;

/// Asks the operator for a passphrase; `None` when there is nobody to ask, or they gave up.
pub type Ask = Arc<dyn Fn(&str) -> Option<SecretString> + Send + Sync>;

const SSH_TAG: &str = "ssh-ed25519";
const LIMIT: usize = 64 * 1024;

/// Where an identity is to be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From this text, of `ARCANE_IDENTITY`: a key, `fd:3`, or the path of a file.
    Named(String),
    /// From the usual places: the identity of `arcane init`, and the SSH key.
    Usual {
        /// The file that `arcane init` makes.
        identity: Option<PathBuf>,
        /// The user's SSH key.
        ssh: Option<PathBuf>,
    },
}

/// The private keys at hand.
pub struct Identities {
    held: Vec<Held>,
    /// Keys that are there and cannot be used, and why.
    unusable: Vec<String>,
    declined: Arc<AtomicBool>,
}

/// One private key.
struct Held {
    place: String,
    recipient: Recipient,
    key: Box<dyn age::Identity + Send + Sync>,
}

/// An SSH key that is asked only about what is sealed for it.
struct SshKey {
    tag: String,
    key: Box<dyn age::Identity + Send + Sync>,
}

impl age::Identity for SshKey {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<std::result::Result<FileKey, age::DecryptError>> {
        let ours = stanza.tag == SSH_TAG && stanza.args.first() == Some(&self.tag);
        ours.then(|| self.key.unwrap_stanza(stanza)).flatten()
    }
}

/// Passes age's question on.
#[derive(Clone)]
struct Prompt {
    ask: Ask,
    place: String,
    declined: Arc<AtomicBool>,
}

impl Prompt {
    fn passphrase(&self) -> Option<SecretString> {
        let answer = (self.ask)(&format!("Passphrase of {}", self.place));
        self.declined.fetch_or(answer.is_none(), Ordering::Relaxed);
        answer
    }
}

impl age::Callbacks for Prompt {
    fn display_message(&self, _: &str) {}
    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }
    fn request_public_string(&self, _: &str) -> Option<String> {
        None
    }
    fn request_passphrase(&self, _: &str) -> Option<SecretString> {
        self.passphrase()
    }
}

impl Identities {
    /// Takes the keys from where they are.
    ///
    /// # Errors
    /// When there is none, one can be read by others, or one cannot be used.
    pub fn load(origin: &Origin, ask: &Ask) -> Result<Self> {
        let declined = Arc::new(AtomicBool::new(false));
        let mut found = Self { held: Vec::new(), unusable: Vec::new(), declined };
        let looked: Vec<PathBuf> = match origin {
            Origin::Named(text) => {
                found.named(text, ask)?;
                vec![PathBuf::from("ARCANE_IDENTITY")]
            }
            Origin::Usual { identity, ssh } => {
                if let Some(path) = identity
                    && let Some(bytes) = private(path)?
                {
                    found.take(&bytes, &shown(path), ask)?;
                }
                if let Some(path) = ssh {
                    found.take_ssh(path, ask);
                }
                identity.iter().chain(ssh).cloned().collect()
            }
        };
        if found.held.is_empty() {
            return Err(match found.unusable.pop() {
                Some(why) => Error::Identity { place: "the only key that is there".to_owned(), why },
                None => Error::NoIdentity { looked },
            });
        }
        Ok(found)
    }

    fn named(&mut self, text: &str, ask: &Ask) -> Result<()> {
        let text = text.trim();
        if text.starts_with("AGE-SECRET-KEY-") {
            return self.take(text.as_bytes(), "ARCANE_IDENTITY", ask);
        }
        if let Some(number) = text.strip_prefix("fd:") {
            let place = format!("file descriptor {number} of ARCANE_IDENTITY");
            let wrong = |why: &str| Error::Identity { place: place.clone(), why: why.to_owned() };
            let number: u32 = number.parse().map_err(|_| wrong("it is no number"))?;
            let path = PathBuf::from(format!("/dev/fd/{number}"));
            let bytes = store::read(&path, LIMIT)?.ok_or_else(|| wrong("it is not open"))?;
            return self.take(&bytes, &place, ask);
        }
        let path = Path::new(text);
        match private(path)? {
            Some(bytes) => self.take(&bytes, &shown(path), ask),
            None => Err(Error::NoIdentity { looked: vec![path.to_owned()] }),
        }
    }

    /// The SSH key is somebody's anyway; that it cannot be used matters only when nothing else can.
    fn take_ssh(&mut self, path: &Path, ask: &Ask) {
        let taken = private(path).and_then(|bytes| match bytes {
            Some(bytes) => self.take(&bytes, &shown(path), ask),
            None => Ok(()),
        });
        if let Err(error) = taken {
            self.unusable.push(error.to_string());
        }
    }

    /// Takes the keys in a file's bytes: age's, sealed with a passphrase or not, or an SSH key.
    fn take(&mut self, bytes: &[u8], place: &str, ask: &Ask) -> Result<()> {
        let prompt =
            Prompt { ask: Arc::clone(ask), place: place.to_owned(), declined: Arc::clone(&self.declined) };
        if is_sealed(bytes) {
            return self.take_lines(&unlock(bytes, &prompt)?, place);
        }
        if bytes.starts_with(b"-----BEGIN") {
            self.held.push(ssh_key(bytes, prompt)?);
            return Ok(());
        }
        self.take_lines(bytes, place)
    }

    fn take_lines(&mut self, bytes: &[u8], place: &str) -> Result<()> {
        let wrong = |why: &str| Error::Identity { place: place.to_owned(), why: why.to_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
        let before = self.held.len();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let key: age::x25519::Identity =
                line.parse().map_err(|_| wrong("it has a line that is no AGE-SECRET-KEY-1…"))?;
            let recipient = Recipient::parse(&key.to_public().to_string())?;
            self.held.push(Held { place: place.to_owned(), recipient, key: Box::new(key) });
        }
        if self.held.len() == before { Err(wrong("it holds no key")) } else { Ok(()) }
    }

    /// The public parts, the identity's before the SSH key's.
    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.held.iter().map(|held| &held.recipient)
    }

    pub(super) fn as_age(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.held.iter().map(|held| &*held.key as &dyn age::Identity)
    }

    /// Why none of them opened the file at `path`.
    pub(super) fn refused(&self, path: &Path) -> Error {
        // Of this file; for the next one they may be asked again.
        if self.declined.swap(false, Ordering::Relaxed) {
            return Error::NoPassphrase;
        }
        let held = self.held.iter().map(|held| format!("{} ({})", held.recipient, held.place));
        Error::NotForUs { path: path.to_owned(), tried: held.chain(self.unusable.iter().cloned()).collect() }
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.held.iter().map(|held| &held.recipient)).finish()
    }
}

/// The bytes of a private key's file, when there is one and nobody else can read it.
fn private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(bytes) = store::read(path, LIMIT)? else {
        return Ok(None);
    };
    let metadata = fs::metadata(path);
    let metadata =
        metadata.map_err(|source| Error::Io { doing: "look at", path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    Ok(Some(Zeroizing::new(bytes)))
}

fn unlock(bytes: &[u8], prompt: &Prompt) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = |why: &str| Error::Identity { place: prompt.place.clone(), why: why.to_owned() };
    let decryptor = age::Decryptor::new_buffered(age::armor::ArmoredReader::new(bytes))
        .map_err(|_| wrong("it is cut off or was changed"))?;
    if !decryptor.is_scrypt() {
        return Err(wrong("it is sealed, but not with a passphrase"));
    }
    let passphrase = prompt.passphrase().ok_or(Error::NoPassphrase)?;
    let key = age::scrypt::Identity::new(passphrase);
    let mut reader = decryptor
        .decrypt(std::iter::once(&key as &dyn age::Identity))
        .map_err(|_| wrong("the passphrase is wrong"))?;
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    std::io::Read::read_to_end(&mut reader, &mut plain).map_err(|_| wrong("it is cut off or was changed"))?;
    Ok(plain)
}

fn ssh_key(bytes: &[u8], prompt: Prompt) -> Result<Held> {
    let place = prompt.place.clone();
    let wrong = |why: &str| Error::Identity { place: place.clone(), why: why.to_owned() };
    let key = age::ssh::Identity::from_buffer(BufReader::new(bytes), None)
        .map_err(|_| wrong("it is no private key that is understood"))?;
    let public = age::ssh::Recipient::try_from(key.clone())
        .map_err(|_| wrong("only SSH keys of kind ed25519 are used"))?;
    let recipient = Recipient::parse(&public.to_string())?;
    // What it makes for a key shows the mark by which it knows its own.
    let (stanzas, _) = age::Recipient::wrap_file_key(&public, &FileKey::new(Box::new([0; 16])))
        .map_err(|_| wrong("nothing can be sealed for it"))?;
    let tag = stanzas.into_iter().find_map(|stanza| stanza.args.into_iter().next());
    let tag = tag.ok_or_else(|| wrong("nothing can be sealed for it"))?;
    let key = Box::new(SshKey { tag, key: Box::new(key.with_callbacks(prompt)) });
    Ok(Held { place, recipient, key })
}

/// The identity that `arcane init` makes.
#[derive(Debug)]
pub struct IdentityFile;

impl IdentityFile {
    /// Makes a new key and keeps it at `path`, readable by its owner only, sealed with a passphrase when one is given.
    /// A file that is there is never touched.
    ///
    /// # Errors
    /// When there is a file already, or it cannot be written; then there is none.
    pub fn create(path: &Path, passphrase: Option<SecretString>, now: Timestamp) -> Result<Recipient> {
        let key = age::x25519::Identity::generate();
        let recipient = Recipient::parse(&key.to_public().to_string())?;
        let secret = key.to_string();
        let text = Zeroizing::new(format!(
            "# made by arcane at {now}\n# public key: {recipient}\n{}\n",
            secret.expose_secret()
        ));
        if let Some(directory) = path.parent() {
            store::private_directory(directory)?;
        }
        match passphrase {
            None => store::create(path, text.as_bytes(), 0o600)?,
            Some(passphrase) => {
                let sealed =
                    age::encrypt_and_armor(&age::scrypt::Recipient::new(passphrase), text.as_bytes());
                let sealed = sealed.map_err(|error| Error::Identity {
                    place: shown(path),
                    why: format!("it cannot be sealed: {error}"),
                })?;
                store::create(path, sealed.as_bytes(), 0o600)?;
            }
        }
        Ok(recipient)
    }
}
