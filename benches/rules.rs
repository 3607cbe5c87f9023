//! How fast lines are matched against the built-in rules: generated lines as busy apps write them, one in a hundred of
//! them a real failure. Run with `cargo bench --bench rules`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arcane::rules::{RuleSet, Scanner};

const LINES: usize = 500_000;
/// The first warms up and is not counted.
const ROUNDS: usize = 6;
/// One line in so many is a failure.
const FAILURE_EVERY: u64 = 100;

const FAILURES: [&str; 8] = [
    "Error: connect ECONNREFUSED 10.0.0.2:5432",
    "java.lang.OutOfMemoryError: Java heap space",
    "thread 'main' panicked at src/main.rs:4:10:",
    "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
    "FATAL:  password authentication failed for user \"shop\"",
    "OSError: [Errno 28] No space left on device: '/data/upload.tmp'",
    "KeyError: 'DATABASE_URL'",
    "dial tcp: lookup db on 127.0.0.11:53: no such host",
];

/// A small generator of pseudo-random numbers (xorshift64), so that every run measures the same lines.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn line(random: &mut Random) -> String {
    let (id, millis) = (random.below(1_000_000), random.below(900));
    if random.below(FAILURE_EVERY) == 0 {
        return FAILURES[(id % FAILURES.len() as u64) as usize].to_owned();
    }
    match random.below(5) {
        0 => format!(
            "10.0.0.{} - - [25/Nov/2026:10:00:00 +0000] \"GET /api/orders/{id} HTTP/1.1\" 200 {millis} \"-\" \"Mozilla/5.0\"",
            id % 250
        ),
        1 => format!(
            "{{\"level\":\"info\",\"time\":\"2026-11-25T10:00:00.{millis:03}Z\",\"msg\":\"request completed\",\"order\":{id},\"ms\":{millis}}}"
        ),
        2 => format!(
            "2026-11-25 10:00:00.{millis:03} INFO 1 --- [nio-8080-exec-{}] c.e.shop.OrderService : saved order {id} in {millis} ms",
            id % 16
        ),
        3 => format!(
            "time=2026-11-25T10:00:00Z level=info msg=\"job done\" queue=mail job={id} duration={millis}ms"
        ),
        _ => format!(
            "\u{1b}[32mINFO\u{1b}[0m worker::pool: task {id} finished, {millis} waiting, no error, connection pool at {}",
            id % 10
        ),
    }
}

fn main() {
    let rules = Arc::new(RuleSet::builtin());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let lines: Vec<String> = (0..LINES).map(|_| line(&mut random)).collect();
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    let mut scanner = Scanner::new(Arc::clone(&rules));
    let mut speeds: Vec<(f64, usize)> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let matched = lines.iter().map(|line| black_box(scanner.matches(line)).len()).sum();
            (LINES as f64 / start.elapsed().as_secs_f64(), matched)
        })
        .skip(1)
        .collect();
    speeds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (median, matched) = speeds[speeds.len() / 2];
    let (least, most) = (speeds[0].0, speeds[speeds.len() - 1].0);
    println!(
        "| {} built-in rules on one thread, {LINES} lines, {matched} matches | – | {:.0} lines/s ({least:.0}–{most:.0}), {:.1} MB/s | – | {} |",
        rules.rules().len(),
        median,
        median * bytes as f64 / LINES as f64 / 1e6,
        speeds.len(),
    );
}
