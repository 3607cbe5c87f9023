//! Story: an operator watches a host over a bad line, and misses nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arcane::deploy::labels::Record;
use arcane::deploy::remote::Pool;
use arcane::fleet::{
    App, AppName, Fact, Freshness, HealPolicy, HealthCheck, Hooks, Host, HostName, ImageRef, Observation,
    ReleaseId, Role, Source, SpecDigest, Strategy, Stream, Timestamp,
};
use arcane::journal::Journal;
use arcane::watch::{Logs, Options, Places, Watcher};
use support::{Lab, LabHost, TestEnv, eventually};
use tokio_util::sync::CancellationToken;

/// Names the host to watch, for the process that watches.
const TARGET: &str = "ARCANE_TEST_WATCH";

/// A watcher in a process of its own, whose home is the test's.
struct Watching {
    child: Child,
    seen: Arc<Mutex<Vec<Observation>>>,
    env: Arc<TestEnv>,
}

/// Not a test: what [`Watching`] runs. It tells what it sees as lines of JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests of this file"]
async fn watching_process() {
    let Ok(target) = std::env::var(TARGET) else { return };
    let host = Host { name: HostName::parse("lab").unwrap(), ssh: target };
    let stats_every = Some(Duration::from_secs(2));
    let options = Options { logs: Logs::Current, tail: 10, stats_every, ..Options::default() };
    let journal = Journal::open(&Journal::default_path().unwrap()).unwrap();
    let places = Places::new(journal, "test");
    let (_watcher, mut observations) =
        Watcher::resume(vec![host], Pool::default(), options, places, CancellationToken::new());
    while let Some(observation) = observations.recv().await {
        let mut line = serde_json::to_vec(&observation).unwrap();
        line.push(b'\n');
        std::io::stdout().write_all(&line).unwrap();
    }
}

impl Watching {
    fn start(host: &LabHost) -> Self {
        Self::start_in(host, Arc::new(TestEnv::new().fleet(&[host])))
    }

    /// Start another one where one was before.
    fn start_in(host: &LabHost, env: Arc<TestEnv>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "watching_process", "--ignored", "--nocapture"])
            .env("HOME", env.home())
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("XDG_STATE_HOME")
            .env_remove("ARCANE_STATE_DIR")
            .env(TARGET, host.target())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
        let (lines, sink) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&seen));
        std::thread::spawn(move || {
            // The test runner's own words come before and after.
            for line in lines.map_while(Result::ok).filter(|line| line.starts_with('{')) {
                sink.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, seen, env }
    }

    #[track_caller]
    fn sees(&self, what: &str, is_it: impl Fn(&Observation) -> bool) -> Observation {
        let find = || self.seen.lock().unwrap().iter().find(|observation| is_it(observation)).cloned();
        eventually(what, Duration::from_secs(120), find)
    }

    /// Forget what was seen so far.
    fn forget(&self) -> Vec<Observation> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn count(&self, is_it: impl Fn(&Fact) -> bool) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| is_it(&seen.fact)).count()
    }

    /// What was logged, per stream, in order. A line that was cut because its end was late is mended.
    fn lines(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut lines: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for observation in self.seen.lock().unwrap().iter() {
            if let Fact::Line { stream, text } = &observation.fact {
                let stream = if *stream == Stream::Stdout { "out" } else { "err" };
                let lines = lines.entry(stream).or_default();
                match (text.strip_prefix('…'), lines.last_mut()) {
                    (Some(rest), Some(before)) if before.ends_with('…') => {
                        before.pop();
                        before.push_str(rest);
                    }
                    _ => lines.push(text.to_string()),
                }
            }
        }
        lines
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image with a shell, made on the host.
fn shell_image(host: &LabHost) {
    host.ssh("tar -C / -c bin/busybox | docker import - shell").succeeds();
}

fn app() -> App {
    App {
        name: AppName::parse("shop").unwrap(),
        source: Source::Image(ImageRef::parse("shell").unwrap()),
        strategy: Strategy::SmartSwap,
        to: Vec::new(),
        publish: None,
        blue_green: None,
        port: None,
        health: HealthCheck::default(),
        env: BTreeMap::new(),
        secrets: Default::default(),
        role: None,
        command: None,
        volumes: Vec::new(),
        memory: None,
        network: None,
        stop_timeout: App::DEFAULT_STOP_TIMEOUT,
        prove: App::DEFAULT_PROVE,
        keep: App::DEFAULT_KEEP,
        heal: HealPolicy::default(),
        release: None,
        migrates: false,
        bake: Duration::ZERO,
        hooks: Hooks::default(),
    }
}

/// Run a script as a container of a release of `shop`, as a push would.
fn run(host: &LabHost, name: &str, release: &str, options: &[&str], script: &str) {
    let record = Record {
        release: ReleaseId::parse(release).unwrap(),
        spec: SpecDigest(format!("spec of {release}")),
        app: app(),
        image: "shell".to_owned(),
        by: "ada@laptop".to_owned(),
        at: Timestamp::from_seconds(1),
        environment: None,
        slot: None,
        migrated: None,
        past: Vec::new(),
    };
    let labels: Vec<_> =
        record.to_labels().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(labels.iter().flat_map(|label| ["--label", label]));
    args.extend(options);
    args.extend(["shell", "/bin/busybox", "sh", "-c", script]);
    host.docker(&args).succeeds();
}

const FIRST: &str = "20261125-100000-0001";
const SECOND: &str = "20261125-110000-0002";

#[test]
fn each_line_arrives_once_whatever_breaks() {
    let host = Lab::host();
    shell_image(&host);
    // 3,000 lines a second on two streams, one in 500 longer than the engine keeps in one piece.
    let script = "
        long=x; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do long=$long$long; done
        n=0; while true; do
            i=0; while [ $i -lt 250 ]; do echo out $n.$i; echo err $n.$i >&2; i=$((i+1)); done
            echo $n $long; busybox usleep 150000; n=$((n+1))
        done";
    run(&host, "shop", FIRST, &["--restart", "always"], script);
    let watching = Watching::start(&host);
    watching.sees("a first line", |seen| matches!(seen.fact, Fact::Line { .. }));
    let connected = || watching.count(|fact| *fact == Fact::HostReachable);
    for times in 2..6 {
        std::thread::sleep(Duration::from_secs(2));
        host.ssh("pkill -f 'ssh[d]: root'");
        eventually("a new connection", Duration::from_secs(60), || (connected() == times).then_some(()));
    }
    host.cut();
    std::thread::sleep(Duration::from_secs(3));
    host.mend();
    std::thread::sleep(Duration::from_secs(3));
    host.cut_hard();
    std::thread::sleep(Duration::from_secs(3));
    host.mend();
    std::thread::sleep(Duration::from_secs(3));
    host.dockerd("restart");
    let lines = || watching.count(|fact| matches!(fact, Fact::Line { .. }));
    eventually("100,000 lines", Duration::from_secs(200), || (lines() > 100_000).then_some(()));
    let stops = || watching.count(|fact| *fact == Fact::Stopped);
    let before = stops();
    host.docker(&["stop", "-t", "0", "shop"]).succeeds();
    eventually("the end", Duration::from_secs(60), || (stops() > before).then_some(()));
    for (stream, redirection) in [("out", "2>/dev/null"), ("err", "2>&1 >/dev/null")] {
        let log = host.ssh(&format!("docker logs shop {redirection}")).succeeds();
        let all: Vec<_> = log.stdout.lines().collect();
        // A death waits for last words, but not for as many as this machine may be behind with.
        let mut read = 0;
        eventually("the last line", Duration::from_secs(120), || {
            std::thread::sleep(Duration::from_secs(6));
            (std::mem::replace(&mut read, lines()) == read).then_some(())
        });
        let seen = &watching.lines()[stream];
        // What was logged before the watcher came is history, of which it was to read a part.
        let begin = all.iter().position(|line| line == seen.first().unwrap()).unwrap();
        let expected: Vec<_> = all[begin..].to_vec();
        if let Some(at) = seen.iter().zip(&expected).position(|(seen, expected)| seen != expected) {
            let around = |lines: &[&str]| {
                let lines = lines.iter().skip(at.saturating_sub(3)).take(8);
                lines.map(|line| line.chars().take(40).collect::<String>()).collect::<Vec<_>>()
            };
            let seen: Vec<_> = seen.iter().map(String::as_str).collect();
            panic!("{stream} {at}: {:?} instead of {:?}", around(&seen), around(&expected));
        }
        assert_eq!(seen.len(), expected.len(), "{stream}");
        assert!(seen.len() > 40_000, "only {} lines of {stream}", seen.len());
    }
    assert_eq!(watching.count(|fact| matches!(fact, Fact::Gap { .. })), 0);
    let outages = watching.count(|fact| matches!(fact, Fact::HostUnreachable { .. }));
    assert!(outages >= 5, "only {outages} of the connections broke");
}

#[test]
fn a_watcher_that_was_killed_misses_nothing_and_takes_nothing_old_for_new() {
    let host = Lab::host();
    shell_image(&host);
    run(&host, "shop", FIRST, &[], "n=0; while true; do echo $n; n=$((n+1)); busybox usleep 100000; done");
    let number = |seen: &Observation| match &seen.fact {
        Fact::Line { text, .. } => text.parse::<u32>().ok(),
        _ => None,
    };
    let watching = Watching::start(&host);
    let first = number(&watching.sees("a line", |seen| number(seen).is_some())).unwrap();
    // Long enough for its place to be kept.
    watching.sees("many lines", |seen| number(seen).is_some_and(|n| n > first + 120));
    let env = Arc::clone(&watching.env);
    let before = watching.forget().iter().filter_map(number).max().unwrap();
    drop(watching);
    std::thread::sleep(Duration::from_secs(12));
    let again = Watching::start_in(&host, env);
    again.sees("new lines", |seen| seen.freshness == Freshness::Live && number(seen) > Some(before + 100));
    let seen = again.forget();
    let numbers: Vec<u32> = seen.iter().filter_map(number).collect();
    let expected: Vec<u32> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    assert!(numbers[0] <= before + 1, "lines from {before} to {} were missed", numbers[0]);
    assert!(numbers[0] + 80 > before, "more than some seconds were repeated: {} after {before}", numbers[0]);
    let begun = seen.iter().find(|seen| seen.fact == Fact::HostReachable).unwrap().at;
    for line in seen.iter().filter(|seen| number(seen).is_some() && seen.at < begun) {
        assert_eq!(line.freshness, Freshness::Backlog, "{line:?}");
    }
    assert!(!seen.iter().any(|seen| matches!(seen.fact, Fact::Gap { .. })));
}

#[test]
fn a_death_is_told_after_the_last_words() {
    let host = Lab::host();
    shell_image(&host);
    let watching = Watching::start(&host);
    watching.sees("the host", |seen| seen.fact == Fact::HostReachable);
    // What it finds on its first look round is history.
    std::thread::sleep(Duration::from_secs(2));
    let script = "n=0; while [ $n -lt 2000 ]; do echo line $n; n=$((n+1)); done; echo last words >&2; exit 3";
    run(&host, "shop", FIRST, &["--restart", "on-failure:3"], script);
    let deaths = || watching.count(|fact| *fact == Fact::Died { exit_code: 3 });
    eventually("four deaths", Duration::from_secs(30), || (deaths() == 4).then_some(()));
    let mut lines = 0;
    let mut runs = Vec::new();
    for seen in watching.forget() {
        match seen.fact {
            Fact::Line { .. } => lines += 1,
            Fact::Died { .. } => runs.push(std::mem::take(&mut lines)),
            _ => continue,
        }
        assert_eq!(seen.freshness, Freshness::Live, "{seen:?} {runs:?} {lines}");
        assert_eq!(seen.subject.unwrap().role, Role::Live);
    }
    assert_eq!(runs, [2_001; 4], "lines before each death");
}

#[test]
fn what_happened_meanwhile_is_caught_up_with() {
    let host = Lab::host();
    shell_image(&host);
    run(
        &host,
        "shop",
        FIRST,
        &[],
        "echo begun; n=0; while [ $n -lt 14 ]; do busybox sleep 1; n=$((n+1)); done; echo over; exit 7",
    );
    let watching = Watching::start(&host);
    watching.sees("its state", |seen| matches!(seen.fact, Fact::State { running: true, .. }));
    watching.sees("its history", |seen| {
        seen.freshness == Freshness::Backlog
            && matches!(&seen.fact, Fact::Line { text, .. } if text == "begun")
    });
    watching.forget();
    host.cut_hard();
    watching.sees("that the host is gone", |seen| matches!(seen.fact, Fact::HostUnreachable { .. }));
    std::thread::sleep(Duration::from_secs(26));
    host.mend();
    watching.sees("that it is back", |seen| seen.fact == Fact::HostReachable);
    let death = watching.sees("the death", |seen| seen.fact == Fact::Died { exit_code: 7 });
    assert_eq!(death.freshness, Freshness::Backlog);
    let line =
        watching.sees("the line", |seen| matches!(&seen.fact, Fact::Line { text, .. } if text == "over"));
    assert_eq!(line.freshness, Freshness::Backlog);
    watching.sees("its state", |seen| matches!(seen.fact, Fact::State { running: false, .. }));
    assert_eq!(watching.count(|fact| matches!(fact, Fact::HostUnreachable { .. })), 1);
    assert_eq!(watching.count(|fact| matches!(fact, Fact::Died { .. })), 1);
}

#[test]
fn a_new_release_takes_over() {
    let host = Lab::host();
    shell_image(&host);
    let script = "n=0; while true; do echo $n; n=$((n+1)); busybox usleep 100000; done";
    run(&host, "shop", FIRST, &[], script);
    let watching = Watching::start(&host);
    let deployed = |release: &'static str| move |seen: &Observation| matches!(&seen.fact, Fact::Deployed { deployment } if deployment.release.as_str() == release);
    watching.sees("the first release", deployed(FIRST));
    run(&host, "shop_new", SECOND, &[], script);
    let candidate = watching.sees("a line of the candidate", |seen| {
        let role = seen.subject.as_ref().map(|subject| subject.role);
        role == Some(Role::Candidate) && matches!(&seen.fact, Fact::Line { .. })
    });
    assert_eq!(candidate.subject.unwrap().release.as_str(), SECOND);
    host.docker(&["rename", "shop", "shop_old"]).succeeds();
    host.docker(&["rename", "shop_new", "shop"]).succeeds();
    host.docker(&["stop", "-t", "0", "shop_old"]).succeeds();
    let second = watching.sees("the second release", deployed(SECOND));
    let Fact::Deployed { deployment } = second.fact else { unreachable!() };
    assert_eq!(deployment.previous.unwrap().release.as_str(), FIRST);
    watching.sees("a line of the new live one", |seen| {
        let subject = seen.subject.as_ref();
        subject.is_some_and(|subject| subject.role == Role::Live && subject.release.as_str() == SECOND)
            && matches!(&seen.fact, Fact::Line { .. })
    });
    let sample = watching.sees("a sample", |seen| matches!(seen.fact, Fact::Stats { .. }));
    let Fact::Stats { memory_bytes, .. } = sample.fact else { unreachable!() };
    assert!(memory_bytes > 0 && memory_bytes < 64 << 20, "{memory_bytes}");
    watching.sees("the end of the old one", |seen| {
        let role = seen.subject.as_ref().map(|subject| subject.role);
        role == Some(Role::Kept) && matches!(seen.fact, Fact::Killed { signal: 9 })
    });
    host.docker(&["rm", "shop_old"]).succeeds();
    watching.sees("its removal", |seen| seen.fact == Fact::Destroyed);
    let lines = watching.lines();
    let all: BTreeSet<_> = lines["out"].iter().collect();
    assert_eq!(lines["out"].iter().filter(|line| *line == "5").count(), 2, "{all:?}");
}

#[test]
fn any_kind_of_log_is_followed_or_said_to_be_unreadable() {
    let host = Lab::host();
    shell_image(&host);
    let watching = Watching::start(&host);
    watching.sees("the host", |seen| seen.fact == Fact::HostReachable);
    std::thread::sleep(Duration::from_secs(2));
    // A terminal: one raw stream, lines with \r\n, and one that the engine keeps in three pieces.
    let script = "
        long=x; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do long=$long$long; done
        echo first; echo $long$long; busybox sleep 2; echo \"größe $(busybox tty)\"; exec busybox sleep 100";
    run(&host, "shop", FIRST, &["-t"], script);
    let is_long = |seen: &Observation| matches!(&seen.fact, Fact::Line { text, .. } if text.len() > 60_000);
    watching.sees("the long line", is_long);
    host.ssh("pkill -f 'ssh[d]: root'");
    let says = |words: &'static str| move |seen: &Observation| matches!(&seen.fact, Fact::Line { text, .. } if text.starts_with(words));
    watching.sees("the last line", says("größe /dev/pts/"));
    let lines = watching.lines();
    let [first, long, ..] = &lines["out"][..] else { panic!("{lines:?}") };
    assert_eq!(first, "first");
    let (kept, missing) = long.split_once('…').unwrap();
    assert!(kept.len() > 65_000 && missing == " (65 more bytes)", "{} and {missing}", kept.len());
    assert_eq!(watching.count(|fact| matches!(fact, Fact::Gap { .. })), 0);

    host.docker(&["rm", "-f", "shop"]).succeeds();
    watching.sees("its removal", |seen| seen.fact == Fact::Destroyed);
    run(&host, "shop", SECOND, &["--log-driver", "none"], "busybox sleep 2; exit 4");
    watching.sees("that its log cannot be read", |seen| matches!(seen.fact, Fact::Gap { .. }));
    watching.sees("its death", |seen| seen.fact == Fact::Died { exit_code: 4 });
    assert_eq!(watching.count(|fact| matches!(fact, Fact::Gap { .. })), 1);
}
