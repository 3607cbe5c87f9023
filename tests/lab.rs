//! Story: a developer trusts the lab. What it says of its hosts is so: they run containers, fail, and come back as new.

mod support;

use std::time::{Duration, Instant};

use support::{Lab, Probe, Ran, TestEnv, eventually, image, image_with};

fn get(url: &str) -> Option<String> {
    let ran = Ran::of(std::process::Command::new("curl").args(["-sf", "--max-time", "2", url]));
    ran.status.success().then(|| ran.text().to_owned())
}

#[test]
fn a_host_runs_an_app_that_this_machine_reaches() {
    let host = Lab::host();
    image_with(
        "lab-story-shop:1",
        &[("VERSION", "one"), ("LOG_TEXT", "it costs \"5 $\"")],
        &["--healthcheck"],
    );
    host.load(&["lab-story-shop:1"]);
    host.docker(&["run", "-d", "--name", "shop", "-p", "8003:8080", "lab-story-shop:1"]).succeeds();

    let answer = eventually("the app answers", Duration::from_secs(10), || get(&host.app_url(8003)));
    assert_eq!(answer, "one");
    host.docker(&["logs", "shop"]).succeeds().says("it costs \"5 $\"").says("listening on :8080 version one");
    eventually("Docker finds it healthy", Duration::from_secs(10), || {
        let state = host.docker(&["inspect", "-f", "{{.State.Health.Status}}", "shop"]).succeeds();
        (state.text() == "healthy").then_some(())
    });
    host.ssh_as_deploy("docker ps --format '{{.Names}}'").succeeds().says("shop");
    eventually("Caddy answers", Duration::from_secs(10), || get(&host.app_url(80)));
}

#[test]
fn memory_limits_kill() {
    let host = Lab::host();
    image("lab-story-leak", &[("LEAK", "100")]);
    host.load(&["lab-story-leak"]);
    host.docker(&["run", "--name", "leak", "--memory", "32m", "lab-story-leak"]).exits(137);
    host.docker(&["inspect", "-f", "{{.State.OOMKilled}}", "leak"]).succeeds().says("true");
}

#[test]
fn the_app_fails_as_it_is_told() {
    let host = Lab::host();
    for (n, (switch, value, code, message)) in [
        ("PANIC_AFTER", "0.1", 101, "thread 'main'"),
        ("NEED_ENV", "DATABASE_URL", 1, "missing required environment variable DATABASE_URL"),
        ("EXIT_CODE", "3", 3, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let tag = format!("lab-story-fails:{n}");
        image(&tag, &[(switch, value)]);
        host.load(&[&tag]);
        host.docker(&["run", "--rm", &tag]).exits(code).complains(message);
    }
    let numbered = host.docker(&[
        "run",
        "--rm",
        "-e",
        "EXIT_CODE=",
        "-e",
        "LOG_NUMBERED=5000",
        "-e",
        "EXIT_AFTER=2",
        "lab-story-fails:2",
    ]);
    assert_eq!(numbered.stdout.matches("line ").count(), 5000);
    host.docker(&[
        "run",
        "--rm",
        "--tmpfs",
        "/data:size=1m",
        "-e",
        "FILL_DISK=/data/x",
        "-e",
        "EXIT_AFTER=1",
        "lab-story-fails:2",
    ])
    .says("No space left on device");
}

#[test]
fn a_cut_host_says_nothing_at_all() {
    let host = Lab::host();
    image("lab-story-cut", &[]);
    host.load(&["lab-story-cut"]);
    host.docker(&["run", "-d", "-p", "8000:8080", "lab-story-cut"]).succeeds();
    let url = host.app_url(8000);
    eventually("the app answers", Duration::from_secs(10), || get(&url));
    let probe = Probe::start(&url, 20);

    host.cut();
    let started = Instant::now();
    let ssh = Ran::of(
        std::process::Command::new("timeout")
            .args(["2", "bash", "-c"])
            .arg(format!("</dev/tcp/127.0.0.1/{}", host.port())),
    );
    assert_eq!(ssh.status.code(), Some(124), "a connection to a cut host hangs:\n{ssh}");
    assert!(started.elapsed() >= Duration::from_secs(2));
    host.mend();
    eventually("the app answers again", Duration::from_secs(10), || get(&url));

    host.cut_hard();
    assert!(!host.ssh("true").status.success());
    host.mend();
    eventually("the app answers again", Duration::from_secs(10), || get(&url));

    host.freeze();
    assert!(get(&url).is_none(), "the containers of a frozen host stand still too");
    host.thaw();
    host.ssh("true").succeeds();

    let seen = probe.stop();
    let summary = seen.last().expect("there is a summary");
    assert!(summary["failures"]["timeout"].as_u64() > Some(0), "{seen:?}");
    assert!(summary["longest_gap_ms"].as_u64() > Some(1900), "{seen:?}");
}

#[test]
fn a_reboot_empties_what_is_only_in_memory() {
    let host = Lab::host();
    image("lab-story-reboot", &[]);
    host.load(&["lab-story-reboot"]);
    host.docker(&["run", "-d", "--restart", "always", "-p", "8000:8080", "lab-story-reboot"]).succeeds();
    host.ssh("mkdir /run/arcane && echo secret >/run/arcane/key && touch /var/lock/arcane.deploy /var/stays")
        .succeeds();
    for reboot in [support::LabHost::reboot, support::LabHost::power_loss] {
        reboot(&host);
        host.ssh("test -e /run/arcane || test -e /var/lock/arcane.deploy").exits(1);
        host.ssh("test -e /var/stays").succeeds();
        eventually("the app is back", Duration::from_secs(10), || get(&host.app_url(8000)));
    }
    host.ssh("rm /var/stays").succeeds();
}

#[test]
fn a_reset_host_is_as_new() {
    let host = Lab::host();
    let fresh = host.docker(&["images", "-q"]).succeeds().stdout;
    image("lab-story-reset", &[]);
    host.load(&["lab-story-reset"]);
    host.docker(&["run", "-d", "--restart", "always", "-v", "data:/data", "lab-story-reset"]).succeeds();
    host.docker(&["network", "create", "extra"]).succeeds();
    host.ssh(
        "mkdir /run/arcane; touch /run/arcane/key /var/lock/arcane.deploy; echo broken >/etc/caddy/Caddyfile",
    )
    .succeeds();
    host.sshd_option("AllowStreamLocalForwarding", "no");
    host.dockerd("stop");
    host.slow("20ms", "100mbit");
    host.cut();

    let started = Instant::now();
    host.reset();
    assert!(started.elapsed() < Duration::from_secs(15), "took {:?}", started.elapsed());

    for list in
        [&["ps", "-aq"][..], &["volume", "ls", "-q"], &["network", "ls", "-q", "--filter", "type=custom"]]
    {
        assert_eq!(host.docker(list).succeeds().text(), "", "{list:?}");
    }
    assert_eq!(host.docker(&["images", "-q"]).succeeds().stdout, fresh);
    host.ssh("ls -d /run/arcane /var/lock/arcane*").exits(2);
    host.ssh("grep -q AllowStreamLocalForwarding.no /etc/ssh/sshd_config").exits(1);
    host.ssh("caddy validate --config /etc/caddy/Caddyfile").succeeds();
}

#[test]
fn a_slow_line_is_slow() {
    let host = Lab::host();
    let time = |command: &str| {
        let started = Instant::now();
        host.ssh(command).succeeds();
        started.elapsed()
    };
    let fast = time("head -c 4M /dev/zero | tr '\\0' x");
    host.slow("40ms", "20mbit");
    let slow = time("head -c 4M /dev/zero | tr '\\0' x");
    // 4 MiB at 20 Mbit/s take 1.7 s.
    assert!(slow > fast + Duration::from_millis(1300), "{fast:?} and {slow:?}");
}

#[test]
fn a_test_has_a_home_of_its_own() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", "[app.shop]\n").var("COLOUR", "red");
    assert!(env.read("fleet.toml").contains(&format!(
        "[host.{}]\nssh = \"root@127.0.0.1:{}\"",
        host.name(),
        host.port()
    )));
    let ssh = format!(
        "ssh -o BatchMode=yes -o UserKnownHostsFile=$HOME/.ssh/known_hosts -i $HOME/.ssh/id_ed25519 -p {} root@127.0.0.1 hostname; echo $COLOUR; ls",
        host.port()
    );
    let ran = Ran::of(env.command("sh").args(["-c", &ssh]))
        .succeeds()
        .says(&host.name())
        .says("red\narcane.toml\nfleet.toml");
    assert!(!env.home().starts_with(std::env::var("HOME").expect("HOME is set")), "{ran}");
    env.run(&[]).succeeds();
}
