//! What is wrong with a rule file, shown the way a compiler shows it: place, line, caret, and what may have been meant.

use std::fmt;
use std::ops::Range;

use super::hit::boundary;
use crate::fleet::text::{plural, printable};

/// How much of a source line is shown around the caret, in characters.
const SHOWN: usize = 100;
/// How much of what is said about it: a message may name a whole pattern.
const SAID: usize = 1000;

/// One thing wrong with a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to the loader.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted in characters from 1.
    pub column: usize,
    /// How many characters it is about.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// What may have been meant, or what to do about it.
    pub hint: Option<String>,
    /// The line itself.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (shown, offset) = self.excerpt();
        let room = shown.chars().count().saturating_sub(offset);
        let carets = "^".repeat(self.width.min(room).max(1));
        // The file's own words are among them, and the file may be somebody else's.
        let (file, message) = (printable(&self.file, SAID), printable(&self.message, SAID));
        writeln!(f, "{file}:{}:{}: {message}", self.line, self.column)?;
        writeln!(f, "  {number} | {shown}")?;
        write!(f, "  {margin} | {}{carets}", " ".repeat(offset))?;
        match &self.hint {
            Some(hint) => write!(f, " {}", printable(hint, SAID)),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// The part of the line around the problem, and where in it the problem begins.
    fn excerpt(&self) -> (String, usize) {
        let before = self.column - 1;
        let skip = if before > SHOWN / 2 { before - 20 } else { 0 };
        let lead = if skip > 0 { "…" } else { "" };
        let prefix: String = self.text.chars().skip(skip).take(before - skip).collect();
        let rest: String = self.text.chars().skip(before).take(SHOWN - (before - skip)).collect();
        let tail = if self.text.chars().nth(skip + SHOWN).is_some() { "…" } else { "" };
        let prefix = format!("{lead}{}", printable(&prefix, SHOWN));
        let offset = prefix.chars().count();
        (format!("{prefix}{}{tail}", printable(&rest, SHOWN)), offset)
    }
}

/// A rule file that was refused: everything that is wrong with it at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} in the rules:\n{}", plural(.0.len(), "problem"), listed(.0))]
pub struct Error(pub Vec<Problem>);

fn listed(problems: &[Problem]) -> String {
    let shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    shown.join("\n")
}

/// A rule file's name and text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
    /// Files of a higher layer replace what lower ones have.
    pub(super) layer: usize,
}

impl Source {
    /// A problem with the bytes `span` of this file.
    pub(super) fn problem(&self, span: &Range<usize>, message: impl Into<String>) -> Problem {
        let start = boundary(&self.text, span.start);
        let end = boundary(&self.text, span.end).max(start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        Problem {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            width: self.text[start..end.min(line_end).max(start)].chars().count().max(1),
            message: message.into(),
            hint: None,
            text: self.text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }
}

/// Of `known`, the word most like `word`, when one is like it at all.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
