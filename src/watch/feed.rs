//! Reading a container's log: from the engine's frames to entries that were not seen before.

use bytes::Bytes;
use futures_util::StreamExt;

use super::cursor::{Cursor, Reach, Sieve, Verdict};
use super::entry::{Entry, Piece, Splitter};
use crate::docker::{self, Container, Engine, LogFrame, LogOptions, LogStream, Source};
use crate::fleet::{ContainerId, Stream, Timestamp};

/// Entries of history that are read beyond those asked for: the first lines may be long and in fragments, and the
/// cursor needs something to go by.
const LEAD: usize = 64;

/// A container's log, and the engine that has it.
#[derive(Debug)]
pub(super) struct Log {
    engine: Engine,
    id: ContainerId,
    /// With a terminal the log is one raw stream.
    has_terminal: bool,
}

impl Log {
    /// Of a container.
    pub(super) fn of(container: &Container, engine: Engine) -> Self {
        Self { engine, id: container.id.clone(), has_terminal: container.tty }
    }

    /// Follows it from where the cursor is. `now` is the host's clock.
    pub(super) async fn follow(
        &self,
        cursor: &Cursor,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Feed, docker::Error> {
        let (request, sieve) = cursor.resume(reach, now);
        let options =
            LogOptions { follow: true, since: request.since, tail: request.tail, ..LogOptions::default() };
        let stream = self.engine.logs(&self.id.0, &options).await?;
        Ok(Feed { stream, splitter: self.splitter(), sieve })
    }

    /// Reads its end, moves a new cursor there, and returns what makes at least the last `count` lines, unless they
    /// are very long. Nothing changes when it fails.
    pub(super) async fn history(
        &self,
        cursor: &mut Cursor,
        count: usize,
    ) -> Result<Vec<Entry>, docker::Error> {
        let asked = count + LEAD;
        let entries = self.end(asked).await?;
        for entry in &entries {
            let mark = cursor.mark(entry);
            cursor.advance(entry, mark);
        }
        if entries.len() >= asked {
            cursor.started_late();
        }
        Ok(entries)
    }

    /// Whether its last entry is one that the cursor has not come to: then a feed that is silent has died.
    pub(super) async fn is_ahead_of(&self, cursor: &Cursor) -> Result<bool, docker::Error> {
        let last = self.end(1).await?.pop();
        Ok(last.is_some_and(|entry| !cursor.knows(cursor.mark(&entry))))
    }

    async fn end(&self, count: usize) -> Result<Vec<Entry>, docker::Error> {
        let options = LogOptions { tail: Some(count), ..LogOptions::default() };
        let mut stream = self.engine.logs(&self.id.0, &options).await?;
        let mut splitter = self.splitter();
        let mut entries = Vec::new();
        while let Some(frame) = stream.next().await.transpose()? {
            let piece = sort(frame, &mut splitter);
            let rest = std::iter::from_fn(|| splitter.as_mut()?.next());
            entries.extend(piece.into_iter().chain(rest).filter_map(|piece| match piece {
                Piece::Entry(entry) => Some(entry),
                Piece::Complaint(_) => None,
            }));
        }
        Ok(entries)
    }

    fn splitter(&self) -> Option<Splitter> {
        self.has_terminal.then(Splitter::default)
    }
}

/// Makes a piece of a frame, or puts it into the splitter for pieces to be found in.
fn sort(frame: LogFrame, splitter: &mut Option<Splitter>) -> Option<Piece> {
    let stream = match frame.source {
        Source::Engine => return Some(Piece::Complaint(frame.bytes)),
        Source::Stdout => Stream::Stdout,
        Source::Stderr => Stream::Stderr,
    };
    let Some(splitter) = splitter else {
        return Some(Piece::parse(stream, frame.bytes));
    };
    splitter.push(&frame.bytes);
    None
}

/// A log that is being followed.
#[derive(Debug)]
pub(super) struct Feed {
    stream: LogStream,
    splitter: Option<Splitter>,
    sieve: Sieve,
}

/// What comes out of a log that is followed.
#[derive(Debug)]
pub(super) enum News {
    /// An entry. The cursor has been moved on.
    Entry(Entry),
    /// The same, and before it there may have been others that cannot be read any more.
    AfterGap(Entry),
    /// The end of the log was not enough: it has to be opened again, with [`Reach::Far`].
    TooShort,
    /// The engine complains.
    Complaint(Bytes),
}

impl Feed {
    /// The next news; `None` at the end of the log. Safe to cancel.
    pub(super) async fn next(&mut self, cursor: &mut Cursor) -> Result<Option<News>, docker::Error> {
        loop {
            if let Some(piece) = self.splitter.as_mut().and_then(Splitter::next) {
                if let Some(news) = self.sift(piece, cursor) {
                    return Ok(Some(news));
                }
                continue;
            }
            let Some(frame) = self.stream.next().await.transpose()? else {
                return Ok(None);
            };
            let piece = sort(frame, &mut self.splitter);
            if let Some(news) = piece.and_then(|piece| self.sift(piece, cursor)) {
                return Ok(Some(news));
            }
        }
    }

    /// Drops what was seen before.
    fn sift(&mut self, piece: Piece, cursor: &mut Cursor) -> Option<News> {
        let entry = match piece {
            Piece::Entry(entry) => entry,
            Piece::Complaint(words) => return Some(News::Complaint(words)),
        };
        let mark = cursor.mark(&entry);
        match self.sieve.judge(mark) {
            Verdict::Seen => None,
            Verdict::TooShort => Some(News::TooShort),
            Verdict::New => {
                cursor.advance(&entry, mark);
                Some(News::Entry(entry))
            }
            Verdict::Unconnected => {
                cursor.advance(&entry, mark);
                Some(News::AfterGap(entry))
            }
        }
    }
}
