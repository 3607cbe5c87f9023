//! A line with carets below the words that matter, safe for a terminal however hostile the line is.

use std::ops::Range;

use crate::fleet::text::printable;

/// How much of a line is shown, in characters.
const WIDTH: usize = 160;
/// How much of it before the first mark.
const BEFORE: usize = 40;

/// The line, and the carets when there are any.
pub(super) fn marked(line: &str, marks: &[Range<usize>]) -> Vec<String> {
    let mut cells: Vec<(char, bool)> = Vec::new();
    let mut at = 0;
    let mut add = |text: &str, is_marked: bool| {
        cells.extend(printable(text, usize::MAX).chars().map(|c| (c, is_marked)));
    };
    for mark in marks {
        let (start, end) = (mark.start.clamp(at, line.len()), mark.end.clamp(at, line.len()));
        add(line.get(at..start).unwrap_or_default(), false);
        add(line.get(start..end).unwrap_or_default(), true);
        at = end;
    }
    add(line.get(at..).unwrap_or_default(), false);
    let first = cells.iter().position(|(_, is_marked)| *is_marked).unwrap_or(0);
    let skipped = if cells.len() > WIDTH { first.saturating_sub(BEFORE) } else { 0 };
    let mut window: Vec<(char, bool)> = cells.iter().skip(skipped).take(WIDTH).copied().collect();
    if skipped > 0 {
        window.insert(0, ('…', false));
    }
    if cells.len() > skipped + WIDTH {
        window.push(('…', false));
    }
    let shown: String = window.iter().map(|(c, _)| c).collect();
    let carets: String = window.iter().map(|(_, is_marked)| if *is_marked { '^' } else { ' ' }).collect();
    let carets = carets.trim_end();
    if carets.is_empty() { vec![shown] } else { vec![shown, carets.to_owned()] }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    #[test]
    fn carets_stand_below_the_words() {
        assert_eq!(marked("a bc d", from_ref(&(2..4))), ["a bc d", "  ^^"]);
        assert_eq!(marked("größe x", &[0..7, 8..9]), ["größe x", "^^^^^ ^"]);
        assert_eq!(marked("none", &[]), ["none"]);
        assert_eq!(marked("\u{1b}[2J x", from_ref(&(5..6))), [r"\u{1b}[2J x", "          ^"]);
        assert_eq!(marked("ab", from_ref(&(0..9))), ["ab", "^^"], "a range that is too long is cut");
    }

    #[test]
    fn a_long_line_is_shown_around_the_first_mark() {
        let line = format!("{}needle{}", "x".repeat(5000), "y".repeat(5000));
        let shown = marked(&line, from_ref(&(5000..5006)));
        assert!(shown[0].chars().count() <= WIDTH + 2 && shown[0].contains("needle"));
        assert_eq!(shown[1].trim(), "^^^^^^");
        assert_eq!(shown[1].find('^'), shown[0].chars().position(|c| c == 'n'));
    }
}
