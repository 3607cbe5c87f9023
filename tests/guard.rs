//! Story: the process that holds the deploy lock on a host is all that is left when arcane is killed half-way. It brings the
//! old release back whatever happens to its pipes, however long a stop takes; and one that cannot is no guard.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

/// What arcane runs on a host to hold the lock.
const HOLDER: &str = include_str!("../src/deploy/lock.sh");

fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\n\
         health = {{ http = \"/healthz\", within = \"60s\" }}\n{more}\n"
    )
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

/// Puts this before the `docker` command of whoever comes over ssh from now on.
fn before_docker(host: &LabHost, script: &str) {
    let whole = format!("#!/bin/sh\n{script}\n");
    host.ssh(&format!(
        "mkdir -p /srv/bin; cat >/srv/bin/docker <<'END'\n{whole}END\nchmod 755 /srv/bin/docker"
    ))
    .succeeds();
    host.sshd_option("SetEnv", "PATH=/srv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

#[test]
fn a_holder_that_nobody_listens_to_any_more_undoes_the_switch_all_the_same() {
    let host = Lab::host();
    let live = host.docker(&["run", "-d", "--name", "shop_old", "busybox:lab", "sleep", "600"]).succeeds();
    host.docker(&["stop", "-t", "0", "shop_old"]).succeeds();
    host.docker(&["run", "-d", "--name", "shop_new", "busybox:lab", "sleep", "600"]).succeeds();
    host.ssh(&format!("cat >/srv/holder <<'END'\n{HOLDER}END")).succeeds();
    // Whoever asks is gone after two answers, asks once more, and then says nothing for ever.
    let asked = format!(
        "{{ printf '{{}}\\ngshop_new shop {} start 1 remove -\\n'; sleep 3; printf '?'; sleep 1; }} | sh /srv/holder | \
         head -n 2",
        live.text()
    );
    let ran = host.ssh(&asked);
    assert_eq!(ran.stdout, "locked 1\narmed\n", "{ran}");
    eventually("the old container", Duration::from_secs(20), || {
        (host.containers() == ["shop running"]).then_some(())
    });
    // The lock is free, and the number goes up.
    let next = host.ssh("printf '{}\\nq' | sh /srv/holder");
    assert_eq!(next.stdout, "locked 2\n", "{next}");
}

#[test]
fn a_stop_that_takes_longer_than_a_minute_is_waited_out() {
    let host = Lab::host();
    image("guard-stop:1", &[]);
    image("guard-stop:2", &[("IGNORE_TERM", "1"), ("SLOW_START", "300")]);
    let patient = |image: &str, word: &str| {
        shop(image, &format!("env.VERSION = \"{word}\""))
            .replace("stop_timeout = \"2s\"", "stop_timeout = \"66s\"")
    };
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &patient("guard-stop:1", "one"));
    env.run(&["push"]).succeeds();
    // Each stop of the holder's is noted when it begins and when it has ended by itself.
    before_docker(
        &host,
        "[ \"$1\" = stop ] || exec /usr/bin/docker \"$@\"\n\
         echo \"stops $4\" >>/srv/stops\n/usr/bin/docker \"$@\"\ncode=$?\necho \"stopped $4 $code\" >>/srv/stops\nexit $code",
    );
    let env = env.write("arcane.toml", &patient("guard-stop:2", "two"));
    let mut push = env.arcane(&["push", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(push.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"step\":\"health\"")));
    push.kill().unwrap();
    push.wait().unwrap();
    let begun = Instant::now();
    eventually("the old release", Duration::from_secs(100), || (answer(&host) == "one").then_some(()));
    assert!(begun.elapsed() > Duration::from_secs(60), "nothing was waited for: {:?}", begun.elapsed());
    let stops = host.ssh("cat /srv/stops").succeeds();
    assert!(stops.stdout.starts_with("stops shop_new\nstopped shop_new 0\n"), "it was cut short: {stops}");
    eventually("what was tried is gone", Duration::from_secs(20), || {
        (host.containers() == ["shop running"]).then_some(())
    });
}

#[test]
fn a_holder_that_cannot_guard_is_told_of_and_one_that_does_not_answer_ends_the_push() {
    let host = Lab::host();
    image("guard-mute:1", &[]);
    let release = |word: &str| shop("guard-mute:1", &format!("env.VERSION = \"{word}\""));
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &release("one"));
    env.run(&["push"]).succeeds();
    // A `docker` command that hangs is none that works.
    before_docker(&host, "[ \"$1\" = version ] && sleep 100\nexec /usr/bin/docker \"$@\"");
    let env = env.write("arcane.toml", &release("two"));
    let begun = Instant::now();
    env.run(&["push"]).succeeds().complains("cannot guard the switch");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!((answer(&host), host.containers()[0].as_str()), ("two".to_owned(), "shop running"));
    // The holder stands still from when it was asked, and goes on long after its time is up.
    before_docker(
        &host,
        "if [ \"$1\" = version ]; then\n    holder=$(sed -n 's/^PPid:[[:space:]]*//p' \"/proc/$PPID/status\")\n    \
         kill -STOP \"$holder\"\n    (sleep 25; kill -CONT \"$holder\") >/dev/null 2>&1 </dev/null &\nfi\n\
         exec /usr/bin/docker \"$@\"",
    );
    let live = || {
        host.docker(&["inspect", "-f", "{{.Id}} {{.State.Running}} {{.State.StartedAt}}", "shop"])
            .succeeds()
            .stdout
    };
    let before = live();
    let env = env.write("arcane.toml", &release("three"));
    env.run(&["push"]).exits(4).complains("has not answered for 15 s").complains("rolled back to");
    assert_eq!((answer(&host), live(), host.containers().len()), ("two".to_owned(), before.clone(), 2));
    // It wakes up, and lets go of what it was never told to bring back.
    eventually("the holder is gone", Duration::from_secs(40), || {
        host.ssh("! pgrep -f 'arcane[.]deploy' >/dev/null").status.success().then_some(())
    });
    assert_eq!(live(), before);
}
