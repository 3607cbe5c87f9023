//! Entries → lines, as docs and comments say it is done, with all of a line kept until it is over.

use arcane::fleet::{Stream, Timestamp};
use arcane::watch::Line;

/// The most of a line that is kept.
const PIECE: usize = (64 << 10) - 64;

/// The lines of one stream, unfinished ones included.
#[derive(Default)]
pub struct Lines {
    at: Option<Timestamp>,
    /// What was not given out yet.
    raw: Vec<u8>,
    /// Whether part of the line was given out.
    continued: bool,
    /// Whether what comes is only counted.
    beyond: bool,
}

impl Lines {
    /// Adds what was written; gives the line when it ends.
    pub fn push(&mut self, at: Timestamp, stream: Stream, payload: &[u8]) -> Option<Line> {
        if self.raw.is_empty() && !self.beyond {
            self.at = Some(at);
        }
        self.raw.extend_from_slice(payload.strip_suffix(b"\n").unwrap_or(payload));
        if !payload.ends_with(b"\n") {
            return None;
        }
        let at = self.at.unwrap_or(at);
        let raw = std::mem::take(&mut self.raw);
        let text = match raw.len() {
            0 if self.beyond => "…".to_owned(),
            0..=PIECE if !self.beyond => self.piece(raw.strip_suffix(b"\r").unwrap_or(&raw), ""),
            _ => self.piece(&raw, ""),
        };
        *self = Self::default();
        Some(Line { at, stream, text: text.into() })
    }

    /// Gives what there is of an unfinished line.
    pub fn flush(&mut self, stream: Stream) -> Option<Line> {
        let raw = std::mem::take(&mut self.raw);
        let at = self.at.filter(|_| !raw.is_empty())?;
        let text = self.piece(&raw, "…");
        (self.beyond, self.continued) = (self.beyond || raw.len() > PIECE, true);
        Some(Line { at, stream, text: text.into() })
    }

    /// The same when there is no more to come.
    pub fn end(&mut self, stream: Stream) -> Option<Line> {
        let line = self.flush(stream);
        *self = Self::default();
        line
    }

    /// Whether something could be flushed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.raw.is_empty()
    }

    fn piece(&self, raw: &[u8], end: &str) -> String {
        let (text, kept) = match raw.len() {
            _ if self.beyond => (String::new(), 0),
            0..=PIECE => readable(raw),
            // Not through a character.
            _ => readable(
                &raw[..(PIECE - 3..=PIECE).rev().find(|&at| raw[at] & 0xc0 != 0x80).unwrap_or(PIECE)],
            ),
        };
        let more = raw.len() - kept;
        let before = if self.continued && (more == 0 || !text.is_empty()) { "…" } else { "" };
        if more == 0 {
            format!("{before}{text}{end}")
        } else {
            format!("{before}{text}… ({} more bytes)", grouped(more))
        }
    }
}

/// As much of it as text as fits in, and how many bytes that was.
fn readable(raw: &[u8]) -> (String, usize) {
    let (mut text, mut used) = (String::new(), 0);
    for chunk in raw.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        let invalid =
            Some((char::REPLACEMENT_CHARACTER, chunk.invalid().len())).filter(|(_, length)| *length > 0);
        for (c, length) in valid.chain(invalid) {
            if text.len() + c.len_utf8() > PIECE {
                return (text, used);
            }
            text.push(c);
            used += length;
        }
    }
    (text, used)
}

fn grouped(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
