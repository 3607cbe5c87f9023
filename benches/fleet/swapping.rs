//! Twenty swaps of a site that is in use, by arcane and by the script that everybody writes first: how many requests fail.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::row::{Sample, print};
use super::support::{LabHost, Ran, TestEnv, Traffic, image};
use super::{pause, seconds, ssh};

const SWAPS: usize = 20;
const SITE: &str = "shop.test";

/// What became of one side's requests.
struct Outcome {
    failed: u64,
    answered: u64,
    took: Sample,
    /// Websockets that were closed by the other side.
    cut: u64,
    /// Connections that were closed between two requests.
    reopened: u64,
}

pub(crate) fn measure(host: &LabHost) {
    let tags = ["bench-swap:1", "bench-swap:2"];
    for tag in tags {
        image(tag, &[("VERSION", tag)]);
    }
    host.load(&tags);
    keep_connections(host);
    let ours = ours(host, &tags);
    host.reset();
    host.load(&tags);
    keep_connections(host);
    let theirs = theirs(host, &tags);
    let load = if has_wrk() {
        "keep-alive and new connections (wrk and ours), "
    } else {
        "keep-alive and new connections, "
    };
    let what = format!("{SWAPS} blue/green swaps under {load}requests of 3 s, a stream: failed requests");
    let figure = |side: &Outcome| format!("{} of {}", side.failed, side.answered + side.failed);
    print(
        &what,
        &format!("start, wait 1 s, sed, reload, `rm -f`: {}", figure(&theirs)),
        &figure(&ours),
        "–",
        SWAPS,
    );
    print(
        "the same: one swap, draining included",
        &format!("the same script: {}", theirs.took.text("s")),
        &ours.took.text("s"),
        "–",
        SWAPS,
    );
    print(
        "the same: websockets cut by Caddy's reload, idle connections closed by it",
        &format!("{}, {}", theirs.cut, theirs.reopened),
        &format!("{}, {}", ours.cut, ours.reopened),
        "–",
        SWAPS,
    );
}

/// As docs/bluegreen.md advises: what a reload of Caddy loses by itself is not what is measured.
fn keep_connections(host: &LabHost) {
    host.console("echo 1 >/proc/sys/net/ipv4/tcp_migrate_req").succeeds();
}

fn ours(host: &LabHost, tags: &[&str; 2]) -> Outcome {
    caddyfile(host);
    let app = |tag: &str| {
        format!(
            "[app.shop]\nimage = \"{tag}\"\nstrategy = \"blue-green\"\nports = [8001, 8002]\nport = 8080\n\
             domain = \"http://{SITE}\"\ndrain = \"10s\"\nstop_timeout = \"2s\"\nkeep = 1\nprove = \"1s\"\n\
             health = {{ http = \"/healthz\", within = \"10s\" }}\n"
        )
    };
    let mut env = Some(TestEnv::new().fleet(&[host]).write("arcane.toml", &app(tags[0])));
    env.as_ref().unwrap().run(&["push"]).succeeds();
    under_load(host, |round| {
        let here = env.take().unwrap().write("arcane.toml", &app(tags[round % 2]));
        env.insert(here).run(&["push", "--force"]).succeeds();
    })
}

fn theirs(host: &LabHost, tags: &[&str; 2]) -> Outcome {
    caddyfile(host);
    let env = TestEnv::new().fleet(&[host]);
    let run =
        |port: u16, tag: &str| format!("docker run -d --name shop-{port} -p 127.0.0.1:{port}:8080 {tag}");
    host.ssh(&run(8001, tags[0])).succeeds();
    under_load(host, |round| {
        let (old, new) = if round % 2 == 1 { (8001, 8002) } else { (8002, 8001) };
        let script = format!(
            "{} && sleep 1 && sed -i s/localhost:{old}/localhost:{new}/ /etc/caddy/Caddyfile && \
             caddy reload --config /etc/caddy/Caddyfile && docker rm -f shop-{old}",
            run(new, tags[round % 2])
        );
        Ran::of(ssh(&env, host).arg(script)).succeeds();
    })
}

fn caddyfile(host: &LabHost) {
    let text = format!(
        "http://{SITE} {{\n\treverse_proxy localhost:8001 {{\n\t\ttransport http {{\n\t\t\tkeepalive 30s\n\t\t}}\n\t}}\n}}\n"
    );
    host.ssh(&format!("printf '{text}' >/etc/caddy/Caddyfile; caddy reload --config /etc/caddy/Caddyfile"))
        .succeeds();
}

fn under_load(host: &LabHost, mut swap: impl FnMut(usize)) -> Outcome {
    let traffic = Traffic::start(host.app_port(80), SITE);
    let wrk: Vec<Wrk> = if has_wrk() {
        ["keep-alive", "close"].map(|kind| Wrk::start(host, kind)).into()
    } else {
        Vec::new()
    };
    let took = Sample::of(SWAPS, |round| {
        let took = seconds(|| swap(round + 1));
        pause(1.0);
        took
    });
    let mut outcome = Outcome { failed: 0, answered: 0, took, cut: 0, reopened: 0 };
    for wrk in wrk {
        let (answered, failed) = wrk.stop();
        outcome.answered += answered;
        outcome.failed += failed;
    }
    let seen = traffic.stop();
    outcome.answered += seen.answered;
    outcome.failed += seen.failures.len() as u64;
    (outcome.cut, outcome.reopened) = (seen.cut, seen.reopened);
    outcome
}

fn has_wrk() -> bool {
    Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Debian's load generator, as fast as two connections go.
struct Wrk(Child);

impl Wrk {
    fn start(host: &LabHost, connection: &str) -> Self {
        let url = format!("http://127.0.0.1:{}/", host.app_port(80));
        let child = Command::new("wrk")
            .args(["-t", "1", "-c", "2", "-d", "3600", "--timeout", "10s"])
            .args(["-H", &format!("Host: {SITE}"), "-H", &format!("Connection: {connection}"), &url])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Answered and failed requests.
    fn stop(self) -> (u64, u64) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let said = String::from_utf8_lossy(&self.0.wait_with_output().unwrap().stdout).into_owned();
        let number =
            |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap_or(0);
        let line = |has: &str| said.lines().find(|line| line.contains(has)).unwrap_or_default().to_owned();
        let answered = number(line("requests in").split_whitespace().next().unwrap_or_default());
        let errors: u64 = line("Socket errors").split(',').map(number).sum();
        (answered, errors + number(line("Non-2xx").split_whitespace().last().unwrap_or_default()))
    }
}
