//! Values as TOML writes them.

use std::fmt::Write as _;

use crate::fleet::text::printable;

/// A text: literal where that is possible, because it is what an author wants to read, else with escapes.
pub(super) fn text(text: &str) -> String {
    let is_plain = |c: char| is_shown(c) && c != '\'';
    let escapes = text.chars().any(|c| matches!(c, '"' | '\\'));
    if text.chars().all(is_plain) && escapes {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if !is_shown(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a character is shown as it is: what moves the cursor or turns text around is not.
fn is_shown(c: char) -> bool {
    let mut buffer = [0; 4];
    let alone: &str = c.encode_utf8(&mut buffer);
    printable(alone, 1) == alone
}

/// A key: bare where that is possible.
pub(super) fn key(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { key.to_owned() } else { text(key) }
}
