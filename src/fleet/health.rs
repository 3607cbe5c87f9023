//! What "healthy" means for an app, as its owner declared it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::text::printable;

/// How much of a path or a command is shown, in characters.
const SHOWN: usize = 200;

/// How a new release proves that it works, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// The deadline, counted from the start of the container.
    #[serde(with = "duration::text")]
    pub within: Duration,
}

/// What is asked of a container. In every case a container that exits or restarts while it is being asked has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// GET this path on the app's port; any 2xx is healthy, anything else, redirects included, is not.
    Http(String),
    /// Something accepts a TCP connection on the app's port.
    Tcp,
    /// The image's own `HEALTHCHECK` says `healthy`.
    Docker,
    /// This command, run inside the container, exits 0.
    Command(Vec<String>),
    /// It keeps running this long without a restart.
    StaysUp(#[serde(with = "duration::text")] Duration),
}

impl HealthCheck {
    /// How long "stays up" is when nothing is declared.
    pub const DEFAULT_STAYS_UP: Duration = Duration::from_secs(5);
    /// The deadline of a probe when none is declared.
    pub const DEFAULT_WITHIN: Duration = Duration::from_secs(30);

    /// Runs for this long without a restart.
    #[must_use]
    pub const fn stays_up(window: Duration) -> Self {
        Self { probe: Probe::StaysUp(window), within: window }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self::stays_up(Self::DEFAULT_STAYS_UP)
    }
}

impl std::fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let within = duration::format(self.within);
        match &self.probe {
            Probe::Http(path) => write!(f, "http {} within {within}", printable(path, SHOWN)),
            Probe::Tcp => write!(f, "tcp within {within}"),
            Probe::Docker => write!(f, "docker HEALTHCHECK within {within}"),
            Probe::Command(command) => {
                write!(f, "command {} within {within}", printable(&command.join(" "), SHOWN))
            }
            Probe::StaysUp(window) => write!(f, "stays up {}", duration::format(*window)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_declares_cannot_move_the_cursor() {
        for (probe, shown) in [
            (Probe::Http("/\x1b[2J".to_owned()), r"http /\u{1b}[2J within 5s"),
            (Probe::Command(vec!["true".to_owned(), "a\nb".to_owned()]), r"command true a\nb within 5s"),
            (Probe::Tcp, "tcp within 5s"),
        ] {
            assert_eq!(HealthCheck { probe, within: Duration::from_secs(5) }.to_string(), shown);
        }
    }
}
