//! One task per host: connects, and as long as it is connected keeps what is known of its containers up to date.
//!
//! On connecting, events are subscribed to first and everything is read afterwards, so that nothing falls in between;
//! what was missed is inferred from the difference. Should too many events wait, that is a gap, and everything is
//! read anew.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::backoff::Backoff;
use super::events::{Events, Notice};
use super::history;
use super::outlet::{Closed, HostClock, Outlet};
use super::roster::{Occasion, Roster};
use super::sample::{Samples, sample};
use super::survey::{Selection, survey};
use super::watcher::{Exit, Options};
use crate::clock;
use crate::deploy::remote::Pool;
use crate::docker::{self, Engine};
use crate::fleet::text::printable;
use crate::fleet::{AppName, Fact, Host, Observation};

/// An app is looked at again this long after the first of several changes.
const SETTLE: Duration = Duration::from_millis(100);
/// How often everything is looked at again, and the host's clock read, whatever the events say.
const REVIEW: Duration = Duration::from_secs(60);
/// A connection that lasts this long was a good one.
const STEADY: Duration = Duration::from_secs(5);
/// Rounds of samples are at least this far apart.
const SHORTEST_ROUND: Duration = Duration::from_secs(1);
/// Without samples, the timer for them still has to have some length.
const NEVER: Duration = Duration::from_secs(3_600);
/// How much of an error is passed on, in characters.
const REASON: usize = 500;

/// The task of a host.
#[derive(Debug)]
pub(super) struct HostTask {
    host: Host,
    pool: Pool,
    outlet: Outlet,
    roster: Roster,
    options: Options,
    /// Whether somebody was told that the host cannot be reached.
    is_outage_told: bool,
    sampling: Option<AbortOnDropHandle<Samples>>,
    sender: mpsc::Sender<Observation>,
}

/// Why watching or reading a connected host stopped.
pub(super) enum Stop {
    /// Nobody listens any more.
    Closed,
    /// The connection, or the engine, is gone.
    Lost(String),
}

impl From<Closed> for Stop {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

impl From<docker::Error> for Stop {
    fn from(error: docker::Error) -> Self {
        Self::Lost(reason(&error))
    }
}

/// Apps whose situation may have changed, and when to look.
#[derive(Debug, Default)]
struct Changed {
    apps: BTreeSet<AppName>,
    look_at: Option<Instant>,
}

impl Changed {
    fn note(&mut self, app: Option<AppName>) {
        if let Some(app) = app {
            self.apps.insert(app);
            self.look_at.get_or_insert_with(|| Instant::now() + SETTLE);
        }
    }

    fn take(&mut self) -> Selection {
        self.look_at = None;
        Selection::Only(std::mem::take(&mut self.apps))
    }
}

impl HostTask {
    /// For a host.
    pub(super) fn new(host: Host, pool: Pool, options: &Options, exit: Exit) -> Self {
        let clock = Arc::new(HostClock::showing(clock::now()));
        let Exit { sender, told, places } = exit;
        let outlet = Outlet::new(host.name.clone(), clock, sender.clone(), pool.redactor().clone(), told);
        Self {
            host,
            pool,
            roster: Roster::new(outlet.clone(), options.clone(), places),
            outlet,
            options: options.clone(),
            is_outage_told: false,
            sampling: None,
            sender,
        }
    }

    /// Watches until nobody listens any more; or reads what there is to read.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let sender = self.sender.clone();
        let work = async {
            self.roster.remember().await;
            // Ends early only when nobody listens any more.
            let _ = if self.options.follow {
                self.keep_connected().await.map(|never| match never {})
            } else {
                self.read_once().await
            };
        };
        tokio::select! {
            () = work => {}
            () = sender.closed() => {}
            () = cancel.cancelled() => {}
        }
        self.roster.stop().await;
    }

    async fn read_once(&mut self) -> Result<(), Closed> {
        let stop = match self.pool.get(&self.host).await {
            Ok(remote) => history::tell(&remote.engine, &self.options, &self.outlet).await,
            Err(error) => Err(Stop::Lost(reason(&error))),
        };
        match stop {
            Ok(()) => Ok(()),
            Err(Stop::Closed) => Err(Closed),
            Err(Stop::Lost(reason)) => self.outlet.tell_now(None, Fact::HostUnreachable { reason }).await,
        }
    }

    async fn keep_connected(&mut self) -> Result<Infallible, Closed> {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let stop = match self.pool.get(&self.host).await {
                Ok(remote) => self.watch(&remote.engine).await,
                Err(error) => Err(Stop::Lost(reason(&error))),
            };
            self.roster.connect(None);
            let reason = match stop {
                Ok(never) => match never {},
                Err(Stop::Closed) => return Err(Closed),
                Err(Stop::Lost(reason)) => reason,
            };
            if !std::mem::replace(&mut self.is_outage_told, true) {
                self.outlet.tell_now(None, Fact::HostUnreachable { reason }).await?;
                if begun.elapsed() >= STEADY {
                    backoff.succeeded();
                }
            }
            sleep(backoff.failed()).await;
        }
    }

    async fn watch(&mut self, engine: &Engine) -> Result<Infallible, Stop> {
        self.read_clock(engine).await?;
        let since = self.roster.last_event().map(|at| at + Duration::from_nanos(1));
        let mut events = Events::subscribe(engine, since).await?;
        self.outlet.tell_now(None, Fact::HostReachable).await?;
        self.is_outage_told = false;
        let mut changed = Changed::default();
        self.survey(engine, &mut events, &mut changed, Occasion::Connected).await?;
        self.roster.connect(Some(engine.clone()));
        let mut review = ticker(REVIEW);
        let mut stats = ticker(self.options.stats_every.map_or(NEVER, |every| every.max(SHORTEST_ROUND)));
        loop {
            tokio::select! {
                notice = events.next() => match notice {
                    Notice::Event(event) => changed.note(self.roster.hear(&event).await?),
                    Notice::Lost => {
                        let reason = "events came faster than they were taken".to_owned();
                        self.outlet.tell_now(None, Fact::Gap { reason }).await?;
                        self.survey(engine, &mut events, &mut changed, Occasion::Connected).await?;
                    }
                    Notice::End(Some(error)) => return Err(error.into()),
                    Notice::End(None) => return Err(Stop::Lost("the engine stopped".to_owned())),
                },
                () = sleep_until(changed.look_at.unwrap_or_else(Instant::now)), if changed.look_at.is_some() => {
                    self.look_at(engine, &changed.take()).await?;
                }
                _ = review.tick() => {
                    self.read_clock(engine).await?;
                    self.survey(engine, &mut events, &mut changed, Occasion::Review).await?;
                }
                _ = stats.tick(), if self.options.stats_every.is_some() => {
                    if self.options.sampling.is_on() {
                        self.sample(engine).await;
                    }
                }
            }
        }
    }

    /// Looks at some apps again.
    async fn look_at(&mut self, engine: &Engine, scope: &Selection) -> Result<(), Stop> {
        let read_at = self.outlet.clock().now();
        let apps = survey(engine, scope, read_at).await?;
        Ok(self.roster.review(apps, scope, read_at, Occasion::Review).await?)
    }

    /// Reads everything that is watched and compares it with what is known.
    async fn survey(
        &mut self,
        engine: &Engine,
        events: &mut Events,
        changed: &mut Changed,
        occasion: Occasion,
    ) -> Result<(), Stop> {
        let read_at = self.outlet.clock().now();
        let scope = self.roster.selection().clone();
        let apps = survey(engine, &scope, read_at).await?;
        // What events have to say about the meantime is better than what can be inferred.
        while let Some(event) = events.waiting() {
            changed.note(self.roster.hear(&event).await?);
        }
        Ok(self.roster.review(apps, &scope, read_at, occasion).await?)
    }

    async fn read_clock(&self, engine: &Engine) -> Result<(), docker::Error> {
        let shown = engine.info().await?.system_time;
        self.outlet.clock().set(shown.unwrap_or_else(clock::now));
        self.outlet.clock().begin();
        Ok(())
    }

    /// Begins a round of samples, unless the last one is still under way.
    async fn sample(&mut self, engine: &Engine) {
        let before = match self.sampling.take() {
            Some(round) if !round.is_finished() => {
                self.sampling = Some(round);
                return;
            }
            Some(round) => round.await.unwrap_or_default(),
            None => Samples::new(),
        };
        let round = sample(engine.clone(), self.roster.running(), before);
        self.sampling = Some(AbortOnDropHandle::new(tokio::spawn(round)));
    }
}

fn ticker(period: Duration) -> Interval {
    let mut ticker = interval_at(Instant::now() + period, period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// An error with all its causes, as one line.
fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    printable(&text, REASON)
}
