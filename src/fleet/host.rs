//! A host: a machine with sshd and a Docker engine, and nothing of ours.

use serde::{Deserialize, Serialize};

use super::name::HostName;

/// A host of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The operator's name for it.
    pub name: HostName,
    /// Where it is: `[user@]address[:port]`, or an alias of the operator's SSH configuration.
    pub ssh: String,
}
