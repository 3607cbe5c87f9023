//! Releases: one deployed version of an app, and what is known of the ones before it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::name::AppName;
use super::remedy::HealPolicy;
use super::text::quoted;
use super::time::Timestamp;

/// Identifies a release. Starts with the UTC time of its making, so ids sort by age: `20261125-184203-3f2c`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(Arc<str>);

/// A text that is not a release id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a release id; they look like 20261125-184203-3f2c", quoted(.0))]
pub struct ReleaseIdError(pub String);

impl ReleaseId {
    /// Makes the id of a release made at `now`; `salt` tells two of the same second apart.
    #[must_use]
    pub fn new(now: Timestamp, salt: u16) -> Self {
        let text = now.to_string();
        let digits: String = text.chars().take(19).filter(char::is_ascii_digit).collect();
        let (date, time) = digits.split_at(8.min(digits.len()));
        Self(format!("{date}-{time}-{salt:04x}").into())
    }

    /// The id itself, or the next one after `other` if that is not older: a pusher whose clock is slow must not make a
    /// release that counts as older than the one it replaces.
    #[must_use]
    pub fn after(self, other: &Self) -> Self {
        if self > *other {
            return self;
        }
        let (second, salt) = other.0.split_at(other.0.len() - 4);
        match u16::from_str_radix(salt, 16).ok().and_then(|salt| salt.checked_add(1)) {
            Some(salt) => Self(format!("{second}{salt:04x}").into()),
            None => self,
        }
    }

    /// Parses an id.
    ///
    /// # Errors
    /// When the text does not have the form of one.
    pub fn parse(text: &str) -> Result<Self, ReleaseIdError> {
        let shape = "dddddddd-dddddd-xxxx";
        let fits = text.len() == shape.len()
            && text.chars().zip(shape.chars()).all(|(c, kind)| match kind {
                'd' => c.is_ascii_digit(),
                'x' => c.is_ascii_digit() || ('a'..='f').contains(&c),
                other => c == other,
            });
        if fits { Ok(Self(text.into())) } else { Err(ReleaseIdError(text.to_owned())) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = ReleaseIdError;
    fn try_from(text: String) -> Result<Self, ReleaseIdError> {
        Self::parse(&text)
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> String {
        id.as_str().to_owned()
    }
}

impl std::str::FromStr for ReleaseId {
    type Err = ReleaseIdError;
    fn from_str(text: &str) -> Result<Self, ReleaseIdError> {
        Self::parse(text)
    }
}

/// SHA-256 over everything that makes one release differ from another: image and settings, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpecDigest(pub String);

/// What is deployed of an app on one host, read from Docker's own record. The rule engine and the supervisor judge
/// by this; it travels as an observation, so a replay knows what live knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The app.
    pub app: AppName,
    /// The release that has the app's name.
    pub release: ReleaseId,
    /// When it was deployed: when its container was made, by the host's clock. A release that was rolled back to is
    /// therefore as old as it was, and does not count as young again.
    pub deployed_at: Timestamp,
    /// Digest of image and settings.
    pub spec: SpecDigest,
    /// How long it must run to count as proved.
    #[serde(with = "duration::text")]
    pub prove: Duration,
    /// What its owner lets the supervisor do.
    pub policy: HealPolicy,
    /// The release that a rollback would bring back: the newest older one that is still on the host.
    pub previous: Option<PreviousRelease>,
}

/// A release that is kept on the host, stopped, to roll back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousRelease {
    /// Which.
    pub release: ReleaseId,
    /// Digest of image and settings.
    pub spec: SpecDigest,
    /// How long it ran the last time it was live; a lower bound of how long it was good.
    #[serde(with = "duration::text")]
    pub ran_for: Duration,
    /// Whether a newer release has changed the app's data for good, so that this one may not understand it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub across_migration: bool,
}

impl PreviousRelease {
    /// Whether it ran long enough to be trusted.
    #[must_use]
    pub fn is_proved(&self, prove: Duration) -> bool {
        self.ran_for >= prove
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_age_and_round_trip() {
        let first = ReleaseId::new(Timestamp::parse("2026-11-25T18:42:03.9Z").unwrap(), 0x3f2c);
        let second = ReleaseId::new(Timestamp::parse("2026-11-25T18:42:04Z").unwrap(), 0);
        assert_eq!(first.as_str(), "20261125-184203-3f2c");
        assert!(first < second);
        assert_eq!(second.clone().after(&first), second);
        assert_eq!(first.clone().after(&second).as_str(), "20261125-184204-0001");
        assert_eq!(ReleaseId::parse(first.as_str()), Ok(first));
        for text in ["", "20261125-184203-3F2C", "20261125-184203-3f2c'", "$(id)", "20261125_184203_3f2c"] {
            assert!(ReleaseId::parse(text).is_err(), "{text}");
        }
    }
}
