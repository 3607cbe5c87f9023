//! Story: a shop's secrets on their way: each release has its own, nobody else's are left, and what cannot be brought is
//! refused before a host is asked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Lab, LabHost, Ran, TestEnv, eventually, image, image_with};

const APP: &str = "port = 8080\nsecrets = [\"API_KEY\"]\nstop_timeout = \"2s\"\nkeep = 1\nprove = \"1s\"\n\
                   health = { http = \"/healthz\", within = \"5s\" }\n";

fn shop(more: &str) -> String {
    format!("[app.shop]\nimage = \"delivery-story:1\"\nports = [8000]\n{APP}{more}\n")
}

/// What the app got as its key.
fn key(url: &str) -> String {
    let curl = ["-s", "--max-time", "3", "-H", "Host: shop.test", &format!("{url}/env/API_KEY")];
    Ran::of(Command::new("curl").args(curl)).text().to_owned()
}

fn lines(ran: &Ran) -> BTreeSet<String> {
    ran.text().lines().map(str::to_owned).collect()
}

/// Exactly the releases of which the host has the image have secrets there. Returns how many.
#[track_caller]
fn settled(host: &LabHost, app: &str) -> usize {
    let kept = lines(&host.console(&format!("ls -A /run/arcane/{app}")).succeeds());
    let images = host.docker(&["images", "--format", "{{.Tag}}", &format!("arcane/{app}")]).succeeds();
    assert_eq!(kept, lines(&images), "secrets and images");
    let left =
        host.docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", "label=arcane.one-off"]).succeeds();
    assert_eq!(left.text(), "", "a helper is left");
    kept.len()
}

#[test]
fn each_release_has_the_values_that_it_was_pushed_with_for_as_long_as_it_can_be_gone_back_to() {
    let host = Lab::host();
    image("delivery-story:1", &[]);
    // Somebody who may use the engine, and nothing else.
    let env = TestEnv::new().fleet(&[&host]).vault("production", &[("API_KEY", b"one")]);
    let fleet = env.read("fleet.toml").replace("root@", "deploy@");
    let mut env = env.write("fleet.toml", &fleet).write("arcane.toml", &shop(""));
    let url = host.app_url(8000);
    env.run(&["push"]).succeeds();
    assert_eq!(key(&url), "one");
    env.run(&["push"]).succeeds().says("unchanged");
    // Another value is another release.
    env.set("production", "API_KEY", b"two");
    env.run(&["push"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("two", 2));
    env.run(&["rollback"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("one", 2));

    // One that fails, before the switch or after it, leaves nothing.
    env.set("production", "API_KEY", b"three");
    for (more, code) in [("env.REFUSE_HEALTH = \"1\"", 4), ("release = [\"--exit-code\", \"3\"]", 1)] {
        env = env.write("arcane.toml", &shop(more));
        env.run(&["push"]).exits(code).never_says("three");
        assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("one", 2), "{more}");
    }

    env = env.write("arcane.toml", &shop(""));

    // Nor does one that is killed while it brings them, at whatever moment.
    for (round, wait) in [0, 60, 150, 300].into_iter().enumerate() {
        env.set("production", "API_KEY", format!("killed {round}").as_bytes());
        let mut push = env.push_until("the secrets", |line| line.contains("\"step\":\"secrets\""));
        sleep(Duration::from_millis(wait));
        push.kill().unwrap();
        push.wait().unwrap();
    }
    env.set("production", "API_KEY", b"four");
    env.run(&["push", "--wait", "30s"]).succeeds();
    assert_eq!(key(&url), "four");
    // The ones that were live are left: one to go back to, and no other.
    let kept = settled(&host, "shop");
    assert!(kept <= 3, "{kept}");
    sleep(Duration::from_secs(1));
    env.set("production", "API_KEY", b"five");
    env.run(&["push"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("five", 2));
    env.run(&["rollback"]).succeeds();
    assert_eq!(key(&url), "four");
}

#[test]
fn the_first_secrets_of_an_app_are_gone_with_the_release_that_failed_with_them() {
    let host = Lab::host();
    image("delivery-story:1", &[]);
    let env = TestEnv::new().fleet(&[&host]).vault("production", &[("API_KEY", b"one")]);
    let plain = shop("").replace("secrets = [\"API_KEY\"]\n", "");
    let env = env.write("arcane.toml", &plain);
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("env.REFUSE_HEALTH = \"1\""));
    env.run(&["push"]).exits(4);
    assert_eq!(host.console("find /run/arcane -mindepth 1").text(), "");
    // And with the app, though nothing there tells any more that it had some.
    let env = env.write("arcane.toml", &shop(""));
    env.run(&["push"]).succeeds();
    host.console("docker rm -f $(docker ps -aq)").succeeds();
    env.run(&["prune", "shop"]).succeeds();
    assert_eq!(host.console("find /run/arcane -mindepth 1").text(), "");
}

#[test]
fn an_images_own_shell_does_as_well_when_that_is_asked_for() {
    let host = Lab::host();
    image_with("delivery-shell:1", &[], &["--shell"]);
    image("delivery-story:1", &[]);
    let value = "it's \"one\" $HOME `id` \\ %s";
    let env = TestEnv::new().fleet(&[&host]).vault("production", &[("API_KEY", value.as_bytes())]);
    let mut env = env.var("ARCANE_LAUNCHER", "shell");
    env = env.write("arcane.toml", &shop("").replace("delivery-story", "delivery-shell"));
    let url = host.app_url(8000);
    env.run(&["push"]).succeeds();
    assert_eq!(key(&url), value);
    env.set("production", "API_KEY", b"two");
    env.run(&["push"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("two", 2));
    env.run(&["rollback"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), (value, 2));
    // An image without one says what it lacks, and the release before goes on.
    env = env.write("arcane.toml", &shop(""));
    env.run(&["push"]).exits(1).complains("/bin/sh").complains("runs what it ran");
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), (value, 2));
}

#[test]
fn both_slots_have_their_own_values() {
    let host = Lab::host();
    image("delivery-story:1", &[]);
    let site = "http://shop.test {\n\treverse_proxy localhost:8001\n}\n";
    host.ssh(&format!(
        "printf '{site}' >/etc/caddy/Caddyfile; caddy reload --config /etc/caddy/Caddyfile 2>&1"
    ))
    .succeeds();
    let toml = format!(
        "[app.shop]\nimage = \"delivery-story:1\"\nstrategy = \"blue-green\"\nports = [8001, 8002]\n\
         domain = \"http://shop.test\"\n{APP}"
    );
    let env = TestEnv::new()
        .fleet(&[&host])
        .write("arcane.toml", &toml)
        .vault("production", &[("API_KEY", b"blue")]);
    let url = format!("http://127.0.0.1:{}", host.app_port(80));
    env.run(&["push"]).succeeds();
    assert_eq!(key(&url), "blue");
    env.set("production", "API_KEY", b"green");
    env.run(&["push"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("green", 2));

    env.set("production", "API_KEY", b"sick");
    let env = env.write("arcane.toml", &format!("{toml}env.REFUSE_HEALTH = \"1\"\n"));
    env.run(&["push"]).exits(4);
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("green", 2));
    env.run(&["rollback"]).succeeds();
    assert_eq!((key(&url).as_str(), settled(&host, "shop")), ("blue", 2));
}

#[test]
fn what_cannot_be_brought_is_refused_before_a_host_is_asked() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let untouched = || nobody.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    image("delivery-story:1", &[]);
    let port = nobody.local_addr().unwrap().port();
    let fleet = format!("[host.web]\nssh = \"root@127.0.0.1:{port}\"\n");
    let large = [b"t0ps3cret".as_slice(), &vec![b'x'; 128 << 10]].concat();
    let env = TestEnv::new().write("fleet.toml", &fleet).write("arcane.toml", &shop(""));
    let mut env =
        env.vault("production", &[("API_KEY", b"t0ps3cret"), ("NUL", b"t0ps3cret\0"), ("LARGE", &large)]);
    for n in 0..13 {
        env.set("production", &format!("L{n}"), &[b'x'; 127 << 10]);
    }
    let named = |names: &str| shop("").replace("[\"API_KEY\"]", names);
    let all: Vec<String> = (0..13).map(|n| format!("L{n}")).collect();
    for (toml, code, words) in [
        (
            named("[\"NUL\"]"),
            2,
            &["the value of NUL holds a NUL byte", "name NUL in `secret_files`", "/run/secrets/NUL"][..],
        ),
        (
            named("[\"LARGE\"]"),
            2,
            &["the value of LARGE is too large", "128 KiB", "name LARGE in `secret_files`"],
        ),
        (named(&format!("{all:?}")), 2, &["1.5 MiB", "`secret_files`"]),
        (named("[\"API_KEY\", \"MISSING\"]"), 2, &["MISSING"]),
        (
            shop("env.API_KEY = \"1\""),
            2,
            &["`API_KEY` of `shop` is both a secret and in `env`", "arcane.toml:1:6"],
        ),
        (shop("environment.production.env.API_KEY = \"1\""), 2, &["is both a secret and in `env`"]),
        (shop("secret_files = [\"API_KEY\"]"), 2, &["`API_KEY` is named twice", "arcane.toml:10:17"]),
        (
            shop("volumes = [\"data:/run/secrets\"]"),
            2,
            &["mounts a volume at /run/secrets, where its secrets are"],
        ),
    ] {
        env = env.write("arcane.toml", &toml);
        for command in [&["push"][..], &["push", "--plan"]] {
            let ran = env.run(command).exits(code).never_says("t0ps3cret");
            words.iter().fold(ran, |ran, word| ran.complains(word));
        }
        assert!(untouched(), "{words:?}");
    }
    env = env.write("arcane.toml", &shop(""));
    // Neither an environment that is not there, nor a key that is not let in, nor none.
    env.run(&["push", "--env", "staging"]).exits(2).complains("staging");
    let age = Ran::of(&mut env.command("age-keygen")).succeeds();
    let other = age.stdout.lines().last().unwrap();
    Ran::of(env.arcane(&["push"]).env("ARCANE_IDENTITY", other))
        .complains("not sealed for any key of yours")
        .never_says(other)
        .exits(1);
    std::fs::rename(env.path("~/.config/arcane/identity"), env.path("~/.config/arcane/away")).unwrap();
    env.run(&["push"]).complains("arcane init").exits(1);
    assert!(untouched());

    // And with all that is needed the host is asked.
    std::fs::rename(env.path("~/.config/arcane/away"), env.path("~/.config/arcane/identity")).unwrap();
    let mut push = env.arcane(&["push"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    eventually("it is asked", Duration::from_secs(20), || (!untouched()).then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(20));
    push.kill().unwrap();
    push.wait().unwrap();
}
