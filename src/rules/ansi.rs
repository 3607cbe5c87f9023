//! Terminal colouring in log lines: taken out before matching, so that `\x1b[31mERROR\x1b[0m` is `ERROR` to a rule.

use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';

/// `line` without its escape sequences; borrowed when it has none.
pub(super) fn strip(line: &str) -> Cow<'_, str> {
    if !line.contains(ESCAPE) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(ESCAPE) {
        out.push_str(&rest[..at]);
        rest = after_sequence(&rest[at + 1..]);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What follows an escape sequence whose ESC was already read. An unfinished sequence loses only its ESC, so that a
/// stray one cannot hide the rest of a line from the rules.
fn after_sequence(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(b'[') => {
            let parameters = text[1..].bytes().take_while(|byte| (0x20..=0x3f).contains(byte)).count();
            match text.as_bytes().get(1 + parameters) {
                Some(0x40..=0x7e) => &text[2 + parameters..],
                _ => text,
            }
        }
        Some(b']') => match text.find(['\u{7}', ESCAPE]) {
            Some(end) if text[end..].starts_with('\u{7}') => &text[end + 1..],
            Some(end) if text[end..].starts_with("\u{1b}\\") => &text[end + 2..],
            _ => text,
        },
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        for (line, expected) in [
            ("plain", "plain"),
            ("\x1b[31mERROR\x1b[0m: größe", "ERROR: größe"),
            ("\x1b[38;5;196;1mpan\x1b[mic", "panic"),
            ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
            ("\x1b]0;title\x1b\\body", "body"),
            ("\x1b", ""),
            ("\x1b[31", "[31"),
            ("\x1b[é31mx", "[é31mx"),
            ("\x1b]never closed: panic", "]never closed: panic"),
        ] {
            assert_eq!(strip(line), expected, "{line:?}");
        }
    }
}
