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

/// Hosts that were named by one word, a host's or a group's own: all of them hold what is rolled out before any host of
/// the next gate is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The word.
    pub name: String,
    /// The hosts, in the order to go through them; at least one.
    pub hosts: Vec<Host>,
}
