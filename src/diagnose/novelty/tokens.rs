//! A line as tokens: words between blanks and punctuation. What holds a digit is a value, not a word.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::ops::Range;

/// More of a line is not looked at, in bytes.
const LINE: usize = 3_000;
/// Tokens of a line; what comes after them is not looked at.
pub(super) const MOST: usize = 64;

/// A token: a hash of its text, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// [`VALUE`] for what differs from line to line.
    pub(super) hash: u64,
    pub(super) span: Range<usize>,
}

/// The hash of every value.
pub(super) const VALUE: u64 = 0;

/// Splits a line; `tokens` is emptied first, and kept by the caller so that a line costs no allocation.
pub(super) fn split(line: &str, tokens: &mut Vec<Token>) {
    tokens.clear();
    let bytes = &line.as_bytes()[..line.len().min(LINE)];
    let mut at = 0;
    while at < bytes.len() && tokens.len() < MOST {
        if is_between(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().position(|&byte| is_between(byte)).unwrap_or(bytes.len() - at);
        let span = at..at + length;
        tokens.push(Token { hash: hash(&bytes[span.clone()]), span });
        at += length;
    }
}

/// The hash of a word; the same on every machine and in every run of one build, and never [`VALUE`].
pub(super) fn hash(word: &[u8]) -> u64 {
    if word.iter().any(u8::is_ascii_digit) {
        return VALUE;
    }
    BuildHasherDefault::<DefaultHasher>::default().hash_one(word).max(1)
}

/// Blanks, control characters, and the punctuation of JSON, logfmt and the usual prefixes.
const fn is_between(byte: u8) -> bool {
    matches!(
        byte,
        0..=b' '
            | b'"'
            | b'\''
            | b'{'
            | b'}'
            | b'['
            | b']'
            | b'('
            | b')'
            | b','
            | b';'
            | b'='
            | b'|'
            | b'<'
            | b'>'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values() {
        let line = r#"{"level":"info","msg":"user 42 logged in","ip":"10.0.0.1"}"#;
        let mut tokens = Vec::new();
        split(line, &mut tokens);
        let shown: Vec<_> = tokens
            .iter()
            .map(|token| if token.hash == VALUE { "*" } else { &line[token.span.clone()] })
            .collect();
        assert_eq!(shown, ["level", ":", "info", "msg", ":", "user", "*", "logged", "in", "ip", ":", "*"]);
    }

    #[test]
    fn long_and_odd_lines_are_bounded() {
        let mut tokens = Vec::new();
        split(&"größe ".repeat(10_000), &mut tokens);
        assert_eq!(tokens.len(), MOST);
        split(&"x".repeat(LINE * 2), &mut tokens);
        assert_eq!(tokens.len(), 1);
        split("\u{0}\t\n", &mut tokens);
        assert!(tokens.is_empty());
    }
}
