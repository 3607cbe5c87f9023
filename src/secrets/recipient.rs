//! A public key that a vault can be sealed for: age's own (`age1…`) or somebody's SSH key (`ssh-ed25519 …`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fleet::text::quoted;

/// A public key, checked to be one that age encrypts to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient(String);

/// Why a text is no key that a vault can be sealed for. Quotes only the beginning of a text that may be a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// It is a private key.
    #[error("this is a private key; only its public part belongs here")]
    Private,
    /// A kind of SSH key that cannot be encrypted to, or not safely.
    #[error("a key of kind {} cannot be encrypted to; use ssh-ed25519 or an age key", quoted(.0))]
    Kind(String),
    /// Nothing like a key.
    #[error("{} is no public key; it begins with age1 or with ssh-ed25519", quoted(.0))]
    Unknown(String),
}

impl Recipient {
    /// Parses a key as age or ssh-keygen print it; an SSH key's comment is left out.
    ///
    /// # Errors
    /// When it is none, is private, or of a kind that age does not encrypt to.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        let unknown = || RecipientError::Unknown(text.to_owned());
        if text.contains("PRIVATE KEY") || text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(RecipientError::Private);
        }
        if text.starts_with("age1") {
            let key: age::x25519::Recipient = text.parse().map_err(|_| unknown())?;
            return Ok(Self(key.to_string()));
        }
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("ssh-ed25519"), Some(body)) => {
                let key: age::ssh::Recipient =
                    format!("ssh-ed25519 {body}").parse().map_err(|_| unknown())?;
                Ok(Self(key.to_string()))
            }
            (Some(kind), Some(_)) if kind.starts_with("ssh-") || kind.starts_with("ecdsa-") => {
                Err(RecipientError::Kind(kind.to_owned()))
            }
            _ => Err(unknown()),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As age wants it.
    pub(super) fn to_age(&self) -> Option<Box<dyn age::Recipient + Send>> {
        if self.0.starts_with("age1") {
            Some(Box::new(self.0.parse::<age::x25519::Recipient>().ok()?))
        } else {
            Some(Box::new(self.0.parse::<age::ssh::Recipient>().ok()?))
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;
    fn from_str(text: &str) -> Result<Self, RecipientError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Recipient {
    type Error = RecipientError;
    fn try_from(text: String) -> Result<Self, RecipientError> {
        Self::parse(&text)
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    #[test]
    fn a_comment_is_left_out_and_what_cannot_be_encrypted_to_is_refused() {
        let key = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(Recipient::parse(&format!(" {key}\n")).unwrap().as_str(), key);
        assert_eq!(Recipient::parse(&format!("{SSH} alice@laptop")).unwrap().as_str(), SSH);
        for (text, expected) in [
            ("", "`` is no public key"),
            ("age1qqq", "`age1qqq` is no public key"),
            ("ssh-ed25519 AAAA", "`ssh-ed25519 AAAA` is no public key"),
            ("ssh-rsa AAAA", "a key of kind `ssh-rsa` cannot"),
            ("ecdsa-sha2-nistp256 AAAA", "a key of kind `ecdsa-sha2-nistp256` cannot"),
            ("AGE-SECRET-KEY-1QQQ", "this is a private key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"),
        ] {
            let error = Recipient::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
