//! Fragments, values across them, and lines without measure.

use proptest::prelude::*;

use super::*;
use crate::fleet::VariableName;
use crate::secrets::Value;

fn entry(at: i64, stream: Stream, payload: &[u8]) -> Entry {
    Entry { at: Timestamp::from_nanos(at), stream, payload: Bytes::copy_from_slice(payload) }
}

fn check(entries: &[(i64, Stream, &str)], expected: &[(i64, Stream, &str)]) {
    let mut joiner = Joiner::default();
    let mut lines: Vec<Line> = Vec::new();
    for (at, stream, payload) in entries {
        joiner.push(entry(*at, *stream, payload.as_bytes()), &mut lines);
    }
    joiner.end(&mut lines);
    let lines: Vec<_> =
        lines.iter().map(|line| (line.at.as_nanos(), line.stream, line.text.as_str())).collect();
    assert_eq!(lines, expected);
}

#[test]
fn fragments_join_per_stream() {
    use Stream::{Stderr, Stdout};
    check(&[(1, Stdout, "a\n"), (2, Stdout, "b\r\n")], &[(1, Stdout, "a"), (2, Stdout, "b")]);
    check(
        &[
            (1, Stdout, "one "),
            (2, Stderr, "err "),
            (1, Stdout, "two\n"),
            (2, Stderr, "or\n"),
            (3, Stdout, "\n"),
        ],
        &[(1, Stdout, "one two"), (2, Stderr, "err or"), (3, Stdout, "")],
    );
    check(&[(1, Stdout, "unfinished")], &[(1, Stdout, "unfinished…")]);
}

#[test]
fn a_whole_line_is_not_copied() {
    for (payload, shared) in
        [(&b"plain\r\n"[..], true), (b"gr\xc3\xb6\xc3\x9fe\n", true), (b"a\xff\n", false)]
    {
        let entry = entry(1, Stream::Stdout, payload);
        let at = entry.payload.as_ptr();
        let mut lines: Vec<Line> = Vec::new();
        masking().push(entry, &mut lines);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(line.text.as_ptr() == at, shared, "{line:?}");
        assert!(!line.text.ends_with(['\r', '\n']));
    }
}

#[test]
fn a_flushed_line_goes_on_with_a_mark() {
    let mut joiner = Joiner::default();
    let mut lines: Vec<Line> = Vec::new();
    joiner.push(entry(1, Stream::Stdout, b"slow"), &mut lines);
    joiner.flush(&mut lines);
    assert!(!joiner.is_open());
    joiner.push(entry(1, Stream::Stdout, b" line\n"), &mut lines);
    joiner.push(entry(2, Stream::Stdout, b"next\n"), &mut lines);
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["slow…", "… line", "next"]);
}

const VALUE: &str = "tok_9f8e7d6c5b4a3928";

fn masking() -> Joiner {
    let (name, value) = (VariableName::parse("API_KEY").unwrap(), Value::from(VALUE));
    Joiner::new(Redactor::new([(&name, &value)].into_iter()).unwrap())
}

#[test]
fn a_value_is_masked_however_it_comes() {
    for at in 0..=VALUE.len() {
        let (before, after) = VALUE.split_at(at);
        for (flushes, ends) in [(false, true), (true, true), (true, false)] {
            let mut joiner = masking();
            let mut lines: Vec<Line> = Vec::new();
            joiner.push(entry(1, Stream::Stdout, format!("key {before}").as_bytes()), &mut lines);
            if flushes {
                joiner.flush(&mut lines);
                assert!(!joiner.is_open());
            }
            let end = if ends { "\n" } else { "" };
            joiner.push(entry(2, Stream::Stdout, format!("{after} ok{end}").as_bytes()), &mut lines);
            joiner.end(&mut lines);
            let joined: String = lines.iter().map(|line| line.text.trim_matches('…')).collect();
            assert_eq!(joined, "key [secret API_KEY] ok", "{at} {flushes} {ends}");
        }
    }
}

#[test]
fn a_line_whose_beginning_was_not_read_hides_the_end_of_a_value() {
    let mut joiner = masking();
    let entries =
        [entry(1, Stream::Stdout, b"7d6c5b4a3928 and\n"), entry(2, Stream::Stdout, b"7d6c5b4a3928 so\n")];
    let lines = joiner.last_lines(entries.into(), 9);
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["[secret API_KEY] and", "7d6c5b4a3928 so"]);
}

#[test]
fn the_beginning_of_a_value_that_never_goes_on_is_masked() {
    let mut joiner = masking();
    let mut lines: Vec<Line> = Vec::new();
    joiner.push(entry(1, Stream::Stdout, b"tok_9f8e7d"), &mut lines);
    joiner.flush(&mut lines);
    assert_eq!(lines, []);
    joiner.end(&mut lines);
    assert_eq!(lines.pop().unwrap().text, "[secret API_KEY]…");
    joiner.push(entry(2, Stream::Stdout, b"next\n"), &mut lines);
    assert_eq!(lines.pop().unwrap().text, "next");
}

#[test]
fn invalid_utf8_is_replaced_and_stays_within_the_limit() {
    let mut joiner = Joiner::default();
    let mut lines: Vec<Line> = Vec::new();
    joiner.push(entry(1, Stream::Stdout, b"a\xff\n"), &mut lines);
    assert_eq!(lines.pop().unwrap().text, "a\u{fffd}");
    let mut hostile = vec![0xff; 60 << 10];
    hostile.push(b'\n');
    joiner.push(entry(1, Stream::Stdout, &hostile), &mut lines);
    let line = lines.pop().unwrap();
    assert!(lines.is_empty() && line.text.len() <= LINE_LIMIT);
    let kept = line.text.matches('\u{fffd}').count();
    assert_eq!(kept, PIECE / 3);
    assert!(line.text.ends_with(&format!("… ({} more bytes)", grouped((60 << 10) - kept))), "{}", line.text);
}

/// A line in fragments, and what comes of it.
fn of_long(line: &[u8], fragment: usize, joiner: &mut Joiner) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for chunk in line.chunks(fragment) {
        joiner.push(entry(7, Stream::Stderr, chunk), &mut lines);
    }
    lines
}

#[test]
fn the_beginning_of_a_line_of_ten_megabytes_is_kept_and_the_rest_counted() {
    let mut joiner = Joiner::default();
    let mut line = vec![b'x'; 10_000_000];
    line.push(b'\n');
    let lines = of_long(&line, 16 << 10, &mut joiner);
    let [kept] = lines.as_slice() else { panic!("{} lines", lines.len()) };
    assert_eq!(kept.text, format!("{}… (9,934,528 more bytes)", "x".repeat(PIECE)).as_str());
    assert!(joiner.is_told());
    assert!(joiner.stderr.bytes.capacity() <= LINE_LIMIT, "its memory is given back");
    let mut lines: Vec<Line> = Vec::new();
    joiner.push(entry(8, Stream::Stderr, b"next\n"), &mut lines);
    assert_eq!(lines.pop().unwrap().text, "next");
}

#[test]
fn a_line_too_long_that_pauses_is_counted_in_parts() {
    let mut joiner = Joiner::default();
    let mut lines = of_long(&vec![b'x'; 70_000], 16 << 10, &mut joiner);
    assert!(lines.is_empty() && joiner.is_open());
    joiner.flush(&mut lines);
    assert!(!joiner.is_open() && joiner.is_told());
    joiner.flush(&mut lines);
    joiner.push(entry(7, Stream::Stderr, &[b'y'; 1_234]), &mut lines);
    joiner.flush(&mut lines);
    joiner.push(entry(7, Stream::Stderr, b"\n"), &mut lines);
    let texts: Vec<_> = lines.iter().map(|line| line.text.trim_start_matches('x')).collect();
    assert_eq!(texts, ["… (4,528 more bytes)", "… (1,234 more bytes)", "…"]);
    // One that ends with its process.
    let mut lines = of_long(&vec![b'x'; 70_000], 16 << 10, &mut joiner);
    joiner.end(&mut lines);
    assert!(lines.len() == 1 && joiner.is_told(), "{}", lines.len());
}

proptest! {
    #[test]
    fn of_a_long_line_nothing_is_lost_uncounted(length in 0_usize..300_000, fragment in 1_000_usize..20_000) {
        let line: String = "0123456789é".chars().cycle().take(length).collect();
        let mut joiner = Joiner::default();
        let lines = of_long(format!("{line}\n").as_bytes(), fragment, &mut joiner);
        prop_assert!(joiner.is_told());
        prop_assert_eq!(lines.len(), 1);
        let text = lines[0].text.as_str();
        prop_assert!(text.len() <= LINE_LIMIT);
        if line.len() <= PIECE {
            prop_assert_eq!(text, line);
        } else {
            let (kept, more) = text.split_once('…').unwrap();
            let more: usize = more.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
            prop_assert!(line.starts_with(kept));
            prop_assert_eq!(kept.len() + more, line.len());
            prop_assert!(kept.len() > PIECE - 4);
        }
    }

    #[test]
    fn nothing_of_a_value_is_left_where_a_long_line_is_cut(
        before in (PIECE - 60)..(PIECE + 20), fragment in 1_000_usize..20_000, ends in any::<bool>(),
    ) {
        let line = format!("{}{VALUE}{}", "x".repeat(before), "y".repeat(70_000));
        let mut joiner = masking();
        let mut lines = of_long(line.as_bytes(), fragment, &mut joiner);
        if ends {
            joiner.push(entry(7, Stream::Stderr, b"\n"), &mut lines);
        }
        joiner.end(&mut lines);
        prop_assert_eq!(lines.len(), 1);
        let rest = lines[0].text.trim_start_matches('x');
        let (kept, _) = rest.split_once('…').unwrap();
        let masked = kept.strip_prefix("[secret API_KEY]").unwrap_or(kept);
        prop_assert!(masked.chars().all(|c| c == 'y'), "{}", masked);
    }
}
