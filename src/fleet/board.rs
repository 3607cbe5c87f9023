//! How well the fleet is seen: per host and per log, whether what comes of it is what happens now, and since when not.
//! Made of observations alone, by whoever wants to know; a host that cannot be reached is not down, and an app that is not
//! heard of is not silent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::name::{AppName, HostName};
use super::observation::{ContainerId, Fact, LogState, Observation};
use super::time::Timestamp;

/// A host that was lost is being connected to again; after this it counts as one that cannot be reached.
pub const RECONNECTING: Duration = Duration::from_secs(20);
/// Logs that are kept in mind at most.
const LOGS: usize = 65_536;

/// How well a host is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSight {
    /// Nothing came of it yet.
    Unknown,
    /// What happens there is seen.
    Live,
    /// It was lost a moment ago, and is being connected to.
    Reconnecting {
        /// When it was lost.
        since: Timestamp,
    },
    /// It cannot be reached. That says nothing about its apps.
    Unreachable {
        /// When it was lost.
        since: Timestamp,
        /// What failed first.
        reason: String,
    },
}

/// How well a log is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSight {
    /// Nothing was said of it yet.
    Unknown,
    /// What is written is seen.
    Live,
    /// What is seen was written so long ago.
    Behind(Duration),
    /// Nothing is seen of it.
    Stale {
        /// When the last was.
        since: Timestamp,
    },
    /// It cannot be read at all.
    EventsOnly,
}

/// A change that a person following along wants to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The log of this app on this host is so far behind.
    Behind(HostName, AppName, Duration),
    /// It has caught up.
    CaughtUp(HostName, AppName),
}

/// Keeps book of it. Times are those of whoever keeps it.
#[derive(Debug, Clone, Default)]
pub struct Board {
    hosts: BTreeMap<HostName, Option<(Timestamp, String)>>,
    logs: BTreeMap<(HostName, ContainerId), Log>,
}

#[derive(Debug, Clone)]
struct Log {
    app: AppName,
    state: LogState,
    /// When it came to be so.
    since: Timestamp,
}

impl Board {
    /// Takes note of an observation that came at `now`.
    pub fn note(&mut self, now: Timestamp, observation: &Observation) -> Option<Turn> {
        let host = &observation.host;
        match (&observation.fact, &observation.subject) {
            (Fact::HostReachable, _) => drop(self.hosts.insert(host.clone(), None)),
            (Fact::HostUnreachable { reason }, _) => {
                let sight = self.hosts.entry(host.clone()).or_default();
                sight.get_or_insert_with(|| (now, reason.clone()));
            }
            (Fact::Destroyed, Some(subject)) => {
                self.logs.remove(&(host.clone(), subject.container.clone()));
            }
            (Fact::Log { state }, Some(subject)) => {
                let key = (host.clone(), subject.container.clone());
                let log = Log { app: subject.app.clone(), state: state.clone(), since: now };
                if self.logs.len() >= LOGS && !self.logs.contains_key(&key) {
                    return None;
                }
                let before = self.logs.insert(key, log).map(|log| log.state);
                return turn(host, &subject.app, before.as_ref(), state);
            }
            _ => {}
        }
        None
    }

    /// How well a host is seen.
    #[must_use]
    pub fn host(&self, host: &HostName, now: Timestamp) -> HostSight {
        match self.hosts.get(host) {
            None => HostSight::Unknown,
            Some(None) => HostSight::Live,
            Some(Some((since, _))) if now.since(*since) < RECONNECTING => {
                HostSight::Reconnecting { since: *since }
            }
            Some(Some((since, reason))) => HostSight::Unreachable { since: *since, reason: reason.clone() },
        }
    }

    /// How well the log of a container is seen.
    #[must_use]
    pub fn log(&self, host: &HostName, container: &ContainerId) -> LogSight {
        let Some(log) = self.logs.get(&(host.clone(), container.clone())) else { return LogSight::Unknown };
        match (&log.state, self.hosts.get(host)) {
            (LogState::EventsOnly { .. }, _) => LogSight::EventsOnly,
            (LogState::Interrupted { .. }, _) => LogSight::Stale { since: log.since },
            (_, Some(Some((since, _)))) => LogSight::Stale { since: *since },
            (LogState::Behind { by }, _) => LogSight::Behind(*by),
            (LogState::Live, _) => LogSight::Live,
        }
    }

    /// The hosts that something is known of.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys()
    }

    /// The logs that something is known of: host, app and container.
    pub fn logs(&self) -> impl Iterator<Item = (&HostName, &AppName, &ContainerId)> {
        self.logs.iter().map(|((host, container), log)| (host, &log.app, container))
    }
}

fn turn(host: &HostName, app: &AppName, before: Option<&LogState>, now: &LogState) -> Option<Turn> {
    match (before, now) {
        (_, LogState::Behind { by }) => Some(Turn::Behind(host.clone(), app.clone(), *by)),
        (Some(LogState::Behind { .. }), LogState::Live) => Some(Turn::CaughtUp(host.clone(), app.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fleet::{Freshness, ReleaseId, Role, Subject};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn host() -> HostName {
        HostName::parse("web1").unwrap()
    }

    fn container() -> ContainerId {
        ContainerId("0123456789abcdef".to_owned())
    }

    fn seen(of_container: bool, fact: Fact) -> Observation {
        let subject = of_container.then(|| {
            Arc::new(Subject {
                app: AppName::parse("shop").unwrap(),
                release: ReleaseId::parse("20261125-184203-3f2c").unwrap(),
                container: container(),
                role: Role::Live,
                profile: crate::fleet::Profile::default(),
            })
        });
        // A host whose clock is years off.
        Observation { at: at(7), host: host(), subject, freshness: Freshness::Live, fact }
    }

    fn log(state: LogState) -> Observation {
        seen(true, Fact::Log { state })
    }

    #[test]
    fn a_host_that_is_lost_is_connected_to_for_a_while_before_it_counts_as_unreachable() {
        let mut board = Board::default();
        let lost = |reason: &str| seen(false, Fact::HostUnreachable { reason: reason.to_owned() });
        assert_eq!(board.host(&host(), at(0)), HostSight::Unknown);
        board.note(at(10), &seen(false, Fact::HostReachable));
        board.note(at(10), &log(LogState::Live));
        assert_eq!(
            (board.host(&host(), at(99)), board.log(&host(), &container())),
            (HostSight::Live, LogSight::Live)
        );
        board.note(at(100), &lost("reset"));
        board.note(at(105), &lost("no route"));
        assert_eq!(board.host(&host(), at(119)), HostSight::Reconnecting { since: at(100) });
        let unreachable = HostSight::Unreachable { since: at(100), reason: "reset".to_owned() };
        assert_eq!(board.host(&host(), at(120)), unreachable);
        // Its logs are as old as that, though nobody said so of each.
        assert_eq!(board.log(&host(), &container()), LogSight::Stale { since: at(100) });
        board.note(at(200), &seen(false, Fact::HostReachable));
        assert_eq!(
            (board.host(&host(), at(201)), board.log(&host(), &container())),
            (HostSight::Live, LogSight::Live)
        );
    }

    #[test]
    fn a_log_is_as_its_last_news_says() {
        let mut board = Board::default();
        let (app, by) = (AppName::parse("shop").unwrap(), Duration::from_secs(12));
        assert_eq!(board.log(&host(), &container()), LogSight::Unknown);
        assert_eq!(board.note(at(1), &log(LogState::Live)), None);
        let behind = Some(Turn::Behind(host(), app.clone(), by));
        assert_eq!(board.note(at(2), &log(LogState::Behind { by })), behind);
        assert_eq!(board.log(&host(), &container()), LogSight::Behind(by));
        assert_eq!(board.note(at(3), &log(LogState::Live)), Some(Turn::CaughtUp(host(), app)));
        assert_eq!(board.note(at(4), &log(LogState::Interrupted { since: at(7) })), None);
        assert_eq!(board.log(&host(), &container()), LogSight::Stale { since: at(4) });
        let reason = "none".to_owned();
        board.note(at(5), &log(LogState::EventsOnly { reason }));
        assert_eq!(board.log(&host(), &container()), LogSight::EventsOnly);
        assert_eq!(board.logs().count(), 1);
        board.note(at(6), &seen(true, Fact::Destroyed));
        assert_eq!((board.log(&host(), &container()), board.logs().count()), (LogSight::Unknown, 0));
    }

    #[test]
    fn the_state_of_a_log_reads_as_one_object() {
        let interrupted = Fact::Log { state: LogState::Interrupted { since: at(0) } };
        let json = r#"{"kind":"log","state":"interrupted","since":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(serde_json::to_string(&interrupted).unwrap(), json);
        assert_eq!(serde_json::from_str::<Fact>(json).unwrap(), interrupted);
        let behind = r#"{"kind":"log","state":"behind","by":"12s"}"#;
        let fact = Fact::Log { state: LogState::Behind { by: Duration::from_secs(12) } };
        assert_eq!(serde_json::from_str::<Fact>(behind).unwrap(), fact);
    }
}
