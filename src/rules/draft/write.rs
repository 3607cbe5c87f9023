//! Values as TOML writes them.

use std::fmt::Write as _;

/// A text: literal where that is possible, because it is what an author wants to read, else with escapes.
pub(super) fn text(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && c != '\'';
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
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key: bare where that is possible.
pub(super) fn key(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { key.to_owned() } else { text(key) }
}
