//! Text that came from outside, made safe to show: whatever a server or an app wrote cannot move the cursor,
//! colour the screen, forge a line or flood it.

use std::fmt::Write as _;

/// How much of a foreign value is shown inside a message, in characters.
const QUOTED_LIMIT: usize = 60;

/// `value` in backticks, escaped and shortened, to be quoted inside a message.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut out = String::from("`");
    for c in value.chars().take(QUOTED_LIMIT) {
        if c.is_ascii() && !c.is_ascii_control() {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    if value.chars().nth(QUOTED_LIMIT).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// One log line made safe for a terminal: control characters (escape sequences, carriage returns, bidirectional
/// overrides) become visible escapes; at most `limit` characters are kept, and what was cut is counted.
#[must_use]
pub fn printable(line: &str, limit: usize) -> String {
    let mut out = String::with_capacity(line.len().min(limit));
    for (index, c) in line.chars().enumerate() {
        if index == limit {
            let cut = line.chars().count() - limit;
            let _ = write!(out, "… ({cut} more characters)");
            break;
        }
        if c == '\t' {
            out.push(' ');
        } else if c.is_control() || is_bidirectional_control(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A log line that may be several, such as a stack trace, made safe for a terminal: each is on a row of its own, those after
/// the first behind `indent`, so that none can pass for a row of somebody else's. At most `limit` characters are kept of
/// each.
#[must_use]
pub fn printable_block(text: &str, limit: usize, indent: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| printable(line, limit)).collect();
    lines.join(&format!("\n{indent}"))
}

/// A whole text made safe for a terminal: what [`printable`] makes visible becomes visible here too, but lines stay
/// lines, tabs stay tabs, and nothing is cut.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || !(c.is_control() || is_bidirectional_control(c)) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// The characters of "Trojan Source" (CVE-2021-42574): they reorder what a person reads.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A count with its noun: `plural(1, "host")` is `1 host`, `plural(2, "host")` is `2 hosts`.
#[must_use]
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_cannot_reach_the_terminal() {
        assert_eq!(printable("\x1b[31mred\x07\r", 80), r"\u{1b}[31mred\u{7}\r");
        assert_eq!(printable("user\u{202e}gnp.exe", 80), r"user\u{202e}gnp.exe");
        assert_eq!(printable("größe\tok", 80), "größe ok");
        assert_eq!(printable("abcdef", 3), "abc… (3 more characters)");
    }

    #[test]
    fn the_lines_of_a_block_stay_behind_its_indent() {
        let forged = "Error: boom\n18:42:03  web1 shop healed\r\n\u{202e}\tat x\nabcdefghijklmnopqrstuvwxyz";
        let shown = "Error: boom\n    18:42:03  web1 shop healed\\r\n    \\u{202e} at x\n    abcdefghijklmnopqrstuvwxyz";
        assert_eq!(printable_block(forged, 27, "    "), shown);
        assert_eq!(printable_block("abc\nabcdef", 3, " "), "abc\n abc… (3 more characters)");
        assert_eq!(printable_block("", 3, " "), "");
    }

    #[test]
    fn a_text_keeps_its_lines_and_nothing_else_that_moves_the_cursor() {
        for (text, shown) in [
            ("größe\n\tok\n", "größe\n\tok\n"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("50 %\r99 %", r"50 %\r99 %"),
            ("del\x7f csi\u{9b}2J", r"del\u{7f} csi\u{9b}2J"),
            ("user\u{202e}gnp.exe", r"user\u{202e}gnp.exe"),
        ] {
            assert_eq!(printable_lines(text), shown);
        }
        let long = "x".repeat(100_000);
        assert_eq!(printable_lines(&long), long);
    }
}
