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
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
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
            let refused = patterns.iter().any(|pattern| pattern.strip_prefix('!').is_some_and(hit));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::fake::new_key;

    /// `ssh-keygen -H` made these of `web1.example.com` and `[web1.example.com]:2201`.
    const KEYGEN_NAMES: [&str; 2] = [
        "|1|03OwG9n69lP17uen070jKpbus94=|1m32k0u09ssSyeMHbVJIhuH+rs8=",
        "|1|aYARz7Kiwth5m3LuVhzkDTFIths=|qrQOkSlAjBvLAIitnNw6uALdLDY=",
    ];
    const KEYGEN_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAII5zpDQUoKIqKHNhIMgMcwzlNyaAQ58E+lkP2UcuKJtp";
    const RSA_KEY: &str = "AAAAB3NzaC1yc2EAAAADAQABAAABAQC5rzTCoCsRFudL/hP6cqgcFzo+fDyOEQOSTd+EE210Nj0SgvGghwqyn3iHWu\
         uUSE2IgzPLtporUIxp/M3vq0u/SuAJ3K7PdrBpsjfLhdP7G5Hm86Eev2tgt5fgmE1FTKqR62gvDfUfn024wfVTAO3S\
         LL9ie/4I6Ab36RSDMDVIgtsStNmgCiTMRuzcLVw3ct2Q/tvWRO7V7F3oJsgo65kzxZ/LM3UtGqoRMrLfGPqCZ4XGEI\
         aDgyBS4DXIfb0cy4kSe890TUUT3pi9EtvqW9i8B3dWY7saBSWhdVOfQl4bo53zEOewCgyTdf0wMcIMAhv7S00B1d4n\
         XIMRqvKV5sIn";

    /// What a file says about `name`, when its lines are made of these keys.
    fn judge(name: &str, text: &str, shown: &PublicKey) -> Verdict {
        let mut known = KnownKeys::default();
        known.add(name, Path::new("known_hosts"), text);
        known.judge(shown)
    }

    fn line(names: &str, key: &PublicKey) -> String {
        format!("{names} {}", key.to_openssh().unwrap())
    }

    fn key() -> PublicKey {
        new_key().public_key().clone()
    }

    #[test]
    fn names_match_as_in_openssh() {
        let key = key();
        for (names, name, known) in [
            ("web1", "web1", true),
            ("web1", "web10", false),
            ("WEB1", "web1", true),
            ("web1,203.0.113.10", "203.0.113.10", true),
            ("web1", "[web1]:2201", false),
            ("[web1]:2201", "[web1]:2201", true),
            ("[web1]:2201", "web1", false),
            ("[::1]:2201", "[::1]:2201", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("web?", "web1", true),
            ("web?", "web12", false),
            ("*,!web1", "web1", false),
            ("*,!web1", "web2", true),
            ("!web1", "web2", false),
            ("*", "anything", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            let expected = if known { Verdict::Known } else { Verdict::Unknown };
            assert_eq!(judge(name, &line(names, &key), &key), expected, "{names} for {name}");
        }
    }

    #[test]
    fn names_match_that_ssh_keygen_hashed() {
        let key = PublicKey::from_openssh(&format!("ssh-ed25519 {KEYGEN_KEY}")).unwrap();
        let text = KEYGEN_NAMES.map(|name| format!("{name} ssh-ed25519 {KEYGEN_KEY}\n")).concat();
        for (name, known) in [
            ("web1.example.com", true),
            ("[web1.example.com]:2201", true),
            ("web2.example.com", false),
            ("[web1.example.com]:2202", false),
        ] {
            let expected = if known { Verdict::Known } else { Verdict::Unknown };
            assert_eq!(judge(name, &text, &key), expected, "{name}");
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let key = key();
        let good = line("web1", &key);
        for noise in
            ["", "# web1 a comment", "web1", "web1 ssh-ed25519 notbase64", "@nonsense web1 x y", "\0\u{202e}"]
        {
            assert_eq!(judge("web1", &format!("{noise}\n{good}\n"), &key), Verdict::Known, "{noise:?}");
        }
        assert_eq!(
            judge("web1", &good.replace(' ', " \t "), &key),
            Verdict::Known,
            "any white space parts fields"
        );
        assert_eq!(judge("web1", &format!("#{good}"), &key), Verdict::Unknown);
        let authority = format!("@cert-authority {}", line("*", &key));
        assert_eq!(judge("web1", &authority, &key), Verdict::Unknown, "an authority's key is no host's key");
    }

    #[test]
    fn several_keys_may_be_right_and_one_may_be_revoked() {
        let (first, second, other) = (key(), key(), key());
        let text = format!("{}\n\n{}\n", line("web1", &first), line("web1,web2", &second));
        assert_eq!(judge("web1", &text, &first), Verdict::Known);
        assert_eq!(judge("web1", &text, &second), Verdict::Known);
        let Verdict::Changed(recorded) = judge("web1", &text, &other) else { panic!("it changed") };
        let lines: Vec<_> = recorded.iter().map(|key| (key.line, key.fingerprint.clone())).collect();
        assert_eq!(lines, [(1, fingerprint(&first)), (3, fingerprint(&second))]);

        let text = format!("{text}@revoked {}\n", line("*", &first));
        let Verdict::Revoked(recorded) = judge("web1", &text, &first) else { panic!("it is revoked") };
        assert_eq!(recorded.line, 4);
        assert_eq!(judge("web1", &text, &second), Verdict::Known);
        let only_revoked = format!("@revoked {}\n", line("*", &first));
        assert_eq!(judge("web1", &only_revoked, &second), Verdict::Unknown);
    }

    #[test]
    fn kinds_of_key_that_are_recorded_are_asked_for_first() {
        let all = russh::Preferred::DEFAULT.key;
        let mut known = KnownKeys::default();
        assert_eq!(known.prefer(&all), all.to_vec());
        known.add("web1", Path::new("known_hosts"), &format!("web1 ssh-rsa {RSA_KEY}"));
        let preferred = known.prefer(&all);
        assert!(matches!(preferred[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) }), "{preferred:?}");
        assert_eq!(preferred.len(), all.len());
    }
}
