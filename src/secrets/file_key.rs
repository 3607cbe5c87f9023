//! The key for which the files of an environment are sealed that git encrypts one by one. It lies in the vault, so whoever
//! is let in later reads them, too, without a file being touched; it is a plain age identity, so age opens them as well.

use age::secrecy::ExposeSecret as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::recipient::Recipient;

/// A private key of an environment, not of a person.
#[derive(Clone)]
pub struct FileKey(age::x25519::Identity);

impl FileKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    pub(super) fn as_age(&self) -> &dyn age::Identity {
        &self.0
    }

    /// Its public part.
    pub(super) fn recipient(&self) -> Option<Recipient> {
        Recipient::parse(&self.0.to_public().to_string()).ok()
    }
}

impl PartialEq for FileKey {
    fn eq(&self, other: &Self) -> bool {
        self.recipient() == other.recipient()
    }
}

impl Eq for FileKey {}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileKey(of {:?})", self.recipient())
    }
}

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.to_string().expose_secret())
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map(Self).map_err(|_| de::Error::custom("no key"))
    }
}
