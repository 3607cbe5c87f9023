//! Files of `NAME=value`, as people keep them before they have a vault, and as an editor shows a vault.
//!
//! What is written reads back as the same bytes. What is read is what the common tools agree on: comments, `export`,
//! quotes, values of several lines. Nothing is put in for `$NAME`: a secret may well hold a dollar.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::value::Value;
use crate::fleet::text::quoted;
use crate::fleet::{NameError, VariableName};

/// What stands before the base64 of a value that is no text.
const BINARY: &str = "base64:";

/// For whom a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For any program: text only.
    Common,
    /// For our own reading: an unquoted `base64:…` is bytes.
    Own,
}

/// Why a file is not understood. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DotenvError {
    /// A line without `=`.
    #[error("line {line} has no `=`")]
    NoEquals {
        /// Counted from 1.
        line: usize,
    },
    /// A name that no variable can have.
    #[error("line {line}: {problem}")]
    Name {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: NameError,
    },
    /// The same name twice.
    #[error("line {line} sets {} again", quoted(name.as_str()))]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The name.
        name: VariableName,
    },
    /// Quotes without an end.
    #[error("line {line} opens a quote that is never closed")]
    Open {
        /// Counted from 1.
        line: usize,
    },
    /// Something after the closing quote.
    #[error("line {line} goes on after the closing quote")]
    Trailing {
        /// Counted from 1.
        line: usize,
    },
    /// `base64:` and then something else.
    #[error("line {line} is not base64 where it says so")]
    Base64 {
        /// Counted from 1.
        line: usize,
    },
    /// Not text.
    #[error("it is not UTF-8 text")]
    NotText,
}

/// Reads a file.
///
/// # Errors
/// At the first line that is not understood; no value is taken from the file then.
pub fn parse(bytes: &[u8], form: Form) -> Result<BTreeMap<VariableName, Value>, DotenvError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DotenvError::NotText)?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            (rest, line) = (after, line + 1);
            continue;
        }
        let (name, value) = rest
            .split_once('=')
            .filter(|(name, _)| !name.contains('\n'))
            .ok_or(DotenvError::NoEquals { line })?;
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let name = VariableName::parse(name).map_err(|problem| DotenvError::Name { line, problem })?;
        let (value, after, lines) = read_value(value, line, form)?;
        if found.insert(name.clone(), value).is_some() {
            return Err(DotenvError::Twice { line, name });
        }
        (rest, line) = (after, line + lines);
    }
    Ok(found)
}

/// The value that begins here, what follows its line, and how many lines it took.
fn read_value(text: &str, line: usize, form: Form) -> Result<(Value, &str, usize), DotenvError> {
    let text = text.trim_start_matches([' ', '\t']);
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let (first, after) = text.split_once('\n').unwrap_or((text, ""));
        // A comment begins where white space stands before its `#`.
        let end = first.match_indices('#').map(|(at, _)| at);
        let mut end = end.filter(|at| *at == 0 || first[..*at].ends_with([' ', '\t']));
        let value = first[..end.next().unwrap_or(first.len())].trim();
        if form == Form::Own
            && let Some(encoded) = value.strip_prefix(BINARY)
        {
            let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| DotenvError::Base64 { line })?;
            return Ok((Value::new(bytes), after, 1));
        }
        return Ok((Value::from(value), after, 1));
    };
    let body = &text[1..];
    let end = closing(body, quote).ok_or(DotenvError::Open { line })?;
    let (inside, after) = (&body[..end], &body[end + 1..]);
    let lines = 1 + inside.matches('\n').count();
    let (remains, after) = after.split_once('\n').unwrap_or((after, ""));
    let remains = remains.trim();
    if !(remains.is_empty() || remains.starts_with('#')) {
        return Err(DotenvError::Trailing { line: line + lines - 1 });
    }
    if quote == '\'' {
        return Ok((Value::from(inside), after, lines));
    }
    Ok((Value::new(unescaped(inside).into_bytes()), after, lines))
}

/// What stands between double quotes. It is never longer than what was written: with as much room it never grows, which
/// would leave a copy behind, and with more there would be more to wipe.
pub(super) fn unescaped(inside: &str) -> String {
    let mut value = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    value
}

/// Where the quote that was opened is closed.
fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    body.char_indices().find_map(|(at, c)| {
        let closes = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// Writes a file, a line per secret.
///
/// # Errors
/// The names of those that are no text, when the file is for any program.
pub fn render<'v>(
    secrets: impl Iterator<Item = (&'v VariableName, &'v Value)>,
    form: Form,
) -> Result<Zeroizing<String>, Vec<VariableName>> {
    let mut out = Zeroizing::new(String::with_capacity(4096));
    let mut binary = Vec::new();
    for (name, value) in secrets {
        // Room for every character escaped, so that no copy is left behind.
        out.reserve(name.as_str().len() + value.len() * 2 + 16);
        out.push_str(name.as_str());
        out.push('=');
        match value.text().filter(|text| !text.contains('\0')) {
            Some(text) => write_text(text, &mut out),
            None if form == Form::Own => {
                out.push_str(BINARY);
                out.push_str(&Zeroizing::new(BASE64.encode(value.expose())));
            }
            None => binary.push(name.clone()),
        }
        out.push('\n');
    }
    if binary.is_empty() { Ok(out) } else { Err(binary) }
}

fn write_text(text: &str, out: &mut String) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=?&~^*!".contains(c);
    if text.chars().all(plain) && !text.starts_with(BINARY) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
}
