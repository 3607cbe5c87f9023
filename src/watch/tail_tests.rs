//! Logs over several openings, and over several runs of ours.

use super::*;
use crate::docker::fake::{Answer, FakeEngine, Flow, json};
use crate::fleet::VariableName;
use crate::secrets::Value;

/// A log's entries as an engine sends them: these, one nanosecond apart.
fn framed(lines: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    let frame = |(number, line): (usize, String)| {
        let entry = format!("2026-11-25T18:42:03.{number:09}Z {line}\n");
        let length = u32::try_from(entry.len()).unwrap().to_be_bytes();
        [&[1, 0, 0, 0], length.as_slice(), entry.as_bytes()].concat()
    };
    lines.into_iter().enumerate().map(frame).collect()
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    framed((0..count).map(|number| format!("line {number}")))
}

/// An engine that has this log, and knows of no `since`, as old ones do.
fn engine_with(log: Vec<Vec<u8>>) -> FakeEngine {
    FakeEngine::start("1.12", "1.41", move |question| {
        if question.contains("/logs") {
            let tail = question.split("tail=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
            let from = tail.map_or(0, |tail| log.len().saturating_sub(tail));
            Answer::Whole(200, "application/vnd.docker.multiplexed-stream", log[from..].concat())
        } else {
            json(200, r#"{"Id":"shop","Name":"/shop","State":{"Status":"running"},"Config":{},"Image":""}"#)
        }
    })
}

fn tail(begin: Begin) -> Tail {
    Tail::new(ContainerId("shop".to_owned()), begin, Redactor::default())
}

/// All that comes of it up to its end.
async fn read(tail: &mut Tail, log: Vec<Vec<u8>>) -> Vec<Item> {
    let fake = engine_with(log);
    let engine = Engine::at(&fake.socket).await.unwrap();
    let now = Timestamp::from_seconds(2_000_000_000);
    tail.open(&engine, now).await.unwrap();
    let mut read = Vec::new();
    loop {
        match tail.next().await {
            Step::Items => read.extend(tail.take()),
            Step::TooShort => tail.widen(now).await.unwrap(),
            Step::Ended => break,
            Step::Failed(error) => panic!("{error}"),
        }
        tail.given();
    }
    tail.close();
    read
}

fn texts(items: &[Item]) -> Vec<String> {
    let text = |item: &Item| match item {
        Item::Line(line) => line.text.to_string(),
        Item::History(line) => format!("history {}", line.text),
        Item::Gap(reason) => format!("gap: {reason}"),
    };
    items.iter().map(text).collect()
}

#[tokio::test]
async fn a_log_that_comes_all_at_once_is_read_whole() {
    // One more than a batch is where an entry could fall between two.
    let lines = 4 * BATCH + 1;
    let read = read(&mut tail(Begin::First), numbered(lines)).await;
    let expected: Vec<_> = (0..lines).map(|number| format!("line {number}")).collect();
    assert_eq!(texts(&read), expected);
}

#[tokio::test]
async fn another_run_goes_on_with_the_next_line() {
    for (begin, first) in [(Begin::First, 100), (Begin::Tail(3), 3), (Begin::First, 0), (Begin::Tail(0), 0)] {
        let mut before = tail(begin);
        assert!(begin == Begin::First || before.place().is_none(), "nothing is known yet");
        let count = if first == 0 { 0 } else { 100 };
        assert_eq!(read(&mut before, numbered(count)).await.len(), first);
        let place = before.place().unwrap();
        assert_eq!(before.place(), None, "it has not moved");
        let mut after = tail(Begin::Tail(0));
        after.take_up(&place);
        assert!(!after.has_moved());
        let new = read(&mut after, numbered(count + 2)).await;
        assert_eq!(texts(&new), [format!("line {count}"), format!("line {}", count + 1)]);
        assert!(after.place().is_some());
    }
}

#[tokio::test]
async fn a_place_is_kept_only_when_all_before_it_is_told() {
    for held in ["RuntimeError: no", "unfinished"] {
        let mut log = numbered(3);
        let mut entry = framed([held.to_owned()]).remove(0);
        if held == "unfinished" {
            entry.pop();
            entry[7] -= 1;
        }
        log.push(entry);
        let mut tail = tail(Begin::First);
        read(&mut tail, log).await;
        assert_eq!(tail.place(), None);
        tail.end_lines();
        assert_eq!(tail.place(), None);
        assert_eq!(tail.take().len(), 1);
        assert_eq!(tail.place(), None, "{held} is still in somebody's hand");
        tail.given();
        assert!(tail.place().is_some());
    }
}

/// The log that `framed` makes, but for the newline of the last entry.
fn unfinished(lines: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    let mut log = framed(lines);
    let entry = log.last_mut().unwrap();
    entry.pop();
    let length = u32::try_from(entry.len() - 8).unwrap().to_be_bytes();
    entry[4..8].copy_from_slice(&length);
    log
}

#[tokio::test]
async fn what_is_let_go_is_told_and_another_run_goes_on_behind_it() {
    let trace = "RuntimeError: no".to_owned();
    let long = "x".repeat(70 << 10);
    for (log, told, next) in [
        (framed(["up".to_owned(), trace.clone()]), trace.clone(), "    at f (/x.js:1:1)"),
        (unfinished(["up".to_owned(), "half".to_owned()]), "half…".to_owned(), " a line"),
        (unfinished(["up".to_owned(), long]), "(6,208 more bytes)".to_owned(), "y"),
    ] {
        let mut before = tail(Begin::First);
        read(&mut before, log.clone()).await;
        assert_eq!(before.place(), None);
        before.let_go();
        let last = texts(&before.take());
        assert!(last.len() == 1 && last[0].ends_with(&told), "{last:?}");
        assert_eq!(before.place(), None, "it is in somebody's hand");
        before.given();
        let mut after = tail(Begin::Tail(0));
        after.take_up(&before.place().unwrap());
        let mut grown = log;
        grown.push(framed(["a".to_owned(), "b".to_owned(), next.to_owned()]).remove(2));
        let mut told = texts(&read(&mut after, grown.clone()).await);
        after.end_lines();
        told.extend(texts(&after.take()));
        assert_eq!(told, [next]);
        after.given();
        assert!(after.place().is_some());
    }
}

#[tokio::test]
async fn no_half_of_a_value_is_told_for_the_sake_of_a_place() {
    let (name, value) = (VariableName::parse("KEY").unwrap(), Value::from("hunter22-and-more"));
    let redactor = || Redactor::new([(&name, &value)].into_iter()).unwrap();
    let with = |begin| Tail::new(ContainerId("shop".to_owned()), begin, redactor());
    // What may be the beginning of a value is not let go.
    let mut short = with(Begin::First);
    read(&mut short, unfinished(["up".to_owned(), "key hunter22".to_owned()])).await;
    short.let_go();
    assert_eq!(texts(&short.take()), ["key …"]);
    short.given();
    assert_eq!(short.place(), None);
    // Of a line that is too long nothing is kept, and a value may go on behind the place.
    let mut long = with(Begin::First);
    let log = unfinished(["up".to_owned(), format!("{} hunter22", "x".repeat(70 << 10))]);
    read(&mut long, log.clone()).await;
    long.let_go();
    assert_eq!(long.take().len(), 1);
    long.given();
    let mut after = with(Begin::Tail(0));
    after.take_up(&long.place().unwrap());
    let mut grown = log;
    grown.push(framed(["a".to_owned(), "b".to_owned(), "-and-more, and on".to_owned()]).remove(2));
    let told = texts(&read(&mut after, grown).await).concat();
    assert!(told.ends_with(", and on") && !told.contains("and-more"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_taken_up_is_a_gap() {
    let mut before = tail(Begin::First);
    read(&mut before, numbered(100)).await;
    let place = before.place().unwrap();
    // Another log altogether: it was rotated away.
    let mut after = tail(Begin::Tail(0));
    after.take_up(&place);
    let new = texts(&read(&mut after, framed(["a".to_owned(), "b".to_owned()])).await);
    assert!(new[0].starts_with("gap: "), "{new:?}");
    assert_eq!(new[1..], ["history a", "history b"]);
    // A place that is none.
    for place in [&place[..place.len() / 2], b"", b"garbage"] {
        let mut after = tail(Begin::Tail(0));
        after.take_up(place);
        let new = texts(&read(&mut after, numbered(3)).await);
        assert!(matches!(new.as_slice(), [gap] if gap.starts_with("gap: ")), "{new:?}");
    }
}

#[tokio::test]
async fn of_a_log_that_grew_much_meanwhile_the_end_is_read() {
    let mut before = tail(Begin::First);
    read(&mut before, numbered(100)).await;
    let mut after = tail(Begin::Tail(0));
    after.take_up(&before.place().unwrap());
    let new = texts(&read(&mut after, numbered(3 * CATCH_UP)).await);
    assert!(new[0].starts_with("gap: "), "{}", new[0]);
    assert_eq!(new.len(), 1 + CATCH_UP);
    assert_eq!(new[1], format!("history line {}", 2 * CATCH_UP));
    assert_eq!(new[CATCH_UP], format!("history line {}", 3 * CATCH_UP - 1));
    // And on from there.
    let new = texts(&read(&mut after, numbered(3 * CATCH_UP + 1)).await);
    assert_eq!(new, [format!("line {}", 3 * CATCH_UP)]);
}

#[tokio::test]
async fn a_log_that_the_engine_follows_no_more_is_opened_anew() {
    // What is followed is the file that was; the end of the log is that of the one that is. So it is after copytruncate.
    for (grows, ends) in [(true, true), (false, false)] {
        let fake = FakeEngine::start("1.12", "1.41", move |question| {
            let kind = "application/vnd.docker.multiplexed-stream";
            let log = numbered(if grows { 2 } else { 1 });
            if question.contains("follow=1") {
                let first = log[0].clone();
                let flow = move |piece| Some(if piece == 0 { first.clone() } else { Vec::new() });
                return Answer::Flow(kind, Flow(std::sync::Arc::new(flow)));
            }
            if question.contains("/logs") {
                return Answer::Whole(200, kind, log.last().unwrap().clone());
            }
            json(200, r#"{"Id":"shop","Name":"/shop","State":{"Status":"running"},"Config":{},"Image":""}"#)
        });
        let engine = Engine::at(&fake.socket).await.unwrap();
        let mut tail = tail(Begin::First);
        tail.open(&engine, Timestamp::from_seconds(2_000_000_000)).await.unwrap();
        assert!(matches!(tail.next().await, Step::Items));
        assert_eq!(texts(&tail.take()), ["line 0"]);
        tail.wake().await.unwrap();
        assert!(tail.is_open(), "it has only just been heard of");
        tail.probe_at = Instant::now();
        tail.wake().await.unwrap();
        assert_eq!(!tail.is_open(), ends);
        if ends {
            assert!(matches!(tail.next().await, Step::Ended));
        }
    }
}

/// How many lines a second are taken off an engine's socket and made observations of, by one thread.
#[test]
#[ignore = "a measurement: cargo test --release --lib rate_of_lines -- --ignored --nocapture"]
fn rate_of_lines() {
    const COUNT: usize = 1_000_000;
    let line = |number| {
        format!("2026-11-25 18:42:03 INFO http: GET /orders/{number} 200 in 12 ms, 1834 bytes, keep-alive")
    };
    let log = framed((0..COUNT).map(line)).concat();
    let bytes = log.len();
    let (address, engine) = std::sync::mpsc::channel();
    // The engine has a thread of its own.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fake = engine_with(vec![log]);
            address.send(fake.socket.clone()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let socket = engine.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let rate = runtime.block_on(async {
            let engine = Engine::at(&socket).await.unwrap();
            let mut tail = tail(Begin::First);
            let now = Timestamp::from_seconds(2_000_000_000);
            tail.open(&engine, now).await.unwrap();
            let (begun, mut lines) = (Instant::now(), 0);
            while let Step::Items = tail.next().await {
                lines += tail.take().len();
                tail.given();
            }
            assert_eq!(lines, COUNT);
            COUNT as f64 / begun.elapsed().as_secs_f64()
        });
        best = best.max(rate);
    }
    eprintln!("{best:.0} lines/s, {:.0} MB/s", best * bytes as f64 / COUNT as f64 / 1e6);
}
