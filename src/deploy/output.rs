//! What a command of the app's owner writes, told line by line as it comes. Whatever it writes, a person's terminal and
//! this process's memory are safe from it: lines and their number are bounded, and the last ones are kept for the failure.

use std::collections::VecDeque;

use super::event::{Event, Report, Speaker};
use crate::fleet::text::printable;
use crate::fleet::{AppName, HostName, ReleaseId};

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
    host: &'a HostName,
    app: &'a AppName,
    release: &'a ReleaseId,
    from: Speaker,
    begun: Vec<u8>,
    told: usize,
    last: VecDeque<String>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        report: Report<'a>,
        host: &'a HostName,
        app: &'a AppName,
        release: &'a ReleaseId,
        from: Speaker,
    ) -> Self {
        Self { report, host, app, release, from, begun: Vec::new(), told: 0, last: VecDeque::new() }
    }

    /// Takes what came.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.line();
            } else {
                self.begun.push(byte);
                if self.begun.len() == LINE {
                    self.line();
                }
            }
        }
    }

    /// Tells what is left, and gives the last lines back.
    pub(super) fn end(mut self) -> Vec<String> {
        if !self.begun.is_empty() {
            self.line();
        }
        self.last.into()
    }

    fn line(&mut self) {
        let text = String::from_utf8_lossy(&self.begun);
        let line = printable(text.trim_end(), SHOWN);
        self.begun.clear();
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

    /// What is told of these pieces, and the last lines.
    fn told(pieces: &[&[u8]]) -> (Vec<String>, Vec<String>) {
        let record = found("shop", 1, true).record;
        let host = HostName::parse("web1").unwrap();
        let lines = Mutex::new(Vec::new());
        let report = |event: Event| {
            if let Event::Output { line, .. } = event {
                lines.lock().unwrap().push(line);
            }
        };
        let mut output = Output::new(&report, &host, &record.app.name, &record.release, Speaker::Release);
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
