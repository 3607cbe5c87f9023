use super::*;
use crate::docker::fake::{Answer, FakeEngine, json};

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
