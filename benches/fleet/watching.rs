//! What watching costs this machine, and how fast a log comes through.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::row::{Sample, print, versus_rate};
use super::support::{LabHost, TestEnv, eventually, image};
use super::{app, pause, ssh};

const APPS: usize = 20;
/// How long the supervisor is looked at while every app logs ten lines a second, and while none does.
const BUSY: f64 = 45.0;
const IDLE: f64 = 20.0;
const LINES: usize = 200_000;
const ROUNDS: usize = 5;

pub(crate) fn measure(host: &LabHost) {
    follow(host);
    host.reset();
    supervisor(host);
}

fn follow(host: &LabHost) {
    let count = LINES.to_string();
    image("bench-log:1", &[("LOG_NUMBERED", &count)]);
    let env = TestEnv::new().fleet(&[host]).write("arcane.toml", &app("shop", "bench-log:1", 8000, ""));
    env.run(&["push"]).succeeds();
    eventually("every line is written", Duration::from_secs(60), || {
        (host.docker(&["logs", "--tail", "1", "shop"]).text() == "done").then_some(())
    });
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(rate(&mut env.arcane(&["logs", "shop", "-f", "-n", &(LINES + 10).to_string()])));
        theirs.push(rate(ssh(&env, host).arg("docker logs -f shop")));
    }
    let (ours, theirs) = (Sample::from(ours), Sample::from(theirs));
    versus_rate(
        "`arcane logs -f`, a backlog of 200,000 lines",
        &ours,
        "`ssh host docker logs -f`",
        &theirs,
        "lines/s",
    );
}

/// Lines a second from the start of a program to the line `done`.
fn rate(command: &mut Command) -> f64 {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let count = lines.map(Result::unwrap).take_while(|line| line != "done").count();
    let rate = count as f64 / started.elapsed().as_secs_f64();
    assert!(count >= LINES, "{command:?} lost lines: {count} of {LINES}");
    let _ = child.kill();
    let _ = child.wait();
    rate
}

fn supervisor(host: &LabHost) {
    image("bench-chatter:1", &[("LOG_TEXT", "GET /orders 200 in 12 ms"), ("LOG_EVERY", "0.1")]);
    let mut toml = String::new();
    for number in 0..APPS {
        writeln!(
            toml,
            "[app.shop{number}]\nimage = \"bench-chatter:1\"\nport = 8080\nhealth = {{ tcp = true }}\n"
        )
        .unwrap();
    }
    let env = TestEnv::new().fleet(&[host]).write("arcane.toml", &toml);
    for number in 0..APPS {
        env.run(&["push", &format!("shop{number}")]).succeeds();
    }
    let mut heal = env.arcane(&["heal"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    pause(5.0);
    look(heal.id(), &format!("`arcane heal`, {APPS} containers with 10 lines/s each, {BUSY:.0} s"), BUSY);
    host.ssh("docker pause $(docker ps -q)").succeeds();
    pause(3.0);
    look(heal.id(), &format!("the same, all of them silent, {IDLE:.0} s"), IDLE);
    assert!(heal.try_wait().unwrap().is_none(), "the supervisor ended");
    let _ = heal.kill();
    let _ = heal.wait();
}

/// Memory at the end and the share of one core that a process used meanwhile.
fn look(pid: u32, what: &str, span: f64) {
    let before = cpu_seconds(pid);
    pause(span);
    let share = 100.0 * (cpu_seconds(pid) - before) / span;
    let [now, most] = memory(pid);
    let figure = format!("{now:.1} MiB now, {most:.1} MiB at most, {share:.1} % of a core");
    print(what, "–", &figure, "–", 1);
}

/// Memory of a process now and at most, in MiB.
pub(crate) fn memory(pid: u32) -> [f64; 2] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap() / 1024.0
    })
}

/// User and system time of a process. The kernel's tick is 1/100 s on every Linux that this runs on.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may hold spaces; 11 fields after it is the user time.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
