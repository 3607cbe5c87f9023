//! How long a failure lasts when nobody is there: from its first sign to the incident, to the remedy, to answers again.

use std::process::{Child, Stdio};
use std::time::Duration;

use arcane::fleet::Timestamp;
use serde_json::Value;

use super::row::{Sample, alone};
use super::support::{LabHost, Probe, Ran, TestEnv, eventually, image};
use super::{app, pause};

const ROUNDS: usize = 5;
const UNATTENDED: &str =
    "[app.shop.heal]\nmode = \"auto\"\nremedies = [\"restart\", \"rollback\"]\nverify = \"2s\"\n";

pub(crate) fn measure(host: &LabHost) {
    image("bench-heal:1", &[("VERSION", "v1"), ("LEAK_ON_REQUEST", "200")]);
    image("bench-heal:2", &[("VERSION", "v2"), ("PANIC_AFTER", "2")]);
    report("crash loop", &(0..ROUNDS).map(|_| crash_loop(host)).collect::<Vec<_>>(), "rollback");
    report("out of memory", &(0..ROUNDS).map(|_| out_of_memory(host)).collect::<Vec<_>>(), "restart");
}

/// What became of one failure, in seconds.
struct Story {
    /// From the first piece of evidence to the incident.
    detected: f64,
    /// From the incident to the end of the remedy: that its rule waits for further signs is part of it.
    remedied: f64,
    /// From the first piece of evidence to the answer that stays.
    answered: f64,
}

fn report(what: &str, stories: &[Story], remedy: &str) {
    let sample = |field: fn(&Story) -> f64| Sample::from(stories.iter().map(field).collect::<Vec<_>>());
    alone(&format!("{what}: first sign to incident"), &sample(|story| story.detected), "s");
    alone(&format!("{what}: incident to end of {remedy}"), &sample(|story| story.remedied), "s");
    alone(&format!("{what}: first sign to v1 answering for good"), &sample(|story| story.answered), "s");
}

/// A user without a past, so that no budget of an earlier round is spent; v1 is live and has proved itself.
fn begin(host: &LabHost) -> (TestEnv, Supervisor) {
    host.ssh("docker ps -aq | xargs -r docker rm -f").succeeds();
    let settings = format!("memory = \"64m\"\n{UNATTENDED}");
    let env =
        TestEnv::new().fleet(&[host]).write("arcane.toml", &app("shop", "bench-heal:1", 8000, &settings));
    env.run(&["push"]).succeeds();
    let supervisor = Supervisor::start(&env);
    pause(3.0);
    (env, supervisor)
}

fn crash_loop(host: &LabHost) -> Story {
    let (env, supervisor) = begin(host);
    let settings = format!("memory = \"64m\"\n{UNATTENDED}");
    let env = env.write("arcane.toml", &app("shop", "bench-heal:2", 8000, &settings));
    env.run(&["push"]).succeeds();
    story(&env, host, supervisor)
}

fn out_of_memory(host: &LabHost) -> Story {
    let (env, supervisor) = begin(host);
    Ran::of(std::process::Command::new("curl").args([
        "-s",
        "-m",
        "2",
        &format!("{}/leak", host.app_url(8000)),
    ]));
    story(&env, host, supervisor)
}

fn story(env: &TestEnv, host: &LabHost, supervisor: Supervisor) -> Story {
    let probe = Probe::start(&host.app_url(8000), 50);
    let incident = eventually("the app is healed", Duration::from_secs(60), || {
        let all = env.run(&["incidents", "--all", "--json"]).succeeds().json();
        all.as_array().unwrap().iter().find(|incident| incident["state"] == "healed").cloned()
    });
    let opened = at(&incident["opened_at"]);
    let signs: Vec<f64> =
        incident["evidence"].as_array().unwrap().iter().map(|sign| at(&sign["at"])).collect();
    let first = signs.iter().copied().fold(f64::INFINITY, f64::min);
    let remedied = at(&incident["actions"].as_array().unwrap().last().unwrap()["ended_at"]);
    let answers = probe.stop();
    // The summary is no change; the change before it is the state that stayed.
    let stayed = &answers[answers.len() - 2];
    assert_eq!(stayed["version"], "v1", "{stayed}");
    let answered = stayed["unix_ms"].as_f64().unwrap() / 1000.0;
    drop(supervisor);
    Story { detected: opened - first, remedied: remedied - opened, answered: answered - first }
}

/// Seconds since 1970 of a time in JSON.
fn at(value: &Value) -> f64 {
    let stamp: Timestamp = serde_json::from_value(value.clone()).unwrap();
    stamp.as_nanos() as f64 / 1e9
}

/// `arcane heal --auto`, until dropped.
struct Supervisor(Child);

impl Supervisor {
    fn start(env: &TestEnv) -> Self {
        let mut command = env.arcane(&["heal", "--auto"]);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
