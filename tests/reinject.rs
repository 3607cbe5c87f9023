//! A story of reboots: secrets are gone, and are brought again to whom they belong, by whoever may, in the middle of a push too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

fn shop(version: u8, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"reinject-story:{version}\"\nports = [8000]\nport = 8080\nstop_timeout = \"1s\"\n\
         secrets = [\"TOKEN\"]\nenv.NEED_ENV = \"TOKEN\"\nhealth = {{ http = \"/healthz\", within = \"10s\" }}\n{more}\n\
         [app.shop.heal]\nmode = \"auto\"\nverify = \"1s\"\n"
    )
}

/// A repository with a vault that has this value.
fn repository(host: &LabHost, value: &str) -> TestEnv {
    TestEnv::new().fleet(&[host]).vault("production", &[("TOKEN", value.as_bytes())])
}

fn images() {
    for version in 1..=2 {
        image(&format!("reinject-story:{version}"), &[("VERSION", &version.to_string())]);
    }
}

fn answers(host: &LabHost, version: &str) {
    eventually(&format!("the app answers {version}"), Duration::from_secs(20), || {
        let answer =
            Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]));
        (answer.text() == version).then_some(())
    });
}

/// The value that the live container has, and what is kept in the host's memory.
fn value(host: &LabHost) -> String {
    let found = host.console(
        "tr '\\0' '\\n' < /proc/$(docker inspect -f '{{.State.Pid}}' shop)/environ | sed -n 's/^TOKEN=//p'",
    );
    found.text().to_owned()
}

fn kept(host: &LabHost) -> usize {
    host.console("find /run/arcane -name env 2>/dev/null").text().lines().count()
}

/// Without warning, and until the engine has given up on the app.
fn reboot(host: &LabHost) {
    host.power_loss();
    eventually("the engine answers again", Duration::from_secs(30), || {
        host.docker(&["info"]).status.success().then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
}

#[test]
fn a_host_gets_only_what_its_owner_says_that_it_gets() {
    let host = Lab::host();
    images();
    let env = repository(&host, "right").write("arcane.toml", &shop(1, ""));
    env.run(&["push"]).succeeds();
    reboot(&host);

    // Started in another repository, whose vault has a secret of that name.
    let other = repository(&host, "wrong")
        .write("arcane.toml", "[app.other]\nimage = \"other:1\"\nsecrets = [\"TOKEN\"]\n");
    other.run(&["heal", "--auto", "--for", "5s"]).says("has no app `shop`");
    assert_eq!(kept(&host), 0);
    // An app of the name that does not have this secret, or does not go to this host, or that in an environment only.
    for (declared, reason) in [
        (
            "[app.shop]\nimage = \"other:1\"\nsecrets = [\"OTHER\"]\nheal = { mode = \"auto\" }\n",
            "declares no secret TOKEN",
        ),
        (
            "[app.shop]\nimage = \"other:1\"\nsecrets = [\"TOKEN\"]\nto = [\"elsewhere\"]\nheal = { mode = \"auto\" }\n",
            "does not send shop to",
        ),
    ] {
        let fleet = other.read("fleet.toml");
        let other = repository(&host, "wrong").write("arcane.toml", declared);
        let other =
            other.write("fleet.toml", &format!("{fleet}[host.elsewhere]\nssh = \"root@127.0.0.1:1\"\n"));
        other.run(&["heal", "--auto", "--for", "5s", "--to", &host.name()]).says(reason);
        assert_eq!(kept(&host), 0, "{reason}");
    }
    // With several environments it has to be said which hosts get this one: a host of staging could ask for production.
    env.run(&["init", "--env", "staging", "--as", "ada"]).succeeds();
    env.run(&["heal", "--auto", "--for", "5s"]).says("add `to` to [app.shop.environment.production]");
    assert_eq!(kept(&host), 0);
    let to = format!("[app.shop.environment.production]\nto = [\"{}\"]\n", host.name());
    let env = env.write("arcane.toml", &(shop(1, "") + &to));
    env.run(&["heal", "--auto", "--once"]).succeeds().says("reinject helped");
    assert_eq!(value(&host), "right");
    answers(&host, "1");
}

#[test]
fn a_reboot_in_the_middle_of_a_push_is_no_dead_end() {
    let host = Lab::host();
    images();
    let mut env = repository(&host, "first").write("arcane.toml", &shop(1, ""));
    env.run(&["push"]).succeeds();
    for (way_on, version) in [(&["rollback", "shop"][..], "1"), (&["push"], "2")] {
        // Its release before is stopped, and it does not answer yet.
        env = env.write("arcane.toml", &shop(2, "env.REFUSE_HEALTH = \"1\""));
        let mut push = env.push_until("its health is asked", |line| line.contains("\"step\":\"health\""));
        reboot(&host);
        push.kill().unwrap();
        push.wait().unwrap();
        assert_eq!(kept(&host), 0);
        env = env.write("arcane.toml", &shop(2, ""));
        // Without a key it is said what is missing, and nothing is made worse.
        let nobody = env.arcane(way_on).env("ARCANE_IDENTITY", "/nowhere").output().unwrap();
        assert!(!nobody.status.success(), "{}", String::from_utf8_lossy(&nobody.stderr));
        env.run(way_on).succeeds();
        answers(&host, version);
        assert_eq!(value(&host), "first");
    }
}
