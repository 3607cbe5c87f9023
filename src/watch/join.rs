//! Entries → lines: fragments of a long line are put together, per stream, since the two streams of a container
//! interleave. Nothing is lost: a line that is longer than fits in one, or that does not end, comes in several pieces,
//! each marked with `…` where it was cut. Values of the vault are masked here, where lines are whole: before they are cut,
//! and before bytes that are no text are replaced. A line is never cut within a value.
//!
//! A line that came whole, and in which there is nothing to change, is not copied: its text is the part of the engine's
//! answer that it came in.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use super::entry::Entry;
use crate::fleet::{LineText, Stream, Timestamp};
use crate::secrets::Redactor;

/// The longest text of one line, in bytes, marks included.
pub(super) const LINE_LIMIT: usize = 64 << 10;
/// Stands where a line was cut, on both sides.
const CUT: &str = "…";
/// The most text of one piece: it must fit in with both marks.
const PIECE: usize = LINE_LIMIT - 2 * CUT.len();

/// A whole line, a piece of one that is too long, or the lines of a stack trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The stamp of its first fragment.
    pub at: Timestamp,
    /// Where it was written.
    pub stream: Stream,
    /// The text, without its newline.
    pub text: LineText,
}

/// Puts fragments together. Holds at most one unfinished line per stream, up to [`LINE_LIMIT`] bytes and a fragment.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    redactor: Redactor,
    stdout: Open,
    stderr: Open,
}

/// An unfinished line.
#[derive(Debug, Default)]
struct Open {
    at: Timestamp,
    bytes: Vec<u8>,
    /// Whether a piece of this line has been given out already.
    continued: bool,
    /// Whether what there is was kept because it may be the beginning of a value.
    held: bool,
}

impl Joiner {
    /// For the log of a container, in which these values are masked.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, ..Self::default() }
    }

    /// Adds an entry and appends the lines that it completes to `lines`.
    pub(super) fn push<T: From<Line>>(&mut self, entry: Entry, lines: &mut Vec<T>) {
        let stream = entry.stream;
        let (open, redactor) = self.open(stream);
        open.held = false;
        if open.bytes.is_empty() {
            open.at = entry.at;
        }
        let Some(end) = entry.payload.strip_suffix(b"\n") else {
            open.bytes.extend_from_slice(&entry.payload);
            return open.overflow(stream, redactor, lines);
        };
        if open.bytes.is_empty() {
            let end = entry.payload.slice_ref(end);
            return match open.as_it_is(stream, redactor, end) {
                Ok(line) => lines.push(line.into()),
                Err(end) => open.give(stream, &redactor.redact_bytes(&end), End::Newline, lines),
            };
        }
        open.bytes.extend_from_slice(end);
        open.overflow(stream, redactor, lines);
        let bytes = std::mem::take(&mut open.bytes);
        open.give(stream, &redactor.redact_bytes(&bytes), End::Newline, lines);
    }

    /// The same of an entry before which others are missing: it may be the end of a line, and begin with the end of a value.
    pub(super) fn push_after_gap<T: From<Line>>(&mut self, mut entry: Entry, lines: &mut Vec<T>) {
        if let Cow::Owned(masked) = self.redactor.redact_rest(&entry.payload) {
            entry.payload = masked.into();
        }
        self.push(entry, lines);
    }

    /// Adds entries and returns the last lines that they complete, at most `count`.
    pub(super) fn last_lines(&mut self, entries: Vec<Entry>, count: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut known = Vec::new();
        for entry in entries {
            if known.contains(&entry.stream) {
                self.push(entry, &mut lines);
            } else {
                known.push(entry.stream);
                self.push_after_gap(entry, &mut lines);
            }
        }
        lines.drain(..lines.len().saturating_sub(count));
        lines
    }

    /// Whether a line is unfinished, and can be given out by [`Self::flush`].
    pub(super) fn is_open(&self) -> bool {
        [&self.stdout, &self.stderr].iter().any(|open| !open.bytes.is_empty() && !open.held)
    }

    /// Whether nothing of any line is kept back.
    pub(super) const fn is_empty(&self) -> bool {
        self.stdout.bytes.is_empty() && self.stderr.bytes.is_empty()
    }

    /// Gives out what is unfinished: it does not go on for now. What may be the beginning of a value is kept.
    pub(super) fn flush<T: From<Line>>(&mut self, lines: &mut Vec<T>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (open, redactor) = self.open(stream);
            let cut = redactor.cut(&open.bytes, open.bytes.len());
            open.held = cut < open.bytes.len();
            if cut > 0 {
                let rest = open.bytes.split_off(cut);
                let bytes = std::mem::replace(&mut open.bytes, rest);
                open.give(stream, &redactor.redact_bytes(&bytes), End::Cut, lines);
            }
        }
    }

    /// Gives out what is unfinished, and will remain so: the process that wrote it has ended.
    pub(super) fn end<T: From<Line>>(&mut self, lines: &mut Vec<T>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (open, redactor) = self.open(stream);
            if !open.bytes.is_empty() {
                let bytes = std::mem::take(&mut open.bytes);
                open.give(stream, &redactor.redact_cut(&bytes), End::Cut, lines);
            }
            (open.continued, open.held) = (false, false);
        }
    }

    fn open(&mut self, stream: Stream) -> (&mut Open, &Redactor) {
        let open = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        (open, &self.redactor)
    }
}

/// How a piece of text ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With its line.
    Newline,
    /// In the middle.
    Cut,
}

impl Open {
    /// Gives out what is too much to be kept.
    fn overflow<T: From<Line>>(&mut self, stream: Stream, redactor: &Redactor, lines: &mut Vec<T>) {
        while self.bytes.len() > PIECE {
            let limit = boundary(&self.bytes, PIECE);
            // What may be the beginning of a value is a few kilobytes; at worst a line is cut early.
            let cut = match redactor.cut(&self.bytes, limit) {
                0 => limit,
                cut => cut,
            };
            let rest = self.bytes.split_off(cut);
            let piece = std::mem::replace(&mut self.bytes, rest);
            self.give(stream, &redactor.redact_cut(&piece), End::Cut, lines);
        }
    }

    fn give<T: From<Line>>(&mut self, stream: Stream, bytes: &[u8], end: End, lines: &mut Vec<T>) {
        let bytes = match end {
            // A terminal ends its lines with `\r\n`.
            End::Newline => bytes.strip_suffix(b"\r").unwrap_or(bytes),
            End::Cut => bytes,
        };
        let text = String::from_utf8_lossy(bytes);
        let mut rest = &*text;
        // Replaced bytes make a text up to three times as long.
        while rest.len() > PIECE {
            let (piece, after) = rest.split_at(boundary(rest.as_bytes(), PIECE));
            lines.push(self.line(stream, piece, End::Cut).into());
            rest = after;
        }
        lines.push(self.line(stream, rest, end).into());
    }

    /// A whole line out of the bytes that it came in, or the bytes back if anything of it has to be changed.
    fn as_it_is(&mut self, stream: Stream, redactor: &Redactor, mut line: Bytes) -> Result<Line, Bytes> {
        if self.continued || line.len() > PIECE || matches!(redactor.redact_bytes(&line), Cow::Owned(_)) {
            return Err(line);
        }
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        let text = ByteString::try_from(line.clone()).map_err(|_| line)?;
        Ok(Line { at: self.at, stream, text: text.into() })
    }

    fn line(&mut self, stream: Stream, text: &str, end: End) -> Line {
        let before = if self.continued { CUT } else { "" };
        let after = if end == End::Cut { CUT } else { "" };
        self.continued = end == End::Cut;
        Line { at: self.at, stream, text: [before, text, after].concat().into() }
    }
}

/// The largest cut up to `limit` that does not go through a UTF-8 character.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (limit.saturating_sub(3)..=limit).rev().find(is_start).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::VariableName;
    use crate::secrets::Value;

    fn entry(at: i64, stream: Stream, payload: &[u8]) -> Entry {
        Entry { at: Timestamp::from_nanos(at), stream, payload: Bytes::copy_from_slice(payload) }
    }

    fn check(entries: &[(i64, Stream, &str)], expected: &[(i64, Stream, &str)]) {
        let mut joiner = Joiner::default();
        let mut lines: Vec<Line> = Vec::new();
        for (at, stream, payload) in entries {
            joiner.push(entry(*at, *stream, payload.as_bytes()), &mut lines);
        }
        joiner.end(&mut lines);
        let lines: Vec<_> =
            lines.iter().map(|line| (line.at.as_nanos(), line.stream, line.text.as_str())).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn fragments_join_per_stream() {
        use Stream::{Stderr, Stdout};
        check(&[(1, Stdout, "a\n"), (2, Stdout, "b\r\n")], &[(1, Stdout, "a"), (2, Stdout, "b")]);
        check(
            &[
                (1, Stdout, "one "),
                (2, Stderr, "err "),
                (1, Stdout, "two\n"),
                (2, Stderr, "or\n"),
                (3, Stdout, "\n"),
            ],
            &[(1, Stdout, "one two"), (2, Stderr, "err or"), (3, Stdout, "")],
        );
        check(&[(1, Stdout, "unfinished")], &[(1, Stdout, "unfinished…")]);
    }

    #[test]
    fn a_whole_line_is_not_copied() {
        for (payload, shared) in
            [(&b"plain\r\n"[..], true), (b"gr\xc3\xb6\xc3\x9fe\n", true), (b"a\xff\n", false)]
        {
            let entry = entry(1, Stream::Stdout, payload);
            let at = entry.payload.as_ptr();
            let mut lines: Vec<Line> = Vec::new();
            masking().push(entry, &mut lines);
            let [line] = lines.as_slice() else { panic!("{lines:?}") };
            assert_eq!(line.text.as_ptr() == at, shared, "{line:?}");
            assert!(!line.text.ends_with(['\r', '\n']));
        }
    }

    #[test]
    fn a_flushed_line_goes_on_with_a_mark() {
        let mut joiner = Joiner::default();
        let mut lines: Vec<Line> = Vec::new();
        joiner.push(entry(1, Stream::Stdout, b"slow"), &mut lines);
        joiner.flush(&mut lines);
        assert!(!joiner.is_open());
        joiner.push(entry(1, Stream::Stdout, b" line\n"), &mut lines);
        joiner.push(entry(2, Stream::Stdout, b"next\n"), &mut lines);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["slow…", "… line", "next"]);
    }

    const VALUE: &str = "tok_9f8e7d6c5b4a3928";

    fn masking() -> Joiner {
        let (name, value) = (VariableName::parse("API_KEY").unwrap(), Value::from(VALUE));
        Joiner::new(Redactor::new([(&name, &value)].into_iter()).unwrap())
    }

    #[test]
    fn a_value_is_masked_however_it_comes() {
        for at in 0..=VALUE.len() {
            let (before, after) = VALUE.split_at(at);
            for (flushes, ends) in [(false, true), (true, true), (true, false)] {
                let mut joiner = masking();
                let mut lines: Vec<Line> = Vec::new();
                joiner.push(entry(1, Stream::Stdout, format!("key {before}").as_bytes()), &mut lines);
                if flushes {
                    joiner.flush(&mut lines);
                    assert!(!joiner.is_open());
                }
                let end = if ends { "\n" } else { "" };
                joiner.push(entry(2, Stream::Stdout, format!("{after} ok{end}").as_bytes()), &mut lines);
                joiner.end(&mut lines);
                let joined: String = lines.iter().map(|line| line.text.trim_matches('…')).collect();
                assert_eq!(joined, "key [secret API_KEY] ok", "{at} {flushes} {ends}");
            }
        }
    }

    #[test]
    fn a_line_whose_beginning_was_not_read_hides_the_end_of_a_value() {
        let mut joiner = masking();
        let entries =
            [entry(1, Stream::Stdout, b"7d6c5b4a3928 and\n"), entry(2, Stream::Stdout, b"7d6c5b4a3928 so\n")];
        let lines = joiner.last_lines(entries.into(), 9);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["[secret API_KEY] and", "7d6c5b4a3928 so"]);
    }

    #[test]
    fn the_beginning_of_a_value_that_never_goes_on_is_masked() {
        let mut joiner = masking();
        let mut lines: Vec<Line> = Vec::new();
        joiner.push(entry(1, Stream::Stdout, b"tok_9f8e7d"), &mut lines);
        joiner.flush(&mut lines);
        assert_eq!(lines, []);
        joiner.end(&mut lines);
        assert_eq!(lines.pop().unwrap().text, "[secret API_KEY]…");
        joiner.push(entry(2, Stream::Stdout, b"next\n"), &mut lines);
        assert_eq!(lines.pop().unwrap().text, "next");
    }

    #[test]
    fn invalid_utf8_is_replaced_and_stays_within_the_limit() {
        let mut joiner = Joiner::default();
        let mut lines: Vec<Line> = Vec::new();
        joiner.push(entry(1, Stream::Stdout, b"a\xff\n"), &mut lines);
        assert_eq!(lines.pop().unwrap().text, "a\u{fffd}");
        let mut hostile = vec![0xff; 60 << 10];
        hostile.push(b'\n');
        joiner.push(entry(1, Stream::Stdout, &hostile), &mut lines);
        assert!(lines.iter().all(|line| line.text.len() <= LINE_LIMIT));
        let replaced: usize = lines.iter().map(|line| line.text.matches('\u{fffd}').count()).sum();
        assert_eq!(replaced, 60 << 10);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_of_a_long_line(length in 0_usize..300_000, fragment in 1_000_usize..20_000) {
            let line: String = "0123456789é".chars().cycle().take(length).collect();
            let bytes = format!("{line}\n").into_bytes();
            let mut joiner = Joiner::default();
            let mut lines: Vec<Line> = Vec::new();
            for chunk in bytes.chunks(fragment) {
                joiner.push(entry(7, Stream::Stderr, chunk), &mut lines);
            }
            prop_assert!(!joiner.is_open());
            prop_assert!(lines.iter().all(|line| line.text.len() <= LINE_LIMIT));
            let joined: String = lines.iter().map(|line| line.text.trim_matches('…')).collect();
            prop_assert_eq!(joined, line);
        }

        #[test]
        fn a_value_across_pieces_of_a_long_line_is_masked(
            before in (PIECE - 60)..(PIECE + 20), fragment in 1_000_usize..20_000, ends in any::<bool>(),
        ) {
            let bytes = format!("{}{VALUE}{}", "x".repeat(before), "y".repeat(70_000)).into_bytes();
            let mut joiner = masking();
            let mut lines: Vec<Line> = Vec::new();
            for chunk in bytes.chunks(fragment) {
                joiner.push(entry(7, Stream::Stdout, chunk), &mut lines);
            }
            if ends {
                joiner.push(entry(7, Stream::Stdout, b"\n"), &mut lines);
            }
            joiner.end(&mut lines);
            let joined: String = lines.iter().map(|line| line.text.trim_matches('…')).collect();
            prop_assert_eq!(joined, format!("{}[secret API_KEY]{}", "x".repeat(before), "y".repeat(70_000)));
        }
    }
}
