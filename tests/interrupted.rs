//! Story: the machine that pushes dies, the line drops, two people push at once. Whatever the moment, the lock is free
//! again, either release can be brought back by one command that `status` names, and `arcane push` just works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Child;
use std::time::Duration;

use support::{Lab, LabHost, Ran, TestEnv, eventually, image, image_with};

fn shop(image: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"4s\"\n\
         health = {{ http = \"/healthz\", within = \"20s\" }}\n"
    )
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

/// Starts a push and returns when it says that a step begins.
fn push_until(env: &TestEnv, step: &str) -> Child {
    env.push_until(step, |line| line.contains(&format!("\"step\":\"{step}\"")))
}

/// What `status` says is left, and the command it names.
fn left(env: &TestEnv) -> Option<String> {
    let status = env.run(&["status", "--json"]).succeeds().json();
    status["hosts"][0]["apps"][0]["next"].as_str().map(str::to_owned)
}

/// Runs a command line that arcane itself named.
fn obey(env: &TestEnv, named: &str) -> Ran {
    let words: Vec<&str> =
        named.strip_prefix("arcane ").expect("it names an arcane command").split(' ').collect();
    env.run(&words)
}

#[test]
fn kill_9_at_every_step_leaves_a_way_back_and_a_free_lock() {
    let host = Lab::host();
    // The old release ignores SIGTERM and the new one is slow, so that each step lasts long enough to be hit.
    image("kill-story:1", &[("VERSION", "one"), ("IGNORE_TERM", "1")]);
    let old = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("kill-story:1"));
    old.run(&["push"]).succeeds();
    // Renaming is hit while it stops; starting and health while it starts slowly.
    for (step, pause) in [("transfer", 300), ("create", 0), ("stop", 500), ("start", 50), ("health", 700)] {
        let tag = format!("kill-story:{step}");
        image_with(&tag, &[("VERSION", step), ("SLOW_START", "2")], &["--size", "60M", "--seed", step]);
        let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop(&tag));
        let mut push = push_until(&env, step);
        std::thread::sleep(Duration::from_millis(pause));
        push.kill().unwrap();
        push.wait().unwrap();
        // Whoever is left on the host brings the old release back before the lock is free.
        eventually("the lock is free", Duration::from_secs(30), || {
            let ran = env.run(&["unlock", &host.name()]);
            ran.stdout.contains("is not locked").then_some(())
        });
        eventually("the old release", Duration::from_secs(2), || (answer(&host) == "one").then_some(()));
        // Nothing is left of a switch that had begun. What else is left is said, with the command that mends it.
        let next = left(&env);
        assert!(next.is_none() || step == "create", "{step}: {next:?}");
        if let Some(next) = next {
            obey(&env, &next).succeeds();
            assert_eq!(answer(&host), step, "after `{next}`");
        }
        env.run(&["push"]).succeeds();
        assert_eq!(answer(&host), step, "{step}: push again just works");
        assert_eq!(left(&env), None, "{step}");
        let names = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
        assert!(!names.stdout.contains("_new") && !names.stdout.contains("_back"), "{step}: {names}");
        old.run(&["push"]).succeeds();
        assert_eq!(answer(&host), "one");
    }
}

#[test]
fn ctrl_c_during_health_brings_the_old_release_back() {
    let host = Lab::host();
    image("interrupt-story:1", &[("VERSION", "one")]);
    image("interrupt-story:2", &[("VERSION", "two"), ("SLOW_START", "30")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("interrupt-story:1"));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("interrupt-story:2"));
    let mut push = push_until(&env, "health");
    let pid = rustix::process::Pid::from_raw(i32::try_from(push.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(push.wait().unwrap().code(), Some(130));
    assert_eq!(answer(&host), "one");
    assert_eq!(left(&env), None);
}

#[test]
fn a_line_that_drops_during_a_switch_brings_the_old_release_back() {
    let host = Lab::host();
    image("drop-story:1", &[("VERSION", "one")]);
    image("drop-story:2", &[("VERSION", "two"), ("SLOW_START", "60")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("drop-story:1"));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("drop-story:2"));
    let mut push = push_until(&env, "health");
    host.cut_hard();
    std::thread::sleep(Duration::from_secs(3));
    host.mend();
    assert_eq!(push.wait().unwrap().code(), Some(4));
    assert_eq!(answer(&host), "one");
    assert_eq!(left(&env), None);
}

#[test]
fn two_pushes_at_once_are_never_both() {
    let host = Lab::host();
    image("two-story:1", &[("VERSION", "one")]);
    image("two-story:2", &[("VERSION", "two"), ("SLOW_START", "4")]);
    image("two-story:3", &[("VERSION", "three")]);
    let first = TestEnv::new().fleet(&[&host]).var("USER", "ada").write("arcane.toml", &shop("two-story:1"));
    first.run(&["push"]).succeeds();
    let first = first.write("arcane.toml", &shop("two-story:2"));
    let second = TestEnv::new().fleet(&[&host]).var("USER", "bob").write("arcane.toml", &shop("two-story:3"));
    let mut push = push_until(&first, "health");
    second.run(&["push"]).exits(7).complains("locked by ada@").complains("push shop");
    second.run(&["unlock", &host.name()]).exits(7).says("locked by ada@");
    // Waiting works, and the one who waits wins in the end.
    second.run(&["push", "--wait", "30s"]).succeeds().complains("waiting for the lock of ada@");
    assert_eq!(push.wait().unwrap().code(), Some(0));
    assert_eq!(answer(&host), "three");
}

#[test]
fn a_lock_that_is_taken_away_stops_whoever_had_it() {
    let host = Lab::host();
    image("evict-story:1", &[("VERSION", "one")]);
    image("evict-story:2", &[("VERSION", "two"), ("SLOW_START", "5")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("evict-story:1"));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("evict-story:2"));
    let mut push = push_until(&env, "health");
    env.run(&["unlock", &host.name(), "--yes"]).succeeds().says("Took the lock");
    // It notices before its next change, takes the lock anew, and puts the old release back.
    assert_eq!(push.wait().unwrap().code(), Some(4));
    assert_eq!(answer(&host), "one");
}
