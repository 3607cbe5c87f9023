//! Lines → observations of whole stack traces: what a program printed of one failure is one thing, and its lines are
//! told together. Pure: a line goes in, what is complete comes out; time is somebody else's.
//!
//! Nobody says where a trace ends, and what looks like the beginning of one is mostly all there is. So a line that cannot
//! begin or go on with a trace passes at once, and one that can is held until the next line of its stream tells, or until
//! there is none for a while ([`Assembler::settle`]). Nothing is lost, and every stream keeps its order. Rather two
//! observations of one trace than one of two things that have nothing to do with each other.

mod head;
mod rest;
mod shape;

use std::time::Duration;

use super::join::{LINE_LIMIT, Line};
use crate::fleet::{LineText, Stream};
use rest::Rest;
use shape::{Next, Shape, begins, next};

/// Lines of one trace that are kept.
const LINES: usize = 500;
/// Lines of one trace that are counted: a trace without end has one here …
const COUNTED: usize = 10_000;
/// … or here, by the times of its lines: whoever waits for it is told what there is.
const LONGEST: Duration = Duration::from_secs(2);
/// The most text of a trace, in bytes; what is kept of the lines beyond it comes after it.
const TEXT: usize = LINE_LIMIT - rest::MOST;
/// Lines that may wait to be told whether they belong to a trace.
const PENDING: usize = 8;

/// Puts the lines of a container's stack traces together.
#[derive(Debug, Default)]
pub struct Assembler {
    stdout: Option<Trace>,
    stderr: Option<Trace>,
}

/// What may be a trace, so far.
#[derive(Debug)]
struct Trace {
    shape: Shape,
    first: Line,
    /// The lines after the first.
    more: Vec<LineText>,
    /// How much text all of them have.
    length: usize,
    /// Lines that did not fit.
    rest: Rest,
    /// Lines that belong to it if one of the next does.
    pending: Vec<Line>,
    /// Whether nothing was added since it was last looked at.
    silent: bool,
}

impl Assembler {
    /// Adds a line, and appends what is complete.
    pub fn push<T: From<Line>>(&mut self, line: Line, out: &mut Vec<T>) {
        let slot = self.slot(line.stream);
        let Some(trace) = slot else {
            return begin(slot, line, out);
        };
        trace.silent = false;
        let has_room = trace.count() < COUNTED && line.at.since(trace.first.at) <= LONGEST;
        match next(trace.shape, line.text.as_bytes()) {
            Next::Joins(shape) if has_room => trace.join(shape, line),
            Next::May(shape) if has_room && trace.pending.len() < PENDING => {
                trace.shape = shape;
                trace.pending.push(line);
            }
            _ => {
                // What it held back may be the beginning of something else.
                for pending in give(slot, out) {
                    self.push(pending, out);
                }
                self.push(line, out);
            }
        }
    }

    /// Whether something is held back.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Gives out what has not grown since the last call: to be called every now and then while something is held back.
    pub fn settle<T: From<Line>>(&mut self, out: &mut Vec<T>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let slot = self.slot(stream);
            match slot {
                Some(trace) if !trace.silent => trace.silent = true,
                _ => self.finish(stream, out),
            }
        }
    }

    /// Gives out all that is held back.
    pub fn flush<T: From<Line>>(&mut self, out: &mut Vec<T>) {
        self.finish(Stream::Stdout, out);
        self.finish(Stream::Stderr, out);
    }

    fn finish<T: From<Line>>(&mut self, stream: Stream, out: &mut Vec<T>) {
        while self.slot(stream).is_some() {
            let pending = give(self.slot(stream), out);
            for line in pending {
                self.push(line, out);
            }
        }
    }

    const fn slot(&mut self, stream: Stream) -> &mut Option<Trace> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

fn begin<T: From<Line>>(slot: &mut Option<Trace>, line: Line, out: &mut Vec<T>) {
    match begins(line.text.as_bytes()) {
        Some(shape) if line.text.len() < TEXT => *slot = Some(Trace::new(shape, line)),
        _ => out.push(line.into()),
    }
}

/// Gives out a trace. Returns the lines after it that turned out to be none of it.
fn give<T: From<Line>>(slot: &mut Option<Trace>, out: &mut Vec<T>) -> Vec<Line> {
    let Some(mut trace) = slot.take() else { return Vec::new() };
    let pending = std::mem::take(&mut trace.pending);
    out.push(trace.into_line().into());
    pending
}

impl Trace {
    fn new(shape: Shape, first: Line) -> Self {
        let length = first.text.len();
        Self {
            shape,
            first,
            more: Vec::new(),
            length,
            rest: Rest::default(),
            pending: Vec::new(),
            silent: false,
        }
    }

    const fn count(&self) -> usize {
        1 + self.more.len() + self.rest.count()
    }

    fn join(&mut self, shape: Shape, line: Line) {
        self.shape = shape;
        for line in std::mem::take(&mut self.pending).into_iter().chain([line]) {
            self.add(line.text);
        }
    }

    fn add(&mut self, line: LineText) {
        let length = self.length + 1 + line.len();
        // Once a line is missing, so are those after it, but for those that say what happened.
        if !self.rest.is_empty() || self.more.len() + 1 >= LINES || length > TEXT {
            self.rest.add(self.shape, &line);
        } else {
            self.length = length;
            self.more.push(line);
        }
    }

    fn into_line(self) -> Line {
        if self.more.is_empty() && self.rest.is_empty() {
            return self.first;
        }
        let mut text = String::with_capacity(self.length + rest::MOST);
        text.push_str(&self.first.text);
        for line in &self.more {
            text.push('\n');
            text.push_str(line);
        }
        self.rest.tell(&mut text);
        Line { text: text.into(), ..self.first }
    }
}

#[cfg(test)]
mod tests;
