//! The way of a log from the engine's bytes to observations, without a connection: for measuring it, and for streams that
//! were kept.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::cursor::Cursor;
use super::entry::Piece;
use super::join::{Joiner, Line};
use super::trace::Assembler;
use crate::docker::{FrameDecoder, Source};
use crate::fleet::{Fact, Freshness, HostName, Observation, Stream, Subject};
use crate::secrets::Redactor;

/// Reads the log of one container without a terminal, as a connection to the engine would bring it.
#[derive(Debug)]
pub struct LogReader {
    host: HostName,
    subject: Arc<Subject>,
    decoder: FrameDecoder,
    buffer: BytesMut,
    cursor: Cursor,
    joiner: Joiner,
    assembler: Assembler,
    /// What was joined just now, and what of it is whole: room that is kept.
    lines: Vec<Line>,
    whole: Vec<Line>,
}

impl LogReader {
    /// For the log of this container, with these values masked.
    #[must_use]
    pub fn new(host: HostName, subject: Arc<Subject>, redactor: Redactor) -> Self {
        Self {
            host,
            subject,
            decoder: FrameDecoder::Multiplexed,
            buffer: BytesMut::new(),
            cursor: Cursor::default(),
            joiner: Joiner::new(redactor),
            assembler: Assembler::default(),
            lines: Vec::new(),
            whole: Vec::new(),
        }
    }

    /// Takes in what came, and tells of each line that is complete. The lines of a stack trace are one. Complaints of the
    /// engine are passed over.
    ///
    /// # Errors
    /// When the bytes are not a stream of frames.
    pub fn read(&mut self, bytes: &[u8], mut tell: impl FnMut(Observation)) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        while let Some(frame) = self.decoder.decode(&mut self.buffer)? {
            let stream = match frame.source {
                Source::Stdout => Stream::Stdout,
                Source::Stderr => Stream::Stderr,
                Source::Engine => continue,
            };
            let Piece::Entry(entry) = Piece::parse(stream, frame.bytes) else { continue };
            let mark = self.cursor.mark(&entry);
            self.cursor.advance(&entry, mark);
            self.joiner.push(entry, &mut self.lines);
            for line in self.lines.drain(..) {
                self.assembler.push(line, &mut self.whole);
            }
            self.give(&mut tell);
        }
        Ok(())
    }

    /// Tells of what was held back because it could have gone on.
    pub fn finish(&mut self, mut tell: impl FnMut(Observation)) {
        self.joiner.end(&mut self.lines);
        for line in self.lines.drain(..) {
            self.assembler.push(line, &mut self.whole);
        }
        self.assembler.flush(&mut self.whole);
        self.give(&mut tell);
    }

    fn give(&mut self, tell: &mut impl FnMut(Observation)) {
        for Line { at, stream, text } in self.whole.drain(..) {
            tell(Observation {
                at,
                host: self.host.clone(),
                subject: Some(Arc::clone(&self.subject)),
                freshness: Freshness::Live,
                fact: Fact::Line { stream, text },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{AppName, ContainerId, ReleaseId, Role, Timestamp};

    fn reader() -> LogReader {
        let subject = Subject {
            app: AppName::parse("shop").unwrap(),
            release: ReleaseId::new(Timestamp::from_seconds(0), 0),
            container: ContainerId("c".to_owned()),
            role: Role::Live,
            profile: crate::fleet::Profile::default(),
        };
        LogReader::new(HostName::parse("web1").unwrap(), Arc::new(subject), Redactor::default())
    }

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    #[test]
    fn bytes_become_lines_however_they_are_cut() {
        let bytes = [
            frame(1, "2026-11-25T18:42:03.000000001Z one\n"),
            frame(3, "Error grabbing logs: EOF"),
            frame(2, "2026-11-25T18:42:03.000000002Z two, in "),
            frame(1, "no stamp\n"),
            frame(2, "2026-11-25T18:42:03.000000002Z two parts\n"),
            frame(2, "2026-11-25T18:42:03.000000003Z Error: boom\n"),
            frame(2, "2026-11-25T18:42:03.000000004Z     at f (/x.js:1:1)\n"),
            frame(1, "2026-11-25T18:42:03.000000005Z no newline"),
        ]
        .concat();
        for size in [1, 7, bytes.len()] {
            let mut reader = reader();
            let mut lines = Vec::new();
            let mut tell = |observation: Observation| match observation.fact {
                Fact::Line { stream, text } => lines.push((stream, text.to_string())),
                other => panic!("{other:?}"),
            };
            for piece in bytes.chunks(size) {
                reader.read(piece, &mut tell).unwrap();
            }
            reader.finish(&mut tell);
            let expected = [
                (Stream::Stdout, "one".to_owned()),
                (Stream::Stderr, "two, in two parts".to_owned()),
                (Stream::Stdout, "no newline…".to_owned()),
                (Stream::Stderr, "Error: boom\n    at f (/x.js:1:1)".to_owned()),
            ];
            assert_eq!(lines, expected, "{size}");
        }
    }

    #[test]
    fn a_stream_out_of_step_is_an_error() {
        assert!(reader().read(b"plain text, no header", |_| panic!("a line")).is_err());
    }
}
