//! Story: a shop that must never be closed. Releases come and go behind Caddy, people notice nothing, and whatever goes
//! wrong, on whatever line, the release before still answers and `arcane push` just works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Lab, LabHost, Ran, TestEnv, Traffic, eventually, image};

const SITE: &str = "http://shop.test";
const OTHERS: &str =
    ":8009 {\n\trespond \"someone else's\"\n}\n# shop.test { reverse_proxy localhost:8001 }\n";

fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nstrategy = \"blue-green\"\nports = [8001, 8002]\nport = 8080\n\
         domain = \"{SITE}\"\nstop_timeout = \"2s\"\nhealth = {{ http = \"/healthz\", within = \"6s\" }}\n{more}\n"
    )
}

/// Writes the Caddyfile of a host and has Caddy load it.
fn caddyfile(host: &LabHost, text: &str) {
    write(host, text);
    host.ssh("caddy reload --config /etc/caddy/Caddyfile 2>&1").succeeds();
}

fn write(host: &LabHost, text: &str) {
    let quoted = text.replace('\'', r"'\''");
    host.ssh(&format!("printf %s '{quoted}' >/etc/caddy/Caddyfile")).succeeds();
}

fn read(host: &LabHost) -> String {
    host.ssh("cat /etc/caddy/Caddyfile").succeeds().stdout
}

/// A host whose Caddy has a site for the shop, among others, and loses no connection when it loads a file.
fn host_with_site() -> LabHost {
    let host = Lab::host();
    host.console("echo 1 >/proc/sys/net/ipv4/tcp_migrate_req").succeeds();
    caddyfile(&host, &site(8001));
    host
}

fn site(port: u16) -> String {
    format!(
        "{OTHERS}{SITE} {{\n\treverse_proxy localhost:{port} {{\n\t\ttransport http {{\n\t\t\tkeepalive 30s\n\t\t}}\n\t}}\n}}\n"
    )
}

/// What the site answers, through Caddy.
fn answer(host: &LabHost) -> String {
    let url = format!("http://127.0.0.1:{}/", host.app_port(80));
    let curl = ["-s", "--max-time", "3", "-w", "%{http_code}", "-H", "Host: shop.test", &url];
    Ran::of(Command::new("curl").args(curl)).text().replace('\n', " ")
}

fn names(host: &LabHost) -> Vec<String> {
    let mut names: Vec<String> = host
        .docker(&["ps", "-a", "--format", "{{.Names}}"])
        .succeeds()
        .text()
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

fn running(host: &LabHost) -> String {
    host.docker(&["ps", "--format", "{{.Names}}"]).succeeds().text().to_owned()
}

fn app(env: &TestEnv) -> Value {
    env.run(&["status", "--json"]).succeeds().json()["hosts"][0]["apps"][0].clone()
}

fn release(env: &TestEnv) -> String {
    app(env)["release"].as_str().unwrap().to_owned()
}

/// File, Caddy and names agree, one container runs, and nothing of a change is left.
#[track_caller]
fn settled(env: &TestEnv, host: &LabHost, context: &str) {
    let app = app(env);
    let slot = app["slot"].as_u64().unwrap_or_else(|| panic!("{context}: no slot in {app}"));
    assert_eq!(app.get("interrupted"), None, "{context}");
    assert_eq!(read(host), site(slot as u16), "{context}");
    let config = host.ssh("curl -s localhost:2019/config/").succeeds();
    assert!(config.stdout.contains(&format!("localhost:{slot}")), "{context}: {config}");
    assert_eq!(running(host), "shop", "{context}");
    let left = host.ssh("ls -A /etc/caddy").succeeds();
    assert_eq!(left.text(), "Caddyfile", "{context}: a file is left");
    let names = names(host);
    assert!(
        !names.iter().any(|name| name.ends_with("_new") || name.ends_with("_back")),
        "{context}: {names:?}"
    );
}

/// Starts a command and returns when it says that a step begins.
fn until(env: &TestEnv, words: &[&str], step: &str) -> Child {
    let mut child = env.arcane(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if !lines.any(|line| line.unwrap().contains(&format!("\"step\":\"{step}\""))) {
        child.wait().unwrap();
        panic!("{words:?} ended before the step {step}");
    }
    child
}

#[test]
fn releases_come_and_go_and_nobody_notices() {
    let host = host_with_site();
    for version in ["one", "two", "three"] {
        image(&format!("bluegreen-day:{version}"), &[("VERSION", version)]);
    }
    let env =
        TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-day:one", "drain = \"15s\""));
    env.run(&["push"]).succeeds();
    assert_eq!((answer(&host), app(&env)["slot"].clone()), ("one 200".to_owned(), 8002.into()));

    let env = env.write("arcane.toml", &shop("bluegreen-day:two", "drain = \"15s\""));
    let plan = env.run(&["push", "--plan"]).succeeds();
    plan.says("localhost:8002 is live, localhost:8001 comes")
        .says("- reverse_proxy localhost:8002 {")
        .says("+ reverse_proxy localhost:8001 {")
        .says("starting, checking, routing, renaming, switching, draining, stopping");
    let traffic = Traffic::start(host.app_port(80), "shop.test");
    // Still being answered when the swap is over, however long it takes on a busy machine.
    let url = format!("http://127.0.0.1:{}/slow/10000", host.app_port(80));
    let patient = Command::new("curl")
        .args(["-s", "--max-time", "30", "-H", "Host: shop.test", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Caddy of before 2.7 closes websockets whenever it loads a file, and a push says so. It is not the one that ends them.
    env.run(&["push"]).succeeds().complains("draining").complains("Caddy 2.6 closes websockets");
    assert_eq!(app(&env)["slot"], 8001);
    assert_eq!(String::from_utf8_lossy(&patient.wait_with_output().unwrap().stdout).trim(), "one");
    let env = env.write("arcane.toml", &shop("bluegreen-day:three", "drain = \"15s\""));
    env.run(&["push", "--json"]).succeeds();
    env.run(&["rollback", "shop"]).succeeds().says("Undo with");
    let seen = traffic.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    assert_eq!(seen.versions, ["one", "two", "three"], "{seen:?}");
    assert!(seen.answered > 300 && seen.slow > 3 && seen.streams > 1, "{seen:?}");
    assert_eq!(seen.cut, 3, "{seen:?}");
    assert_eq!(answer(&host), "two 200");
    settled(&env, &host, "after a day");

    // The first release has the slot that is live now: it comes back in the other one.
    let (before, kept) = (release(&env), env.run(&["releases", "--json"]).succeeds().json());
    let first =
        kept.as_array().unwrap().iter().map(|row| row["release"].as_str().unwrap()).min().unwrap().to_owned();
    env.run(&["rollback", "shop", "--release", &first]).succeeds();
    assert_eq!((answer(&host), release(&env)), ("one 200".to_owned(), first));
    settled(&env, &host, "after a rollback to a release of the same slot");
    env.run(&["rollback", "shop", "--release", &before]).succeeds();
    assert_eq!(answer(&host), "two 200");
    settled(&env, &host, "after the way back");
    assert_eq!(names(&host).len(), 3, "{:?}", names(&host));
    env.run(&["doctor", &host.name()]).succeeds().says(&format!("{SITE} leads to shop on localhost:"));
}

#[test]
fn what_is_not_ready_is_refused_before_anything_is_changed() {
    let host = host_with_site();
    image("bluegreen-refuse:1", &[("VERSION", "one")]);
    image("bluegreen-refuse:2", &[("VERSION", "two")]);
    let env =
        TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-refuse:1", "drain = \"0s\""));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("bluegreen-refuse:2", "drain = \"0s\""));
    let good = site(8002);
    let refused = |why: &str| {
        env.run(&["push"]).exits(1).complains("nothing was changed").complains(why);
        assert_eq!((answer(&host), names(&host)), ("one 200".to_owned(), vec!["shop".to_owned()]), "{why}");
        env.run(&["push", "--plan"]).exits(1).complains(why);
    };
    for (text, why) in [
        (format!("{good}}}"), "/etc/caddy/Caddyfile is not valid: "),
        (good.replace("localhost:8002", "localhost:80020"), "`localhost:80020` on line 6 cannot be moved"),
        (good.replace("transport http", "transport smtp"), "is not valid: "),
        (good.replace(":8002 {", ":8002 localhost:8001 {"), "both lead to a slot of this app"),
        (good.replace("localhost:8002", "{$UPSTREAM:localhost:8002}"), "on line 6 cannot be moved"),
        (
            good.replace(SITE, "http://shop.other"),
            "has no site http://shop.test; write one with `arcane init --caddy`",
        ),
        (
            good.replace("someone else's", "\u{1b}[31mhers"),
            "it runs another configuration than /etc/caddy/Caddyfile",
        ),
    ] {
        write(&host, &text);
        refused(why);
        assert_eq!(read(&host), text, "{why}");
    }
    // Another site leads to the live slot as well: it would lead nowhere after the swap.
    let also = format!("{good}http://also.test {{\n\treverse_proxy localhost:8002\n}}\n");
    caddyfile(&host, &also);
    env.run(&["push"])
        .exits(4)
        .complains("more than the site leads to localhost:8002")
        .complains("rolled back to");
    assert_eq!(
        (answer(&host), read(&host), names(&host)),
        ("one 200".to_owned(), also, vec!["shop".to_owned()])
    );

    caddyfile(&host, &good);
    host.ssh("mv /etc/caddy/Caddyfile /srv/Caddyfile; ln -s /srv/Caddyfile /etc/caddy/Caddyfile").succeeds();
    refused("is a link");
    host.ssh("mv -f /srv/Caddyfile /etc/caddy/Caddyfile").succeeds();
    host.ssh("touch /run/lab/caddy.stopped; kill $(cat /run/lab/caddy.pid)").succeeds();
    env.run(&["push"])
        .exits(1)
        .complains("does not answer at localhost:2019")
        .complains("nothing was changed");
    assert_eq!((read(&host), running(&host)), (good, "shop".to_owned()));
    host.ssh("rm /run/lab/caddy.stopped").succeeds();
    eventually("Caddy is back", Duration::from_secs(10), || (answer(&host) == "one 200").then_some(()));
    host.ssh("setsid caddy file-server --listen 127.0.0.1:8001 >/dev/null 2>&1 </dev/null & sleep 1")
        .succeeds();
    refused("port 8001 is taken by a program that is no container");
    host.ssh("pkill -f 'caddy file-server'").succeeds();
    // A user who may not replace the file is told before, with the way out.
    let deploy =
        format!("[host.{0}]\nssh = \"{1}\"\n", host.name(), host.target().replace("root@", "deploy@"));
    let env = env.write("fleet.toml", &deploy);
    env.run(&["push"])
        .exits(1)
        .complains("deploy may not replace /etc/caddy/Caddyfile")
        .complains("sudo chown deploy");
    host.ssh("chown deploy: /etc/caddy /etc/caddy/Caddyfile").succeeds();
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "two 200");
    let mode = host.ssh("stat -c '%U %G %a' /etc/caddy/Caddyfile").succeeds();
    assert_eq!(mode.text(), "deploy deploy 644");
    settled(&env, &host, "as another user");
    env.run(&["push", "--ports", "8001,8001"]).exits(2).complains("two different ports");
    env.run(&["push", "--ports", "8001,8003", "--force"]).succeeds();
    assert_eq!(app(&env)["slot"], 8003);
}

#[test]
fn a_release_that_does_not_get_healthy_never_gets_a_request() {
    let host = host_with_site();
    image("bluegreen-sick:1", &[("VERSION", "one")]);
    let mut env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-sick:1", ""));
    env.run(&["push"]).succeeds();
    let before = (read(&host), host.ssh("stat -c %i /etc/caddy/Caddyfile").text().to_owned(), release(&env));
    for (name, switches, reason) in [
        ("sick", &[("REFUSE_HEALTH", "1")][..], "503"),
        (
            "crash",
            &[("EXIT_AFTER", "0"), ("EXIT_CODE", "3"), ("LOG_TEXT", "cannot read the config")],
            "cannot read",
        ),
    ] {
        image(&format!("bluegreen-sick:{name}"), switches);
        env = env.write("arcane.toml", &shop(&format!("bluegreen-sick:{name}"), ""));
        env.run(&["push"]).exits(4).complains("rolled back to").complains(reason);
        let inode = host.ssh("stat -c %i /etc/caddy/Caddyfile").text().to_owned();
        assert_eq!((read(&host), inode, release(&env)), before, "{name}");
        assert_eq!(answer(&host), "one 200");
        settled(&env, &host, name);
        assert_eq!(names(&host), ["shop"], "{name}");
    }
}

#[test]
fn a_file_that_somebody_edits_meanwhile_is_theirs() {
    let host = host_with_site();
    image("bluegreen-edit:1", &[("VERSION", "one")]);
    image("bluegreen-edit:2", &[("VERSION", "two"), ("SLOW_START", "3")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-edit:1", ""));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("bluegreen-edit:2", ""));
    let mut push = until(&env, &["push", "--json"], "health");
    let theirs = format!("{}# a note\n", site(8002));
    write(&host, &theirs);
    assert_eq!(push.wait().unwrap().code(), Some(4));
    assert_eq!(
        (read(&host), answer(&host), names(&host)),
        (theirs, "one 200".to_owned(), vec!["shop".to_owned()])
    );
    write(&host, &site(8002));
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "two 200");
    settled(&env, &host, "pushed again");
}

#[test]
fn a_caddy_that_dies_before_it_is_reloaded_leads_to_the_old_release_when_it_comes_back() {
    let host = host_with_site();
    image("bluegreen-dead:1", &[("VERSION", "one")]);
    image("bluegreen-dead:2", &[("VERSION", "two"), ("SLOW_START", "3")]);
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-dead:1", ""));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("bluegreen-dead:2", ""));
    let mut push = until(&env, &["push", "--json"], "health");
    host.ssh("touch /run/lab/caddy.stopped; kill $(cat /run/lab/caddy.pid)").succeeds();
    assert_eq!(push.wait().unwrap().code(), Some(4));
    host.ssh("rm /run/lab/caddy.stopped").succeeds();
    eventually("Caddy is back", Duration::from_secs(10), || (answer(&host) == "one 200").then_some(()));
    settled(&env, &host, "Caddy died");
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "two 200");
}

#[test]
fn kill_9_at_every_step_and_push_again_just_works() {
    let host = host_with_site();
    // Releases ignore SIGTERM and have a request in flight, so that stopping and draining last long enough.
    let release = |version: &str| {
        let tag = format!("bluegreen-kill:{version}");
        image(&tag, &[("VERSION", version), ("SLOW_START", "1"), ("IGNORE_TERM", "1")]);
        TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop(&tag, "drain = \"3s\""))
    };
    let mut before = "one".to_owned();
    release(&before).run(&["push"]).succeeds();
    for (step, pause) in [
        ("create", 0),
        ("start", 0),
        ("health", 500),
        ("route", 0),
        ("route", 60),
        ("switch", 0),
        ("drain", 100),
        ("stop", 100),
    ] {
        let version = format!("{step}-{pause}");
        let env = release(&version);
        let traffic = Traffic::start(host.app_port(80), "shop.test");
        let mut push = until(&env, &["push", "--json"], step);
        std::thread::sleep(Duration::from_millis(pause));
        push.kill().unwrap();
        push.wait().unwrap();
        let now = answer(&host);
        assert!(now == format!("{before} 200") || now == format!("{version} 200"), "{version}: {now}");
        env.run(&["push"]).succeeds();
        assert_eq!(answer(&host), format!("{version} 200"));
        let seen = traffic.stop();
        assert_eq!(seen.failures, Vec::<String>::new(), "{version}");
        settled(&env, &host, &version);
        before = version;
    }
}

#[test]
fn a_rollback_that_is_cut_off_goes_on_and_a_line_that_drops_is_made_anew() {
    let host = host_with_site();
    image("bluegreen-cut:one", &[("VERSION", "one"), ("SLOW_START", "2")]);
    image("bluegreen-cut:two", &[("VERSION", "two")]);
    let env =
        TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-cut:one", "drain = \"1s\""));
    env.run(&["push"]).succeeds();
    let env = env.write("arcane.toml", &shop("bluegreen-cut:two", "drain = \"1s\""));
    env.run(&["push"]).succeeds();
    for step in ["start", "route", "switch"] {
        let mut back = until(&env, &["rollback", "shop", "--json"], step);
        back.kill().unwrap();
        back.wait().unwrap();
        env.run(&["rollback", "shop"]).succeeds();
        assert_eq!(answer(&host), "one 200", "{step}");
        settled(&env, &host, step);
        env.run(&["push"]).succeeds();
        assert_eq!(answer(&host), "two 200", "{step}");
    }
    let mut back = until(&env, &["rollback", "shop", "--json"], "health");
    host.cut_hard();
    std::thread::sleep(Duration::from_secs(3));
    host.mend();
    assert_eq!(back.wait().unwrap().code(), Some(4));
    assert_eq!(answer(&host), "two 200");
    settled(&env, &host, "the line dropped");
}

#[test]
fn a_site_is_written_where_it_is_missing_and_only_there() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &shop("bluegreen-init:1", ""));
    let before = read(&host);
    env.run(&["init", "--caddy", "--plan"])
        .succeeds()
        .says("Would be added")
        .says("reverse_proxy localhost:8001 {");
    assert_eq!(read(&host), before);
    env.run(&["init", "--caddy"])
        .succeeds()
        .says("Added to /etc/caddy/Caddyfile")
        .says("Caddy has loaded it");
    let after = read(&host);
    assert!(
        after.starts_with(&before) && after.contains("# shop, swapped by arcane\nhttp://shop.test {"),
        "{after}"
    );
    // This Caddy does not know the option that lets websockets live on.
    assert!(!after.contains("stream_close_delay"), "{after}");
    env.run(&["init", "--caddy", "--json"]).succeeds().says("\"outcome\":\"unchanged\"");
    assert_eq!(read(&host), after);
    assert!(answer(&host).ends_with("502"), "{}", answer(&host));
    image("bluegreen-init:1", &[("VERSION", "one")]);
    // Where the server forbids forwarding, Caddy is asked by the host's own curl.
    host.sshd_option("AllowTcpForwarding", "no");
    let env = env.write(
        "arcane.toml",
        &shop("bluegreen-init:1", "")
            .replace("{ http = \"/healthz\", within = \"6s\" }", "{ stays_up = \"1s\" }"),
    );
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "one 200");
    host.sshd_option("AllowTcpForwarding", "yes");

    host.ssh("mkdir /etc/caddy/sites").succeeds();
    host.ssh("printf 'http://shop.test {\\n respond hi\\n}\\n' >/etc/caddy/sites/shop").succeeds();
    caddyfile(&host, "import sites/*\n");
    env.run(&["init", "--caddy"]).exits(1).complains("answers for http://shop.test already");
    caddyfile(&host, ":80\nrespond hi\n");
    env.run(&["init", "--caddy"]).exits(1).complains(":1: this site has no braces");
    let env = env.write("arcane.toml", "[app.shop]\nimage = \"bluegreen-init:1\"\n");
    env.run(&["init", "--caddy"]).exits(2).complains("is not swapped blue/green");
    env.run(&["push", "--ports", "1,2"]).exits(2).complains("is not swapped blue/green");
}

#[test]
fn an_app_moves_from_smart_swap_to_two_slots_and_back() {
    let host = host_with_site();
    image("bluegreen-move:1", &[("VERSION", "one")]);
    image("bluegreen-move:2", &[("VERSION", "two")]);
    let smart = shop("bluegreen-move:1", "")
        .replace("strategy = \"blue-green\"\nports = [8001, 8002]", "ports = [8001]")
        .replace(&format!("domain = \"{SITE}\"\n"), "");
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &smart);
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "one 200");
    let env = env.write("arcane.toml", &shop("bluegreen-move:2", "drain = \"1s\""));
    env.run(&["push"]).succeeds();
    assert_eq!(answer(&host), "two 200");
    settled(&env, &host, "from a smart swap");
    // What it was before has another strategy, and comes back as it was, on the port that Caddy does not lead to.
    host.reboot();
    eventually("the site answers after a reboot", Duration::from_secs(40), || {
        (answer(&host) == "two 200").then_some(())
    });
    settled(&env, &host, "after a reboot");
}
