//! Blue/green: two slots for one app, each a port of the host, and the site in front that leads to one of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::site::SiteAddress;

/// What an app that is swapped blue/green declares besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueGreen {
    /// The ports of the two slots, on the host's loopback address.
    pub ports: [u16; 2],
    /// The site in the Caddyfile whose upstream is one of the slots.
    pub domain: SiteAddress,
    /// How long the release before may take to finish what it is answering.
    #[serde(with = "duration::text")]
    pub drain: Duration,
}

impl BlueGreen {
    /// Long enough for a slow request, short enough to wait for.
    pub const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

    /// Whether this is the port of one of the slots.
    #[must_use]
    pub fn has(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// The slot that is not this one.
    #[must_use]
    pub fn other(&self, port: u16) -> u16 {
        let [first, second] = self.ports;
        if port == first { second } else { first }
    }
}
