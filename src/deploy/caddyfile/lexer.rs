//! Words, as Caddy splits them: quotes, backquotes, heredocs, comments, line continuations.
//!
//! Written from what Caddy does, not from what its manual says: a carriage return is nothing at all, even inside a word;
//! `#` begins a comment only where a word could begin; a backslash before a line break joins two lines.

use std::ops::Range;

use super::problem::Problem;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// What it says, without quotes.
    pub(super) text: String,
    /// Where it stands, quotes included.
    pub(super) span: Range<usize>,
    /// The line as Caddy counts: continued lines are one.
    pub(super) line: usize,
    /// The same, of its end.
    pub(super) end_line: usize,
    /// Whether it stands in quotes of any kind.
    pub(super) quoted: bool,
}

impl Token {
    /// Whether this word begins a line, coming after `before`.
    pub(super) fn begins_line_after(&self, before: &Self) -> bool {
        self.line > before.end_line
    }

    /// Whether it is this brace.
    pub(super) fn is(&self, brace: &str) -> bool {
        self.text == brace && !self.quoted
    }
}

/// The line of a place in a text, counted from 1.
pub(super) fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Splits a text into words.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer { text, at: 0, line: 1, skipped: 0 };
    if text.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    /// Line breaks that do not end a line: escaped ones, and those of a heredoc.
    skipped: usize,
}

/// A word that has begun.
struct Begun {
    start: usize,
    /// Behind its last character so far: carriage returns after it are no part of it.
    end: usize,
    line: usize,
    value: String,
}

impl Begun {
    fn push(&mut self, c: char, at: usize) {
        self.value.push(c);
        self.end = at + c.len_utf8();
    }

    fn done(self, end_line: usize, quoted: bool) -> Token {
        Token { text: self.value, span: self.start..self.end, line: self.line, end_line, quoted }
    }
}

impl Lexer<'_> {
    fn take(&mut self) -> Option<(usize, char)> {
        let at = self.at;
        let c = self.text.get(at..)?.chars().next()?;
        self.at += c.len_utf8();
        Some((at, c))
    }

    fn problem(&self, at: usize, what: &str) -> Problem {
        Problem::Syntax { line: line_at(self.text, at), what: what.to_owned() }
    }

    fn line_break(&mut self) {
        self.line += 1 + self.skipped;
        self.skipped = 0;
    }

    fn next(&mut self) -> Result<Option<Token>, Problem> {
        let (mut comment, mut no_heredoc) = (false, false);
        // Where the backslash stands that is still to be given a meaning.
        let mut escaped: Option<usize> = None;
        let mut word: Option<Begun> = None;
        while let Some((at, c)) = self.take() {
            if let Some(begun) = word.take_if(|word| !no_heredoc && word.value.starts_with("<<")) {
                match c {
                    '<' => return Err(self.problem(at, "a heredoc begins with two `<`, not three")),
                    ' ' => return Ok(Some(begun.done(self.line, false))),
                    '\n' => return self.heredoc(begun).map(Some),
                    _ => {}
                }
                let mut begun = begun;
                if c != '\r' {
                    begun.push(c, at);
                }
                word = Some(begun);
                continue;
            }
            if escaped.is_none() && c == '\\' {
                escaped = Some(at);
                continue;
            }
            if c.is_whitespace() {
                if c == '\r' {
                    continue;
                }
                if c == '\n' {
                    if escaped.take().is_some() {
                        self.skipped += 1;
                    } else if word.is_none() {
                        self.line_break();
                    } else {
                        // Counted with the next word: this one ends on its line.
                        self.at = at;
                    }
                    comment = false;
                }
                if let Some(begun) = word {
                    return Ok(Some(begun.done(self.line, false)));
                }
                continue;
            }
            comment |= c == '#' && word.is_none();
            if comment {
                continue;
            }
            if word.is_none() && matches!(c, '"' | '`') {
                return self.quoted(at, c).map(Some);
            }
            // A backslash belongs to the word, unless it only says that `<<` is no heredoc.
            let (start, line) = (escaped.unwrap_or(at), self.line);
            let begun = word.get_or_insert_with(|| Begun { start, end: start, line, value: String::new() });
            if escaped.take().is_some() {
                if c == '<' {
                    no_heredoc = true;
                } else {
                    begun.value.push('\\');
                }
            }
            begun.push(c, at);
        }
        Ok(word.map(|begun| begun.done(self.line, false)))
    }

    fn quoted(&mut self, start: usize, quote: char) -> Result<Token, Problem> {
        let mut begun = Begun { start, end: start, line: self.line, value: String::new() };
        let mut escaped = false;
        while let Some((_, c)) = self.take() {
            if quote == '"' && !escaped && c == '\\' {
                escaped = true;
                continue;
            }
            if escaped {
                if c != '"' {
                    begun.value.push('\\');
                }
                escaped = false;
            } else if c == quote {
                begun.end = self.at;
                return Ok(begun.done(self.line, true));
            }
            if c == '\n' {
                self.line_break();
            }
            begun.value.push(c);
        }
        Err(self.problem(start, "a quote is opened here and never closed"))
    }

    /// What follows `<<MARKER` and a line break, up to the marker.
    fn heredoc(&mut self, begun: Begun) -> Result<Token, Problem> {
        let marker = begun.value.strip_prefix("<<").unwrap_or_default().to_owned();
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if marker.is_empty() || !marker.chars().all(known) {
            return Err(self.problem(begun.start, "the marker of a heredoc is missing or malformed"));
        }
        let (from, mut found) = (self.at, 0);
        let mut breaks = 1;
        let mut value = String::new();
        while let Some((at, c)) = self.take() {
            breaks += usize::from(c == '\n');
            value.push(c);
            if value.len() > marker.len() && value.ends_with(&marker) {
                found = at;
                break;
            }
        }
        if found < from {
            return Err(self.problem(begun.start, "a heredoc is opened here and never closed"));
        }
        self.line += breaks + self.skipped;
        self.skipped = 0;
        Ok(Begun { value, end: self.at, ..begun }.done(self.line, true))
    }
}
