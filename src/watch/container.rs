//! One task per container: everything about it goes through here, in order.
//!
//! Two sources meet: what the engine tells of the container, and the container's log. They come over different
//! connections, so when a container dies, the news of it overtakes its last words. Therefore the death is held back
//! until the log ends, or goes on with a line that is younger than the death, or is silent for [`GRACE`]; but never
//! longer than [`PATIENCE`]. What is told of the container meanwhile waits as well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::bookmark::Bookmark;
use super::join::Line;
use super::lag::Lag;
use super::outlet::{Closed, Outlet};
use super::tail::{Item, Step, Tail};
use super::watcher::Logs;
use crate::docker::{self, Engine};
use crate::fleet::text::printable;
use crate::fleet::{Fact, LogState, Subject, Timestamp};

/// How long the log must be silent for a death to be told that was held back for last words. The engine ends the log
/// of a container that died within some 20 ms; only a busy host comes near to this …
const GRACE: Duration = Duration::from_secs(1);
/// … and how long it is held back at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what the engine says is passed on, in characters.
const REASON: usize = 200;

/// News for a container's task.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened to it.
    Event(Timestamp, Fact),
    /// Something happened to it while nobody looked.
    Missed(Timestamp, Fact),
    /// It is so.
    State(Fact),
    /// It plays another part now.
    Subject(Arc<Subject>),
}

/// The task of a container.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) subject: Arc<Subject>,
    pub(super) outlet: Outlet,
    pub(super) inbox: mpsc::Receiver<Message>,
    /// The host's engine, while it is connected.
    pub(super) engine: watch::Receiver<Option<Engine>>,
    pub(super) logs: Logs,
    pub(super) log: Follow,
    pub(super) bookmark: Bookmark,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.bookmark.keep(&mut self.log.tail);
    }
}

/// What is done about the log.
#[derive(Debug)]
pub(super) struct Follow {
    tail: Tail,
    /// Whether it is to be opened, and from when on.
    due: Option<Instant>,
    backoff: Backoff,
    /// Whether it was begun and has not ended: then it is read to its end, whatever becomes of the container.
    is_owed: bool,
    /// Whether it was opened once more for an end that it did not have, and had nothing new since.
    is_chased: bool,
    /// The news of a death that waits for last words.
    held: Option<Held>,
    lag: Lag,
}

/// A death that is held back.
#[derive(Debug)]
struct Held {
    message: Message,
    /// When it happened.
    at: Timestamp,
    /// When to tell it if nothing more is logged.
    until: Instant,
    /// When to tell it in any case.
    limit: Instant,
}

impl Held {
    fn new(message: Message, at: Timestamp) -> Self {
        let now = Instant::now();
        Self { message, at, until: now + GRACE, limit: now + PATIENCE }
    }

    fn prolong(&mut self) {
        self.until = (Instant::now() + GRACE).min(self.limit);
    }
}

impl Follow {
    /// Opens the log as soon as the host is connected. One that another run of ours had begun is owed its end.
    pub(super) fn new(tail: Tail, is_owed: bool) -> Self {
        let (due, backoff) = (Some(Instant::now()), Backoff::default());
        Self { tail, due, backoff, is_owed, is_chased: false, held: None, lag: Lag::default() }
    }
}

impl Follower {
    /// Follows the container until its news end.
    pub(super) async fn run(mut self) -> Result<(), Closed> {
        loop {
            self.open_if_due().await?;
            self.bookmark.look(&mut self.log.tail);
            let alarm = self.alarm();
            tokio::select! {
                // What happens to a container comes before what it says, however much that is.
                biased;
                message = self.inbox.recv(), if self.log.held.is_none() => match message {
                    Some(message) => self.hear(message).await?,
                    None => {
                        self.log.tail.end_lines();
                        self.give_out().await?;
                        self.bookmark.remove();
                        return Ok(());
                    }
                },
                Ok(()) = self.engine.changed() => self.reconnected().await?,
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => self.wake().await?,
                step = self.log.tail.next() => self.step(step).await?,
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Closed> {
        match message {
            Message::Subject(subject) => {
                self.subject = subject;
                if self.is_admitted() && !self.log.tail.is_open() {
                    self.open_now();
                }
            }
            Message::State(fact) => {
                if matches!(fact, Fact::State { running: true, .. }) && !self.log.tail.is_open() {
                    self.open_now();
                }
                self.outlet.tell_now(Some(&self.subject), fact).await?;
            }
            Message::Event(at, Fact::Died { .. } | Fact::Destroyed)
            | Message::Missed(at, Fact::Died { .. } | Fact::Destroyed)
                if self.log.tail.is_open() =>
            {
                self.log.held = Some(Held::new(message, at));
            }
            Message::Event(at, fact) => {
                if fact == Fact::Started && !self.log.tail.is_open() {
                    self.log.tail.end_lines();
                    self.open_now();
                }
                self.outlet.tell(&self.subject, at, fact).await?;
            }
            Message::Missed(at, fact) => self.outlet.recall(&self.subject, at, fact).await?,
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), Closed> {
        match step {
            Step::Items => {
                self.log.backoff.succeeded();
                self.log.is_chased = false;
                self.give_out().await
            }
            Step::TooShort => {
                let widened = self.log.tail.widen(self.outlet.clock().now()).await;
                self.unless_failed(widened).await
            }
            Step::Ended => self.ended().await,
            Step::Failed(error) => self.unless_failed(Err(error)).await,
        }
    }

    /// The log ended. Either the container stopped, and its start will be told; or it runs again already, or the log
    /// ended for another reason: then a line that was cut goes on when the log does.
    ///
    /// An engine that is busy may end a log that it follows before it has sent all of it (seen with 20.10), so its last
    /// entry is looked at, and what is missing is fetched before a death is told.
    async fn ended(&mut self) -> Result<(), Closed> {
        let is_chased = std::mem::replace(&mut self.log.is_chased, true);
        let is_behind = !is_chased && self.log.tail.is_behind().await;
        self.log.tail.close();
        if is_behind {
            self.log.is_owed = true;
            self.open_now();
            return Ok(());
        }
        if self.log.held.is_some() {
            self.log.tail.end_lines();
            self.give_out().await?;
            self.release().await?;
        }
        self.log.is_owed = self.is_running().await;
        if self.log.is_owed {
            self.open_later();
        } else {
            self.log.tail.end_lines();
        }
        Ok(())
    }

    /// Gives out what was read.
    async fn give_out(&mut self) -> Result<(), Closed> {
        let mut newest = None;
        for item in self.log.tail.take() {
            match item {
                Item::Line(Line { at, stream, text }) => {
                    self.release_before(at).await?;
                    self.outlet.tell(&self.subject, at, Fact::Line { stream, text }).await?;
                    newest = Some(at);
                }
                Item::History(Line { at, stream, text }) => {
                    self.outlet.recall(&self.subject, at, Fact::Line { stream, text }).await?;
                }
                Item::Gap(reason) => self.gap(reason).await?,
            }
        }
        self.log.tail.given();
        if let Some(held) = &mut self.log.held {
            held.prolong();
        }
        let age = newest.map(|at| self.outlet.clock().now().since(at));
        match age.and_then(|age| self.log.lag.note(Instant::now(), age)) {
            Some(state) if self.log.tail.is_open() => self.tell_state(state).await,
            _ => Ok(()),
        }
    }

    /// Tells how the log is read, if that has changed.
    async fn tell_state(&mut self, state: LogState) -> Result<(), Closed> {
        if !self.log.lag.turns(&state) {
            return Ok(());
        }
        self.outlet.tell_now(Some(&self.subject), Fact::Log { state }).await
    }

    async fn interrupted(&mut self) -> Result<(), Closed> {
        let since = self.outlet.clock().now();
        self.tell_state(LogState::Interrupted { since }).await
    }

    /// Tells of deaths before that time, and of what came after them.
    async fn release_before(&mut self, at: Timestamp) -> Result<(), Closed> {
        while self.log.held.as_ref().is_some_and(|held| held.at < at) {
            self.release().await?;
            while self.log.held.is_none()
                && let Ok(message) = self.inbox.try_recv()
            {
                self.hear(message).await?;
            }
        }
        Ok(())
    }

    /// Tells what was held back.
    async fn release(&mut self) -> Result<(), Closed> {
        match self.log.held.take().map(|held| held.message) {
            Some(Message::Event(at, fact)) => self.outlet.tell(&self.subject, at, fact).await,
            Some(Message::Missed(at, fact)) => self.outlet.recall(&self.subject, at, fact).await,
            _ => Ok(()),
        }
    }

    async fn gap(&mut self, reason: String) -> Result<(), Closed> {
        self.outlet.tell_now(Some(&self.subject), Fact::Gap { reason }).await
    }

    async fn open_if_due(&mut self) -> Result<(), Closed> {
        if self.log.due.is_none_or(|due| due > Instant::now()) || !self.is_admitted() {
            return Ok(());
        }
        let Some(engine) = self.engine.borrow_and_update().clone() else {
            return Ok(());
        };
        self.log.due = None;
        let now = self.outlet.clock().now();
        let opened = self.log.tail.open(&engine, now).await;
        self.log.is_owed |= self.log.tail.is_open();
        if opened.is_ok() && self.log.tail.is_open() {
            self.tell_state(LogState::Live).await?;
        }
        self.unless_failed(opened).await
    }

    async fn unless_failed(&mut self, result: Result<(), docker::Error>) -> Result<(), Closed> {
        let Err(error) = result else { return Ok(()) };
        self.log.tail.close();
        match Failure::of(&error) {
            Failure::Passing => {
                // That the host is out of reach is told of the host.
                if self.log.backoff.is_fresh() && !error.is_unreachable() {
                    self.gap(format!("its log cannot be read now: {error}")).await?;
                }
                self.open_later();
                self.interrupted().await?;
            }
            // It is gone, or is about to be: events will tell.
            Failure::Gone => {}
            Failure::Unreadable => {
                let reason = format!("its log cannot be read, so only events are watched: {error}");
                (self.logs, self.log.is_owed) = (Logs::None, false);
                self.gap(reason).await?;
                let reason = printable(&error.to_string(), REASON);
                self.tell_state(LogState::EventsOnly { reason }).await?;
            }
        }
        Ok(())
    }

    async fn is_running(&mut self) -> bool {
        let Some(engine) = self.engine.borrow().clone() else {
            return false;
        };
        match engine.inspect(&self.subject.container.0).await {
            Ok(container) => container.is_some_and(|container| container.state.is_running()),
            // Opening it will tell.
            Err(_) => true,
        }
    }

    fn is_admitted(&self) -> bool {
        self.logs.include(self.subject.role) || self.log.is_owed
    }

    fn open_now(&mut self) {
        self.log.due = Some(Instant::now());
    }

    fn open_later(&mut self) {
        self.log.due = Some(Instant::now() + self.log.backoff.failed());
    }

    /// The connection is another one, or none.
    async fn reconnected(&mut self) -> Result<(), Closed> {
        let was_open = self.log.tail.is_open();
        self.log.tail.close();
        self.log.backoff.succeeded();
        self.open_now();
        if was_open { self.interrupted().await } else { Ok(()) }
    }

    fn alarm(&self) -> Option<Instant> {
        let held = self.log.held.as_ref().map(|held| held.until);
        let can_open = self.is_admitted() && self.engine.borrow().is_some();
        let due = self.log.due.filter(|_| can_open);
        [held, due, self.log.tail.alarm(), self.log.lag.alarm(), self.bookmark.alarm()]
            .into_iter()
            .flatten()
            .min()
    }

    async fn wake(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if self.log.held.as_ref().is_some_and(|held| held.until <= now) {
            self.release().await?;
        }
        if let Some(state) = self.log.lag.silent(now) {
            self.tell_state(state).await?;
        }
        let woken = self.log.tail.wake().await;
        self.unless_failed(woken).await
    }
}

/// What an engine's error means for a log.
enum Failure {
    /// It may work later.
    Passing,
    /// There is no such container any more.
    Gone,
    /// It never will.
    Unreadable,
}

impl Failure {
    fn of(error: &docker::Error) -> Self {
        match error {
            docker::Error::Refused { status: 501, .. } => Self::Unreadable,
            docker::Error::Refused { status: 404 | 409, .. } => Self::Gone,
            _ => Self::Passing,
        }
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
