//! Of what a container logs nothing is lost uncounted: fragments become lines and lines become traces as the comments say,
//! however the stream was cut, and each stream keeps its order.

#![no_main]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arcane::fleet::{
    AppName, ContainerId, Fact, HostName, LineText, Profile, ReleaseId, Role, Stream, Subject, Timestamp,
};
use arcane::secrets::Redactor;
use arcane::watch::fuzzing::{Joining, split};
use arcane::watch::{Assembler, Line, LogReader};
use arcane_fuzz::joined::Lines;
use arcane_fuzz::{Draw, chunks};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];
/// The longest text of a line or a trace.
const LIMIT: usize = 64 << 10;
/// What is kept of a line that says what happened, beyond what fits.
const HEAD: usize = 400;
/// 2026-11-25T18:42:03Z.
const START: Timestamp = Timestamp::from_seconds(1_795_632_123);

/// What traces are made of.
const WORDS: [&str; 24] = [
    "Traceback (most recent call last):",
    "  File \"/app/x.py\", line 3, in f",
    "    f()",
    "ValueError: no",
    "",
    "During handling of the above exception, another exception occurred:",
    "panic: boom",
    "goroutine 1 [running]:",
    "main.f(0x1)",
    "\t/app/main.go:3 +0x1d",
    "Exception in thread \"main\" java.lang.Error: x",
    "\tat a.B.c(D.java:1)",
    "Caused by: java.io.IOException: no",
    "\t... 3 more",
    "Error: boom",
    "    at f (/x.js:1:1)",
    "thread 'main' panicked at",
    "stack backtrace:",
    "   0: rust_begin_unwind",
    "  + Exception Group Traceback (most recent call last):",
    "x.rb:1:in `f': no",
    "PHP Fatal error:  Uncaught Error: x in /a.php:3",
    "#0 {main}",
    "Unhandled exception. System.Exception: x",
];

/// What happens to a log.
enum Step {
    Entry(Timestamp, Stream, Vec<u8>),
    /// The engine says something itself, in a frame of its own kind or without a stamp.
    Complaint(u8, Vec<u8>),
    Flush,
    Settle,
    End,
}

fuzz_target!(|input: &[u8]| {
    let mut draw = Draw::new(input);
    let seed = draw.number();
    if draw.byte() % 4 == 0 {
        return terminal(&mut draw, seed);
    }
    let steps = steps(&mut draw);
    joins_and_assembles(&steps);
    reads(&steps, seed);
});

fn stamp(nanos: usize) -> (String, Timestamp) {
    let (second, part) = (3 + nanos / 1_000_000_000, nanos % 1_000_000_000);
    (format!("2026-11-25T18:42:{second:02}.{part:09}Z"), START + Duration::from_nanos(nanos as u64))
}

fn steps(draw: &mut Draw<'_>) -> Vec<Step> {
    let (mut steps, mut size, mut time) = (Vec::new(), 0, 0);
    while !draw.is_empty() && size < 160 << 10 {
        let byte = draw.byte();
        let (stream, end) = (STREAMS[usize::from(byte) & 1], if byte & 2 == 0 { "\n" } else { "" });
        time += usize::from(byte & 4);
        let (mut payload, mut times) = match byte >> 3 & 15 {
            0..=5 => (draw.pick(&WORDS).as_bytes().to_vec(), 1),
            6..=8 => {
                let length = draw.below(48);
                (draw.take(length).to_vec(), 1)
            }
            // Long ones, also of bytes that are no text.
            9 => (vec![draw.byte(); draw.length()], 1),
            10 => ("é".repeat(draw.length() / 2).into_bytes(), 1),
            // Many.
            11 => (draw.pick(&WORDS).as_bytes().to_vec(), draw.length() % 12_000),
            12 => {
                let length = draw.below(48);
                let words = draw.take(length).to_vec();
                steps.push(Step::Complaint(1 + draw.byte() % 3, words));
                continue;
            }
            13 => {
                steps.push(Step::Flush);
                continue;
            }
            // A trace that does not end is told after 2 seconds.
            14 if byte & 1 == 0 => {
                time = (time + 700_000_000).min(50_000_000_000);
                continue;
            }
            14 => {
                steps.push(Step::Settle);
                continue;
            }
            _ => {
                steps.push(Step::End);
                continue;
            }
        };
        payload.extend_from_slice(end.as_bytes());
        if payload.len() > 256 {
            times = 1;
        }
        size += (payload.len() + 32) * times;
        steps.extend((0..times).map(|_| Step::Entry(stamp(time).1, stream, payload.clone())));
    }
    steps
}

fn joins_and_assembles(steps: &[Step]) {
    let (mut joining, mut assembler) = (Joining::default(), Assembler::default());
    let mut plain = [Lines::default(), Lines::default()];
    let (mut given, mut whole): (Vec<Line>, Vec<Line>) = (Vec::new(), Vec::new());
    for step in steps.iter().chain([&Step::End]) {
        let mut lines = Vec::new();
        let both = |plain: &mut [Lines; 2], f: fn(&mut Lines, Stream) -> Option<Line>| -> Vec<Line> {
            plain.iter_mut().zip(STREAMS).filter_map(|(one, stream)| f(one, stream)).collect()
        };
        let expected = match step {
            Step::Entry(at, stream, payload) => {
                joining.push(*at, *stream, Bytes::copy_from_slice(payload), &mut lines);
                plain[*stream as usize].push(*at, *stream, payload).into_iter().collect()
            }
            Step::Flush => {
                joining.flush(&mut lines);
                both(&mut plain, Lines::flush)
            }
            Step::End => {
                joining.end(&mut lines);
                both(&mut plain, Lines::end)
            }
            Step::Settle => {
                assembler.settle(&mut whole);
                continue;
            }
            Step::Complaint(..) => continue,
        };
        assert_eq!(lines, expected);
        assert_eq!(joining.is_open(), plain.iter().any(Lines::is_open));
        for line in lines {
            assert!(line.text.len() <= LIMIT, "{}", line.text.len());
            given.push(line.clone());
            assembler.push(line, &mut whole);
        }
    }
    assembler.flush(&mut whole);
    assert!(!assembler.is_open());
    STREAMS.into_iter().for_each(|stream| kept(stream, &given, &whole));
}

/// Every line is in one of the traces, in order, or counted by it.
fn kept(stream: Stream, given: &[Line], whole: &[Line]) {
    let of_stream = |line: &&Line| line.stream == stream;
    let mut left: VecDeque<&Line> = given.iter().filter(of_stream).collect();
    for trace in whole.iter().filter(of_stream) {
        assert!(trace.text.len() <= LIMIT, "{}", trace.text.len());
        let first = left.pop_front().expect("a line for each trace");
        assert_eq!(trace.at, first.at);
        let rest = trace.text.strip_prefix(first.text.as_str());
        let mut rest = rest.unwrap_or_else(|| panic!("{trace:?} begins with {first:?}"));
        while !rest.is_empty() {
            let said = rest.strip_prefix('\n').expect("lines lie between newlines");
            let next = left.front().map_or("", |next| next.text.as_str());
            let row = said.split('\n').next().unwrap_or_default();
            if let Some(count) = dropped(row).filter(|_| !next.contains(" more line")) {
                assert!(left.len() >= count && count > 0, "{count} of {}", left.len());
                left.drain(..count);
                rest = &said[row.len()..];
                continue;
            }
            assert!(left.pop_front().is_some(), "{said:?} is none of its lines");
            let after = said.strip_prefix(next).or_else(|| after_head(said, next));
            rest = after.unwrap_or_else(|| panic!("{said:?} begins with {next:?}"));
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

/// How many lines a trace says are missing.
fn dropped(said: &str) -> Option<usize> {
    let count = said.strip_prefix("… ")?;
    count.strip_suffix(" more lines").or_else(|| count.strip_suffix(" more line"))?.parse().ok()
}

/// What follows a long line of which only the beginning is kept, since it says what happened.
fn after_head<'s>(said: &'s str, line: &str) -> Option<&'s str> {
    let end = (0..=HEAD.min(line.len())).rev().find(|&end| line.is_char_boundary(end))?;
    said.strip_prefix(&line[..end])?.strip_prefix('…').filter(|_| line.len() > HEAD)
}

/// The whole way, from a connection's bytes.
fn reads(steps: &[Step], seed: usize) {
    let mut bytes = Vec::new();
    let (mut assembler, mut expected) = (Assembler::default(), Vec::new());
    let mut plain = [Lines::default(), Lines::default()];
    for step in steps {
        match step {
            Step::Entry(at, stream, payload) => {
                let nanos = usize::try_from(at.since(START).as_nanos()).expect("less than a minute");
                frame(&mut bytes, 1 + *stream as u8, &[stamp(nanos).0.as_bytes(), b" ", payload].concat());
                if let Some(line) = plain[*stream as usize].push(*at, *stream, payload) {
                    assembler.push(line, &mut expected);
                }
            }
            // What begins like a stamp may be one.
            Step::Complaint(3, words) => frame(&mut bytes, 3, words),
            Step::Complaint(kind, words) => frame(&mut bytes, *kind, &[b"!", &words[..]].concat()),
            Step::Flush | Step::Settle | Step::End => {}
        }
    }
    for (plain, stream) in plain.iter_mut().zip(STREAMS) {
        if let Some(line) = plain.end(stream) {
            assembler.push(line, &mut expected);
        }
    }
    assembler.flush(&mut expected);
    for pieces in [vec![&bytes[..]], chunks(&bytes, seed).collect()] {
        let mut reader = reader();
        let mut found = Vec::new();
        let mut tell = |observation: arcane::fleet::Observation| match observation.fact {
            Fact::Line { stream, text } => found.push(Line { at: observation.at, stream, text }),
            other => panic!("{other:?}"),
        };
        for piece in pieces {
            reader.read(piece, &mut tell).expect("these are frames");
        }
        reader.finish(&mut tell);
        assert_eq!(found, expected);
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload is less than a megabyte");
    bytes.extend([kind, 0, 0, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(payload);
}

fn reader() -> LogReader {
    let subject = Subject {
        app: AppName::parse("shop").expect("a name"),
        release: ReleaseId::new(Timestamp::from_seconds(0), 0),
        container: ContainerId("c".to_owned()),
        role: Role::Live,
        profile: Profile::default(),
    };
    LogReader::new(HostName::parse("web1").expect("a name"), Arc::new(subject), Redactor::default())
}

/// A terminal's raw stream: the same entries however it is cut, and all of it but what has no end yet.
fn terminal(draw: &mut Draw<'_>, seed: usize) {
    let mut bytes = Vec::new();
    let mut time = 0;
    while !draw.is_empty() && bytes.len() < 640 << 10 {
        let byte = draw.byte();
        time += usize::from(byte & 4);
        let stamped = stamp(time).0 + " ";
        match byte >> 3 {
            // The engine stamps fragments, too.
            0..=15 => bytes.extend_from_slice(stamped.as_bytes()),
            16 => bytes.extend_from_slice(&stamped.as_bytes()[..usize::from(draw.byte()) % stamped.len()]),
            17..=20 => bytes.extend_from_slice(draw.pick(&WORDS).as_bytes()),
            21..=24 => {
                let length = draw.below(48);
                bytes.extend_from_slice(draw.take(length));
            }
            25..=27 => bytes.extend(std::iter::repeat_n(b'x', 16 << 10)),
            28 => bytes.extend(vec![draw.byte(); 8 * draw.length()]),
            _ => {}
        }
        if byte & 3 == 0 {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    let pieces = split([&bytes[..]].into_iter());
    assert_eq!(split(chunks(&bytes, seed)), pieces);
    let mut rest = &bytes[..];
    for (at, payload) in pieces {
        // A stamp and a space, when there is one.
        let skipped = if at.is_some() {
            rest.iter().position(|&byte| byte == b' ').map_or(0, |space| space + 1)
        } else {
            0
        };
        rest = &rest[skipped..];
        let text = LineText::from(String::from_utf8_lossy(&payload).into_owned());
        assert!(rest.starts_with(&payload) && payload.len() <= 512 << 10, "{text:?}");
        rest = &rest[payload.len()..];
    }
    assert!(!rest.contains(&b'\n') && rest.len() < 512 << 10, "{} bytes are left", rest.len());
}
