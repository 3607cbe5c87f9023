//! A container's log over any number of connections: what was read and joined so far, and the feed that is open now.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::cursor::{Cursor, Reach};
use super::feed::{Feed, Log, News};
use super::join::{Joiner, Line};
use super::trace::Assembler;
use crate::docker::{self, Engine};
use crate::fleet::text::printable;
use crate::fleet::{ContainerId, Timestamp};
use crate::secrets::Redactor;

/// An unfinished line is given out after this …
const UNFINISHED: Duration = Duration::from_secs(1);
/// … or this, when the log was just opened again: what was read before comes again first.
const UNFINISHED_BEFORE: Duration = Duration::from_secs(5);
/// How often to look whether the lines of a trace go on. One that may be the first of a trace is told after one to two of
/// these.
const TRACE: Duration = Duration::from_millis(15);
/// Lines that are read up at most of what was logged while nothing of ours ran.
const CATCH_UP: usize = 10_000;
/// A feed that is silent for this long is looked into.
const SILENCE: Duration = Duration::from_secs(60);
/// Entries are taken off a feed at most so many at a time.
const BATCH: usize = 256;
/// How much of what the engine says is passed on, in characters.
const COMPLAINT: usize = 200;

/// Where in a log to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// With its last lines.
    Tail(usize),
    /// With the first: the container was seen when it was made.
    First,
}

/// A container's log.
#[derive(Debug)]
pub(super) struct Tail {
    id: ContainerId,
    begin: Begin,
    cursor: Cursor,
    joiner: Joiner,
    assembler: Assembler,
    /// Lines on their way from the one to the other.
    lines: Vec<Line>,
    open: Option<(Log, Feed)>,
    /// What was read and not taken yet.
    items: Vec<Item>,
    /// What came after that.
    behind: Option<Step>,
    /// When to give out an unfinished line.
    flush_at: Option<Instant>,
    /// When to look whether a trace goes on.
    settle_at: Option<Instant>,
    /// When to look into the silence.
    probe_at: Instant,
    has_complained: bool,
    /// Whether it was taken up where another run of ours left it, and has not come to anything new since.
    is_taken_up: bool,
    /// Whether what was taken is not given out yet.
    is_in_hand: bool,
    /// How far the cursor had moved when its place was last kept.
    kept: Option<u64>,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A line.
    Line(Line),
    /// A line that was there before.
    History(Line),
    /// Something that could not be read.
    Gap(String),
}

impl From<Line> for Item {
    fn from(line: Line) -> Self {
        Self::Line(line)
    }
}

/// What happened to a log.
#[derive(Debug)]
pub(super) enum Step {
    /// There is something to [`Tail::take`].
    Items,
    /// It has to be opened again, from further back: [`Tail::widen`].
    TooShort,
    /// It ended: its container stopped, or its log driver or the engine did.
    Ended,
    /// It could not be read on.
    Failed(docker::Error),
}

impl Tail {
    /// The log of a container.
    pub(super) fn new(id: ContainerId, begin: Begin, redactor: Redactor) -> Self {
        Self {
            id,
            begin,
            cursor: Cursor::default(),
            joiner: Joiner::new(redactor),
            assembler: Assembler::default(),
            lines: Vec::new(),
            open: None,
            items: Vec::new(),
            behind: None,
            flush_at: None,
            settle_at: None,
            probe_at: Instant::now(),
            has_complained: false,
            is_taken_up: false,
            is_in_hand: false,
            kept: None,
        }
    }

    /// Goes on where another run of ours left it. If nobody can say where that is, it begins as it would have anyway.
    pub(super) fn take_up(&mut self, place: &[u8]) {
        match Cursor::from_bytes(place) {
            Some(cursor) => {
                (self.cursor, self.begin, self.is_taken_up) = (cursor, Begin::First, true);
                self.kept = Some(self.cursor.moves());
                self.joiner.go_on(self.cursor.is_unfinished());
            }
            None => {
                let reason = "where its log was left cannot be read any more, so what was logged meanwhile is not told";
                self.items.push(Item::Gap(reason.to_owned()));
            }
        }
    }

    /// Whether there is another place to keep than the last.
    pub(super) fn has_moved(&self) -> bool {
        // A log that was never opened, and begins with its end, has no place yet.
        self.begin == Begin::First && self.kept != Some(self.cursor.moves())
    }

    /// The place where another run can take it up, if it has changed; `None` while something that was read is not told.
    pub(super) fn place(&mut self) -> Option<Vec<u8>> {
        if !self.has_moved() || !self.is_told() || self.assembler.is_open() || !self.joiner.is_told() {
            return None;
        }
        self.kept = Some(self.cursor.moves());
        Some(self.cursor.to_bytes())
    }

    /// Whether all that came of what was read is given out.
    pub(super) const fn is_told(&self) -> bool {
        self.items.is_empty() && !self.is_in_hand
    }

    /// Gives out what is held back, as far as that is possible, though it may go on.
    pub(super) fn let_go(&mut self) {
        self.joiner.flush(&mut self.lines);
        self.assemble();
        self.assembler.flush(&mut self.items);
    }

    /// Opens it where it was left, or where it is to begin. `now` is the host's clock.
    pub(super) async fn open(&mut self, engine: &Engine, now: Timestamp) -> Result<(), docker::Error> {
        // If it is gone, events will tell.
        let Some(container) = engine.inspect(&self.id.0).await? else {
            return Ok(());
        };
        let log = Log::of(&container, engine.clone());
        if let Begin::Tail(count) = self.begin {
            let entries = log.history(&mut self.cursor, count).await?;
            self.begin = Begin::First;
            let lines = assembled(self.joiner.last_lines(entries, count));
            self.items.extend(lines.into_iter().map(Item::History));
        }
        let feed = log.follow(&self.cursor, Reach::Near, now).await?;
        self.opened(log, feed);
        Ok(())
    }

    /// Opens it once more, from further back.
    ///
    /// What was logged while nothing of ours ran may be anything: of that only the end is read.
    pub(super) async fn widen(&mut self, now: Timestamp) -> Result<(), docker::Error> {
        let Some((log, _)) = self.open.take() else {
            return Ok(());
        };
        if std::mem::take(&mut self.is_taken_up) {
            self.cursor = Cursor::default();
            let entries = log.history(&mut self.cursor, CATCH_UP).await?;
            let reason = format!(
                "what was logged while nobody watched was rotated away, or is more than the {CATCH_UP} lines that are read up"
            );
            self.items.push(Item::Gap(reason));
            let lines = assembled(self.joiner.last_lines(entries, CATCH_UP));
            self.items.extend(lines.into_iter().map(Item::History));
        }
        let feed = log.follow(&self.cursor, Reach::Far, now).await?;
        self.opened(log, feed);
        Ok(())
    }

    fn opened(&mut self, log: Log, feed: Feed) {
        self.open = Some((log, feed));
        let now = Instant::now();
        self.probe_at = now + SILENCE;
        self.flush_at = self.joiner.is_open().then_some(now + UNFINISHED_BEFORE);
    }

    /// Closes it for now. What was not read yet comes again when it is opened.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.behind = None;
    }

    /// Whether it is open.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether there is more in it than was read. Not known is no.
    pub(super) async fn is_behind(&mut self) -> bool {
        let Some((log, _)) = &mut self.open else { return false };
        log.is_ahead_of(&self.cursor).await.unwrap_or(false)
    }

    /// What was read since the last time.
    pub(super) fn take(&mut self) -> Vec<Item> {
        self.is_in_hand = true;
        std::mem::take(&mut self.items)
    }

    /// Says that what was taken is given out.
    pub(super) const fn given(&mut self) {
        self.is_in_hand = false;
    }

    /// Waits for the next step, for ever while it is not open. Safe to cancel.
    pub(super) async fn next(&mut self) -> Step {
        if !self.items.is_empty() {
            return Step::Items;
        }
        if let Some(step) = self.behind.take() {
            return step;
        }
        let Some((_, feed)) = &mut self.open else {
            return std::future::pending().await;
        };
        let mut news = Some(feed.next(&mut self.cursor).await);
        let mut taken = 0;
        // Whatever is taken off the feed is digested: the cursor has moved past it.
        while let Some(next) = news.take() {
            taken += 1;
            self.behind = self.digest(next);
            if self.behind.is_none()
                && taken < BATCH
                && let Some((_, feed)) = &mut self.open
            {
                news = feed.next(&mut self.cursor).now_or_never();
            }
        }
        self.probe_at = Instant::now() + SILENCE;
        self.arm();
        let ended = if self.items.is_empty() { self.behind.take() } else { None };
        ended.unwrap_or(Step::Items)
    }

    fn digest(&mut self, news: Result<Option<News>, docker::Error>) -> Option<Step> {
        match news {
            Ok(Some(News::Entry(entry))) => {
                self.is_taken_up = false;
                self.has_complained = false;
                self.joiner.push(entry, &mut self.lines);
                self.assemble();
            }
            Ok(Some(News::AfterGap(entry))) => {
                // Whatever was unfinished, its end is lost.
                self.end_lines();
                let reason = "what was logged meanwhile may have been rotated away".to_owned();
                self.items.push(Item::Gap(reason));
                (self.has_complained, self.is_taken_up) = (false, false);
                self.joiner.push_after_gap(entry, &mut self.lines);
                self.assemble();
            }
            Ok(Some(News::Complaint(words))) => {
                let words = String::from_utf8_lossy(&words);
                let reason = format!("the engine says: {}", printable(words.trim(), COMPLAINT));
                if !std::mem::replace(&mut self.has_complained, true) {
                    self.items.push(Item::Gap(reason));
                }
            }
            Ok(Some(News::TooShort)) => return Some(Step::TooShort),
            Ok(None) => return Some(Step::Ended),
            Err(error) => return Some(Step::Failed(error)),
        }
        None
    }

    /// Gives out what is unfinished and will remain so: whoever wrote it has ended.
    pub(super) fn end_lines(&mut self) {
        self.joiner.end(&mut self.lines);
        self.assemble();
        self.assembler.flush(&mut self.items);
    }

    fn assemble(&mut self) {
        for line in self.lines.drain(..) {
            self.assembler.push(line, &mut self.items);
        }
    }

    fn arm(&mut self) {
        self.settle_at = match self.settle_at {
            _ if !self.assembler.is_open() => None,
            None => Some(Instant::now() + TRACE),
            armed => armed,
        };
        self.flush_at = match self.flush_at {
            _ if !self.joiner.is_open() => None,
            None => Some(Instant::now() + UNFINISHED),
            armed => armed,
        };
    }

    /// When to call [`Self::wake`].
    pub(super) fn alarm(&self) -> Option<Instant> {
        let is_open = self.open.is_some();
        let of_feed = [self.flush_at, Some(self.probe_at)].into_iter().flatten().filter(|_| is_open);
        of_feed.chain(self.settle_at).min()
    }

    /// Does what is due: gives out a line that does not end, looks into a long silence.
    pub(super) async fn wake(&mut self) -> Result<(), docker::Error> {
        let now = Instant::now();
        if self.settle_at.is_some_and(|at| at <= now) {
            self.assembler.settle(&mut self.items);
            self.settle_at = self.assembler.is_open().then_some(now + TRACE);
        }
        if self.open.is_none() {
            return Ok(());
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.joiner.flush(&mut self.lines);
            self.assemble();
            self.arm();
            self.flush_at = None;
        }
        if self.probe_at > now {
            return Ok(());
        }
        self.probe_at = now + SILENCE;
        if let Some((log, _)) = &self.open
            && log.is_ahead_of(&self.cursor).await?
        {
            // A log that was rotated by truncation is no longer followed by the engine.
            self.close();
            self.behind = Some(Step::Ended);
        }
        Ok(())
    }
}

/// Lines that nothing follows, with those of a trace together.
pub(super) fn assembled(lines: Vec<Line>) -> Vec<Line> {
    let mut assembler = Assembler::default();
    let mut assembled = Vec::with_capacity(lines.len());
    for line in lines {
        assembler.push(line, &mut assembled);
    }
    assembler.flush(&mut assembled);
    assembled
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
