//! Story: somebody types `arcane push` all day. What they send is live or the old release is, and they are told which.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{Lab, LabHost, Probe, Ran, TestEnv, eventually, image, image_with};

/// An app of this image on port 8000, healthy when /healthz says so.
fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\n\
         health = {{ http = \"/healthz\", within = \"4s\" }}\n{more}\n"
    )
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

fn done(ran: &Ran) -> Value {
    let last = ran.json_lines().pop().expect("push --json says something");
    assert_eq!(last["event"], "done", "{ran}");
    last
}

fn live_release(env: &TestEnv) -> String {
    let status = env.run(&["status", "--json"]).succeeds().json();
    status["hosts"][0]["apps"][0]["release"].as_str().expect("an app is live").to_owned()
}

#[test]
fn a_release_goes_out_is_replaced_and_comes_back() {
    let host = Lab::host();
    image("push-story:1", &[("VERSION", "one")]);
    image("push-story:2", &[("VERSION", "two")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("push-story:1", ""));

    let first = done(&env.run(&["push", "--json"]).succeeds());
    assert_eq!((&first["outcome"], answer(&host)), (&"released".into(), "one".to_owned()));
    assert!(first["bytes_sent"].as_u64() > Some(100_000), "{first}");

    // The same again: nothing to do, and nothing done.
    let again = done(&env.run(&["push", "--json"]).succeeds());
    assert_eq!((&again["outcome"], &again["release"]), (&"unchanged".into(), &first["release"]));

    let probe = Probe::start(&host.app_url(8000), 20);
    let env = env.write("arcane.toml", &shop("push-story:2", ""));
    let second = done(&env.run(&["push", "--json"]).succeeds());
    assert_eq!((&second["outcome"], answer(&host)), (&"released".into(), "two".to_owned()));
    let gap = second["gap_seconds"].as_f64().unwrap();
    let summary = probe.stop().pop().unwrap();
    assert!(summary["longest_gap_ms"].as_f64().unwrap() < 1000.0 * gap + 1000.0, "{summary} {second}");

    env.run(&["releases", "shop"]).succeeds().says("live").says("kept").says("tester@");
    env.run(&["rollback", "shop"]).succeeds().says("Undo with");
    assert_eq!(
        (live_release(&env), answer(&host)),
        (first["release"].as_str().unwrap().to_owned(), "one".to_owned())
    );
    // The release that was rolled back from is newer, and is only gone back to when it is named.
    env.run(&["rollback", "shop"]).exits(1).complains("older than the live one");
    env.run(&["rollback", "shop", "--release", second["release"].as_str().unwrap()]).succeeds();
    assert_eq!(answer(&host), "two");
    let containers = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
    assert_eq!(containers.text().lines().count(), 2, "an orphan is left: {containers}");
}

#[test]
fn a_release_that_does_not_get_healthy_is_swapped_out_again() {
    let host = Lab::host();
    image("boomerang-story:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("boomerang-story:1", ""));
    env.run(&["push"]).succeeds();
    let before = live_release(&env);
    let cases: &[(&str, &[(&str, &str)], &str, &str)] = &[
        ("sick", &[("REFUSE_HEALTH", "1")], "", "503"),
        (
            "crash",
            &[("EXIT_AFTER", "0"), ("EXIT_CODE", "3"), ("LOG_TEXT", "cannot read the config")],
            "",
            "cannot read the config",
        ),
        ("late", &[("SLOW_START", "30")], "", "did not get healthy"),
        // `docker run` itself fails: the container cannot even be started.
        ("nothing", &[], "command = [\"/no/such/program\"]", "/no/such/program"),
    ];
    for (name, switches, more, reason) in cases {
        let tag = format!("boomerang-story:{name}");
        image(&tag, switches);
        let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop(&tag, more));
        let ran = env.run(&["push", "--json"]).exits(4).complains("rolled back to").complains(reason);
        let done =
            ran.json_lines().into_iter().find(|line| line["event"] == "done").expect("it ends with done");
        assert_eq!(
            (&done["outcome"], done["release"].as_str()),
            (&"rolled_back".into(), Some(before.as_str())),
            "{name}"
        );
        assert_eq!((live_release(&env), answer(&host)), (before.clone(), "one".to_owned()), "{name}");
        let containers = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
        assert_eq!(containers.text(), "shop", "{name}: an orphan is left");
    }
    let images = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "arcane/shop"]).succeeds();
    assert_eq!(images.text().lines().count(), 1, "images of failed releases are left: {images}");
}

#[test]
fn health_can_be_asked_in_every_declared_way() {
    let host = Lab::host();
    image_with("health-story:1", &[("VERSION", "one")], &["--healthcheck"]);
    let cases = [
        ("{ tcp = true, within = \"5s\" }", 0, ""),
        ("{ docker = true, within = \"20s\" }", 0, ""),
        ("{ command = [\"/app\", \"healthcheck\"], within = \"5s\" }", 0, ""),
        (
            "{ command = [\"/app\", \"healthcheck\", \"--port\", \"1\"], within = \"2s\" }",
            4,
            "the command exited with code 1",
        ),
        ("{ stays_up = \"1s\" }", 0, ""),
        ("{ http = \"/missing\", within = \"2s\" }", 4, "404"),
    ];
    for (health, code, reason) in cases {
        let text = format!(
            "[app.shop]\nimage = \"health-story:1\"\nports = [8000]\nport = 8080\nhealth = {health}\nstop_timeout = \"1s\"\n"
        );
        let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &text);
        env.run(&["push", "--force"]).exits(code).complains(reason);
    }
}

#[test]
fn what_is_wrong_is_found_before_anything_is_changed() {
    let host = Lab::host();
    image("preflight-story:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("preflight-story:1", ""));
    env.run(&["push", "--plan"]).succeeds().says("all of it").says("replaces nothing");
    assert_eq!(host.docker(&["ps", "-aq"]).succeeds().text(), "", "--plan changed something");

    host.load(&["preflight-story:1"]);
    host.docker(&["run", "-d", "--name", "squatter", "-p", "8000:8080", "preflight-story:1"]).succeeds();
    env.run(&["push"])
        .exits(1)
        .complains("port 8000 is taken by container squatter")
        .complains("nothing was changed");
    let env = env.write("arcane.toml", &shop("no-such-image:1", ""));
    env.run(&["push"]).exits(1).complains("no image no-such-image:1").complains("docker build");
    let env =
        env.write("arcane.toml", "[app.shop]\nimage = \"preflight-story:1\"\nhealth = { docker = true }\n");
    env.run(&["push"]).exits(1).complains("needs a HEALTHCHECK in the image");
}

#[test]
fn the_rest_of_a_deployers_day() {
    let host = Lab::host();
    image(
        "day-story:1",
        &[("VERSION", "one"), ("LOG_TEXT", "hello \u{1b}[31mworld"), ("LOG_EVERY", "1"), ("LOG_COUNT", "3")],
    );
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("day-story:1", ""));
    env.run(&["status"]).succeeds().says("no apps");
    env.run(&["push"]).succeeds().says("Undo with `arcane rollback shop --to");
    env.run(&["status"]).succeeds().says("shop").says("running");
    env.run(&["exec", "shop", "--", "/app", "healthcheck"]).exits(0);
    env.run(&["exec", "shop", "--", "/app", "healthcheck", "--port", "1"]).exits(1);
    // The escape sequence that the app wrote does not reach the terminal.
    eventually("the log is there", Duration::from_secs(10), || {
        let ran = env.run(&["logs", "shop"]).succeeds();
        ran.stdout.contains("hello").then_some(ran)
    })
    .says(r"hello \u{1b}[31mworld")
    .never_says("\u{1b}[31m");
    env.run(&["unlock", &host.name()]).succeeds().says("is not locked");
    env.run(&["doctor", &host.name()]).succeeds().says("forwarded by sshd").says("overlay2");
    env.run(&["rollback", "nothing-here"]).exits(1).complains("nothing-here is not deployed");
    host.sshd_option("AllowTcpForwarding", "no");
    env.run(&["doctor", &host.name()]).exits(1).says("dial-stdio").says("AllowTcpForwarding");
}
