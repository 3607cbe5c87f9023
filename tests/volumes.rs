//! Story: an app writes to a volume. Whatever is done to it and however that is cut off, its data never has two writers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\n\
         volumes = [\"shop-data:/data\"]\nhealth = {{ http = \"/healthz\", within = \"4s\" }}\n{more}\n"
    )
}

/// Has the engine write down each start and each end of a container from now on.
fn watch(host: &LabHost) {
    let events = "docker events --filter type=container --filter event=start --filter event=die \
                  --format '{{.Action}} {{.ID}} {{.Actor.Attributes.name}}'";
    host.ssh(&format!("setsid {events} >/tmp/events 2>&1 </dev/null & sleep 1")).succeeds();
}

/// Every container that ran at the same time as another one, since [`watch`].
fn together(host: &LabHost) -> Vec<String> {
    let events = host.ssh("sleep 1; cat /tmp/events").succeeds();
    let mut running = BTreeSet::new();
    let mut together = Vec::new();
    let mut starts = 0;
    for line in events.text().lines() {
        let [action, id, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match action {
            "start" => {
                starts += 1;
                if !running.is_empty() {
                    together.push(format!("{name} beside {running:?}"));
                }
                running.insert(id.to_owned());
            }
            _ => drop(running.remove(id)),
        }
    }
    assert!(starts > 8, "too little happened to prove anything: {events}");
    together
}

/// Kills a push some time into a step, and returns when the host has done what it does then.
fn kill_at(host: &LabHost, env: &TestEnv, step: &str, pause: u64) {
    let mut child = env.arcane(&["push", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(&format!("\"step\":\"{step}\""))), "{step} never came");
    std::thread::sleep(Duration::from_millis(pause));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the lock is free", Duration::from_secs(40), || {
        let ran = env.run(&["unlock", &host.name()]);
        ran.stdout.contains("is not locked").then_some(())
    });
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

#[test]
fn data_never_has_two_writers() {
    let host = Lab::host();
    image("volume-story:1", &[("VERSION", "one"), ("IGNORE_TERM", "1")]);
    image("volume-story:2", &[("VERSION", "two")]);
    image("volume-story:sick", &[("REFUSE_HEALTH", "1"), ("IGNORE_TERM", "1")]);
    watch(&host);
    let one = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("volume-story:1", ""));
    one.run(&["push"]).succeeds();
    let two = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("volume-story:2", ""));
    two.run(&["push"]).succeeds();
    two.run(&["rollback"]).succeeds();
    let sick = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("volume-story:sick", ""));
    sick.run(&["push"]).exits(4);
    for (step, pause) in [("stop", 300), ("start", 100), ("health", 500), ("boomerang", 200)] {
        kill_at(&host, &sick, step, pause);
        two.run(&["push", "--force"]).succeeds();
        assert_eq!(answer(&host), "two", "{step}");
    }
    // A release command that needs the data runs while nothing else does; if it fails the old release is started again.
    let command = "release = [\"--exit-after\", \"1\", \"--exit-code\", \"CODE\"]\nrelease_volumes = true\n";
    let fails = shop("volume-story:1", &command.replace("CODE", "3"));
    let fails = TestEnv::new().fleet(&[&host]).write("arcane.toml", &fails);
    fails.run(&["push"]).exits(4).complains("its release command failed: it exited with code 3");
    assert_eq!(answer(&host), "two");
    let slow = shop("volume-story:1", "release = [\"--exit-after\", \"60\"]\nrelease_volumes = true\n");
    kill_at(&host, &TestEnv::new().fleet(&[&host]).write("arcane.toml", &slow), "release", 1500);
    assert_eq!(answer(&host), "two", "the host has ended the command and started the old release");
    let works = shop("volume-story:1", &command.replace("CODE", "0"));
    let works = TestEnv::new().fleet(&[&host]).write("arcane.toml", &works);
    works.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "one");
    let mounts = host.docker(&["inspect", "-f", "{{range .Mounts}}{{.Name}}{{end}}", "shop"]).succeeds();
    assert_eq!(mounts.text(), "shop-data");
    assert_eq!(together(&host), Vec::<String>::new());
}
