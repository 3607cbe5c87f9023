//! What the vault costs: the time that `arcane run` takes before its command begins, and the speed of `arcane scan`.
//! Prints rows of BENCHMARKS.md. Run with `cargo bench --bench vault`; it needs no host.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]
#![allow(dead_code, reason = "another bench uses the rest of the rows")]

#[path = "fleet/row.rs"]
mod row;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use row::Sample;
use support::TestEnv;

const ROUNDS: usize = 101;
const SECRETS: usize = 50;

fn main() {
    let mut file = String::new();
    for index in 0..SECRETS {
        writeln!(file, "SECRET_{index}=value-{index}-0123456789abcdefghijklmnopqrstuvwxyz").unwrap();
    }
    let env = TestEnv::new().write("secrets.env", &file);
    env.run(&["init", "--as", "alice"]).succeeds();
    env.run(&["secrets", "import", "secrets.env"]).succeeds();
    println!("| what | against | figure | ratio | n | machine |\n|---|---|---|---|---|---|");
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
