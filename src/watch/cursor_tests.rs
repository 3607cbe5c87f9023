//! The cursor against a model of the engine: whatever the log, wherever the line is cut, each entry arrives once and
//! in its place.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// How an engine applies `since`.
#[derive(Debug, Clone, Copy)]
enum Engine {
    /// To every entry (20.10).
    EveryEntry,
    /// Up to the first that passes.
    FirstEntry,
    /// Up to the first that passes, in whole seconds.
    Seconds,
}

impl Engine {
    /// What a log that is followed sends, of what is there of it.
    fn reply(self, log: &[Entry], request: Request) -> Vec<Entry> {
        let skipped = request.tail.map_or(0, |tail| log.len().saturating_sub(tail));
        let log = &log[skipped..];
        let since = request.since.unwrap_or(Timestamp::EPOCH);
        match self {
            Self::EveryEntry => log.iter().filter(|entry| entry.at >= since).cloned().collect(),
            Self::FirstEntry => log.iter().skip_while(|entry| entry.at < since).cloned().collect(),
            Self::Seconds => {
                let since = Timestamp::from_seconds(since.as_seconds());
                log.iter().skip_while(|entry| entry.at < since).cloned().collect()
            }
        }
    }
}

/// One connection: the log has grown to `grown` when it is made, and it is cut after `read` further entries.
#[derive(Debug, Clone, Copy)]
struct Connection {
    grown: usize,
    read: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    delivered: Vec<Entry>,
    gaps: usize,
}

/// Follows `log` over `connections`, the last of which is not cut. Of the log, entries before `rotated` are gone when
/// the second connection is made.
fn follow(
    engine: Engine,
    limits: Limits,
    log: &[Entry],
    connections: &[Connection],
    rotated: usize,
) -> Outcome {
    let mut cursor = Cursor::with(limits);
    let mut outcome = Outcome::default();
    let whole = Connection { grown: log.len(), read: usize::MAX };
    for (number, connection) in connections.iter().chain([&whole]).enumerate() {
        let from = if number == 0 { 0 } else { rotated };
        let mut left = connection.read;
        let mut reach = Reach::Near;
        'attempt: loop {
            let (request, mut sieve) = cursor.resume(reach, Timestamp::from_nanos(i64::MAX));
            // What is written after the connection is made comes as well: `tail` counts only what was there.
            let grown = connection.grown.clamp(from, log.len());
            let then = Request { tail: None, ..request };
            let known = engine.reply(&log[from..grown], request);
            let passed = !known.is_empty();
            let mut reply = known;
            reply.extend(match engine {
                Engine::FirstEntry | Engine::Seconds if passed => log[grown..].to_vec(),
                _ => engine.reply(&log[grown..], then),
            });
            for entry in reply {
                if left == 0 {
                    break 'attempt;
                }
                left -= 1;
                let mark = cursor.mark(&entry);
                match sieve.judge(mark) {
                    Verdict::Seen => continue,
                    Verdict::TooShort => {
                        reach = Reach::Far;
                        continue 'attempt;
                    }
                    Verdict::Unconnected => outcome.gaps += 1,
                    Verdict::New => {}
                }
                cursor.advance(&entry, mark);
                outcome.delivered.push(entry);
            }
            break;
        }
    }
    outcome
}

fn entry(at: i64, stream: Stream, text: &str) -> Entry {
    Entry { at: Timestamp::from_nanos(at), stream, payload: Bytes::copy_from_slice(text.as_bytes()) }
}

/// A log as two copying threads write it: each stream's stamps never go back, and an entry may be written down up to
/// `lag` after it was stamped. Some entries repeat the one before, stamp and all; some are fragments.
fn logs(lag: i64, repeats: usize) -> impl Strategy<Value = Vec<Entry>> {
    let step = (0..20_i64, any::<bool>(), 0..=lag, 0..6_u8);
    proptest::collection::vec(step, 0..80).prop_map(move |steps| {
        let mut log: Vec<Entry> = Vec::new();
        let (mut now, mut stamps, mut repeated) = (1_000_000_i64, [0; 2], 0);
        for (number, (passed, is_error, late, kind)) in steps.into_iter().enumerate() {
            now += passed * passed;
            let stream = if is_error { Stream::Stderr } else { Stream::Stdout };
            let stamp = &mut stamps[usize::from(is_error)];
            *stamp = (now - late).max(*stamp);
            let before =
                log.last().filter(|before| before.stream == stream && kind == 0 && repeated < repeats);
            let next = match before {
                Some(before) => before.clone(),
                None if kind == 1 => entry(*stamp, stream, &format!("fragment {number}")),
                None => entry(*stamp, stream, &format!("line {number}\n")),
            };
            repeated = if before.is_some() { repeated + 1 } else { 0 };
            log.push(next);
        }
        log
    })
}

fn connections() -> impl Strategy<Value = Vec<Connection>> {
    let connection = (0..80_usize, 0..60_usize).prop_map(|(grown, read)| Connection { grown, read });
    proptest::collection::vec(connection, 0..6).prop_map(|mut connections| {
        connections.sort_by_key(|connection| connection.grown);
        connections
    })
}

const fn limits(window: u64, capacity: usize, minimum: usize, margin: usize) -> Limits {
    Limits { window: Duration::from_nanos(window), capacity, minimum, margin }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_entry_once_while_marks_cover_the_disorder(
        log in logs(200, 3),
        connections in connections(),
        minimum in 6..16_usize,
        margin in 4..40_usize,
    ) {
        let expected = Outcome { delivered: log.clone(), gaps: 0 };
        for engine in [Engine::EveryEntry, Engine::FirstEntry, Engine::Seconds] {
            let limits = limits(200, usize::MAX, minimum, margin);
            prop_assert_eq!(&follow(engine, limits, &log, &connections, 0), &expected, "{:?}", engine);
        }
    }

    #[test]
    fn newer_engines_lose_nothing_in_silence(
        log in logs(200, 0),
        connections in connections(),
        capacity in 8..40_usize,
        margin in 4..40_usize,
    ) {
        let outcome = follow(Engine::FirstEntry, limits(200, capacity, 1, margin), &log, &connections, 0);
        prop_assert!(outcome.delivered == log || outcome.gaps > 0);
    }

    #[test]
    fn nothing_twice_whatever_is_lost(
        log in logs(200, 0),
        connections in connections(),
        capacity in 8..40_usize,
        margin in 4..40_usize,
        rotated in 0..80_usize,
    ) {
        for engine in [Engine::EveryEntry, Engine::FirstEntry, Engine::Seconds] {
            let rotated = rotated.min(log.len());
            let outcome = follow(engine, limits(200, capacity, 1, margin), &log, &connections, rotated);
            // What fell into a gap may still turn up, late; from the second gap on, this costs certainty.
            for entry in &log {
                let times = outcome.delivered.iter().filter(|delivered| *delivered == entry).count();
                prop_assert!(times <= 1 || outcome.gaps > 1, "{engine:?}: {entry:?} {times} times");
            }
        }
    }
}

#[test]
fn the_end_of_a_log_may_begin_with_a_repetition_of_what_was_read_last() {
    let mut log = vec![entry(1_000, Stream::Stdout, "again\n"); 2];
    log.extend((0..7).map(|n| entry(1_001 + n, Stream::Stdout, &format!("{n}\n"))));
    let read_one = Connection { grown: 0, read: 1 };
    let outcome = follow(Engine::EveryEntry, limits(200, usize::MAX, 6, 7), &log, &[read_one], 0);
    assert_eq!(outcome, Outcome { delivered: log, gaps: 0 });
}

#[test]
fn what_was_rotated_away_is_reported() {
    let log: Vec<_> = (0..20).map(|n| entry(1_000 + n, Stream::Stdout, &format!("{n}\n"))).collect();
    for (read, rotated, gaps) in [(10, 0, 0), (10, 9, 0), (10, 10, 1), (10, 15, 1)] {
        let connection = Connection { grown: 20, read };
        let outcome = follow(Engine::FirstEntry, limits(3, 100, 1, 4), &log, &[connection], rotated);
        assert_eq!(outcome.gaps, gaps, "{rotated}");
        assert_eq!(outcome.delivered.len(), 20 - rotated.saturating_sub(read), "{rotated}");
    }
}

#[test]
fn a_clock_set_back_hides_nothing() {
    let hour = 3_600_000_000_000;
    let line = |at: i64, n: i64| entry(at, Stream::Stdout, &format!("{n}\n"));
    let mut log: Vec<_> = (0..50).map(|n| line(2 * hour + n, n)).collect();
    log.extend((50..100).map(|n| line(hour + n, n)));
    for engine in [Engine::EveryEntry, Engine::FirstEntry] {
        for read in [49, 50, 51, 60, 75] {
            let mut cursor = Cursor::with(limits(5, 20, 15, 4));
            for entry in &log[..read] {
                let mark = cursor.mark(entry);
                cursor.advance(entry, mark);
            }
            let (request, mut sieve) = cursor.resume(Reach::Near, log[read + 10].at);
            let reply = engine.reply(&log[..read + 10], request);
            let new = reply.iter().filter(|entry| sieve.judge(cursor.mark(entry)) == Verdict::New);
            let new: Vec<_> = new.cloned().collect();
            assert_eq!(new, log[read..read + 10], "{engine:?} cut after {read}");
        }
    }
}

#[test]
fn memory_is_bounded() {
    let mut cursor = Cursor::default();
    for n in 0..200_000 {
        let next = entry(n, Stream::Stdout, "x\n");
        let mark = cursor.mark(&next);
        cursor.advance(&next, mark);
    }
    assert_eq!(cursor.marks.len(), CAPACITY);
    let later = entry(WINDOW.as_nanos() as i64 * 2, Stream::Stdout, "x\n");
    let mark = cursor.mark(&later);
    cursor.advance(&later, mark);
    assert_eq!(cursor.marks.len(), MINIMUM);
}
