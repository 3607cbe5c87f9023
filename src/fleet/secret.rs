//! Secrets of an app, without their values: which it gets, how, and which version of each a release has.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::EnvironmentName;
use super::time::Timestamp;

/// A secret that an app gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSecret {
    /// How it gets it.
    #[serde(rename = "as")]
    pub form: SecretForm,
    /// Which version a release has; `None` as long as no vault was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SecretVersion>,
}

/// How an app gets a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretForm {
    /// As an environment variable, and as a file.
    Variable,
    /// As a file only.
    File,
}

/// Which value of a secret: enough to tell two apart, and nothing that says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// Of which environment.
    pub environment: EnvironmentName,
    /// How often it had been set there.
    pub number: u64,
    /// When it was set.
    pub set: Timestamp,
}

impl fmt::Display for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.set.to_string();
        write!(f, "{} version {}, set {}", self.environment, self.number, set.get(..10).unwrap_or(&set))
    }
}
