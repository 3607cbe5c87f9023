//! Entries → lines: fragments of a long line are put together, per stream, since the two streams of a container
//! interleave. Of a line that is longer than fits in one, the beginning is kept and the rest counted; one that does not end
//! comes in several pieces, each marked with `…` where it was cut. Values of the vault are masked here, where lines are
//! whole: before they are cut, and before bytes that are no text are replaced. A line is never cut within a value.
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
/// The most of a line that is kept: what says how much is missing must fit in with it.
const PIECE: usize = LINE_LIMIT - 64;

/// A whole line, the beginning of one that is too long, a piece of one that does not end, or the lines of a stack trace.
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
    /// What is kept of a line that is too long. Its bytes are not kept any more.
    full: Option<Full>,
    /// Whether a piece of this line has been given out already.
    continued: bool,
    /// Whether what there is was kept because it may be the beginning of a value.
    held: bool,
    /// Whether what comes next may begin with the end of a value: what stood before it is not here.
    is_rest: bool,
}

/// The beginning of a line that is too long, masked, and how many bytes came after it.
#[derive(Debug, Default)]
struct Full {
    text: String,
    more: usize,
}

impl Full {
    const fn is_given(&self) -> bool {
        self.text.is_empty() && self.more == 0
    }
}

impl Joiner {
    /// For the log of a container, in which these values are masked.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, ..Self::default() }
    }

    /// Adds an entry and appends the lines that it completes to `lines`.
    pub(super) fn push<T: From<Line>>(&mut self, mut entry: Entry, lines: &mut Vec<T>) {
        let stream = entry.stream;
        let (open, redactor) = self.open(stream);
        open.held = false;
        if std::mem::take(&mut open.is_rest)
            && let Cow::Owned(masked) = redactor.redact_rest(&entry.payload)
        {
            entry.payload = masked.into();
        }
        let is_first = open.bytes.is_empty() && open.full.is_none();
        if is_first {
            open.at = entry.at;
        }
        let Some(end) = entry.payload.strip_suffix(b"\n") else {
            return open.extend(&entry.payload, redactor);
        };
        if is_first {
            match open.as_it_is(stream, redactor, entry.payload.slice_ref(end)) {
                Ok(line) => return lines.push(line.into()),
                Err(whole) => open.extend(&whole, redactor),
            }
        } else {
            open.extend(end, redactor);
        }
        lines.push(open.finish(stream, redactor).into());
    }

    /// The same of an entry before which others are missing: it may be the end of a line, and begin with the end of a value.
    pub(super) fn push_after_gap<T: From<Line>>(&mut self, entry: Entry, lines: &mut Vec<T>) {
        self.open(entry.stream).0.is_rest = true;
        self.push(entry, lines);
    }

    /// Goes on where another run of ours left a log; of each stream, whether that was in the middle of a line. What comes
    /// next is not marked as its rest: the process may have ended there, and another one have begun.
    pub(super) const fn go_on(&mut self, [stdout, stderr]: [bool; 2]) {
        (self.stdout.is_rest, self.stderr.is_rest) = (stdout, stderr);
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
        [&self.stdout, &self.stderr].iter().any(|open| match &open.full {
            Some(full) => !full.is_given(),
            None => !open.bytes.is_empty() && !open.held,
        })
    }

    /// Whether nothing of any line is kept back.
    pub(super) fn is_told(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .all(|open| open.bytes.is_empty() && open.full.as_ref().is_none_or(Full::is_given))
    }

    /// Gives out what is unfinished: it does not go on for now. What may be the beginning of a value is kept.
    pub(super) fn flush<T: From<Line>>(&mut self, lines: &mut Vec<T>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (open, redactor) = self.open(stream);
            if open.full.as_ref().is_some_and(|full| !full.is_given()) {
                lines.push(open.count(stream).into());
                (open.continued, open.full) = (true, Some(Full::default()));
                continue;
            }
            let cut = redactor.cut(&open.bytes, open.bytes.len());
            open.held = cut < open.bytes.len();
            if cut > 0 {
                let rest = open.bytes.split_off(cut);
                let bytes = std::mem::replace(&mut open.bytes, rest);
                lines.push(open.cut(stream, &redactor.redact_bytes(&bytes)).into());
            }
        }
    }

    /// Gives out what is unfinished, and will remain so: the process that wrote it has ended.
    pub(super) fn end<T: From<Line>>(&mut self, lines: &mut Vec<T>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (open, redactor) = self.open(stream);
            if open.full.as_ref().is_some_and(|full| !full.is_given()) {
                lines.push(open.count(stream).into());
            } else if !open.bytes.is_empty() {
                let bytes = std::mem::take(&mut open.bytes);
                lines.push(open.cut(stream, &redactor.redact_cut(&bytes)).into());
            }
            *open = Open::default();
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

impl Open {
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

    fn extend(&mut self, bytes: &[u8], redactor: &Redactor) {
        if let Some(full) = &mut self.full {
            full.more = full.more.saturating_add(bytes.len());
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() <= PIECE {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let limit = boundary(&bytes, PIECE);
        // What may be the beginning of a value is a few kilobytes; at worst a line is cut early.
        let cut = match redactor.cut(&bytes, limit) {
            0 => limit,
            cut => cut,
        };
        let (piece, rest) = bytes.split_at(cut);
        let mut full = readable(&redactor.redact_cut(piece));
        full.more += rest.len();
        self.full = Some(full);
    }

    /// The line, which ends here.
    fn finish(&mut self, stream: Stream, redactor: &Redactor) -> Line {
        let line = if self.full.as_ref().is_some_and(|full| !full.is_given()) {
            self.count(stream)
        } else {
            let bytes = std::mem::take(&mut self.bytes);
            let masked = redactor.redact_bytes(&bytes);
            // A terminal ends its lines with `\r\n`.
            let full = readable(masked.strip_suffix(b"\r").unwrap_or(&masked));
            self.line(stream, &full, "")
        };
        *self = Self { at: self.at, ..Self::default() };
        line
    }

    /// What is kept of a line that is too long, and how much is missing so far.
    fn count(&mut self, stream: Stream) -> Line {
        let full = self.full.take().unwrap_or_default();
        self.line(stream, &full, CUT)
    }

    /// A piece of a line, which goes on.
    fn cut(&mut self, stream: Stream, bytes: &[u8]) -> Line {
        let line = self.line(stream, &readable(bytes), CUT);
        self.continued = true;
        line
    }

    fn line(&self, stream: Stream, full: &Full, end: &str) -> Line {
        let before = if self.continued && (full.more == 0 || !full.text.is_empty()) { CUT } else { "" };
        let text = match full.more {
            0 => [before, &full.text, end].concat(),
            more => format!("{before}{}{CUT} ({} more bytes)", full.text, grouped(more)),
        };
        Line { at: self.at, stream, text: text.into() }
    }
}

/// Bytes as text, as much as fits in. Replaced bytes make it up to three times as long.
fn readable(bytes: &[u8]) -> Full {
    let mut full = Full { text: String::with_capacity(bytes.len().min(PIECE)), more: 0 };
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let room = PIECE - full.text.len();
        let fits = boundary(valid.as_bytes(), room.min(valid.len()));
        full.text.push_str(valid.get(..fits).unwrap_or_default());
        used += fits;
        if fits < valid.len() {
            break;
        }
        if !chunk.invalid().is_empty() {
            if full.text.len() + REPLACED.len_utf8() > PIECE {
                break;
            }
            full.text.push(REPLACED);
            used += chunk.invalid().len();
        }
    }
    full.more = bytes.len() - used;
    full
}

/// Stands for bytes that are no text.
const REPLACED: char = char::REPLACEMENT_CHARACTER;

/// The largest cut up to `limit` that does not go through a UTF-8 character.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (limit.saturating_sub(3)..=limit).rev().find(is_start).unwrap_or(limit)
}

/// A number as a person reads it: `9,934,464`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
