//! One problem of a file as a person sees it: where it is, the line itself with the place underlined, and what to do.
//!
//! The lines quoted here come from a file that somebody else may have written, so everything is escaped and cut.

use std::fmt;
use std::path::PathBuf;

use crate::fleet::text::printable;

/// Something wrong, or worth a warning, at one place of a file. Its `Display` spans several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in characters from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    pub(super) excerpts: Vec<Excerpt>,
}

/// A line of the file with a part of it underlined. Already escaped and cut to a screen's width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line's number, counted from 1.
    pub(super) line: usize,
    /// What is shown of the line.
    pub(super) shown: String,
    /// Characters shown before the underlined part.
    pub(super) indent: usize,
    /// Characters underlined; at least one.
    pub(super) width: usize,
    /// What stands beside the underline.
    pub(super) label: String,
}

/// How much of a line is shown, in characters …
const WINDOW: usize = 100;
/// … and how much of that before the underlined part, when the line is too long.
const LEAD: usize = 40;

impl Excerpt {
    /// Shows `line`, of which the characters `from..to` are meant.
    pub(super) fn new(number: usize, line: &str, from: usize, to: usize, label: String) -> Self {
        let skip = if from < WINDOW - LEAD { 0 } else { from - LEAD };
        let end = (skip + WINDOW).min(line.chars().count());
        let part = |from: usize, to: usize| -> String {
            let text: String = line.chars().skip(from).take(to.saturating_sub(from)).collect();
            printable(&text, WINDOW)
        };
        let mut before = part(skip, from);
        if skip > 0 {
            before.insert(0, '…');
        }
        let marked = part(from, to.min(end));
        let after = part(to.min(end), end);
        let cut = if line.chars().nth(end).is_some() { "…" } else { "" };
        Self {
            line: number,
            indent: before.chars().count(),
            width: marked.chars().count().max(1),
            shown: format!("{before}{marked}{after}{cut}"),
            label,
        }
    }

    fn render(&self, gutter: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  {:>gutter$} |", self.line)?;
        if !self.shown.is_empty() {
            write!(f, " {}", self.shown)?;
        }
        let underline = "^".repeat(self.width);
        write!(f, "\n  {:>gutter$} | {:indent$}{underline}", "", "", indent = self.indent)?;
        if self.label.is_empty() { Ok(()) } else { write!(f, " {}", self.label) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = printable(&self.file.to_string_lossy(), 200);
        write!(f, "{file}:{}:{}: {}", self.line, self.column, self.message)?;
        let gutter = self.excerpts.iter().map(|excerpt| excerpt.line.to_string().len()).max();
        for excerpt in &self.excerpts {
            excerpt.render(gutter.unwrap_or_default(), f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, from: usize, to: usize, expected: [&str; 2]) {
        let problem = Problem {
            file: "a.toml".into(),
            line: 9,
            column: from + 1,
            message: "wrong".to_owned(),
            excerpts: vec![Excerpt::new(9, line, from, to, "here".to_owned())],
        };
        let expected = format!("a.toml:9:{}: wrong\n{}\n{}", from + 1, expected[0], expected[1]);
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn the_underline_follows_what_is_shown() {
        check("a = 1", 0, 1, ["  9 | a = 1", "    | ^ here"]);
        check("", 0, 0, ["  9 |", "    | ^ here"]);
        check("a = 1", 5, 5, ["  9 | a = 1", "    |      ^ here"]);
        check("\ta = 'größe'", 5, 12, ["  9 |  a = 'größe'", "    |      ^^^^^^^ here"]);
        // An escape sequence in the file reaches the terminal as text, and the underline covers that text.
        let hostile = "a\x1b = 'b\u{202e}'";
        check(hostile, 5, 9, [r"  9 | a\u{1b} = 'b\u{202e}'", "    |           ^^^^^^^^^^^ here"]);
    }

    #[test]
    fn a_flood_is_cut_around_the_place() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = format!("  9 | …{}X{}…", "a".repeat(40), "b".repeat(59));
        let under = format!("    | {}^ here", " ".repeat(41));
        check(&line, 500, 501, [&shown, &under]);
        let shown = format!("  9 | {}…", "a".repeat(100));
        check(&line, 0, 900, [&shown, &format!("    | {} here", "^".repeat(100))]);
    }
}
