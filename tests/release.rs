//! Story: a release brings a migration and hooks along. They run in their order, under the lock, once; whatever fails or
//! is cut off before the switch leaves the old release as it was, and nothing of theirs behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

/// An app of this image on port 8000, healthy when /healthz says so.
fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\n\
         health = {{ http = \"/healthz\", within = \"10s\" }}\n{more}\n"
    )
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

fn containers(host: &LabHost) -> Vec<String> {
    let names = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
    let mut names: Vec<_> = names.text().lines().map(str::to_owned).collect();
    names.sort();
    names
}

fn images(host: &LabHost) -> usize {
    host.docker(&["images", "-q", "arcane/shop"]).succeeds().text().lines().count()
}

/// The live container and when it was started: the same again means that nobody touched it.
fn untouched(host: &LabHost) -> String {
    host.docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", "shop"])
        .succeeds()
        .text()
        .to_owned()
}

fn live(env: &TestEnv) -> String {
    let status = env.run(&["status", "--json"]).succeeds().json();
    status["hosts"][0]["apps"][0]["release"].as_str().expect("an app is live").to_owned()
}

/// Starts a push and returns when one of its lines of JSON contains this.
fn push_until(env: &TestEnv, said: &str) -> Child {
    env.push_until(said, |line| line.contains(said))
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// A release command of the test app: it says its version, and ends after so many seconds with this code.
fn command(seconds: u32, code: u32) -> String {
    format!("release = [\"--exit-after\", \"{seconds}\", \"--exit-code\", \"{code}\"]\n")
}

#[test]
fn a_release_command_runs_before_the_switch_and_its_failure_changes_nothing() {
    let host = Lab::host();
    image("release-story:1", &[("VERSION", "one")]);
    image("release-story:2", &[("VERSION", "two")]);
    let env = TestEnv::new().fleet(&[&host]);
    let env = env.write("arcane.toml", &shop("release-story:1", &command(1, 0)));
    env.run(&["push"]).succeeds().complains("release | listening on :8080 version one");
    assert_eq!(containers(&host), ["shop"]);

    let before = untouched(&host);
    for (more, reason) in [
        (command(0, 3), "it exited with code 3"),
        (format!("{}release_within = \"1s\"\n", command(60, 0)), "it took longer than 1s"),
        ("env.LEAK = \"400\"\nmemory = \"32m\"\n".to_owned() + &command(60, 0), "it ran out of memory"),
    ] {
        let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("release-story:2", &more));
        env.run(&["push"]).exits(1).complains(reason).complains("runs what it ran");
        assert_eq!(
            (untouched(&host), containers(&host).len(), images(&host)),
            (before.clone(), 1, 1),
            "{reason}"
        );
    }
    // The environment of the release, and nothing of its old one.
    let env = env
        .write("arcane.toml", &shop("release-story:2", &format!("env.VERSION = \"own\"\n{}", command(0, 0))));
    let ran = env.run(&["push", "--json"]).succeeds();
    let said: Vec<Value> = ran.json_lines();
    let at = |step: &str| said.iter().position(|line| line["step"] == step).expect(step);
    assert!(at("release") < at("create") || at("release") < at("stop"), "{ran}");
    assert_eq!(answer(&host), "own");
}

#[test]
fn a_release_command_that_is_cut_off_is_gone_and_the_old_release_never_noticed() {
    let host = Lab::host();
    image("cut-story:1", &[("VERSION", "one")]);
    image("cut-story:2", &[("VERSION", "two")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("cut-story:1", ""));
    env.run(&["push"]).succeeds();
    let before = untouched(&host);
    let env = env.write("arcane.toml", &shop("cut-story:2", &command(120, 0)));

    let mut push = push_until(&env, "listening on");
    interrupt(&push);
    assert_eq!(push.wait().unwrap().code(), Some(130));
    assert_eq!((untouched(&host), containers(&host).len(), images(&host)), (before.clone(), 1, 1));

    let mut push = push_until(&env, "listening on");
    host.cut_hard();
    std::thread::sleep(Duration::from_secs(3));
    host.mend();
    assert_eq!(push.wait().unwrap().code(), Some(1));
    assert_eq!((untouched(&host), containers(&host).len()), (before.clone(), 1));

    let mut push = push_until(&env, "listening on");
    push.kill().unwrap();
    push.wait().unwrap();
    assert_eq!(untouched(&host), before);
    assert_eq!(containers(&host), ["shop", "shop_release"], "nobody is there to remove it");
    let env = env.write("arcane.toml", &shop("cut-story:2", ""));
    env.run(&["push", "--wait", "30s"]).succeeds();
    assert_eq!(
        (answer(&host).as_str(), containers(&host)),
        ("two", vec!["shop".to_owned(), "shop_old".to_owned()])
    );
}

#[test]
fn nobody_goes_back_across_a_migration_unasked() {
    let host = Lab::host();
    for version in ["one", "two", "three"] {
        image(&format!("migrate-story:{version}"), &[("VERSION", version)]);
    }
    image("migrate-story:sick", &[("REFUSE_HEALTH", "1")]);
    let env = TestEnv::new().fleet(&[&host]);
    let env = env.write("arcane.toml", &shop("migrate-story:one", ""));
    env.run(&["push"]).succeeds();
    let first = live(&env);
    let env =
        env.write("arcane.toml", &shop("migrate-story:two", &format!("migrates = true\n{}", command(0, 0))));
    env.run(&["push"]).succeeds();
    let second = live(&env);
    // A later release that migrates nothing knows of it all the same.
    let env = env.write("arcane.toml", &shop("migrate-story:three", ""));
    env.run(&["push"]).succeeds();
    env.run(&["rollback"]).succeeds();
    assert_eq!(live(&env), second);

    let before = untouched(&host);
    let ran = env.run(&["rollback"]).exits(7).complains("guard `rollback-migration`");
    ran.complains(&format!("arcane rollback shop --to {} --release {first} --across-migration", host.name()));
    env.run(&["rollback", "--release", &first]).exits(7);
    assert_eq!(untouched(&host), before);
    env.run(&["rollback", "--across-migration"]).succeeds();
    assert_eq!((live(&env), answer(&host)), (first, "one".to_owned()));

    // One that migrates and then fails is told of loudly: what it did to the data stays done.
    let sick = shop("migrate-story:sick", &format!("migrates = true\n{}", command(0, 0)));
    let env = env.write("arcane.toml", &sick.replace("10s", "2s"));
    let ran = env.run(&["push", "--json"]).exits(4).complains("THE DATA OF shop MAY BE MIGRATED");
    assert_eq!(ran.json_lines().pop().unwrap()["migrated"], true);
}

#[test]
fn hooks_run_in_their_order_under_the_lock_and_may_call_arcane() {
    let host = Lab::host();
    image("hook-story:1", &[("VERSION", "one")]);
    let arcane = env!("CARGO_BIN_EXE_arcane");
    let apps = format!(
        "{}[app.shop.hooks]\n\
         before = \"{arcane} push helper && echo $ARCANE_APP $ARCANE_HOST $ARCANE_IMAGE; touch here\"\n\
         after  = {{ run = \"echo for $ARCANE_RELEASE; docker image inspect -f ok \\\"$ARCANE_IMAGE\\\"\", on = \"host\" }}\n\
         [app.helper]\nimage = \"hook-story:1\"\nhealth = {{ stays_up = \"1s\" }}\n",
        shop("hook-story:1", "")
    );
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &apps);
    let ran = env.run(&["push", "shop"]).succeeds();
    ran.complains(&format!("before | shop {} hook-story:1", host.name())).complains("after | ok");
    assert!(env.path("here").exists(), "it runs beside arcane.toml");
    assert_eq!(containers(&host), ["helper", "shop"], "the hook's own push worked under our lock");

    // Whoever is not called by the hook is refused as ever, though it claims a lock.
    let slow = shop("hook-story:1", "hooks.before = \"echo begun; sleep 20\"\nenv.N = \"2\"\n");
    let env = env.write("arcane.toml", &slow);
    let mut push = push_until(&env, "begun");
    let other = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("hook-story:1", "env.N = \"3\"\n"));
    let other = other.var("ARCANE_LOCK", &format!("{}:1", host.name()));
    other.run(&["push"]).exits(7).complains("is locked by tester@");
    interrupt(&push);
    assert_eq!(push.wait().unwrap().code(), Some(130));
    // What the failed push held is free, and the hook is not running on.
    other.run(&["push"]).succeeds();
}

#[test]
fn a_hook_that_fails_or_hangs_is_ended_with_all_that_it_started() {
    let host = Lab::host();
    image("hang-story:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("hang-story:1", ""));
    env.run(&["push"]).succeeds();
    let before = untouched(&host);
    let pushed = |more: &str| {
        let env = TestEnv::new().fleet(&[&host]);
        env.write("arcane.toml", &shop("hang-story:1", &format!("env.N = \"2\"\n{more}"))).run(&["push"])
    };
    pushed("hooks.before = \"echo 'it is \\u001b[31mred'; exit 4\"\n")
        .exits(1)
        .complains("the `before` hook of shop failed")
        .complains("exit code 4")
        .complains(r"before | it is \u{1b}[31mred");
    // The child ignores SIGTERM and the parent is quick to go: both are ended, here and there.
    let hang = "sh -c \\\"trap '' TERM; while :; do sleep 0.4321; done\\\" & sleep 43.21";
    for on in ["here", "host"] {
        let begun = Instant::now();
        let hook = format!("hooks.before = {{ run = \"{hang}\", on = \"{on}\", within = \"1s\" }}\n");
        pushed(&hook).exits(1).complains("it took longer than 1s");
        assert!(begun.elapsed() < Duration::from_secs(30), "{on}");
        eventually("what the hook started is gone", Duration::from_secs(10), || {
            let here = Ran::of(std::process::Command::new("pgrep").args(["-f", "sleep (0.4321|43.21)"]));
            (here.text().is_empty()).then_some(())
        });
    }
    assert_eq!((untouched(&host), images(&host)), (before, 1));
    // Once the release is live, a hook that fails is told, and the release stays.
    let ran = pushed("hooks.after = \"exit 5\"\n").exits(1);
    ran.complains("is live on").complains("its `after` hook failed").complains("exit code 5");
    assert_eq!(containers(&host), ["shop", "shop_old"]);
}

#[test]
fn a_release_that_fails_while_it_is_watched_is_swapped_out_again() {
    let host = Lab::host();
    image("bake-story:1", &[("VERSION", "one")]);
    image("bake-story:crash", &[("EXIT_AFTER", "3"), ("EXIT_CODE", "9"), ("LOG_TEXT", "cannot go on")]);
    image("bake-story:sick", &[("REFUSE_HEALTH_AFTER", "2")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bake-story:1", ""));
    env.run(&["push"]).succeeds();
    let first = live(&env);
    for (name, reason) in [("crash", "it exited"), ("sick", "3 probes in a row failed")] {
        let env = TestEnv::new().fleet(&[&host]);
        let env = env.write("arcane.toml", &shop(&format!("bake-story:{name}"), "bake = \"60s\"\n"));
        env.run(&["push"]).exits(4).complains("it got healthy, but").complains(reason);
        assert_eq!((live(&env), answer(&host)), (first.clone(), "one".to_owned()), "{name}");
        assert_eq!((containers(&host), images(&host)), (vec!["shop".to_owned()], 1), "{name}");
    }
    // One that is still being watched was not trusted yet: when we vanish it is taken back.
    let env = env.write("arcane.toml", &shop("bake-story:1", "bake = \"60s\"\nenv.VERSION = \"two\"\n"));
    let mut push = push_until(&env, "\"step\":\"bake\"");
    assert_eq!(answer(&host), "two");
    push.kill().unwrap();
    push.wait().unwrap();
    eventually("the old release is back", Duration::from_secs(30), || (answer(&host) == "one").then_some(()));
    assert_eq!(live(&env), first);
    // What its log says is told, once for each rule, and moves nobody.
    let says = "env = { VERSION = \"two\", LOG_TEXT = \"Migration checksum mismatch\\u001b[2J\", LOG_EVERY = \"0.2\" }\n";
    let env = env.write("arcane.toml", &shop("bake-story:1", &format!("bake = \"3s\"\n{says}")));
    let begun = Instant::now();
    let ran = env.run(&["push", "--wait", "30s"]).succeeds();
    assert!(begun.elapsed() > Duration::from_secs(3));
    let told =
        ran.stderr.matches("log | spring/migration (schema_mismatch): Migration checksum mismatch").count();
    assert_eq!((told, ran.stderr.contains("\u{1b}[2J")), (1, false), "{ran}");
}
