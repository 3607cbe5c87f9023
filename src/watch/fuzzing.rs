//! The steps from bytes to lines, one by one, for the fuzz targets: what [`super::LogReader`] does not do to bytes that are
//! there already. Not part of any build but theirs.

use bytes::Bytes;

use super::entry::{Entry, Piece, Splitter};
use super::join::{Joiner, Line};
use crate::fleet::{Stream, Timestamp};

/// The pieces of what an engine sends of a container with a terminal: entries, or complaints, which have no stamp.
pub fn split<'c>(chunks: impl Iterator<Item = &'c [u8]>) -> Vec<(Option<Timestamp>, Bytes)> {
    let mut splitter = Splitter::default();
    let mut pieces = Vec::new();
    for chunk in chunks {
        splitter.push(chunk);
        pieces.extend(std::iter::from_fn(|| splitter.next()).map(|piece| match piece {
            Piece::Entry(entry) => (Some(entry.at), entry.payload),
            Piece::Complaint(words) => (None, words),
        }));
    }
    pieces
}

/// Puts fragments together, of lines that pause as well.
#[derive(Debug, Default)]
pub struct Joining(Joiner);

impl Joining {
    /// Adds an entry and appends the lines that it completes.
    pub fn push(&mut self, at: Timestamp, stream: Stream, payload: Bytes, lines: &mut Vec<Line>) {
        self.0.push(Entry { at, stream, payload }, lines);
    }

    /// What is unfinished does not go on for now.
    pub fn flush(&mut self, lines: &mut Vec<Line>) {
        self.0.flush(lines);
    }

    /// What is unfinished will remain so.
    pub fn end(&mut self, lines: &mut Vec<Line>) {
        self.0.end(lines);
    }

    /// Whether something could be flushed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }
}
