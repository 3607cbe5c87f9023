//! How fast a host answers: a command from its start to its first byte, and a call through a connection that is open.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use arcane::deploy::Remote;
use arcane::fleet::{Host, HostName};

use super::row::{Sample, print, versus};
use super::support::{LabHost, Ran, TestEnv, image};
use super::{app, seconds, ssh};

const COMMANDS: usize = 21;
const CALLS: usize = 1000;

pub(crate) fn measure(host: &LabHost) {
    image("bench-talk:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[host]).write("arcane.toml", &app("shop", "bench-talk:1", 8000, ""));
    env.run(&["push"]).succeeds();
    let docker_ps = || {
        let mut command = ssh(&env, host);
        command.arg("docker ps");
        command
    };
    // One after the other, so that both meet the same machine.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        ours.push(first_byte(&mut env.arcane(&["status"])));
        theirs.push(first_byte(&mut docker_ps()));
    }
    let (ours, theirs) = (Sample::from(ours), Sample::from(theirs));
    versus("`arcane status`, start to first byte", &ours, "`ssh host docker ps`", &theirs, "ms");
    calls(&env, host);
}

fn calls(env: &TestEnv, host: &LabHost) {
    let mut pings = env.command(std::env::current_exe().unwrap().to_str().unwrap());
    let ran = Ran::of(pings.args(["pings", &host.target(), &CALLS.to_string()])).succeeds();
    let pings = Sample::from(ran.text().lines().map(|line| line.parse().unwrap()).collect::<Vec<f64>>());
    let control = env.path("control").display().to_string();
    let multiplexed = |options: &[&str], command: &str| {
        let mut ssh = env.command("ssh");
        ssh.args(["-o", &format!("ControlPath={control}")]).args(options);
        ssh.args(super::ssh_words(env, host)).arg(command);
        Ran::of(&mut ssh).succeeds();
    };
    multiplexed(&["-o", "ControlMaster=auto", "-o", "ControlPersist=60"], "true");
    let call = |_| 1000.0 * seconds(|| multiplexed(&[], "docker version >/dev/null"));
    let reused = Sample::of(COMMANDS, call);
    let fresh = Sample::of(COMMANDS, |_| {
        1000.0
            * seconds(|| {
                Ran::of(ssh(env, host).arg("true")).succeeds();
            })
    });
    Ran::of(env.command("ssh").args(["-O", "exit", "-o", &format!("ControlPath={control}"), "host"]));
    let what = "engine call through the open connection";
    versus(what, &pings, "`ssh` with ControlMaster, `docker version`", &reused, "ms");
    versus(what, &pings, "`ssh host true`", &fresh, "ms");
    print(
        &format!("{what}, p99"),
        "–",
        &format!("{} ms", super::row::number(pings.quantile(0.99))),
        "–",
        CALLS,
    );
}

/// Milliseconds from the start of a program to the first byte that it writes.
fn first_byte(command: &mut Command) -> f64 {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let read = stdout.read(&mut [0]).unwrap();
    let milliseconds = 1000.0 * started.elapsed().as_secs_f64();
    assert_eq!(read, 1, "{command:?} wrote nothing");
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success(), "{command:?} failed");
    milliseconds
}

/// In a process of its own: so many calls through arcane's library, a line of milliseconds each.
pub(crate) fn pings(target: &str, rounds: usize) {
    let host = Host { name: HostName::parse("bench").unwrap(), ssh: target.to_owned() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let remote = Remote::connect(&host).await.unwrap();
        for _ in 0..rounds {
            let started = Instant::now();
            remote.engine.ping().await.unwrap();
            println!("{:.4}", 1000.0 * started.elapsed().as_secs_f64());
        }
    });
}
