//! What arcane costs and gains on a real host, each figure beside what people use today, measured in the same run.
//! Prints the rows of BENCHMARKS.md. Run with `make bench`; `cargo bench --bench fleet -- talk push` measures a part.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

mod chatter;
mod healing;
mod pushing;
mod row;
#[path = "../../tests/support/mod.rs"]
mod support;
mod swapping;
mod talking;
mod transferring;
mod watching;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{Lab, LabHost, TestEnv};

/// The parts, in the order in which they are measured.
const PARTS: [(&str, fn(&LabHost)); 10] = [
    ("talk", talking::measure),
    ("push", pushing::small),
    ("large", pushing::large),
    ("first", transferring::whole),
    ("change", transferring::changed),
    ("line", transferring::slow_line),
    ("swap", swapping::measure),
    ("heal", healing::measure),
    ("watch", watching::measure),
    ("chatter", chatter::measure),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    // The library reads its user's home, so it is measured in a process of its own that has the right one.
    if let [mode, target, rounds] = &args[..]
        && mode == "pings"
    {
        return talking::pings(target, rounds.parse().unwrap());
    }
    let host = Lab::host();
    println!("| what | against | figure | ratio | n | machine |\n|---|---|---|---|---|---|");
    for (name, measure) in PARTS {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            host.reset();
            measure(&host);
        }
    }
}

/// An app of this image, live on this port of the host.
fn app(name: &str, image: &str, port: u16, more: &str) -> String {
    format!(
        "[app.{name}]\nimage = \"{image}\"\nports = [{port}]\nport = 8080\nstop_timeout = \"2s\"\nprove = \"2s\"\n\
         health = {{ http = \"/healthz\", within = \"6s\" }}\n{more}\n"
    )
}

/// `ssh` as a careful person calls it: the same key and the same known hosts as arcane, compression off.
fn ssh(env: &TestEnv, host: &LabHost) -> Command {
    let mut command = env.command("ssh");
    command.args(ssh_words(env, host));
    command
}

fn ssh_words(env: &TestEnv, host: &LabHost) -> Vec<String> {
    let key = env.path("~/.ssh/id_ed25519").display().to_string();
    let known = format!("UserKnownHostsFile={}", env.path("~/.ssh/known_hosts").display());
    let port = host.port().to_string();
    let words =
        ["-F", "/dev/null", "-i", &key, "-o", &known, "-o", "BatchMode=yes", "-p", &port, "root@127.0.0.1"];
    words.map(str::to_owned).to_vec()
}

/// How long something took, in seconds.
fn seconds(what: impl FnOnce()) -> f64 {
    let started = Instant::now();
    what();
    started.elapsed().as_secs_f64()
}

fn pause(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}
