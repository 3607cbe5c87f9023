//! The terminal: results on standard output, everything else on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Ui {
    colour: bool,
    /// Whether the reader of standard output has gone away, as `head` does.
    gone: AtomicBool,
}

impl Ui {
    pub(crate) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: !plain && std::io::stderr().is_terminal(), gone: AtomicBool::new(false) }
    }

    /// A result. A reader that has gone away is no failure, and no reason to leave a change half-way: from then on
    /// nothing is printed, and a command that only prints ends when it sees [`Self::is_gone`].
    pub(crate) fn out(&self, text: &str) {
        if self.is_gone() {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
        if written.and_then(|()| stdout.flush()).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// A result as one line of JSON.
    pub(crate) fn json(&self, value: &impl serde::Serialize) {
        self.out(&serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")));
    }

    /// Something worth knowing that is not the result.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A line that begins with a coloured word.
    pub(crate) fn tagged(&self, tag: Tag, text: &str) {
        let (word, code) = match tag {
            Tag::Error => ("error:", "1;31"),
            Tag::Cause => ("cause:", "31"),
            Tag::Warning => ("warning:", "33"),
            Tag::Hint => ("hint:", "36"),
        };
        if self.colour {
            self.note(&format!("\x1b[{code}m{word}\x1b[0m {text}"));
        } else {
            self.note(&format!("{word} {text}"));
        }
    }
}

/// The words that begin a line on standard error. Each is readable without its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Error,
    Cause,
    Warning,
    Hint,
}

/// Rows in aligned columns, the way every listing of ours looks.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}
