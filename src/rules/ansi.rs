//! Terminal colouring in log lines: taken out before matching, so that `\x1b[31mERROR\x1b[0m` is `ERROR` to a rule.

const ESCAPE: char = '\u{1b}';

/// `line` without its escape sequences; in `room` when it has any.
pub(super) fn strip<'l>(line: &'l str, room: &'l mut String) -> &'l str {
    let Some(first) = line.find(ESCAPE) else {
        return line;
    };
    room.clear();
    room.push_str(&line[..first]);
    let mut rest = after_sequence(&line[first + 1..]);
    while let Some(at) = rest.find(ESCAPE) {
        room.push_str(&rest[..at]);
        rest = after_sequence(&rest[at + 1..]);
    }
    room.push_str(rest);
    room
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
            let mut room = "what was here before".to_owned();
            assert_eq!(strip(line, &mut room), expected, "{line:?}");
        }
    }
}
