//! What the vault costs: the time that `arcane run` takes before its command begins, the speed of `arcane scan`, and what
//! masking adds to each line of a log. `-- mask` measures only that.
//! Prints rows of BENCHMARKS.md. Run with `cargo bench --bench vault`; it needs no host.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![allow(dead_code, reason = "another bench uses the rest of the rows")]

#[path = "fleet/row.rs"]
mod row;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use arcane::fleet::VariableName;
use arcane::secrets::{Redactor, Value};
use row::Sample;
use support::TestEnv;

const ROUNDS: usize = 101;
const SECRETS: usize = 50;

fn main() {
    println!("| what | against | figure | ratio | n | machine |\n|---|---|---|---|---|---|");
    mask();
    if std::env::args().any(|word| word == "mask") {
        return;
    }
    let mut file = String::new();
    for index in 0..SECRETS {
        writeln!(file, "SECRET_{index}=value-{index}-0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
    }
    let env = TestEnv::new().write("secrets.env", &file);
    env.run(&["init", "--as", "alice"]).succeeds();
    env.run(&["secrets", "import", "secrets.env"]).succeeds();
    start(&env);
    scan(&env);
}

/// The milliseconds that a command takes, started from nothing.
fn milliseconds(mut command: Command) -> f64 {
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    started.elapsed().as_secs_f64() * 1e3
}

fn start(env: &TestEnv) {
    // By turns, so that what else the machine does strikes both.
    let (mut alone, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(milliseconds(env.command("true")));
        ours.push(milliseconds(env.arcane(&["run", "--", "true"])));
    }
    let more: Vec<f64> = ours.iter().zip(&alone).map(|(ours, alone)| ours - alone).collect();
    row::versus(
        &format!("`arcane run -- true`, {SECRETS} secrets"),
        &Sample::from(ours),
        "`true`",
        &Sample::from(alone),
        "ms",
    );
    row::alone("the same: what `arcane run` adds", &Sample::from(more), "ms");
}

fn scan(env: &TestEnv) {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let bytes = size(std::path::Path::new(sources));
    let speed = Sample::of(11, |_| {
        let mut command = env.arcane(&["scan", sources]);
        command.stdout(Stdio::null());
        let started = Instant::now();
        assert!(command.status().unwrap().success());
        bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
    });
    row::alone(&format!("`arcane scan`, {SECRETS} secrets, our sources"), &speed, "MB/s");
}

fn size(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|entry| if entry.is_dir() { size(&entry) } else { entry.metadata().unwrap().len() }).sum()
}

const LINES: usize = 50_000;

/// Letters by chance, as tokens have them; the same ones in each run.
fn token(state: &mut u64, length: usize) -> String {
    let mut letter = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[(*state >> 58) as usize],
        )
    };
    (0..length).map(|_| letter()).collect()
}

/// What services log: requests, JSON, warnings, traces of a stack; a value in one of 1,000 lines.
fn log(values: &[String]) -> Vec<String> {
    let mut state = 7;
    let line = |n: usize| {
        let id = token(&mut state, 12);
        match n % 5 {
            0 => format!(
                "10.0.{}.{} - - [28/Nov/2026:10:00:{:02} +0000] \"GET /cart/{id}?page={n} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                n % 250,
                n % 99,
                n % 60,
                n * 37 % 9000
            ),
            1 => format!(
                "{{\"level\":\"info\",\"time\":{n},\"msg\":\"order placed\",\"order\":\"{id}\",\"path\":\"/api/v1/orders\",\"took_ms\":{}}}",
                n % 300
            ),
            2 => format!(
                "2026-11-28 10:00:{:02},{:03} WARN  [worker-{}] pool: connection {id} was idle for {} s, closing it",
                n % 60,
                n % 1000,
                n % 8,
                n % 900
            ),
            3 => format!("    at com.example.shop.OrderService.place(OrderService.java:{})", n % 400),
            _ if n % 1000 == 4 && !values.is_empty() => {
                format!("connecting with {} failed: timeout", values[n / 1000 % values.len()])
            }
            _ => format!("INFO:app.views:user={} action=checkout session={id}", n % 5000),
        }
    };
    (0..LINES).map(line).collect()
}

fn mask() {
    let mut state = 1;
    let secrets: Vec<(VariableName, String)> = (0..200)
        .map(|index| {
            let value = match index % 4 {
                0 => format!("postgres://shop:{}@db.internal:5432/shop_{index}", token(&mut state, 20)),
                1 => token(&mut state, 64),
                _ => token(&mut state, 32),
            };
            (VariableName::parse(&format!("SECRET_{index}")).unwrap(), value)
        })
        .collect();
    let values: Vec<String> = secrets.iter().take(20).map(|(_, value)| value.clone()).collect();
    let lines = log(&values);
    let bytes: usize = lines.iter().map(String::len).sum();
    let redactor = |count: usize| {
        let values: Vec<_> =
            secrets.iter().take(count).map(|(name, value)| (name, Value::from(value.as_str()))).collect();
        let started = Instant::now();
        let redactor = Redactor::new(values.iter().map(|(name, value)| (*name, value))).unwrap();
        (redactor, started.elapsed().as_secs_f64() * 1e3)
    };
    // What is done with a line in any case: it becomes text of its own.
    let nanoseconds = |redactor: Option<&Redactor>| {
        let started = Instant::now();
        for line in &lines {
            let bytes = line.as_bytes();
            match redactor {
                Some(redactor) => {
                    let masked = redactor.redact_bytes(bytes);
                    black_box(String::from_utf8_lossy(&masked).into_owned());
                }
                None => drop(black_box(String::from_utf8_lossy(bytes).into_owned())),
            }
        }
        started.elapsed().as_secs_f64() * 1e9 / lines.len() as f64
    };
    for count in [0, 20, 200] {
        let (redactor, _) = redactor(count);
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..21 {
            without.push(nanoseconds(None));
            with.push(nanoseconds(Some(&redactor)));
        }
        let more: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
        let rate = bytes as f64 / lines.len() as f64 / Sample::from(more.clone()).median() * 1e3;
        row::versus(
            &format!("a log line of {} bytes made text, {count} secrets masked", bytes / lines.len()),
            &Sample::from(with),
            "nothing masked",
            &Sample::from(without),
            "ns",
        );
        if count > 0 {
            let what = format!("the same: what masking adds, {} MB/s", row::number(rate));
            row::alone(&what, &Sample::from(more), "ns");
        }
    }
    row::alone("making the automaton for 200 secrets", &Sample::of(21, |_| redactor(200).1), "ms");
}
