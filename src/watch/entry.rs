//! Entries: what the engine keeps of a log, one at a time. An entry is a line or, of a line longer than 16 KiB, a
//! fragment; it is the unit in which a log is followed, resumed and counted.
//!
//! Without a terminal the engine frames every entry. With one it sends a raw stream, in which entries have to be
//! found again by their newline and, for fragments, by their length.

use bytes::{Buf, Bytes, BytesMut};

use super::stamp;
use crate::fleet::{Stream, Timestamp};

/// The engine splits longer lines into fragments of this many bytes, all with the stamp of the first.
const FRAGMENT: usize = 16 << 10;
/// A raw stream without a newline is cut here; other log drivers have fragments of up to 256 KiB.
const RAW_LIMIT: usize = 512 << 10;

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// When the engine read it from the container; a fragment has the stamp of its line's first one.
    pub(super) at: Timestamp,
    /// Where it was written.
    pub(super) stream: Stream,
    /// What was written, with its newline if this ends a line.
    pub(super) payload: Bytes,
}

/// What a piece of the stream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// An entry.
    Entry(Entry),
    /// Something without a stamp: the engine complaining in the middle of the log.
    Complaint(Bytes),
}

impl Piece {
    /// Reads one frame.
    pub(super) fn parse(stream: Stream, mut frame: Bytes) -> Self {
        match stamp::take(&frame) {
            Some((at, length)) => {
                frame.advance(length);
                Self::Entry(Entry { at, stream, payload: frame })
            }
            None => Self::Complaint(frame),
        }
    }
}

/// Finds the entries of a raw stream. What is unfinished when the stream breaks off is meant to be dropped with the
/// splitter: on resuming, the engine sends such an entry again from its start.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: BytesMut,
    /// Bytes at the start of the buffer that are known to hold no newline.
    searched: usize,
}

impl Splitter {
    /// Adds what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole entry, if there is one.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let end = self.end()?;
        self.searched = 0;
        let frame = self.buffer.split_to(end).freeze();
        Some(Piece::parse(Stream::Stdout, frame))
    }

    fn end(&mut self) -> Option<usize> {
        // No further than an entry may be long, for how a stream was cut must not show.
        let most = self.buffer.len().min(RAW_LIMIT);
        let unsearched = self.buffer.get(self.searched..most).unwrap_or_default();
        let newline = unsearched.iter().position(|&byte| byte == b'\n');
        let newline = newline.map(|at| self.searched + at + 1);
        let limit = newline.unwrap_or(most);
        self.searched = limit;
        self.fragment_end(limit).or(newline).or_else(|| (limit >= RAW_LIMIT).then_some(RAW_LIMIT))
    }

    /// Where the first fragment ends: after 16 KiB, if the same stamp follows there once more.
    fn fragment_end(&self, limit: usize) -> Option<usize> {
        let (at, length) = stamp::take(&self.buffer)?;
        let end = length + FRAGMENT;
        let next = self.buffer.get(end..limit)?;
        let (again, _) = stamp::take(next)?;
        (again == at).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: &str = "2026-11-25T18:42:03.120000001Z ";
    const LATER: &str = "2026-11-25T18:42:04.000000000Z ";

    fn raw(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            pieces.extend(std::iter::from_fn(|| splitter.next()));
        }
        pieces
    }

    fn entry(stamp: &str, payload: &[u8]) -> Piece {
        let (at, _) = stamp::take(stamp.as_bytes()).unwrap();
        let payload = Bytes::copy_from_slice(payload);
        Piece::Entry(Entry { at, stream: Stream::Stdout, payload })
    }

    #[test]
    fn a_frame_is_an_entry_or_a_complaint() {
        let frame = Bytes::from(format!("{STAMP}hello\n"));
        assert_eq!(Piece::parse(Stream::Stdout, frame), entry(STAMP, b"hello\n"));
        let complaint = Bytes::from("Error grabbing logs: EOF");
        assert_eq!(Piece::parse(Stream::Stderr, complaint.clone()), Piece::Complaint(complaint));
    }

    #[test]
    fn a_raw_stream_is_split_at_newlines_and_at_fragments() {
        let long = vec![b'x'; FRAGMENT];
        let text =
            [STAMP.as_bytes(), &long, STAMP.as_bytes(), b"end\r\n", LATER.as_bytes(), b"next\r\n"].concat();
        let expected = [entry(STAMP, &long), entry(STAMP, b"end\r\n"), entry(LATER, b"next\r\n")];
        assert_eq!(raw(&[&text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(raw(&bytes), expected);
    }

    #[test]
    fn a_raw_stream_without_end_is_bounded() {
        let endless = [STAMP.as_bytes(), &vec![b'x'; 2 * RAW_LIMIT]].concat();
        let pieces = raw(&[&endless]);
        assert!(matches!(pieces.as_slice(), [Piece::Entry(_), Piece::Complaint(_)]), "{}", pieces.len());
        // The same when its end comes with it.
        let ended = [&endless[..], b"\n"].concat();
        let pieces = raw(&[&ended]);
        assert_eq!(raw(&ended.chunks(1000).collect::<Vec<_>>()), pieces);
        assert_eq!(pieces.len(), 3);
    }

    proptest! {
        #[test]
        fn chunk_borders_do_not_matter(
            lines in proptest::collection::vec("[a-zA-Z é\r]{0,20}", 0..20),
            size in 1_usize..50,
        ) {
            let text: String = lines.iter().map(|line| format!("{STAMP}{line}\n")).collect();
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let expected: Vec<_> =
                lines.iter().map(|line| entry(STAMP, format!("{line}\n").as_bytes())).collect();
            prop_assert_eq!(raw(&chunks), expected);
        }
    }
}
