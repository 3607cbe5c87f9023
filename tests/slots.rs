//! Story: the less usual days of an app with two slots. A release goes bad while it is watched, the engine dies under a
//! migration, somebody has taken a slot or cleaned up too much, Caddy is administered through a socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nstrategy = \"blue-green\"\nports = [8001, 8002]\nport = 8080\n\
         domain = \"http://shop.test\"\nstop_timeout = \"2s\"\ndrain = \"1s\"\n\
         health = {{ http = \"/healthz\", within = \"10s\" }}\n{more}\n"
    )
}

/// Release `word` of an image, with this besides.
fn release(image: &str, word: &str, more: &str) -> String {
    shop(image, &format!("env.VERSION = \"{word}\"\n{more}"))
}

fn answer(host: &LabHost) -> String {
    let url = format!("http://127.0.0.1:{}/", host.app_port(80));
    Ran::of(Command::new("curl").args(["-s", "--max-time", "3", "-H", "Host: shop.test", &url]))
        .text()
        .to_owned()
}

/// The slot that the file says, and whether the running Caddy leads there too.
fn routed(host: &LabHost, admin: &[&str]) -> (u16, bool) {
    let file = host.ssh("cat /etc/caddy/Caddyfile").succeeds().stdout;
    let slot = if file.contains("localhost:8001") { 8001 } else { 8002 };
    let config = host.ssh(&format!("curl -s {} localhost:2019/config/", admin.join(" "))).succeeds();
    (slot, config.stdout.contains(&format!("\"localhost:{slot}\"")))
}

/// Starts a push and returns when one of its lines of JSON contains this.
fn push_until(env: &TestEnv, said: &str) -> Child {
    env.push_until(said, |line| line.contains(said))
}

fn engine_is_back(host: &LabHost) {
    eventually("the engine", Duration::from_secs(30), || {
        host.docker(&["version"]).status.success().then_some(())
    });
}

#[test]
fn a_release_that_goes_bad_while_it_is_watched_gives_the_route_back() {
    let host = Lab::host();
    image("slots-bake:1", &[]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &release("slots-bake:1", "one", ""));
    env.run(&["init", "--caddy"]).succeeds();
    env.run(&["push"]).succeeds();
    let before = routed(&host, &[]);
    for (bad, reason) in [
        ("env.EXIT_AFTER = \"4\"\nenv.EXIT_CODE = \"9\"", "it exited"),
        ("env.REFUSE_HEALTH_AFTER = \"3\"", "3 probes in a row failed"),
    ] {
        let bad = release("slots-bake:1", "bad", &format!("bake = \"60s\"\n{bad}"));
        let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &bad);
        let ran = env.run(&["push"]).exits(4).complains("it got healthy, but").complains(reason);
        let ran = ran.complains("rolled back to");
        assert!(!ran.stderr.contains("stays live"), "{ran}");
        assert_eq!((answer(&host), routed(&host, &[])), ("one".to_owned(), before), "{reason}");
        assert_eq!(host.containers(), ["shop running"], "{reason}");
    }
    // Ctrl-C while it is watched is a change of mind, too.
    let bake = release("slots-bake:1", "two", "bake = \"60s\"");
    let env = env.write("arcane.toml", &bake);
    let mut push = push_until(&env, "\"step\":\"bake\"");
    assert_eq!(answer(&host), "two");
    let pid = rustix::process::Pid::from_child(&push);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(push.wait().unwrap().code(), Some(130));
    assert_eq!((answer(&host), routed(&host, &[])), ("one".to_owned(), before));
    assert_eq!(host.containers(), ["shop running"]);
    // When arcane is killed, what Caddy leads to serves on, and the next push goes on from there.
    let mut push = push_until(&env, "\"step\":\"bake\"");
    push.kill().unwrap();
    push.wait().unwrap();
    assert_eq!(answer(&host), "two");
    let env = env.write("arcane.toml", &release("slots-bake:1", "three", "bake = \"2s\""));
    env.run(&["push", "--wait", "30s"]).succeeds();
    assert_eq!((answer(&host), host.containers()[0].as_str()), ("three".to_owned(), "shop running"));
    // A first release has nothing to give the route back to, and says so instead of promising it.
    host.ssh("docker ps -aq | xargs -r docker rm -f").succeeds();
    let bad = release("slots-bake:1", "bad", "bake = \"60s\"\nenv.REFUSE_HEALTH_AFTER = \"3\"");
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &bad);
    env.run(&["push"]).exits(1).complains("it got healthy, but").complains("stays live");
    assert_eq!(answer(&host), "bad");
}

#[test]
fn a_release_whose_container_was_removed_comes_back_from_its_image() {
    let host = Lab::host();
    image("slots-gone:1", &[]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &release("slots-gone:1", "one", ""));
    env.run(&["init", "--caddy"]).succeeds();
    for word in ["one", "two", "three"] {
        std::fs::write(env.path("arcane.toml"), release("slots-gone:1", word, "")).unwrap();
        env.run(&["push"]).succeeds();
    }
    host.docker(&["container", "prune", "-f"]).succeeds();
    assert_eq!(host.containers(), ["shop running"]);
    let (slot, _) = routed(&host, &[]);
    env.run(&["rollback"]).succeeds();
    assert_eq!(answer(&host), "two");
    assert_eq!(routed(&host, &[]), (if slot == 8001 { 8002 } else { 8001 }, true));
    assert_eq!(host.containers(), ["shop running", "shop_old exited"]);
    // The one before that had the slot that is free now; of it, too, there is only the image.
    env.run(&["rollback"]).succeeds();
    assert_eq!((answer(&host), routed(&host, &[])), ("one".to_owned(), (slot, true)));
    assert_eq!(host.containers().iter().filter(|name| name.ends_with("running")).count(), 1);
}

#[test]
fn an_engine_that_dies_under_a_release_command_leaves_nothing_of_it() {
    let host = Lab::host();
    image("slots-engine:1", &[]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &release("slots-engine:1", "one", ""));
    env.run(&["init", "--caddy"]).succeeds();
    env.run(&["push"]).succeeds();
    for word in ["two", "three"] {
        let command = "release = [\"--exit-after\", \"120\"]";
        let slow = TestEnv::new().fleet(&[&host]);
        let slow = slow.write("arcane.toml", &release("slots-engine:1", word, command));
        let mut push = push_until(&slow, "listening on");
        let begun = Instant::now();
        host.dockerd("kill");
        assert_eq!(push.wait().unwrap().code(), Some(1));
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "it waited {:?} for its own lock",
            begun.elapsed()
        );
        engine_is_back(&host);
        // Its container is gone with it, and so is the lock.
        let left = |name: &String| name.starts_with("shop_new") || name.starts_with("shop_release");
        assert!(!host.containers().iter().any(left), "{:?}", host.containers());
        env.run(&["unlock", &host.name()]).says("is not locked");
        env.run(&["push", "--force"]).succeeds();
        assert_eq!(answer(&host), "one", "push again just works");
    }
}

#[test]
fn whoever_has_a_slot_is_waited_for_or_named() {
    let host = Lab::host();
    image("slots-port:1", &[]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &release("slots-port:1", "one", ""));
    env.run(&["init", "--caddy"]).succeeds();
    // What an engine that was killed may leave behind: nobody is its parent, nobody will ever stop it.
    host.ssh(
        "setsid docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8002 -container-ip 172.17.0.99 \
         -container-port 8080 >/dev/null 2>&1 3>/dev/null </dev/null & sleep 1",
    )
    .succeeds();
    let pid = host.ssh("pidof docker-proxy").succeeds().text().to_owned();
    let ran = env.run(&["push"]).exits(1).complains("nothing was changed").complains("an engine left behind");
    let ran = ran.complains(&format!("port 8002 is held by a docker-proxy (process {pid})"));
    ran.complains(&format!("free it with `kill {pid}` on the host"));
    // Another user than root sees as much.
    let deploy =
        format!("[host.{0}]\nssh = \"{1}\"\n", host.name(), host.target().replace("root@", "deploy@"));
    let other = TestEnv::new().fleet(&[&host]).write("fleet.toml", &deploy);
    let other = other.write("arcane.toml", &release("slots-port:1", "one", ""));
    other.run(&["push"]).exits(1).complains(&format!("free it with `kill {pid}` on the host"));
    host.ssh(&format!("kill {pid}")).succeeds();
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "one");

    // An engine that is just starting a container has its port before it says so.
    let (live, _) = routed(&host, &[]);
    let free = if live == 8001 { 8002 } else { 8001 };
    let started = |name: &str, command: &str| {
        let publish = format!("127.0.0.1:{free}:80");
        host.docker(&["create", "--name", name, "-p", &publish, "busybox:lab", command, "99"]).succeeds();
        host.ssh("pkill -STOP -x containerd").succeeds();
        host.ssh(&format!("setsid docker start {name} >/dev/null 2>&1 </dev/null & sleep 1")).succeeds();
        host.ssh(&format!("ss -ltn | grep -q ':{free} '")).succeeds();
    };
    started("squatter", "sleep");
    let env = env.write("arcane.toml", &release("slots-port:1", "two", ""));
    let push = env.arcane(&["push"]).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    host.ssh("pkill -CONT -x containerd").succeeds();
    let push = push.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&push.stderr);
    assert_eq!(push.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("port {free} is taken by container squatter")), "{stderr}");
    host.docker(&["rm", "-f", "squatter"]).succeeds();
    // One that does not get so far has it no more: then the push goes on.
    started("passer-by", "/no/such/program");
    let mut push = env.arcane(&["push"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    host.ssh("pkill -CONT -x containerd").succeeds();
    assert!(push.wait().unwrap().success());
    assert_eq!(answer(&host), "two");
}

#[test]
fn a_caddy_that_is_administered_through_a_socket_is_asked_there() {
    let host = Lab::host();
    image("slots-socket:1", &[]);
    let socket = "/run/caddy/admin.sock";
    host.ssh("install -d -o caddy -g caddy /run/caddy").succeeds();
    let file = format!("{{\n\tadmin unix/{socket}\n}}\n:8009 {{\n\trespond other\n}}\n");
    host.ssh(&format!("printf %s '{file}' >/etc/caddy/Caddyfile")).succeeds();
    host.ssh("caddy reload --config /etc/caddy/Caddyfile --address localhost:2019 2>&1").succeeds();
    let admin = ["--unix-socket", socket, "-H", "'Host;'"];
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &release("slots-socket:1", "one", ""));
    env.run(&["init", "--caddy"]).succeeds().says("Caddy has loaded it");
    for word in ["one", "two"] {
        std::fs::write(env.path("arcane.toml"), release("slots-socket:1", word, "")).unwrap();
        env.run(&["push"]).succeeds();
        assert_eq!((answer(&host).as_str(), routed(&host, &admin).1), (word, true));
    }
    env.run(&["rollback"]).succeeds();
    assert_eq!((answer(&host), routed(&host, &admin).1), ("one".to_owned(), true));
    // Where the server forbids forwarding, the host's own curl asks there.
    host.sshd_option("AllowStreamLocalForwarding", "no");
    env.run(&["push"]).succeeds();
    assert_eq!((answer(&host), routed(&host, &admin).1), ("two".to_owned(), true));
    host.sshd_option("AllowStreamLocalForwarding", "yes");
    // A Caddy that nobody answers for there is told of, with the address.
    host.ssh("touch /run/lab/caddy.stopped; kill $(cat /run/lab/caddy.pid)").succeeds();
    std::fs::write(env.path("arcane.toml"), release("slots-socket:1", "three", "")).unwrap();
    env.run(&["push"]).exits(1).complains(&format!("does not answer at {socket}"));
    host.ssh("rm /run/lab/caddy.stopped").succeeds();
    eventually("Caddy is back", Duration::from_secs(10), || (answer(&host) == "two").then_some(()));
}
