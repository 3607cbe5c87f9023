//! What a container is, beside its app's name: its image, its labels, its environment and the part it plays for others.
//! Rules choose by it what they are about.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// Labels that are kept of a container.
const LABELS: usize = 32;
/// Characters of a label's name, or of its value.
const LABEL: usize = 256;
/// What begins the names of our own labels: a rule has better ways to ask for what is in them.
const OURS: &str = "arcane.";
/// Names that Docker puts beside the labels of an event. The same container must look the same by event and inspection.
const OF_EVENTS: [&str; 6] = ["name", "image", "exitCode", "signal", "execID", "execDuration"];

/// Images that tell by their name what they are for.
const KNOWN: [(&str, &[&str]); 5] = [
    (
        "database",
        &[
            "postgres",
            "postgresql",
            "postgis",
            "timescaledb",
            "pgvector",
            "mysql",
            "mariadb",
            "percona",
            "mongo",
            "mongodb",
            "cockroach",
            "cassandra",
            "scylla",
            "clickhouse-server",
            "clickhouse",
            "influxdb",
            "couchdb",
        ],
    ),
    ("cache", &["redis", "valkey", "keydb", "memcached", "dragonfly"]),
    ("broker", &["rabbitmq", "kafka", "cp-kafka", "redpanda", "nats", "mosquitto", "activemq", "pulsar"]),
    ("search", &["elasticsearch", "opensearch", "meilisearch", "typesense", "solr"]),
    ("proxy", &["nginx", "caddy", "haproxy", "traefik", "envoy", "httpd"]),
];

/// What a container is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Profile {
    /// The image, as the app's owner calls it.
    #[serde(default)]
    pub image: String,
    /// Its labels, but for ours; at most 32, names and values cut.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The environment that it was pushed for.
    #[serde(default)]
    pub environment: Option<String>,
    /// What it does for other apps, `database` for instance: as its owner says, or as its image's name tells. Rule files
    /// call it `role`.
    #[serde(default)]
    pub kind: Option<Kind>,
}

impl Profile {
    /// The profile of a container with this image and these labels. What its owner says it is for comes before what
    /// the image tells.
    #[must_use]
    pub fn new(image: &str, labels: &BTreeMap<String, String>, kind: Option<Kind>) -> Self {
        let labelled = || labels.get("arcane.role").and_then(|word| Kind::parse(word).ok());
        let kept = labels
            .iter()
            .filter(|(name, _)| !name.starts_with(OURS) && !OF_EVENTS.contains(&name.as_str()))
            .take(LABELS)
            .map(|(name, value)| (cut(name), cut(value)));
        Self {
            image: cut(image),
            labels: kept.collect(),
            environment: None,
            kind: kind.or_else(labelled).or_else(|| Kind::of_image(image)),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LABEL).collect()
}

/// What a container does for other apps, in a word: `database`, `cache`, `broker`, `search`, `proxy`, or another that
/// an owner chose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kind(String);

/// A text that is no such word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no role; use up to 40 of a-z, 0-9 and -, like database or worker", quoted(.0))]
pub struct KindError(pub String);

impl Kind {
    /// Parses a word.
    ///
    /// # Errors
    /// When it is empty, too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, KindError> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(KindError(text.to_owned())) }
    }

    /// What an image's name tells, whatever registry it comes from and whatever its tag is.
    #[must_use]
    pub fn of_image(image: &str) -> Option<Self> {
        let name = bare_name(image);
        let (word, _) = KNOWN.iter().find(|(_, names)| names.contains(&name))?;
        Some(Self((*word).to_owned()))
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `postgres` of `registry.example:5000/team/postgres:16@sha256:…`.
#[must_use]
pub fn bare_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Kind {
    type Err = KindError;
    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Kind {
    type Error = KindError;
    fn try_from(text: String) -> Result<Self, KindError> {
        Self::parse(&text)
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_tell_what_they_are_for() {
        for (image, kind) in [
            ("postgres", Some("database")),
            ("postgres:16-alpine", Some("database")),
            ("docker.io/bitnami/postgresql:16", Some("database")),
            ("localhost:5000/redis@sha256:abc", Some("cache")),
            ("localhost:5000/shop:1", None),
            ("my-postgres-app:1", None),
            ("", None),
        ] {
            assert_eq!(Kind::of_image(image).as_ref().map(Kind::as_str), kind, "{image}");
        }
    }

    #[test]
    fn a_profile_is_bounded_and_keeps_nothing_of_ours() {
        let mut labels: BTreeMap<String, String> =
            (0..100).map(|n| (format!("l{n:03}"), "x".repeat(1000))).collect();
        labels.insert("arcane.app".to_owned(), "shop".to_owned());
        labels.insert("arcane.role".to_owned(), "worker".to_owned());
        labels.insert("exitCode".to_owned(), "1".to_owned());
        let profile = Profile::new("postgres:16", &labels, None);
        assert_eq!((profile.labels.len(), profile.labels["l000"].len()), (LABELS, LABEL));
        assert!(!profile.labels.contains_key("arcane.app") && !profile.labels.contains_key("exitCode"));
        assert_eq!(profile.kind, Some(Kind::parse("worker").unwrap()), "the label comes before the image");
        let said = Profile::new("postgres:16", &labels, Some(Kind::parse("archive").unwrap()));
        assert_eq!(said.kind.unwrap().as_str(), "archive", "and the app's owner before both");
        labels.insert("arcane.role".to_owned(), "Not A Role".to_owned());
        assert_eq!(Profile::new("postgres:16", &labels, None).kind.unwrap().as_str(), "database");
    }

    #[test]
    fn what_was_recorded_without_one_can_be_read() {
        let profile: Profile = serde_json::from_str("{}").unwrap();
        assert_eq!(profile, Profile::default());
        assert!(serde_json::from_str::<Profile>(r#"{"kind":"No Word"}"#).is_err());
    }
}
