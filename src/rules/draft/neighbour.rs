//! Benign neighbours: the line without what makes it a fault. A rule that fires on one knows a line by the wrong words.

use super::super::literal;
use super::pattern::Drafted;

/// Words that speak of a fault.
const FAULTS: [&str; 47] = [
    "abort",
    "aborted",
    "aborting",
    "bad",
    "broken",
    "cannot",
    "can't",
    "corrupt",
    "corrupted",
    "crash",
    "crashed",
    "deadlock",
    "denied",
    "error",
    "errors",
    "exceeded",
    "exception",
    "exhausted",
    "expired",
    "fail",
    "failed",
    "failing",
    "failure",
    "fatal",
    "full",
    "invalid",
    "killed",
    "lost",
    "missing",
    "no",
    "not",
    "oom",
    "out",
    "overflow",
    "panic",
    "refused",
    "rejected",
    "reset",
    "segfault",
    "terminated",
    "timeout",
    "timed",
    "traceback",
    "unable",
    "unavailable",
    "unhealthy",
    "unreachable",
];

/// Words that say how bad a line is, and nothing else.
const LEVELS: [&str; 22] = [
    "trace",
    "debug",
    "info",
    "notice",
    "warn",
    "warning",
    "error",
    "err",
    "fatal",
    "critical",
    "crit",
    "alert",
    "emerg",
    "emergency",
    "panic",
    "severe",
    "log",
    "utc",
    "gmt",
    "e",
    "w",
    "f",
];

/// Whether a word speaks of a fault.
pub(super) fn is_fault(word: &str) -> bool {
    FAULTS.iter().any(|fault| word.eq_ignore_ascii_case(fault))
}

/// Whether a word is a level, or else nothing that tells one message from another.
pub(super) fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level))
}

/// A text without its fault words; without its rarest word as well when that is asked for, or when there are none.
pub(super) fn of(text: &str, drafted: &Drafted) -> Vec<(&'static str, String)> {
    let mut neighbours = Vec::new();
    let faultless = without(text, is_fault);
    // In `4missing` a word of the draft is a part of a longer one, which stays.
    if drafted.words().any(|word| is_fault(word) && !faultless.contains(word)) {
        neighbours.push(("the same without the fault", faultless));
    } else {
        let rarest = drafted.words().max_by_key(|word| (word.len(), literal::of_literal(word)));
        // Wherever it stands: it may be a part of what else looks like one word.
        neighbours
            .extend(rarest.map(|rarest| ("the same without its rarest word", text.replace(rarest, ""))));
    }
    neighbours
}

/// A text without some of its words.
fn without(text: &str, leaves_out: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if !leaves_out(word) {
            kept.push_str(word);
        }
        let gap = after.find(is_part).unwrap_or(after.len());
        kept.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    let blanks: Vec<&str> = kept.split(' ').filter(|word| !word.is_empty()).collect();
    blanks.join(" ")
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '\''
}
