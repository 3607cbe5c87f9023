//! Containers on an engine of this process: floods, ends, engines that complain.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::outlet::HostClock;
use super::super::places::Places;
use super::super::tail::Begin;
use super::*;
use crate::clock;
use crate::docker::fake::{Answer, FakeEngine, Flow, json};
use crate::fleet::{
    AppName, ContainerId, HealthState, HostName, LogState, Observation, ReleaseId, Role, Stream,
};
use crate::journal::Journal;
use crate::secrets::Redactor;

const KIND: &str = "application/vnd.docker.multiplexed-stream";

fn frame(at: Timestamp, line: &str) -> Vec<u8> {
    let seconds = Timestamp::from_seconds(at.as_seconds()).to_string();
    let nanos = at.as_nanos().rem_euclid(1_000_000_000);
    let entry = format!("{}.{nanos:09}Z {line}\n", seconds.trim_end_matches('Z'));
    let length = u32::try_from(entry.len()).unwrap().to_be_bytes();
    [&[1, 0, 0, 0], length.as_slice(), entry.as_bytes()].concat()
}

struct Stage {
    _fake: FakeEngine,
    engine: watch::Sender<Option<Engine>>,
    outlet: Outlet,
    observations: mpsc::Receiver<Observation>,
}

impl Stage {
    /// A host whose containers log what these make.
    async fn with(queue: usize, logs: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let fake = FakeEngine::start("1.12", "1.41", move |question| {
            if question.contains("/logs") {
                return logs(question);
            }
            let name = question.split('/').nth(2).unwrap();
            let state = r#""State":{"Status":"running"},"Config":{},"Image":"""#;
            json(200, &format!(r#"{{"Id":"{name}","Name":"/{name}",{state}}}"#))
        });
        let engine = watch::Sender::new(Some(Engine::at(&fake.socket).await.unwrap()));
        let (sender, observations) = mpsc::channel(queue);
        let clock = Arc::new(HostClock::showing(clock::now()));
        let host = HostName::parse("web1").unwrap();
        let outlet = Outlet::new(host, clock, sender, Redactor::default(), Arc::default());
        Self { _fake: fake, engine, outlet, observations }
    }

    fn follow(&self, name: &str) -> mpsc::Sender<Message> {
        self.follow_keeping(name, None)
    }

    fn follow_keeping(&self, name: &str, places: Option<Places>) -> mpsc::Sender<Message> {
        let (sender, inbox) = mpsc::channel(64);
        let container = ContainerId(name.to_owned());
        let follower = Follower {
            subject: Arc::new(Subject {
                app: AppName::parse(name).unwrap(),
                release: ReleaseId::parse("20261125-184203-3f2c").unwrap(),
                container: container.clone(),
                role: Role::Live,
                profile: crate::fleet::Profile::default(),
            }),
            outlet: self.outlet.clone(),
            inbox,
            engine: self.engine.subscribe(),
            logs: Logs::Live,
            log: Follow::new(Tail::new(container.clone(), Begin::First, Redactor::default()), false),
            bookmark: Bookmark::new(places, self.outlet.clone(), container),
        };
        tokio::spawn(follower.run());
        sender
    }
}

/// A log that has no end, and is a minute old.
fn flood() -> Answer {
    let begun = clock::now() - Duration::from_secs(60);
    Answer::Flow(
        KIND,
        Flow(Arc::new(move |piece| {
            let line = |n: usize| {
                frame(begun + Duration::from_micros((piece * 500 + n) as u64), "flood flood flood")
            };
            Some((0..500).flat_map(line).collect())
        })),
    )
}

/// A line each time that some milliseconds have passed, with its number.
fn trickle() -> Answer {
    let (begun, count) = (std::time::Instant::now(), AtomicU64::new(0));
    Answer::Flow(
        KIND,
        Flow(Arc::new(move |_| {
            let due = u64::try_from(begun.elapsed().as_millis()).unwrap() / 10;
            let number = count.load(Ordering::Relaxed);
            Some(if number < due {
                count.store(number + 1, Ordering::Relaxed);
                frame(clock::now(), &format!("line {number}"))
            } else {
                Vec::new()
            })
        })),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_one_container_delays_neither_the_others_nor_events() {
    let mut stage =
        Stage::with(1_024, |question| if question.contains("/flood/") { flood() } else { trickle() }).await;
    let (flood, quiet) = (stage.follow("flood"), stage.follow("quiet"));
    let begun = Instant::now();
    let (mut lines, mut told, mut floods, mut next) = (Vec::new(), Vec::new(), 0_u64, begun);
    let mut behind = None;
    while begun.elapsed() < Duration::from_secs(4) {
        if next <= Instant::now() {
            next += Duration::from_millis(100);
            for inbox in [&flood, &quiet] {
                let event = Message::Event(clock::now(), Fact::Health { state: HealthState::Healthy });
                inbox.try_send(event).unwrap();
            }
        }
        let seen = stage.observations.recv().await.unwrap();
        let age = clock::now().since(seen.at);
        match seen.fact {
            Fact::Line { text, .. } if text.starts_with("flood") => {
                floods += 1;
                // Whoever listens takes less than comes.
                if floods % 100 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Fact::Line { text, stream } => {
                assert_eq!(
                    (text.as_str(), stream),
                    (format!("line {}", lines.len()).as_str(), Stream::Stdout)
                );
                lines.push(age);
            }
            Fact::Health { .. } => told.push(age),
            Fact::Log { state: LogState::Behind { by } } => behind = behind.max(Some(by)),
            Fact::Log { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    // Half of them at once, and none of them starves, on however busy a machine.
    let late = |ages: &mut Vec<Duration>| {
        ages.sort_unstable();
        (ages[ages.len() / 2], *ages.last().unwrap())
    };
    assert!(floods > 10_000, "{floods} lines of the flood");
    assert!(
        lines.len() > 100 && told.len() > 30,
        "{} lines of the quiet one, {} events",
        lines.len(),
        told.len()
    );
    for (what, (median, most)) in [("line", late(&mut lines)), ("event", late(&mut told))] {
        assert!(
            median < Duration::from_millis(200) && most < Duration::from_secs(2),
            "{what}: {median:?}, {most:?}"
        );
    }
    assert!(behind.is_some_and(|by| by > Duration::from_secs(30)), "{behind:?}");
}

#[tokio::test]
async fn a_log_is_told_to_be_interrupted_and_live_again() {
    let mut stage = Stage::with(64, |_| trickle()).await;
    let _inbox = stage.follow("shop");
    let mut states = Vec::new();
    let engine = stage.engine.borrow().clone();
    while states.len() < 3 {
        match stage.observations.recv().await.unwrap().fact {
            Fact::Log { state } => states.push(state),
            Fact::Line { .. } if states.len() == 1 => drop(stage.engine.send_replace(None)),
            _ => {}
        }
        if states.len() == 2 {
            stage.engine.send_replace(engine.clone());
        }
    }
    assert!(
        matches!(states.as_slice(), [LogState::Live, LogState::Interrupted { .. }, LogState::Live]),
        "{states:?}"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_told_to_be_so_and_events_go_on() {
    let refused = json(501, r#"{"message":"configured logging driver does not support reading"}"#);
    let mut stage = Stage::with(64, move |_| refused.clone()).await;
    let inbox = stage.follow("shop");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(stage.observations.recv().await.unwrap().fact);
    }
    let [Fact::Gap { .. }, Fact::Log { state: LogState::EventsOnly { reason } }] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert!(reason.contains("does not support reading"), "{reason}");
    inbox.send(Message::Event(clock::now(), Fact::Died { exit_code: 3 })).await.unwrap();
    assert_eq!(stage.observations.recv().await.unwrap().fact, Fact::Died { exit_code: 3 });
}

#[tokio::test]
async fn the_engines_complaint_is_a_gap_and_the_log_goes_on() {
    let log = move |_: &str| {
        let complaint = b"Error grabbing logs: unexpected EOF";
        let length = u32::try_from(complaint.len()).unwrap().to_be_bytes();
        let complaint = [&[3, 0, 0, 0], length.as_slice(), complaint].concat();
        let pieces = [frame(clock::now(), "before"), complaint, frame(clock::now(), "after")].concat();
        Answer::Flow(
            KIND,
            Flow(Arc::new(move |piece| Some(if piece == 0 { pieces.clone() } else { Vec::new() }))),
        )
    };
    let mut stage = Stage::with(64, log).await;
    let _inbox = stage.follow("shop");
    let mut told = Vec::new();
    while told.len() < 3 {
        match stage.observations.recv().await.unwrap().fact {
            Fact::Line { text, .. } => told.push(text.to_string()),
            Fact::Gap { reason } => told.push(reason),
            _ => {}
        }
    }
    assert_eq!(told, ["before", "the engine says: Error grabbing logs: unexpected EOF", "after"]);
}

#[tokio::test]
async fn the_end_of_a_log_is_no_end_of_its_container() {
    // Each time it is opened it has two more lines, and ends: an engine that restarts, or an entry that it cannot read.
    let opened = AtomicU64::new(0);
    let begun = clock::now();
    let log = move |_: &str| {
        let count = 2 + 2 * opened.fetch_add(1, Ordering::Relaxed);
        let line = |n| frame(begun + Duration::from_millis(n), &format!("line {n}"));
        Answer::Whole(200, KIND, (0..count).flat_map(line).collect())
    };
    let mut stage = Stage::with(64, log).await;
    let _inbox = stage.follow("shop");
    let mut told = Vec::new();
    while told.len() < 7 {
        match stage.observations.recv().await.unwrap().fact {
            Fact::Line { text, .. } => told.push(text.to_string()),
            Fact::Log { state: LogState::Live } => {}
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<_> = (0..7).map(|n| format!("line {n}")).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_log_of_a_container_that_is_gone_is_nobodys_fault() {
    for status in [404, 409] {
        let mut stage = Stage::with(64, move |_| json(status, r#"{"message":"no such container"}"#)).await;
        let inbox = stage.follow("shop");
        inbox.send(Message::Event(clock::now(), Fact::Destroyed)).await.unwrap();
        assert_eq!(stage.observations.recv().await.unwrap().fact, Fact::Destroyed);
    }
}

/// Errors without a pause, each of which may be the first line of a trace: four a millisecond, with their numbers. Whoever
/// asks for the last of them gets those that there are by then.
fn complaints(begun: Timestamp, question: &str) -> Answer {
    let written = move || usize::try_from(clock::now().since(begun).as_micros() / 250).unwrap();
    let tail = question.split("tail=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
    let sent = AtomicU64::new(tail.map_or(0, |tail| written().saturating_sub(tail)) as u64);
    let line = move |number| frame(begun + Duration::from_micros(250 * number), &format!("Error: {number}"));
    Answer::Flow(
        KIND,
        Flow(Arc::new(move |_| {
            let until = written() as u64;
            Some((sent.swap(until, Ordering::Relaxed)..until).flat_map(line).collect())
        })),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_in_a_log_that_never_pauses_is_kept() {
    let directory = std::env::temp_dir().join(format!("arcane-places-busy-{}", std::process::id()));
    let places = Places::new(Journal::open(&directory.join("journal.db")).unwrap(), "heal");
    let began = clock::now();
    let mut stage = Stage::with(64, move |question| complaints(began, question)).await;
    let _inbox = stage.follow_keeping("shop", Some(places.clone()));
    let (begun, mut taken, mut lines, mut kept) = (Instant::now(), 0, 0, Vec::new());
    let mut next = begun;
    let host = stage.outlet.host().clone();
    while kept.is_empty() && begun.elapsed() < Duration::from_secs(20) {
        let seen = stage.observations.recv().await.unwrap();
        taken += 1;
        if let Fact::Line { text, .. } = seen.fact {
            assert_eq!(text.as_str(), format!("Error: {lines}"));
            lines += 1;
        }
        if next <= Instant::now() {
            next += Duration::from_millis(100);
            places.write(taken).await;
            kept = places.of_host(&host).await.into_values().collect();
        }
    }
    // Another run begins with a line that was not told when the place was kept, and leaves none out.
    let mut tail = Tail::new(ContainerId("shop".to_owned()), Begin::Tail(0), Redactor::default());
    tail.take_up(&kept[0]);
    tail.open(stage.engine.borrow().as_ref().unwrap(), clock::now()).await.unwrap();
    assert!(matches!(tail.next().await, Step::Items));
    let Item::Line(first) = tail.take().remove(0) else { panic!("a gap") };
    let number: usize = first.text.strip_prefix("Error: ").unwrap().parse().unwrap();
    assert!(number > 0 && number <= lines, "{number} of {lines}");
    assert!(number + 10_000 > lines, "{number} of {lines} is old");
    std::fs::remove_dir_all(directory).unwrap();
}
