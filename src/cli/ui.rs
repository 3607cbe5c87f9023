//! The terminal: results on standard output, everything else on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::fleet::text::{printable, printable_lines};
use crate::secrets::Redactor;

/// How much of one cell of a listing is shown, in characters.
const CELL: usize = 200;

/// What masks the values of the vault in all that is shown, once it is known. One for the terminal, the log and a panic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask(Arc<RwLock<Redactor>>);

impl Mask {
    /// A text as it may be shown: no values, no control characters.
    pub(crate) fn shown(&self, text: &str) -> String {
        printable_lines(&self.redactor().redact(text))
    }

    fn redactor(&self) -> Redactor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where a command prints. Whatever it prints may hold words of a server or an app, so values of the vault are masked and
/// control characters are made visible here, once, on their way to the terminal.
#[derive(Debug)]
pub(crate) struct Ui {
    colour: bool,
    /// Whether the reader of standard output has gone away, as `head` does.
    gone: AtomicBool,
    mask: Mask,
}

impl Ui {
    pub(crate) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: !plain && std::io::stderr().is_terminal(),
            gone: AtomicBool::new(false),
            mask: Mask::default(),
        }
    }

    /// What masks all that is shown here.
    pub(crate) const fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Masks with this from now on.
    #[cfg(feature = "ops")]
    pub(crate) fn set_redactor(&self, redactor: Redactor) {
        *self.mask.0.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }

    /// What masks the values of the vault; nothing while it is not known.
    pub(crate) fn redactor(&self) -> Redactor {
        self.mask.redactor()
    }

    /// A result. A reader that has gone away is no failure, and no reason to leave a change half-way: from then on
    /// nothing is printed, and a command that only prints ends when it sees [`Self::is_gone`].
    pub(crate) fn out(&self, text: &str) {
        self.write(&self.mask.shown(text));
    }

    fn write(&self, text: &str) {
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

    /// A result as one line of JSON, which has escapes of its own.
    pub(crate) fn json(&self, value: &impl serde::Serialize) {
        let json = serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        self.write(&self.redactor().redact_json(&json));
    }

    /// Something worth knowing that is not the result.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", self.mask.shown(text));
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
            let text = self.mask.shown(text);
            let _ = writeln!(std::io::stderr().lock(), "\x1b[{code}m{word}\x1b[0m {text}");
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

/// Rows in aligned columns, the way every listing of ours looks. No cell can begin a row of its own.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell, CELL)).collect()).collect();
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_forge_a_row_or_break_the_columns() {
        let rows = [
            vec!["shop".to_owned(), "shop:1\nbank   healthy".to_owned(), "up".to_owned()],
            vec!["till".to_owned(), "\x1b[31mred".to_owned(), "up".to_owned()],
        ];
        let expected = [
            r"APP   IMAGE                   STATE",
            r"shop  shop:1\nbank   healthy  up",
            r"till  \u{1b}[31mred           up",
        ];
        assert_eq!(table(&["APP", "IMAGE", "STATE"], &rows), expected.join("\n"));
    }
}
