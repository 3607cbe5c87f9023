//! What time it is on each host. Observations bring their own time; whoever runs the engine says how much of it passes
//! without any, by a clock of their own, which may be off by hours. So the difference is read from what comes live.

use std::time::Duration;

use super::bounded::Bounded;
use crate::fleet::{Fact, Freshness, HostName, Observation, Timestamp};

/// Hosts kept track of.
const HOSTS: usize = 10_000;

/// A host that is back in sight is read within this time.
const SETTLES: Duration = Duration::from_secs(10);

/// A clock that gains so much at once was set. What comes live is at most ten seconds late, so it is no clock that was
/// thought slow because everything of it came late.
const SET_FORWARD: Duration = Duration::from_secs(15);

/// Something live that is so much older than it should be tells that the clock was set back: more than what comes live
/// can be late, and be kept waiting here.
pub(super) const SET_BACK: Duration = Duration::from_secs(30);

/// The clocks of all hosts.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    now: Option<Timestamp>,
    hosts: Bounded<HostName, HostClock>,
}

/// How a host's clock stands to ours.
#[derive(Debug, Clone, Default)]
struct HostClock {
    /// Nanoseconds that it is ahead, at least: what comes late makes it look behind.
    ahead: Option<i64>,
    /// Nothing is known of the present: it cannot be reached, or our own clock jumped.
    lost: bool,
    /// When it was last seen to be back, by its own clock: what changed meanwhile is read only then.
    back: Option<Timestamp>,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { now: None, hosts: Bounded::new(HOSTS) }
    }

    /// It is `now` by the clock of whoever runs the engine.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = Some(now);
    }

    /// Learns from what came. Whether it tells that the host's clock was set: how long something has lasted there cannot
    /// be told from times before that.
    pub(super) fn learn(&mut self, observation: &Observation) -> bool {
        let unreachable = matches!(observation.fact, Fact::HostUnreachable { .. });
        let known = self.hosts.get(&observation.host);
        if !unreachable && observation.freshness != Freshness::Live && known.is_some() {
            return false;
        }
        let now = self.now.unwrap_or(observation.at);
        let ahead = observation.at.as_nanos().saturating_sub(now.as_nanos());
        // Looked up first: a line must not cost more than that.
        if known.is_some_and(|clock| !clock.lost && clock.is_late(ahead)) && !unreachable {
            return false;
        }
        let clock = self.hosts.entry(&observation.host);
        let set = !unreachable && clock.was_set(ahead);
        if (clock.lost || set) && !unreachable {
            clock.back = Some(observation.at);
        }
        clock.lost = unreachable;
        clock.ahead = if set { Some(ahead) } else { clock.ahead.max(Some(ahead)) };
        set
    }

    /// Nothing is believed of the host until something live is heard of it: its clock seems to have been set.
    pub(super) fn doubt(&mut self, host: &HostName) {
        self.hosts.entry(host).lost = true;
    }

    /// The clock of whoever runs the engine has jumped: nothing is believed of any host until it is heard again.
    pub(super) fn forget(&mut self) {
        self.now = None;
        for (_, clock) in self.hosts.iter_mut() {
            *clock = HostClock { ahead: None, lost: true, back: None };
        }
    }

    /// What time it is on a host, if that can be said.
    pub(super) fn time_on(&self, host: &HostName) -> Option<Timestamp> {
        let clock = self.hosts.get(host)?;
        let now = self.now?.as_nanos();
        let time = Timestamp::from_nanos(now.saturating_add(clock.ahead.unwrap_or(0)));
        let settled = clock.back.is_none_or(|back| time >= back + SETTLES || time < back);
        (!clock.lost && settled).then_some(time)
    }

    /// When [`Self::time_on`] a host will first be `time` or later, by the clock of whoever runs the engine, if nothing more
    /// is learnt of it. Not later than that, but perhaps earlier; `None` is never.
    pub(super) fn moment(&self, host: &HostName, time: Timestamp) -> Option<Timestamp> {
        let clock = self.hosts.get(host).filter(|clock| !clock.lost)?;
        let settled = clock.back.filter(|back| time >= *back).map(|back| back + SETTLES);
        let time = settled.map_or(time, |settled| time.max(settled));
        Some(Timestamp::from_nanos(time.as_nanos().saturating_sub(clock.ahead.unwrap_or(0))))
    }
}

impl HostClock {
    /// Whether what would make the clock so many nanoseconds ahead has only come late.
    fn is_late(&self, ahead: i64) -> bool {
        self.ahead.is_some_and(|known| known >= ahead && known.saturating_sub(ahead) < nanos(SET_BACK))
    }

    /// Whether it was set since it was known how much it is ahead.
    fn was_set(&self, ahead: i64) -> bool {
        self.ahead.is_some_and(|known| {
            ahead.saturating_sub(known) > nanos(SET_FORWARD) || known.saturating_sub(ahead) >= nanos(SET_BACK)
        })
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(host: &str, at: i64, fact: Fact) -> Observation {
        Observation {
            at: Timestamp::from_seconds(at),
            host: HostName::parse(host).unwrap(),
            subject: None,
            freshness: Freshness::Live,
            fact,
        }
    }

    #[test]
    fn each_host_has_a_time_of_its_own() {
        let mut clocks = Clocks::new();
        let time = |clocks: &Clocks, host: &str| {
            clocks.time_on(&HostName::parse(host).unwrap()).map(Timestamp::as_seconds)
        };
        clocks.advance(Timestamp::from_seconds(1000));
        clocks.learn(&seen("ahead", 4600, Fact::HostReachable));
        clocks.learn(&seen("late", 990, Fact::HostReachable));
        clocks.advance(Timestamp::from_seconds(1010));
        assert_eq!(
            (time(&clocks, "ahead"), time(&clocks, "late"), time(&clocks, "new")),
            (Some(4610), Some(1000), None)
        );
        clocks.learn(&seen("late", 1009, Fact::HostReachable));
        assert_eq!(time(&clocks, "late"), Some(1009), "what came late was no slow clock");
        let lost = Fact::HostUnreachable { reason: String::new() };
        clocks.learn(&seen("late", 1009, lost));
        assert_eq!(time(&clocks, "late"), None);
        clocks.learn(&seen("late", 1010, Fact::HostReachable));
        assert_eq!(time(&clocks, "late"), None, "what it was like meanwhile is not known yet");
        clocks.advance(Timestamp::from_seconds(1021));
        assert_eq!(time(&clocks, "late"), Some(1021));
        clocks.forget();
        clocks.advance(Timestamp::from_seconds(99_999));
        assert_eq!(time(&clocks, "ahead"), None, "our own clock jumped");
        clocks.learn(&seen("ahead", 4700, Fact::HostReachable));
        assert_eq!(time(&clocks, "ahead"), None);
        clocks.advance(Timestamp::from_seconds(99_999 + 10));
        assert_eq!(time(&clocks, "ahead"), Some(4710));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed() {
        let mut clocks = Clocks::new();
        let host = HostName::parse("web1").unwrap();
        let time = |clocks: &Clocks| clocks.time_on(&host).map(Timestamp::as_seconds);
        let mut at = |now: i64, shown: i64| {
            clocks.advance(Timestamp::from_seconds(now));
            (clocks.learn(&seen("web1", shown, Fact::HostReachable)), time(&clocks))
        };
        assert_eq!(at(1000, 4600), (false, Some(4600)));
        assert_eq!(at(1010, 4605), (false, Some(4610)), "it came five seconds late");
        assert_eq!(at(1020, 1020), (true, None), "set back by an hour");
        assert_eq!(at(1021, 1021), (false, None));
        assert_eq!(at(1031, 1031), (false, Some(1031)));
        assert_eq!(at(1040, 8240), (true, None), "set forward by two");
        assert_eq!(at(1050, 8250), (false, Some(8250)));
        clocks.doubt(&host);
        assert_eq!(time(&clocks), None);
    }
}
