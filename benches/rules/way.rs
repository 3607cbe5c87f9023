//! The whole way of a line: the engine's frame, its stamp, the cursor, the joiner, the observation, the rules, the signal.

use std::hint::black_box;
use std::sync::Arc;

use arcane::fleet::{
    AppName, ContainerId, Fact, Freshness, HostName, Observation, ReleaseId, Role, Stream, Subject, Timestamp,
};
use arcane::rules::{Engine, RuleSet, Scanner};
use arcane::secrets::Redactor;
use arcane::watch::LogReader;

use crate::clock::Stopwatch;
use crate::counting::allocations;
use crate::lines::{self, Log};
use crate::row::{self, Sample};
use crate::{ROUNDS, patterns};

/// Bytes that one measurement is to read, frames included.
const BYTES: usize = 500 << 20;
/// What comes off a connection at once.
const CHUNK: usize = 16 << 10;
const STAMP: usize = "2026-11-25T18:42:03.120000001Z ".len();

/// The log of a container as the engine sends it.
struct Framed {
    subject: Arc<Subject>,
    bytes: Vec<u8>,
    /// Where the stamps are.
    stamps: Vec<usize>,
}

impl Framed {
    fn new(log: &Log) -> Self {
        let (mut bytes, mut stamps) = (Vec::new(), Vec::new());
        for line in &log.lines {
            let length = u32::try_from(STAMP + line.len() + 1).unwrap();
            bytes.extend([1, 0, 0, 0]);
            bytes.extend(length.to_be_bytes());
            stamps.push(bytes.len());
            bytes.extend([b' '; STAMP]);
            bytes.extend(line.as_bytes());
            bytes.push(b'\n');
        }
        Self { subject: subject(&log.name), bytes, stamps }
    }

    /// Stamps the lines a millisecond apart, from a second of the day on.
    fn stamp(&mut self, second: u64) {
        for (millis, &at) in (0_u64..).zip(&self.stamps) {
            let (second, millis) = (second + millis / 1000, millis % 1000);
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let stamp = format!("2026-11-25T{hour:02}:{minute:02}:{second:02}.{millis:03}000000Z ");
            self.bytes[at..at + STAMP].copy_from_slice(stamp.as_bytes());
        }
    }
}

fn subject(app: &str) -> Arc<Subject> {
    Arc::new(Subject {
        app: AppName::parse(app).unwrap(),
        release: ReleaseId::new(Timestamp::from_seconds(1_795_000_000), 0),
        container: ContainerId(format!("{app:0<64}")),
        role: Role::Live,
        profile: Default::default(),
    })
}

fn host() -> HostName {
    HostName::parse("web1").unwrap()
}

pub(crate) fn measure(logs: &[Log]) {
    let rules = patterns::rules();
    let mut framed: Vec<Framed> = logs.iter().map(Framed::new).collect();
    let lines: usize = logs.iter().map(|log| log.lines.len()).sum();
    let bytes: usize = framed.iter().map(|log| log.bytes.len()).sum();
    let passes = BYTES.div_ceil(bytes);
    let mut signals = 0;
    let speeds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (spent, _) = round(&rules, &mut framed, passes, &mut signals);
            (lines * passes) as f64 / spent
        })
        .collect();
    let speed = Sample::from(speeds);
    let what = format!(
        "{} rules on one core, from frames to {} signals: {}, {:.0} MB a round",
        rules.rules().len(),
        signals / ROUNDS,
        lines::describe(logs),
        (bytes * passes) as f64 / 1e6,
    );
    row::alone(&what, &speed, "lines/s");
    let rate = Sample::from(vec![speed.median() * bytes as f64 / lines as f64 / 1e6]);
    row::alone("the same, frames included", &rate, "MB/s");
    count_allocations(&rules, logs, &mut framed);
}

/// The seconds that all lines took, so many times over, and the allocations they made.
fn round(rules: &Arc<RuleSet>, logs: &mut [Framed], passes: usize, signals: &mut usize) -> (f64, u64) {
    let mut engine = Engine::new(Arc::clone(rules));
    let mut readers: Vec<LogReader> = logs
        .iter()
        .map(|log| LogReader::new(host(), Arc::clone(&log.subject), Redactor::default()))
        .collect();
    let (mut spent, mut made) = (0.0, 0);
    for pass in 0..passes {
        for log in logs.iter_mut() {
            log.stamp(10 * pass as u64 % 80_000);
        }
        let longest = logs.iter().map(|log| log.bytes.len()).max().unwrap_or(0);
        let started = Stopwatch::start();
        made += allocations(|| {
            for from in (0..longest).step_by(CHUNK) {
                for (log, reader) in logs.iter().zip(&mut readers) {
                    let chunk = &log.bytes[from.min(log.bytes.len())..(from + CHUNK).min(log.bytes.len())];
                    reader.read(chunk, |observation| *signals += engine.observe(&observation).len()).unwrap();
                }
            }
        });
        spent += started.seconds();
    }
    black_box(engine.dropped());
    (spent, made)
}

/// Of lines that match no rule.
fn count_allocations(rules: &Arc<RuleSet>, logs: &[Log], framed: &mut [Framed]) {
    let mut scanner = Scanner::new(Arc::clone(rules));
    let quiet: Vec<Log> = logs
        .iter()
        .map(|log| {
            let mut lines = log.lines.clone();
            lines.retain(|line| scanner.matches(line).is_empty());
            Log { name: log.name.clone(), lines }
        })
        .collect();
    let lines: usize = quiet.iter().map(|log| log.lines.len()).sum();
    let observations: Vec<Observation> =
        quiet.iter().flat_map(|log| log.lines.iter().map(|line| observation(&log.name, line))).collect();
    let mut engine = Engine::new(Arc::clone(rules));
    let mut observe = || {
        for observation in &observations {
            black_box(engine.observe(observation));
        }
    };
    // The first time room is made that is kept.
    observe();
    let per_line = |count: u64| Sample::from(vec![count as f64 / lines as f64]);
    row::alone(
        "allocations for a line that matches no rule, in the rules",
        &per_line(allocations(observe)),
        "",
    );
    for (log, quiet) in framed.iter_mut().zip(&quiet) {
        *log = Framed::new(quiet);
    }
    let (_, once) = round(rules, framed, 1, &mut 0);
    let (_, often) = round(rules, framed, 4, &mut 0);
    // What is made once, and kept, is in both.
    let per_line = Sample::from(vec![(often - once) as f64 / (3 * lines) as f64]);
    row::alone("the same, on the whole way from the frame", &per_line, "");
}

fn observation(app: &str, text: &str) -> Observation {
    Observation {
        at: Timestamp::from_seconds(1_796_000_000),
        host: host(),
        subject: Some(subject(app)),
        freshness: Freshness::Live,
        fact: Fact::Line { stream: Stream::Stdout, text: text.into() },
    }
}
