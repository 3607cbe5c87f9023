//! Blue/green: the new release is started beside the old one, and Caddy is made to lead to it once it is healthy.
//!
//! Nothing that serves is touched until Caddy itself says that it leads to the new release. Then names are given and the
//! old release finishes what it is answering. How a swap goes on from any line on which it can be cut off is not written
//! here but in [`super::slots`], which looks at the containers and at Caddy and knows nothing of us; the good end of a
//! swap, the repair after a crash and the way back after a failure are all the same call of [`settle`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::caddy::{self, Problem, Route};
use super::error::Error;
use super::event::Step;
use super::health::{self, Verdict};
use super::lock::Lock;
use super::remote::Remote;
use super::situation::{Found, Situation};
use super::slots::{Mend, Routed, mends, unsettled};
use super::sockets::{Idle, busy};
use super::switch::{Change, Failure};
use crate::fleet::text::plural;
use crate::fleet::{BlueGreen, ContainerId, duration};

/// The pause between two looks at what is still being answered.
const DRAIN_POLL: Duration = Duration::from_millis(250);
/// Nothing is being answered only when two looks agree: between them a request may be on its way in.
const QUIET: u32 = 2;

/// The slots of what is there: by those the repair of an interrupted change goes, not by what arcane.toml says now.
fn declared(situation: &Situation) -> Option<&BlueGreen> {
    let found = situation.candidate.iter().chain(&situation.live).chain(&situation.old);
    let mut slotted = found.filter(|found| found.record.slot.is_some());
    slotted.find_map(|found| found.record.app.blue_green.as_ref())
}

/// The slots between which a change was cut off, if one was: those of the containers that are there.
pub(super) fn cut_off(situation: &Situation) -> Option<&BlueGreen> {
    declared(situation).filter(|_| unsettled(situation))
}

/// The slots of a swap, and the one of them that is the candidate's.
pub(super) struct Slots {
    pub(super) of: BlueGreen,
    pub(super) slot: u16,
    /// Whether the candidate is known to be no good although Caddy leads to it.
    pub(super) condemned: AtomicBool,
}

/// A change at the point where it is to be settled: the connection and the lock may be others than it began with.
struct Settling<'a> {
    remote: &'a Remote,
    lock: &'a Lock,
    change: &'a Change<'a>,
    slots: &'a BlueGreen,
}

impl Settling<'_> {
    /// Brings containers, names, file and Caddy to where the slots are settled.
    async fn settle(&self) -> Result<(), Error> {
        let situation = self.remote.app(&self.change.app.name).await?.situation;
        let route = Route::look(self.remote, self.slots).await?;
        let routed = Routed { ports: self.slots.ports, file: route.upstream.port, running: route.running };
        let mends = mends(&self.change.app.name, &situation, routed).map_err(|dispute| {
            let live = situation.live.as_ref().map_or_else(|| "nothing".to_owned(), |live| live.name.clone());
            let problem = Problem::Disputed { port: dispute.port, container: dispute.container, live };
            Error::caddy(self.remote.name(), problem)
        })?;
        for mend in &mends {
            self.mend(&situation, Some(&route), mend).await?;
        }
        Ok(())
    }

    /// Lets a candidate go that Caddy was never made to lead to, so that Caddy need not be asked.
    async fn dismiss(&self, before: &Situation, slot: u16) -> Result<(), Error> {
        let situation = self.remote.app(&self.change.app.name).await?.situation;
        let live = before.live.as_ref().and_then(|live| live.record.host_port());
        let port = live.unwrap_or_else(|| self.slots.other(slot));
        let routed = Routed { ports: self.slots.ports, file: port, running: Some(port) };
        // What somebody had stopped stays so.
        let ran = before.live.as_ref().is_some_and(|live| live.running);
        let mends = mends(&self.change.app.name, &situation, routed).unwrap_or_default();
        for mend in mends.into_iter().filter(|mend| ran || !matches!(mend, Mend::Start(_))) {
            self.mend(&situation, None, &mend).await?;
        }
        Ok(())
    }

    async fn guarded(&self, step: Step, detail: impl Into<String>) -> Result<(), Error> {
        self.lock.check(self.remote.name()).await?;
        self.change.step(step, detail);
        Ok(())
    }

    async fn mend(&self, situation: &Situation, route: Option<&Route>, mend: &Mend) -> Result<(), Error> {
        let (engine, app) = (&self.remote.engine, self.change.app);
        let name = |id: &ContainerId| situation.find(id).map_or_else(String::new, |found| found.name.clone());
        match mend {
            Mend::Route(port) => {
                self.guarded(Step::Route, format!("to localhost:{port}")).await?;
                if let Some(route) = route {
                    route.restore(self.remote, *port).await?;
                }
            }
            Mend::Start(id) => {
                self.guarded(Step::Start, name(id)).await?;
                engine.start(&id.0).await?;
            }
            Mend::Rename(id, to) => {
                let step = if *to == app.name.as_str() { Step::Switch } else { Step::Rename };
                self.guarded(step, format!("{} to {to}", name(id))).await?;
                engine.rename(&id.0, to).await?;
            }
            Mend::Retire(id) => {
                if let Some(found) = situation.find(id) {
                    let idle = if route.is_some_and(Route::closes_idle) { Idle::Closed } else { Idle::Kept };
                    self.retire(found, idle).await?;
                }
            }
            Mend::Discard(id, release) => {
                self.guarded(Step::Tidy, name(id)).await?;
                engine.stop(&id.0, app.stop_timeout).await?;
                engine.discard(&id.0).await?;
                let app = situation.find(id).map_or(app, |found| &found.record.app);
                super::switch::let_go(self.remote, app, release).await;
            }
            Mend::Remove(id) => {
                self.guarded(Step::Tidy, name(id)).await?;
                engine.stop(&id.0, app.stop_timeout).await?;
                engine.remove(&id.0).await?;
            }
        }
        Ok(())
    }

    /// Lets a container finish, then stops it. Nothing leads to it any more.
    async fn retire(&self, found: &Found, idle: Idle) -> Result<(), Error> {
        if let Some(port) = found.record.host_port() {
            self.drain(port, idle).await?;
        }
        self.guarded(Step::Stop, found.record.release.as_str()).await?;
        self.remote.engine.stop(&found.id.0, found.record.app.stop_timeout).await?;
        Ok(())
    }

    /// Waits until nothing is answered on a port any more, or the time for that is up.
    async fn drain(&self, port: u16, idle: Idle) -> Result<(), Error> {
        let deadline = Instant::now() + self.slots.drain;
        let mut quiet = 0;
        let mut told = None;
        loop {
            let open = busy(self.remote, port, idle).await?;
            quiet = if open == 0 { quiet + 1 } else { 0 };
            if quiet >= QUIET || Instant::now() >= deadline {
                return Ok(());
            }
            if open > 0 && told != Some(open) {
                let limit = duration::format(self.slots.drain);
                let connections = plural(open, "busy connection");
                self.guarded(Step::Drain, format!("{connections} to localhost:{port}, up to {limit}"))
                    .await?;
                told = Some(open);
            }
            tokio::select! {
                () = sleep(DRAIN_POLL) => {}
                // Nothing is left to be given up: the swap has happened, and only patience ends.
                () = self.change.cancel.cancelled() => return Ok(()),
            }
        }
    }
}

impl Change<'_> {
    /// Swaps the slots: the candidate serves in the end, or what was live before does still.
    ///
    /// # Errors
    /// As [`Change::switch`].
    pub(super) async fn swap_slots(
        &self,
        situation: &Situation,
        candidate: &ContainerId,
        slots: &Slots,
    ) -> Result<(), Error> {
        let begun = std::time::Instant::now();
        let done = match self.lead_and_watch(slots, candidate).await {
            Ok(()) => self.settling(self.remote, self.lock, slots).settle().await.map_err(Failure::Broken),
            failed => failed,
        };
        match done {
            Ok(()) => Ok(()),
            Err(failure) => self.boomerang(situation, candidate, failure, begun).await,
        }
    }

    async fn lead_and_watch(&self, slots: &Slots, candidate: &ContainerId) -> Result<(), Failure> {
        self.lead_to(slots, candidate).await?;
        if self.fresh.is_none() || self.app.bake.is_zero() {
            return Ok(());
        }
        // The release before still runs and is led to again at once.
        let watched = self.bake(candidate).await;
        slots.condemned.store(watched.is_err(), Ordering::Relaxed);
        watched
    }

    /// The way back of a swap that failed, or forward when Caddy leads to the candidate already.
    pub(super) async fn undo_slots(
        &self,
        remote: &Remote,
        lock: &Lock,
        slots: &Slots,
        before: &Situation,
    ) -> Result<(), Error> {
        let settling = self.settling(remote, lock, slots);
        if self.touched.load(Ordering::Relaxed) {
            if slots.condemned.load(Ordering::Relaxed)
                && before.live.as_ref().is_some_and(|live| live.running)
            {
                let back = slots.of.other(slots.slot);
                settling.guarded(Step::Route, format!("back to localhost:{back}")).await?;
                Route::look(remote, &slots.of).await?.restore(remote, back).await?;
            }
            settling.settle().await
        } else {
            settling.dismiss(before, slots.slot).await
        }
    }

    fn settling<'s>(&'s self, remote: &'s Remote, lock: &'s Lock, slots: &'s Slots) -> Settling<'s> {
        Settling { remote, lock, change: self, slots: &slots.of }
    }

    /// The slot for a new release: the one that Caddy does not lead to.
    ///
    /// # Errors
    /// When it is not plain which one that is, or no Caddy runs.
    pub(super) async fn free_slot(&self, of: &BlueGreen) -> Result<Slots, Error> {
        // File, Caddy and the live release may disagree although no container shows it.
        self.settle_slots(of).await?;
        let live = Route::look(self.remote, of).await?.live()?;
        Ok(Slots { of: of.clone(), slot: of.other(live), condemned: AtomicBool::new(false) })
    }

    /// Settles what an interrupted change left between two slots.
    pub(super) async fn settle_slots(&self, slots: &BlueGreen) -> Result<(), Error> {
        Settling { remote: self.remote, lock: self.lock, change: self, slots }.settle().await
    }

    /// Starts the candidate in its slot and makes Caddy lead to it. Whatever was cut off or went wrong after that is
    /// for [`Settling::settle`] to judge.
    pub(super) async fn lead_to(&self, slots: &Slots, candidate: &ContainerId) -> Result<(), Failure> {
        let slot = slots.slot;
        self.interrupted()?;
        let route = Route::look(self.remote, &slots.of).await?;
        let from = route.live()?;
        // Before anything is started: what Caddy would not take needs no healthy release.
        let tried = route.attempt(self.remote, slot).await?;
        self.guarded(Step::Start, format!("{} on localhost:{slot}", self.release)).await?;
        self.remote.engine.start(&candidate.0).await?;
        self.step(Step::Health, self.app.health.to_string());
        let verdict = tokio::select! {
            verdict = health::wait(self.remote, candidate, self.app) => verdict?,
            () = self.cancel.cancelled() => {
                let state = "the new release was being checked".to_owned();
                return Err(Failure::Broken(Error::Interrupted { state }));
            }
        };
        if let Verdict::Unhealthy(why) = verdict {
            return Err(Failure::Unhealthy(why));
        }
        let line = route.upstream.line;
        let streams = route.cuts_streams().map(|warning| format!("; {warning}")).unwrap_or_default();
        let detail = format!("localhost:{from} to localhost:{slot}, line {line} of the Caddyfile{streams}");
        self.guarded(Step::Route, detail).await?;
        self.touched.store(true, Ordering::Relaxed);
        route.replace(self.remote, &tried).await?;
        caddy::load(self.remote, &slots.of, slot).await?;
        Ok(())
    }
}
