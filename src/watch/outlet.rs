//! The way out: every observation leaves the room through here, with the host's name and its freshness on it.
//!
//! What the engine says, in the reason of a gap, goes out without values of the vault. Log lines have none any more when they
//! come here: they are masked while they are whole.
//!
//! **Freshness.** A fact is live when it comes out within [`LIVE`] of its stamp by the host's own clock, and backlog
//! otherwise. That one rule covers all cases: what an app logged during an outage, what a slow consumer takes late,
//! what the engine had in store. Only what is asked for as history, and what happened before the host was first looked at, is
//! backlog whatever its age. The host's clock is
//! read when it is connected to and every minute from then on, so it may be as wrong as it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use crate::fleet::{Fact, Freshness, HostName, Observation, Subject, Timestamp};
use crate::secrets::Redactor;

/// How old a fact may be to count as having just happened.
pub(super) const LIVE: Duration = Duration::from_secs(10);

/// Nobody takes observations any more.
#[derive(Debug)]
pub(super) struct Closed;

/// The host's clock, as far as it is known here.
#[derive(Debug)]
pub(super) struct HostClock {
    base: Instant,
    /// What the host's clock showed at `base`, in nanoseconds since the epoch.
    at_base: AtomicI64,
    /// What it showed when it was first looked at: what is older was not seen as it happened.
    begun: AtomicI64,
}

impl HostClock {
    /// A clock that shows this.
    pub(super) fn showing(now: Timestamp) -> Self {
        Self {
            base: Instant::now(),
            at_base: AtomicI64::new(now.as_nanos()),
            begun: AtomicI64::new(i64::MIN),
        }
    }

    /// Takes what it shows for the time since when it is looked at, unless it was before.
    pub(super) fn begin(&self) {
        let now = self.now().as_nanos();
        let _ = self.begun.compare_exchange(i64::MIN, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Sets it. When it was set back, all that is stamped by it from now on is new again.
    pub(super) fn set(&self, now: Timestamp) {
        let at_base = now - self.base.elapsed();
        self.at_base.store(at_base.as_nanos(), Ordering::Relaxed);
        self.begun.fetch_min(now.as_nanos(), Ordering::Relaxed);
    }

    /// What it shows.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.at_base.load(Ordering::Relaxed)) + self.base.elapsed()
    }

    /// Whether something of that time has just happened.
    pub(super) fn freshness(&self, at: Timestamp) -> Freshness {
        let is_seen = at.as_nanos() >= self.begun.load(Ordering::Relaxed);
        if is_seen && self.now().since(at) <= LIVE { Freshness::Live } else { Freshness::Backlog }
    }
}

/// Where the observations of one host go.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    host: HostName,
    clock: Arc<HostClock>,
    sender: mpsc::Sender<Observation>,
    redactor: Redactor,
    /// How many observations were given out, by all hosts.
    told: Arc<AtomicU64>,
}

impl Outlet {
    /// For a host.
    pub(super) fn new(
        host: HostName,
        clock: Arc<HostClock>,
        sender: mpsc::Sender<Observation>,
        redactor: Redactor,
        told: Arc<AtomicU64>,
    ) -> Self {
        Self { host, clock, sender, redactor, told }
    }

    /// The host.
    pub(super) const fn host(&self) -> &HostName {
        &self.host
    }

    /// How many observations were given out so far.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// What masks the values of the vault.
    pub(super) const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The host's clock.
    pub(super) fn clock(&self) -> &HostClock {
        &self.clock
    }

    /// Gives out a fact about a container, as fresh as it is. Waits while the queue is full.
    pub(super) async fn tell(&self, subject: &Arc<Subject>, at: Timestamp, fact: Fact) -> Result<(), Closed> {
        let freshness = self.clock.freshness(at);
        self.send(Some(subject), at, freshness, fact).await
    }

    /// Gives out a fact about a container that was caught up with.
    pub(super) async fn recall(
        &self,
        subject: &Arc<Subject>,
        at: Timestamp,
        fact: Fact,
    ) -> Result<(), Closed> {
        self.send(Some(subject), at, Freshness::Backlog, fact).await
    }

    /// Gives out a fact about a container, or the host itself, that is true now.
    pub(super) async fn tell_now(&self, subject: Option<&Arc<Subject>>, fact: Fact) -> Result<(), Closed> {
        self.send(subject, self.clock.now(), Freshness::Live, fact).await
    }

    async fn send(
        &self,
        subject: Option<&Arc<Subject>>,
        at: Timestamp,
        freshness: Freshness,
        fact: Fact,
    ) -> Result<(), Closed> {
        let fact = self.masked(fact);
        let host = self.host.clone();
        let observation = Observation { at, host, subject: subject.cloned(), freshness, fact };
        match self.sender.try_send(observation) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Err(Closed),
            // Whoever waits is served in the order in which they came, one observation each: fair turns for all containers.
            Err(TrySendError::Full(observation)) => {
                self.sender.send(observation).await.map_err(|_| Closed)?
            }
        }
        self.told.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn masked(&self, fact: Fact) -> Fact {
        let mask = |reason: String| self.redactor.redact(&reason).into_owned();
        match fact {
            Fact::Gap { reason } => Fact::Gap { reason: mask(reason) },
            Fact::HostUnreachable { reason } => Fact::HostUnreachable { reason: mask(reason) },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happened_before_the_first_look_is_backlog() {
        let clock = HostClock::showing(Timestamp::from_seconds(1_000));
        clock.begin();
        assert_eq!(clock.freshness(Timestamp::from_seconds(999)), Freshness::Backlog);
        assert_eq!(clock.freshness(Timestamp::from_seconds(1_000)), Freshness::Live);
        tokio::time::advance(Duration::from_secs(60)).await;
        clock.begin();
        assert_eq!(clock.freshness(Timestamp::from_seconds(1_055)), Freshness::Live);
        // Set back by ten minutes: what happens there now is not old.
        clock.set(Timestamp::from_seconds(460));
        assert_eq!(clock.freshness(Timestamp::from_seconds(461)), Freshness::Live);
    }

    #[tokio::test(start_paused = true)]
    async fn freshness_goes_by_the_hosts_clock() {
        // A host whose clock is years off.
        let clock = HostClock::showing(Timestamp::from_seconds(1_000));
        let line = Timestamp::from_seconds(1_001);
        assert_eq!(clock.freshness(line), Freshness::Live);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.freshness(line), Freshness::Live);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.freshness(line), Freshness::Backlog);
        clock.set(Timestamp::from_seconds(500));
        assert_eq!(clock.now(), Timestamp::from_seconds(500));
        assert_eq!(clock.freshness(Timestamp::from_seconds(480)), Freshness::Backlog);
        assert_eq!(clock.freshness(Timestamp::from_seconds(499)), Freshness::Live);
    }
}
