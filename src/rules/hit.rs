//! One observation that a rule's trigger matched.

use super::memory::Seen;
use crate::fleet::text::{printable, printable_block};
use crate::fleet::{AppName, Evidence, Timestamp};

/// How much of a line is kept as evidence, in bytes.
const EVIDENCE_LINE: usize = 1024;
/// How much of a captured value is kept, in characters.
const CAPTURED: usize = 200;

/// A match, before anything was counted.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) at: Timestamp,
    /// The line or event, safe to show.
    pub(super) text: String,
    pub(super) captures: Vec<(String, String)>,
    pub(super) live: bool,
    /// Whether it is a state change that shows a fault.
    pub(super) fault: bool,
    /// What led to it, oldest first, when it is more than itself.
    pub(super) behind: Vec<Evidence>,
    /// Apps that showed it as a symptom of theirs.
    pub(super) dependents: Vec<AppName>,
}

impl Hit {
    /// A hit that is nothing but itself.
    pub(super) fn new(at: Timestamp, text: String, live: bool) -> Self {
        Self {
            at,
            text,
            live,
            captures: Vec::new(),
            fault: false,
            behind: Vec::new(),
            dependents: Vec::new(),
        }
    }

    /// A state change that makes a rule look up.
    pub(super) fn of(seen: &Seen) -> Self {
        let code = seen.exit_code.map(|code| ("exit_code".to_owned(), code.to_string()));
        Self {
            captures: code.into_iter().collect(),
            fault: seen.shows_fault(),
            ..Self::new(seen.at, seen.text.clone(), seen.live)
        }
    }

    /// A line that makes a rule look up.
    pub(super) fn of_line(at: Timestamp, line: &str, captures: Vec<(String, String)>, live: bool) -> Self {
        let shown = captures.into_iter().map(|(name, value)| (name, shown_capture(&value)));
        Self { captures: shown.collect(), ..Self::new(at, shown_line(line), live) }
    }

    pub(super) fn evidence(&self) -> Evidence {
        Evidence { at: self.at, text: self.text.clone() }
    }

    /// The value of a capture.
    pub(super) fn capture(&self, name: &str) -> Option<&str> {
        self.captures.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A line as evidence: cut, and safe to show line by line, for it may be a whole stack trace.
pub(super) fn shown_line(line: &str) -> String {
    let cut = boundary(line, EVIDENCE_LINE);
    let mut shown = printable_block(&line[..cut], EVIDENCE_LINE, "");
    if cut < line.len() {
        shown.push_str(&format!("… ({} more bytes)", line.len() - cut));
    }
    shown
}

/// The last character boundary not after `at`.
pub(super) fn boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

/// A captured value: cut, and safe to show.
pub(super) fn shown_capture(value: &str) -> String {
    printable(value, CAPTURED)
}
