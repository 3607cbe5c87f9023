//! known_hosts: which keys a host may show. Read only; nothing here ever accepts a key.
//!
//! Understood: several files, several keys and names per host, `[host]:port`, hashed names, wildcards, negation and
//! `@revoked`. A `@cert-authority` line says nothing about a plain key and is passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ring::hmac;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::host_key::RecordedKey;

/// A file this large is no known_hosts file.
const SIZE_LIMIT: u64 = 16 << 20;

/// What the files say about one host.
#[derive(Debug, Clone, Default)]
pub struct KnownKeys {
    records: Vec<Record>,
}

#[derive(Debug, Clone)]
struct Record {
    file: PathBuf,
    line: usize,
    revoked: bool,
    key: PublicKey,
}

/// Whether a host key may be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is recorded for this host.
    Known,
    /// Nothing is recorded for this host.
    Unknown,
    /// Only other keys are recorded for this host.
    Changed(Vec<RecordedKey>),
    /// It is marked as revoked.
    Revoked(RecordedKey),
}

impl KnownKeys {
    /// Reads what `files` say about the host called `name` (see [`super::Target::known_hosts_name`]).
    /// A file that does not exist says nothing.
    ///
    /// # Errors
    /// When a file exists and cannot be read: passing over it could turn a changed key into an unknown one.
    pub fn read(name: &str, files: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let mut known = Self::default();
        for file in files {
            match read_bounded(file) {
                Ok(text) => known.add(name, file, &text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err((file.clone(), error)),
            }
        }
        Ok(known)
    }

    /// Adds what the text of one file says. Lines that cannot be understood are passed over, as OpenSSH does.
    pub fn add(&mut self, name: &str, file: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The parser wants single spaces; ssh allows any white space between fields.
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            let Ok(entry) = line.parse::<Entry>() else {
                continue;
            };
            let revoked = match entry.marker() {
                None => false,
                Some(Marker::Revoked) => true,
                Some(Marker::CertAuthority) => continue,
            };
            if matches(entry.host_patterns(), name) {
                self.records.push(Record {
                    file: file.to_owned(),
                    line: index + 1,
                    revoked,
                    key: entry.public_key().clone(),
                });
            }
        }
    }

    /// Judges the key that the host shows.
    #[must_use]
    pub fn judge(&self, key: &PublicKey) -> Verdict {
        let same = |record: &&Record| record.key.key_data() == key.key_data();
        if let Some(record) = self.records.iter().filter(|record| record.revoked).find(same) {
            return Verdict::Revoked(record.describe());
        }
        let trusted: Vec<&Record> = self.records.iter().filter(|record| !record.revoked).collect();
        if trusted.is_empty() {
            Verdict::Unknown
        } else if trusted.iter().any(same) {
            Verdict::Known
        } else {
            Verdict::Changed(trusted.into_iter().map(Record::describe).collect())
        }
    }

    /// `all`, with the kinds of key first that are recorded for this host: a host that is known by one kind of key
    /// must not look unknown because it was asked for another.
    #[must_use]
    pub fn prefer(&self, all: &[Algorithm]) -> Vec<Algorithm> {
        let recorded = |algorithm: &Algorithm| {
            self.records.iter().any(|record| {
                let known = record.key.algorithm();
                !record.revoked
                    && (known == *algorithm || (known.is_rsa() && matches!(algorithm, Algorithm::Rsa { .. })))
            })
        };
        let (first, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(recorded);
        first.into_iter().chain(rest).collect()
    }
}

impl Record {
    fn describe(&self) -> RecordedKey {
        RecordedKey {
            file: self.file.clone(),
            line: self.line,
            algorithm: self.key.algorithm().to_string(),
            fingerprint: fingerprint(&self.key),
        }
    }
}

/// A key's fingerprint as OpenSSH shows it: `SHA256:…`.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn read_bounded(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > SIZE_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is too large",
        ));
    }
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let hit = |pattern: &str| glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let refused = patterns
                .iter()
                .any(|pattern| pattern.strip_prefix('!').is_some_and(hit));
            !refused && patterns.iter().any(|pattern| hit(pattern))
        }
    }
}

/// Matches `*` and `?` without backtracking more than one star, so that no pattern takes long.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}
