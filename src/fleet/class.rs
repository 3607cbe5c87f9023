//! The failure classes: what can be wrong with an app, one primary class per incident.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure class. `docs/taxonomy.md` describes them for users; [`Class::meaning`] is the one-line version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "Class::meaning documents each of them, for users too")]
pub enum Class {
    OutOfMemory,
    AppCrash,
    BadConfig,
    DependencyUnavailable,
    NameResolution,
    AuthFailure,
    TlsFailure,
    PortConflict,
    DiskFull,
    PermissionDenied,
    SchemaMismatch,
    BrokenImage,
    ResourceExhaustion,
    Hang,
    DataCorruption,
    Overload,
    Benign,
}

impl Class {
    /// Every class, in the taxonomy's order.
    pub const ALL: [Self; 17] = [
        Self::OutOfMemory,
        Self::AppCrash,
        Self::BadConfig,
        Self::DependencyUnavailable,
        Self::NameResolution,
        Self::AuthFailure,
        Self::TlsFailure,
        Self::PortConflict,
        Self::DiskFull,
        Self::PermissionDenied,
        Self::SchemaMismatch,
        Self::BrokenImage,
        Self::ResourceExhaustion,
        Self::Hang,
        Self::DataCorruption,
        Self::Overload,
        Self::Benign,
    ];

    /// The name in rules, JSON and the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfMemory => "out_of_memory",
            Self::AppCrash => "app_crash",
            Self::BadConfig => "bad_config",
            Self::DependencyUnavailable => "dependency_unavailable",
            Self::NameResolution => "name_resolution",
            Self::AuthFailure => "auth_failure",
            Self::TlsFailure => "tls_failure",
            Self::PortConflict => "port_conflict",
            Self::DiskFull => "disk_full",
            Self::PermissionDenied => "permission_denied",
            Self::SchemaMismatch => "schema_mismatch",
            Self::BrokenImage => "broken_image",
            Self::ResourceExhaustion => "resource_exhaustion",
            Self::Hang => "hang",
            Self::DataCorruption => "data_corruption",
            Self::Overload => "overload",
            Self::Benign => "benign",
        }
    }

    /// What the class means, in one line.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::OutOfMemory => {
                "memory exhausted: runtime heap, cgroup or kernel OOM kill, allocation failure"
            }
            Self::AppCrash => {
                "unhandled exception, panic, assertion or segfault in the application's own code"
            }
            Self::BadConfig => "missing or invalid configuration, variable, secret or flag",
            Self::DependencyUnavailable => "a needed service refuses, times out, resets or is not ready",
            Self::NameResolution => "a DNS lookup fails",
            Self::AuthFailure => "a dependency rejects the credentials",
            Self::TlsFailure => "certificate expired, untrusted or for another name; handshake failure",
            Self::PortConflict => "address or port already in use",
            Self::DiskFull => "no space left, quota or inodes exhausted, file system gone read-only",
            Self::PermissionDenied => "file system, socket, capability or user id denies access",
            Self::SchemaMismatch => "database schema or migration failed, or data of an incompatible version",
            Self::BrokenImage => "the image cannot run: wrong architecture, missing entrypoint or library",
            Self::ResourceExhaustion => "file descriptors, threads, PIDs, connections or memory maps ran out",
            Self::Hang => "alive but stuck: deadlock, watchdog or health timeouts",
            Self::DataCorruption => "corrupt database, index, log or state file",
            Self::Overload => "too much load: rate limited, queue full, saturated",
            Self::Benign => "normal operation, however alarming it looks",
        }
    }

    /// Whether a restart can help at all. Where it cannot, restarting in a loop only hides the cause.
    #[must_use]
    pub const fn restart_can_help(self) -> bool {
        !matches!(
            self,
            Self::BadConfig
                | Self::SchemaMismatch
                | Self::BrokenImage
                | Self::TlsFailure
                | Self::AuthFailure
                | Self::DataCorruption
                | Self::Benign
        )
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Class {
    type Err = UnknownClass;
    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

/// A text that names no failure class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a failure class", super::text::quoted(.0))]
pub struct UnknownClass(pub String);
