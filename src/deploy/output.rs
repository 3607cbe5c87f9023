//! What a command of the app's owner writes, told line by line as it comes. Whatever it writes, a person's terminal and
//! this process's memory are safe from it: lines and their number are bounded, and the last ones are kept for the failure.
//! Values of the vault are masked before anything is cut.

use std::collections::VecDeque;

use super::event::{Event, Report, Speaker};
use super::switch::Change;
use crate::docker::{LogFrame, Source};
use crate::fleet::text::printable;
use crate::fleet::{AppName, HostName, ReleaseId};
use crate::secrets::Redactor;

/// A line is told in pieces of this many bytes at most.
const LINE: usize = 4 * 1024;
/// How much of a line is shown, in characters.
const SHOWN: usize = 1_000;
/// How many lines are told.
const LINES: usize = 5_000;
/// How many of the last lines are kept for the failure.
const LAST: usize = 20;

/// Where the output of one command goes.
pub(super) struct Output<'a> {
    report: Report<'a>,
    redactor: &'a Redactor,
    host: &'a HostName,
    app: &'a AppName,
    release: &'a ReleaseId,
    from: Speaker,
    begun: Vec<u8>,
    told: usize,
    last: VecDeque<String>,
}

/// Tells the parts of a line of more than 16 KiB from lines of their own. Only the first one can be judged, or masked.
#[derive(Default)]
pub(super) struct Parts(Vec<Source>);

impl Parts {
    /// Whether this goes on with a line that a frame before it began.
    pub(super) fn continue_with(&mut self, frame: &LogFrame) -> bool {
        let continues = self.0.contains(&frame.source);
        match frame.bytes.ends_with(b"\n") {
            true => self.0.retain(|source| *source != frame.source),
            false if continues => {}
            false => self.0.push(frame.source),
        }
        continues
    }
}

impl<'a> Change<'a> {
    /// Where the output of a command goes that belongs to this change.
    pub(super) fn output(&self, from: Speaker) -> Output<'a> {
        Output {
            report: self.report,
            redactor: &self.remote.redactor,
            host: self.remote.name(),
            app: &self.app.name,
            release: self.release,
            from,
            begun: Vec::new(),
            told: 0,
            last: VecDeque::new(),
        }
    }
}

impl Output<'_> {
    /// Takes what came.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.line();
            } else {
                self.begun.push(byte);
                if self.begun.len() >= LINE {
                    self.piece();
                }
            }
        }
    }

    /// Tells what is left, and gives the last lines back.
    pub(super) fn end(mut self) -> Vec<String> {
        if !self.begun.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            self.say(&self.redactor.redact_cut(&begun));
        }
        self.last.into()
    }

    fn line(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        self.say(&self.redactor.redact_bytes(&begun));
    }

    /// Tells what there is of a line that is too long, but for what may be the beginning of a value.
    fn piece(&mut self) {
        let cut = match self.redactor.cut(&self.begun, LINE) {
            0 => LINE,
            cut => cut,
        };
        let rest = self.begun.split_off(cut);
        let begun = std::mem::replace(&mut self.begun, rest);
        self.say(&self.redactor.redact_cut(&begun));
    }

    fn say(&mut self, masked: &[u8]) {
        let text = String::from_utf8_lossy(masked);
        let line = printable(text.trim_end(), SHOWN);
        self.told += 1;
        if self.told <= LINES {
            self.tell(line.clone());
        } else if self.told == LINES + 1 {
            self.tell(format!("… no more than {LINES} lines are shown"));
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn tell(&self, line: String) {
        let (host, app, release) = (self.host.clone(), self.app.clone(), self.release.clone());
        (self.report)(Event::Output { host, app, release, from: self.from, line });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::deploy::sample::found;
    use crate::fleet::VariableName;
    use crate::secrets::Value;

    /// What is told of these pieces, and the last lines.
    fn told(pieces: &[&[u8]]) -> (Vec<String>, Vec<String>) {
        masked(pieces, &Redactor::default())
    }

    fn masked(pieces: &[&[u8]], redactor: &Redactor) -> (Vec<String>, Vec<String>) {
        let record = found("shop", 1, true).record;
        let host = HostName::parse("web1").unwrap();
        let lines = Mutex::new(Vec::new());
        let report = |event: Event| {
            if let Event::Output { line, .. } = event {
                lines.lock().unwrap().push(line);
            }
        };
        let mut output = Output {
            report: &report,
            redactor,
            host: &host,
            app: &record.app.name,
            release: &record.release,
            from: Speaker::Release,
            begun: Vec::new(),
            told: 0,
            last: VecDeque::new(),
        };
        pieces.iter().for_each(|piece| output.take(piece));
        let last = output.end();
        (lines.into_inner().unwrap(), last)
    }

    #[test]
    fn lines_come_whole_and_harmless_whatever_the_pieces() {
        let (lines, last) = told(&[b"one\r\ntw", b"o \x1b[31m\n", b"\xff", b"end"]);
        assert_eq!(lines, ["one", r"two \u{1b}[31m", "\u{fffd}end"]);
        assert_eq!(last, lines);
    }

    #[test]
    fn a_value_is_masked_before_a_line_is_cut() {
        let (name, value) = (VariableName::parse("API_KEY").unwrap(), Value::from("tok_9f8e7d6c5b4a3928"));
        let redactor = Redactor::new([(&name, &value)].into_iter()).unwrap();
        for before in [0, SHOWN - 7, LINE - 20, LINE - 7, LINE] {
            let line = format!("{}{}\nnext tok_9f8e", "x".repeat(before), "tok_9f8e7d6c5b4a3928");
            let pieces: Vec<&[u8]> = line.as_bytes().chunks(13).collect();
            let (lines, last) = masked(&pieces, &redactor);
            assert!(lines.iter().chain(&last).all(|line| !line.contains("tok")), "{before}: {lines:?}");
            assert_eq!(lines.last().unwrap(), "next [secret API_KEY]");
        }
    }

    #[test]
    fn a_flood_is_cut_and_its_end_is_kept() {
        let flood: String = (0..LINES + 50).map(|n| format!("{n}\n")).collect();
        let (lines, last) = told(&[flood.as_bytes(), &[b'x'; 3 * LINE]]);
        assert_eq!(lines.len(), LINES + 1);
        assert!(lines.last().unwrap().contains("no more"), "{:?}", lines.last());
        assert_eq!(last.len(), LAST);
        assert!(last.iter().all(|line| line.chars().count() < SHOWN + 40));
        assert!(last.last().unwrap().starts_with("xxx"));
    }
}
