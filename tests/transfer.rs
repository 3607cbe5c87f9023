//! Story: an image is large, the change is small, and the line is not to be trusted. Only what the host lacks travels,
//! what has arrived is not sent again, and whatever goes wrong leaves the host as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use support::{Lab, LabHost, Ran, TestEnv, eventually, image, image_with};

fn shop(image: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\n\
         health = {{ http = \"/healthz\", within = \"10s\" }}\n"
    )
}

fn answer(host: &LabHost) -> String {
    Ran::of(Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)])).text().to_owned()
}

/// The last line of a push that succeeds.
#[track_caller]
fn pushed(env: &TestEnv, more: &[&str]) -> Value {
    let words: Vec<&str> = ["push", "--json"].iter().chain(more).copied().collect();
    let ran = env.run(&words).succeeds();
    let last = ran.json_lines().pop().expect("push --json says something");
    assert_eq!(last["event"], "done", "{ran}");
    last
}

fn number(done: &Value, field: &str) -> u64 {
    done[field].as_u64().unwrap_or_else(|| panic!("no {field} in {done}"))
}

/// This machine's Docker.
#[track_caller]
fn docker(args: &[&str]) -> Ran {
    Ran::of(Command::new("docker").env("DOCKER_BUILDKIT", "0").args(args)).succeeds()
}

fn layers(image: &str) -> Vec<String> {
    let json = docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", image]);
    serde_json::from_str(json.text()).unwrap()
}

/// An image built from lines of a Dockerfile, in a context with the file `file`.
fn build(env: &TestEnv, tag: &str, dockerfile: &str) {
    let context = env.path(&format!("context-{}", tag.replace(':', "-")));
    fs::create_dir_all(&context).unwrap();
    fs::write(context.join("file"), "the same in both\n").unwrap();
    // Its time is a part of the layer.
    fs::File::open(context.join("file")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    docker(&["build", "-q", "-t", tag, context.to_str().unwrap()]);
}

/// The image with two layers on top in which nothing is, as builders make them that are less careful than Docker's own.
fn with_empty_layers(env: &TestEnv, from: &str, tag: &str, version: &str) {
    let mut layers = layers(from);
    let directory = env.path(&format!("load-{}", tag.replace(':', "-")));
    fs::create_dir_all(&directory).unwrap();
    // Two blocks of zeros are a tar without a file, and this is their digest.
    fs::write(directory.join("empty.tar"), [0; 1024]).unwrap();
    let empty = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    layers.extend([empty, empty].map(str::to_owned));
    let names: Vec<_> = layers.iter().map(|_| "empty.tar").collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": layers },
        "config": { "Entrypoint": ["/app"], "Env": [format!("VERSION={version}")] },
    });
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [tag], "Layers": names }]);
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
    let load = format!("tar -C '{}' -c . | docker load -q", directory.display());
    Ran::of(Command::new("sh").args(["-c", &load])).succeeds();
}

/// What must not be left on a host once a push succeeded: names of unfinished uploads, images without a name, containers
/// made to try an image, files of a load.
#[track_caller]
fn nothing_is_left(host: &LabHost) {
    let images = host.docker(&["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]).succeeds();
    assert!(!images.text().contains("partial-") && !images.text().contains("<none>"), "{images}");
    let containers = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
    assert!(!containers.text().contains("probe"), "{containers}");
    assert_eq!(host.ssh("ls -A /var/lib/docker/tmp").succeeds().text(), "");
    // Nor here: the name under which the engine pushed it to us.
    let names = docker(&["images", "--digests", "--format", "{{.Repository}}"]);
    assert!(!names.text().contains("127.0.0.1"), "{names}");
}

/// Starts a push and returns once this many packed bytes are under way.
fn push_until(env: &TestEnv, bytes: u64) -> Child {
    env.push_until(&format!("{bytes} bytes"), |line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["event"] == "sent" && number(&event, "bytes_sent") >= bytes
    })
}

#[test]
fn a_changed_top_layer_is_all_that_travels() {
    let host = Lab::host();
    let large = ["--size", "20M", "--seed", "top"];
    image_with("tr-top:1", &[("VERSION", "one")], &large);
    image_with("tr-top:2", &[("VERSION", "two")], &large);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-top:1"));
    let all = layers("tr-top:1").len() as u64;
    let first = pushed(&env, &[]);
    assert_eq!((number(&first, "layers_sent"), number(&first, "layers_skipped")), (all, 0));
    assert!(number(&first, "bytes_sent") > 20 << 20, "{first}");

    let env = env.write("arcane.toml", &shop("tr-top:2"));
    env.run(&["push", "--plan"]).succeeds().says(&format!("1 of {all} layers"));
    // The first such push teaches the engine, the second finds it taught: both send the same.
    for (tag, text) in [("tr-top:2", "two"), ("tr-top:3", "three")] {
        image_with(tag, &[("VERSION", text)], &large);
        let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop(tag));
        let done = pushed(&env, &[]);
        assert_eq!((number(&done, "layers_sent"), number(&done, "layers_skipped")), (1, all - 1));
        assert!(number(&done, "bytes_sent") < 10_000, "{done}");
        assert_eq!(answer(&host), text);
        nothing_is_left(&host);
    }

    let again = pushed(&env, &["--force"]);
    assert_eq!((number(&again, "bytes_sent"), number(&again, "layers_skipped")), (0, all));
}

#[test]
fn the_engine_may_be_on_another_machine() {
    let hosts = Lab::hosts(2);
    let [host, builder] = &hosts[..] else { panic!("two hosts") };
    let large = ["--size", "12M", "--seed", "far"];
    image_with("tr-far:1", &[("VERSION", "one")], &large);
    image_with("tr-far:2", &[("VERSION", "two")], &large);
    builder.load(&["tr-far:1", "tr-far:2"]);
    let env = TestEnv::new().fleet(&[host, builder]);
    // Its socket is here, its loopback is not: what listens on ours is not for it.
    let socket = env.path("builder.sock");
    let forward = format!("{}:/var/run/docker.sock", socket.display());
    let port = builder.port().to_string();
    let (key, known) = (env.path("~/.ssh/id_ed25519"), env.path("~/.ssh/known_hosts"));
    let known = format!("UserKnownHostsFile={}", known.display());
    let mut tunnel = env
        .command("ssh")
        .args(["-N", "-F", "/dev/null", "-o", &known, "-i", key.to_str().unwrap()])
        .args(["-L", &forward, "-p", &port, "root@127.0.0.1"])
        .spawn()
        .unwrap();
    eventually("the engine is forwarded", Duration::from_secs(10), || socket.exists().then_some(()));
    let engine = format!("unix://{}", socket.display());
    let env = env.var("DOCKER_HOST", &engine).write("arcane.toml", &shop("tr-far:1"));
    let to = ["--to", &host.name()];
    pushed(&env, &to);
    let env = env.write("arcane.toml", &shop("tr-far:2"));
    let done = pushed(&env, &to);
    tunnel.kill().unwrap();
    tunnel.wait().unwrap();
    assert_eq!((number(&done, "layers_sent"), answer(host).as_str()), (1, "two"));
    assert!(number(&done, "bytes_sent") < 10_000, "{done}");
    nothing_is_left(host);
}

#[test]
fn a_cut_line_is_not_paid_for_twice() {
    let host = Lab::host();
    let five = [
        "--seed", "cut", "--size", "10M", "--size", "10M", "--size", "10M", "--size", "10M", "--size", "10M",
    ];
    image_with("tr-cut:1", &[("VERSION", "one")], &five);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-cut:1"));
    let all: u64 = 50 << 20;
    host.slow("10ms", "20mbit");
    let mut push = push_until(&env, all / 2);
    host.cut_hard();
    assert_ne!(push.wait().unwrap().code(), Some(0));
    // No packet tells the host that the line is dead. It notices, and lets the half load go.
    let half = || host.console("ls -A /var/lib/docker/tmp").succeeds().text().to_owned();
    assert!(half().contains("docker-import"), "{}", half());
    eventually("the host gives the half load up", Duration::from_secs(200), || {
        half().is_empty().then_some(())
    });
    host.mend();
    host.slow("10ms", "400mbit");
    let done = pushed(&env, &[]);
    let sent = number(&done, "bytes_sent");
    assert!((all / 4..all * 3 / 4).contains(&sent), "{sent} of {all} were sent again");
    assert!(number(&done, "layers_skipped") >= 2, "{done}");
    assert_eq!(answer(&host), "one");
    nothing_is_left(&host);
}

#[test]
fn a_dead_peer_is_noticed_within_20_seconds() {
    let host = Lab::host();
    image_with("tr-dead:1", &[("VERSION", "one")], &["--seed", "dead", "--size", "30M"]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-dead:1"));
    host.slow("10ms", "20mbit");
    let mut push = push_until(&env, 2 << 20);
    host.freeze();
    let frozen = Instant::now();
    let code = push.wait().unwrap().code();
    let noticed = frozen.elapsed();
    host.thaw();
    assert_ne!(code, Some(0));
    // The time that the program takes to end is in it.
    assert!(noticed < Duration::from_secs(23), "noticed after {noticed:?}");
}

#[test]
fn a_base_that_vanishes_on_the_way_is_sent_after_all() {
    let host = Lab::host();
    image_with("tr-base:1", &[], &["--seed", "base", "--size", "6M"]);
    image_with(
        "tr-base:2",
        &[("VERSION", "two")],
        &["--seed", "base", "--size", "6M", "--seed", "top", "--size", "5M"],
    );
    host.load(&["tr-base:1"]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-base:2"));
    let all = layers("tr-base:2").len() as u64;
    env.run(&["push", "--plan"]).succeeds().says(&format!("of {all} layers"));
    host.slow("10ms", "10mbit");
    let mut push = env.arcane(&["push", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(push.stdout.take().unwrap()).lines();
    let mut last = Value::Null;
    let mut removed = false;
    for line in &mut lines {
        last = serde_json::from_str(&line.unwrap()).unwrap();
        if last["event"] == "sent" && !removed {
            assert!(number(&last, "layers_skipped") > 0, "{last}");
            host.docker(&["rmi", "-f", "tr-base:1"]).succeeds();
            removed = true;
        }
    }
    assert!(push.wait().unwrap().success(), "{last}");
    assert!(removed, "the push was over before the base could vanish");
    assert_eq!((number(&last, "layers_sent"), number(&last, "layers_skipped")), (all, 0), "{last}");
    assert_eq!(answer(&host), "two");
    nothing_is_left(&host);
}

#[test]
fn a_host_that_fills_up_during_the_load_keeps_what_it_runs() {
    let host = Lab::host();
    image("tr-full:1", &[("VERSION", "one")]);
    image_with("tr-full:2", &[("VERSION", "two")], &["--seed", "full", "--size", "9M", "--size", "30M"]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-full:1"));
    pushed(&env, &[]);
    let env = env.write("arcane.toml", &shop("tr-full:2"));
    host.ssh("mount -t tmpfs -o size=16m tmpfs /var/lib/docker/tmp").succeeds();
    let ran = env.run(&["push"]);
    let left = host.ssh("ls -A /var/lib/docker/tmp; umount /var/lib/docker/tmp").succeeds();
    ran.exits(1).complains("its disk is full").complains("no space left").complains("nothing was changed");
    assert_eq!(left.text(), "", "a load left files");
    assert_eq!(answer(&host), "one");
    nothing_is_left(&host);
    pushed(&env, &[]);
    assert_eq!(answer(&host), "two");
}

/// A host whose engine keeps its data in this much memory; as before when dropped.
struct Cramped<'a>(&'a LabHost);

impl<'a> Cramped<'a> {
    fn new(host: &'a LabHost, size: &str) -> Self {
        host.dockerd("stop");
        host.ssh(&format!("mount -t tmpfs -o size={size} tmpfs /var/lib/docker")).succeeds();
        host.dockerd("start");
        Self(host)
    }
}

impl Drop for Cramped<'_> {
    fn drop(&mut self) {
        self.0.dockerd("stop");
        let _ = self.0.ssh("umount -R /var/lib/docker || umount -l /var/lib/docker");
        self.0.dockerd("start");
    }
}

#[test]
fn a_host_without_room_or_with_a_taken_port_is_told_before_anything_is_sent() {
    let host = Lab::host();
    image_with("tr-room:1", &[("VERSION", "one")], &["--seed", "room", "--size", "40M"]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-room:1"));
    host.ssh("setsid busybox httpd -p 8000 -h /tmp").succeeds();
    let taken = "port 8000 is taken by a program that is no container";
    env.run(&["push"]).exits(1).complains(taken).complains("nothing was changed");
    env.run(&["push", "--plan"]).exits(1).says(taken);
    host.ssh("kill $(pidof busybox)").succeeds();
    {
        let _cramped = Cramped::new(&host, "70m");
        let ran = env.run(&["push"]).exits(1).complains("/var/lib/docker has").complains("are needed");
        assert!(ran.stderr.contains("nothing was changed"), "{ran}");
        env.run(&["push", "--plan"]).exits(1).says("/var/lib/docker has");
    }
    pushed(&env, &[]);
    assert_eq!(answer(&host), "one");
}

#[test]
fn a_layer_counts_only_above_its_own_parents() {
    let host = Lab::host();
    image_with("tr-odd:base", &[("VERSION", "one")], &["--seed", "odd", "--size", "1M"]);
    image_with("tr-odd:other", &[("VERSION", "two")], &["--seed", "odder", "--size", "1M"]);
    let env = TestEnv::new().fleet(&[&host]);
    // The same layer twice, then two without a file.
    for (from, tag, version) in [("base", "1", "one"), ("other", "2", "two")] {
        let built = format!("tr-odd:built-{tag}");
        build(&env, &built, &format!("FROM tr-odd:{from}\nCOPY file /x\nCOPY file /x\n"));
        with_empty_layers(&env, &built, &format!("tr-odd:{tag}"), version);
    }
    let (one, two) = (layers("tr-odd:1"), layers("tr-odd:2"));
    let repeated = |layers: &[String]| layers.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(repeated(&one), 2, "{one:?}");
    assert_eq!(one[one.len() - 4..], two[two.len() - 4..], "the same layers above another parent");
    let shared = one.iter().zip(&two).take_while(|(a, b)| a == b).count() as u64;

    let env = env.write("arcane.toml", &shop("tr-odd:1"));
    let done = pushed(&env, &[]);
    assert_eq!((number(&done, "layers_sent"), answer(&host).as_str()), (one.len() as u64, "one"));
    let env = env.write("arcane.toml", &shop("tr-odd:2"));
    let done = pushed(&env, &[]);
    assert_eq!(
        (number(&done, "layers_skipped"), number(&done, "layers_sent")),
        (shared, two.len() as u64 - shared)
    );
    assert_eq!(answer(&host), "two");
    // What the host made of it is what was sent, to the last layer.
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", "tr-odd:2"]);
    let there = host.docker(&["inspect", "--format", "{{.Image}}", "shop"]).succeeds();
    assert_eq!(there.text(), id.text());
    nothing_is_left(&host);
    // Only another setting, and no layer at all.
    build(&env, "tr-odd:3", "FROM tr-odd:2\nENV CHANGED=2\n");
    let env = env.write("arcane.toml", &shop("tr-odd:3"));
    let done = pushed(&env, &[]);
    assert_eq!((number(&done, "layers_sent"), number(&done, "layers_skipped")), (0, two.len() as u64));
}

#[test]
fn a_host_without_zstd_gets_gzip() {
    let host = Lab::host();
    image_with("tr-gzip:1", &[("VERSION", "one")], &["--seed", "gzip", "--size", "9M", "--size", "3M"]);
    image_with("tr-gzip:2", &[("VERSION", "two")], &["--seed", "gzip", "--size", "9M", "--size", "3M"]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-gzip:1"));
    host.ssh("mv $(command -v zstd) /root/zstd.away").succeeds();
    let first = env.run(&["push", "--json"]);
    let env = env.write("arcane.toml", &shop("tr-gzip:2"));
    let second = env.run(&["push", "--json"]);
    host.ssh("mv /root/zstd.away /usr/bin/zstd").succeeds();
    first.succeeds();
    let done = second.succeeds().json_lines().pop().unwrap();
    assert_eq!((number(&done, "layers_sent"), answer(&host).as_str()), (1, "two"));
    nothing_is_left(&host);
}

#[test]
fn a_release_that_is_rolled_back_tells_what_it_cost() {
    let host = Lab::host();
    image("tr-back:1", &[("VERSION", "one")]);
    image("tr-back:2", &[("REFUSE_HEALTH", "1")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("tr-back:1"));
    pushed(&env, &[]);
    let env = env.write("arcane.toml", &shop("tr-back:2"));
    let done = env.run(&["push", "--json"]).exits(4).json_lines().pop().unwrap();
    assert_eq!((&done["event"], &done["outcome"]), (&"done".into(), &"rolled_back".into()));
    assert_eq!(number(&done, "layers_sent"), 1);
    assert!((1..10_000).contains(&number(&done, "bytes_sent")), "{done}");
}
