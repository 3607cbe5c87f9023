//! Where a log was left, and how to go on from there without losing or repeating an entry.
//!
//! The engine cannot be asked for "everything after this one". It can be asked for everything `since` a stamp, and
//! stamps are not enough: they repeat, and those of the two streams run against each other. What can be relied on is
//! that a log has one order, that of its file. So of every entry that was read a [`Mark`] is kept for a while, and a
//! resumed log is asked for from a stamp `S` such that **every entry read before with a stamp of `S` or later is among
//! the marks**. What the engine sends again is then recognised, as a multiset, and everything else is new:
//!
//! - `S` is just above the newest stamp among the marks that were let go. Entries sent again are therefore never
//!   unknown.
//! - Older engines (20.10) send every entry with a stamp of `S` or later, newer ones everything from the first such
//!   entry on. The marks that count are those from the first with such a stamp on: all that either of them sends again.
//!   An older engine hides a new entry whose stamp is below `S`; since marks cover [`WINDOW`] (longer while a line is
//!   unfinished, because its fragments keep their first stamp), that takes an entry which is written down so much
//!   later than it is stamped.
//! - The engine reads a whole log file to find `S`, and log files are unlimited by default. So at first it is asked
//!   for no more than the last entries (`tail`); what comes must begin with the first mark that counts, or else more
//!   came meanwhile than that, and it is asked again without a limit.
//! - When no mark that counts comes back, the log was rotated away or replaced: that is a gap, and is said.
//! - When the host's clock was set back, or a single line is so long that its fragments crowd out all else, no `S` will
//!   do. Then the engine is asked for as many last entries as there are marks.
//!
//! What remains uncertain are entries that cannot be told apart, same stamp, stream and text, by more than [`MARGIN`] in
//! a row across a lost connection: of such a run some may be taken for seen.
//!
//! Memory is bounded by [`CAPACITY`] marks of 16 bytes: 1 MiB per container, reached only by a container that logs more
//! than 32,768 entries per second; an idle one keeps [`MINIMUM`]. At 100,000 lines per second the marks still cover
//! 0.6 s, and the two streams differ by the time that a thread waits for its turn.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::entry::Entry;
use crate::fleet::{Stream, Timestamp};

/// The time that marks cover, counted back from the newest.
const WINDOW: Duration = Duration::from_secs(2);
/// Marks kept at most …
const CAPACITY: usize = 1 << 16;
/// … and at least, however old.
const MINIMUM: usize = 256;
/// New entries that a first attempt to resume has room for.
const MARGIN: usize = 10_000;

/// How many marks are kept. Constants, except in tests.
#[derive(Debug, Clone, Copy)]
struct Limits {
    window: Duration,
    capacity: usize,
    minimum: usize,
    margin: usize,
}

/// What is remembered of an entry: its stamp, and a hash of its stream and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    at: Timestamp,
    hash: u64,
}

/// Where a log was left.
#[derive(Debug)]
pub(super) struct Cursor {
    marks: VecDeque<Mark>,
    /// The newest stamp among the marks that were let go.
    forgotten: Option<Timestamp>,
    /// Stamps of unfinished lines, per stream: later fragments will have the same.
    unfinished: [Option<Timestamp>; 2],
    /// Of the hash. Nobody who writes a log knows them.
    keys: [u64; 2],
    /// Entries that were read.
    moves: u64,
    limits: Limits,
}

/// What to ask the engine for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Request {
    /// Entries with this stamp or later.
    pub(super) since: Option<Timestamp>,
    /// The last entries, at most so many.
    pub(super) tail: Option<usize>,
}

/// How far back to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The end of the log, which is cheap, and nearly always enough.
    Near,
    /// As far as it takes.
    Far,
}

/// Tells entries that come a second time from new ones, after a log was resumed.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Entries that may come again.
    expected: HashMap<Mark, u32>,
    /// What must come first, when only the end of the log was asked for.
    first: Option<Mark>,
    since: Option<Timestamp>,
    /// The newest stamp expected.
    newest: Timestamp,
    begun: bool,
}

/// What an entry of a resumed log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was read before.
    Seen,
    /// It was not.
    New,
    /// The end of the log that was asked for does not reach back far enough.
    TooShort,
    /// It is new, and what was read before did not come again as it should: entries between may be missing.
    Unconnected,
}

impl Default for Cursor {
    fn default() -> Self {
        Self::with(Limits { window: WINDOW, capacity: CAPACITY, minimum: MINIMUM, margin: MARGIN })
    }
}

impl Cursor {
    fn with(limits: Limits) -> Self {
        Self {
            marks: VecDeque::new(),
            forgotten: None,
            unfinished: [None; 2],
            keys: [0, 1].map(|number| RandomState::new().hash_one(number)),
            moves: 0,
            limits,
        }
    }

    /// The mark of an entry.
    pub(super) fn mark(&self, entry: &Entry) -> Mark {
        let [first, second] = self.keys;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        hasher.write_u8(match entry.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        });
        hasher.write(&entry.payload);
        Mark { at: entry.at, hash: hasher.finish() }
    }

    /// Remembers an entry that was read.
    pub(super) fn advance(&mut self, entry: &Entry, mark: Mark) {
        let unfinished = !entry.payload.ends_with(b"\n");
        let [stdout, stderr] = &mut self.unfinished;
        let slot = match entry.stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        *slot = unfinished.then_some(entry.at);
        self.marks.push_back(mark);
        self.moves = self.moves.wrapping_add(1);
        self.forget(entry.at);
    }

    /// Whether the last entry of each stream was no end of a line.
    pub(super) fn is_unfinished(&self) -> [bool; 2] {
        self.unfinished.map(|stamp| stamp.is_some())
    }

    /// How often it was moved on.
    pub(super) const fn moves(&self) -> u64 {
        self.moves
    }

    fn forget(&mut self, now: Timestamp) {
        let pinned = self.unfinished.iter().flatten().min();
        let horizon = pinned.map_or(now, |&at| at.min(now)) - self.limits.window;
        while let Some(oldest) = self.marks.front() {
            let full = self.marks.len() > self.limits.capacity;
            let old = self.marks.len() > self.limits.minimum && oldest.at < horizon;
            if !full && !old {
                return;
            }
            self.forgotten = self.forgotten.max(Some(oldest.at));
            self.marks.pop_front();
        }
    }

    /// Says that the entries read so far are not the whole log, but its end: those before them are not wanted, and
    /// must not be taken for new ones.
    pub(super) fn started_late(&mut self) {
        let newest = self.marks.drain(..self.marks.len() / 2).map(|mark| mark.at).max();
        self.forgotten = self.forgotten.max(newest);
    }

    /// Whether an entry with this mark was read lately.
    pub(super) fn knows(&self, mark: Mark) -> bool {
        self.marks.iter().rev().any(|known| *known == mark)
    }

    /// How to go on, and how to tell what is new then. `now` is the host's clock: behind the last entry, it was set
    /// back.
    pub(super) fn resume(&self, reach: Reach, now: Timestamp) -> (Request, Sieve) {
        let Some(last) = self.marks.back() else {
            return <_>::default();
        };
        let since = self.forgotten.map(|stamp| stamp + Duration::from_nanos(1));
        if since.is_some_and(|since| last.at < since) || now + WINDOW < last.at {
            let tail = Some(self.marks.len());
            return (Request { since: None, tail }, Sieve::new(self.marks.iter(), None));
        }
        let is_below = |mark: &&Mark| since.is_some_and(|since| mark.at < since);
        let below = self.marks.iter().take_while(is_below).count();
        let sieve = Sieve::new(self.marks.range(below..), since);
        let first = self.marks.get(below).copied();
        // Of an entry that repeats the one before only the next tells. Were `first` the last that was read, the end of the log
        // could begin with a repetition of it.
        let is_unique =
            self.marks.len() - below > 1 && first.is_some_and(|mark| sieve.expected.get(&mark) == Some(&1));
        if reach == Reach::Near && is_unique {
            let tail = Some(self.marks.len() - below + self.limits.margin);
            (Request { since, tail }, Sieve { first, ..sieve })
        } else {
            (Request { since, tail: None }, sieve)
        }
    }
}

impl Sieve {
    fn new<'a>(expected: impl Iterator<Item = &'a Mark>, since: Option<Timestamp>) -> Self {
        let mut sieve = Self { since, ..Self::default() };
        for mark in expected {
            *sieve.expected.entry(*mark).or_default() += 1;
            sieve.newest = sieve.newest.max(mark.at);
        }
        sieve
    }

    /// Judges the next entry.
    pub(super) fn judge(&mut self, mark: Mark) -> Verdict {
        if self.expected.is_empty() {
            return Verdict::New;
        }
        if !self.begun {
            // Some engines know only whole seconds.
            if self.since.is_some_and(|since| mark.at < since) {
                return Verdict::Seen;
            }
            self.begun = true;
            if self.first.is_some_and(|first| mark != first) {
                return Verdict::TooShort;
            }
            if !self.expected.contains_key(&mark) {
                return Verdict::Unconnected;
            }
        }
        if mark.at > self.newest + WINDOW {
            self.expected = HashMap::new();
            return Verdict::New;
        }
        match self.expected.get_mut(&mark) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => drop(self.expected.remove(&mark)),
            None => return Verdict::New,
        }
        Verdict::Seen
    }
}

#[path = "cursor_kept.rs"]
mod kept;

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
