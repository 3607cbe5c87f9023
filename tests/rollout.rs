//! Story: somebody has more than one host. A bad release meets one of them and not all, and whatever happens on the way,
//! the last lines say what each host runs now.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{Lab, LabHost, Ran, TestEnv, image};

fn shop(image: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\n\
         health = {{ http = \"/healthz\", within = \"6s\" }}\n"
    )
}

/// A user who knows these hosts, and groups of them: `("staging", &[0])` is the first host.
fn fleet(hosts: &[LabHost], groups: &[(&str, &[usize])]) -> TestEnv {
    let env = TestEnv::new().fleet(&hosts.iter().collect::<Vec<_>>());
    let mut text = format!("{}[group]\n", env.read("fleet.toml"));
    for (name, members) in groups {
        let members: Vec<_> = members.iter().map(|member| format!("\"{}\"", hosts[*member].name())).collect();
        text.push_str(&format!("{name} = [{}]\n", members.join(", ")));
    }
    env.write("fleet.toml", &text)
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

fn answers(hosts: &[LabHost]) -> Vec<String> {
    hosts.iter().map(answer).collect()
}

/// Something else listens where the app should: the host refuses the release.
fn squat(host: &LabHost, image: &str) {
    host.load(&[image]);
    host.docker(&["run", "-d", "--name", "squatter", "-p", "8000:8080", "-e", "VERSION=squatter", image])
        .succeeds();
}

/// The host and the outcome of each line of the summary, which comes last and once.
fn summary(ran: &Ran) -> Vec<(String, String)> {
    let lines = ran.json_lines();
    let summaries: Vec<_> = lines.iter().filter(|line| line["event"] == "summary").collect();
    assert_eq!(summaries.len(), 1, "{ran}");
    assert_eq!(lines.last().unwrap()["event"], "summary", "{ran}");
    assert_eq!(summaries[0]["code"].as_i64(), ran.status.code().map(i64::from), "{ran}");
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let hosts = summaries[0]["hosts"].as_array().unwrap();
    hosts.iter().map(|line| (text(line, "host"), text(line, "outcome"))).collect()
}

fn expected(hosts: &[LabHost], outcomes: &[&str]) -> Vec<(String, String)> {
    hosts.iter().map(LabHost::name).zip(outcomes.iter().map(ToString::to_string)).collect()
}

/// Where in the output a host's first step, and its last line, are.
fn span(lines: &[Value], host: &LabHost) -> (usize, usize) {
    let about = |line: &&Value| line["host"] == host.name().as_str();
    let first = lines.iter().position(|line| about(&line)).expect("the host was begun");
    (first, lines.iter().rposition(|line| about(&line)).unwrap())
}

/// Nothing that a push leaves when it is cut off.
fn assert_tidy(host: &LabHost) {
    let names = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
    assert!(!names.stdout.contains("_new") && !names.stdout.contains("_back"), "{names}");
}

#[test]
fn each_gate_is_passed_before_the_next_and_a_canary_goes_before_its_group() {
    let hosts = Lab::hosts(4);
    image("rollout-story:1", &[("VERSION", "one")]);
    let env = fleet(&hosts, &[("staging", &[0]), ("production", &[1, 2, 3])])
        .write("arcane.toml", &shop("rollout-story:1"));

    let plan = env.run(&["push", "--to", "staging,production", "--batch", "2", "--plan"]).succeeds();
    let name = |number: usize| hosts[number].name();
    plan.says(&format!("1. staging batch: {}\n", name(0)))
        .says(&format!("2. production canary: {}\n", name(1)))
        .says(&format!("3. production batch: {}, {}\n", name(2), name(3)))
        // Nothing is on any of them, so one plan is that of all.
        .says(&format!("shop on {}, {}, {}, {}\n", name(0), name(1), name(2), name(3)));

    // One of them is named by itself as well, and is pushed to once.
    let to = format!("staging,production,{}", name(2));
    let ran = env.run(&["push", "--to", &to, "--batch", "2", "--json"]).succeeds();
    assert_eq!(summary(&ran), expected(&hosts, &["released"; 4]));
    let lines = ran.json_lines();
    let spans: Vec<_> = hosts.iter().map(|host| span(&lines, host)).collect();
    assert!(spans[0].1 < spans[1].0, "the second gate began before the first was passed: {ran}");
    assert!(spans[1].1 < spans[2].0.min(spans[3].0), "the canary had company: {ran}");
    assert!(spans[3].0 < spans[2].1 && spans[2].0 < spans[3].1, "the batch went one by one: {ran}");
    assert_eq!(lines.iter().filter(|line| line["event"] == "done").count(), 4, "{ran}");
    assert_eq!(answers(&hosts), ["one"; 4]);

    // A person reads a line per host and one table.
    let ran = env.run(&["push", "--to", "staging,production", "--force"]).succeeds();
    let ran = ran.says("4 released").complains("undo with `arcane rollback shop --to staging,production`");
    assert_eq!(ran.stdout.matches("released  ").count(), 4, "{ran}");

    env.run(&["rollback", "--to", "production", "--batch", "100%"]).succeeds().says("3 rolled back");
    env.run(&["doctor", "production"]).says(&format!("{} ok   docker", name(1)).replace("docker", "ssh"));
}

#[test]
fn a_host_that_fails_keeps_the_release_from_those_after_it() {
    let hosts = Lab::hosts(4);
    image("stop-story:1", &[("VERSION", "one")]);
    image("stop-story:2", &[("VERSION", "two")]);
    let env = fleet(&hosts, &[("production", &[0, 1, 2, 3])]).write("arcane.toml", &shop("stop-story:1"));
    let to = format!("{},{},{}", hosts[0].name(), hosts[1].name(), hosts[3].name());
    env.run(&["push", "--to", &to]).succeeds();
    squat(&hosts[2], "stop-story:1");

    let env = env.write("arcane.toml", &shop("stop-story:2"));
    let ran = env.run(&["push", "--to", "production", "--json"]).exits(3).complains("port 8000 is taken");
    assert_eq!(summary(&ran), expected(&hosts, &["released", "released", "failed", "not_begun"]));
    assert_eq!(answers(&hosts), ["two", "two", "squatter", "one"]);

    // The canary alone fails: nobody has the release, and the code is that of its failure.
    image("stop-story:3", &[("REFUSE_HEALTH", "1")]);
    let env = env.write("arcane.toml", &shop("stop-story:3"));
    let ran = env.run(&["push", "--to", "production", "--json"]).exits(4);
    assert_eq!(summary(&ran), expected(&hosts, &["failed", "not_begun", "not_begun", "not_begun"]));
    let done = ran.json_lines().into_iter().find(|line| line["event"] == "done").unwrap();
    assert_eq!(done["outcome"], "rolled_back");
    assert!(done["bytes_sent"].as_u64() > Some(0) && done["gap_seconds"].as_f64() > Some(1.0), "{done}");
    assert_eq!(answers(&hosts), ["two", "two", "squatter", "one"]);
}

#[test]
fn all_or_nothing_gives_back_what_each_host_ran() {
    let hosts = Lab::hosts(4);
    image("nothing-story:1", &[("VERSION", "one")]);
    image("nothing-story:2", &[("VERSION", "two")]);
    // A network that one of them lacks: it shows only when the container is made.
    for host in &hosts[..3] {
        host.docker(&["network", "create", "shopnet"]).succeeds();
    }
    let shop = |image: &str| format!("{}network = \"shopnet\"\n", shop(image));
    let env = fleet(&hosts, &[("production", &[0, 1, 2, 3])]).write("arcane.toml", &shop("nothing-story:1"));
    env.run(&["push", "--to", &format!("{},{}", hosts[0].name(), hosts[1].name())]).succeeds();
    let before = env.run(&["status", "--json"]).succeeds().json();

    let env = env.write("arcane.toml", &shop("nothing-story:2"));
    let ran = env.run(&["push", "--to", "production", "--all-or-nothing", "--json"]).exits(4);
    assert_eq!(summary(&ran), expected(&hosts, &["returned", "returned", "returned", "failed"]));
    assert_eq!(answers(&hosts), ["one", "one", "", ""]);
    let after = env.run(&["status", "--json"]).succeeds().json();
    for number in [0, 1] {
        let release = |status: &Value| status["hosts"][number]["apps"][0]["release"].clone();
        assert_eq!(release(&after), release(&before));
        assert_tidy(&hosts[number]);
    }
    // The last line about a host tells what it runs now.
    let last = ran.json_lines()[span(&ran.json_lines(), &hosts[2]).1].clone();
    assert_eq!((&last["event"], &last["release"]), (&"done".into(), &Value::Null), "{ran}");
    // What ran nothing before runs nothing, and nothing of ours is left there.
    for host in &hosts[2..] {
        assert_eq!(host.docker(&["ps", "-aq"]).succeeds().text(), "");
        let images = host.docker(&["images", "-q", "arcane/shop"]).succeeds();
        assert_eq!(images.text(), "", "{images}");
    }

    // Once the cause is gone the same command goes through.
    hosts[3].docker(&["network", "create", "shopnet"]).succeeds();
    env.run(&["push", "--to", "production", "--all-or-nothing", "--batch", "100%"])
        .succeeds()
        .says("4 released");
    assert_eq!(answers(&hosts), ["two"; 4]);
}

#[test]
fn a_hook_that_fails_after_the_switch_stops_the_fleet_and_all_or_nothing_takes_it_back() {
    let hosts = Lab::hosts(3);
    image("mishap-story:1", &[("VERSION", "one")]);
    image("mishap-story:2", &[("VERSION", "two")]);
    let env = fleet(&hosts, &[("production", &[0, 1, 2])]).write("arcane.toml", &shop("mishap-story:1"));
    env.run(&["push", "--to", "production", "--batch", "100%"]).succeeds();
    let hook = format!("hooks.after = \"test $ARCANE_HOST != {}\"\n", hosts[1].name());
    let env = env.write("arcane.toml", &format!("{}{hook}", shop("mishap-story:2")));
    let push = ["push", "--to", "production", "--batch", "1", "--json"];

    let ran = env.run(&[&push[..], &["--all-or-nothing"]].concat()).exits(4);
    assert_eq!(summary(&ran), expected(&hosts, &["returned", "failed", "not_begun"]));
    assert_eq!(answers(&hosts), ["one"; 3]);
    hosts.iter().for_each(assert_tidy);

    // The release itself is sound: without being asked to, nobody takes it away.
    let ran = env.run(&push).exits(3);
    assert_eq!(summary(&ran), expected(&hosts, &["released", "not_returned", "not_begun"]));
    assert_eq!(answers(&hosts), ["two", "two", "one"]);
    let why = ran.json_lines().pop().unwrap()["hosts"][1]["reason"].clone();
    assert!(why.as_str().unwrap().contains("it is live, but its `after` hook failed"), "{why}");
}

#[test]
fn all_or_nothing_begins_nowhere_when_a_host_could_not_take_it() {
    let hosts = Lab::hosts(3);
    image("ahead-story:1", &[("VERSION", "one")]);
    let env = fleet(&hosts, &[("production", &[0, 1, 2])]).write("arcane.toml", &shop("ahead-story:1"));
    squat(&hosts[2], "ahead-story:1");
    let args = ["push", "--to", "production", "--all-or-nothing", "--json"];
    let ran = env.run(&args).exits(1).complains("port 8000 is taken");
    assert_eq!(summary(&ran), expected(&hosts, &["not_begun", "not_begun", "failed"]));
    assert_eq!(answers(&hosts), ["", "", "squatter"]);
    hosts[1].cut_hard();
    let ran = env.run(&args).exits(3).complains("port 8000 is taken");
    assert_eq!(summary(&ran), expected(&hosts, &["not_begun", "failed", "failed"]));
    hosts[1].mend();
}

#[test]
fn ctrl_c_brings_back_the_hosts_under_way_and_begins_no_other() {
    let hosts = Lab::hosts(4);
    image("stopped-story:1", &[("VERSION", "one")]);
    image("stopped-story:2", &[("VERSION", "two"), ("SLOW_START", "4")]);
    let env = fleet(&hosts, &[("production", &[0, 1, 2, 3])]).write("arcane.toml", &shop("stopped-story:1"));
    env.run(&["push", "--to", "production", "--batch", "100%"]).succeeds();
    let env = env.write("arcane.toml", &shop("stopped-story:2"));
    for (more, outcomes, running) in [
        (None, ["released", "failed", "failed", "not_begun"], ["two", "one", "one", "one"]),
        // The canary has it already: it stays what it was, and only what this push did is undone.
        (
            Some("--all-or-nothing"),
            ["unchanged", "failed", "failed", "not_begun"],
            ["two", "one", "one", "one"],
        ),
    ] {
        let mut args = vec!["push", "--to", "production", "--batch", "2", "--json"];
        args.extend(more);
        let mut push = env.arcane(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(push.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        let checking = |lines: &[String]| {
            let is_check = |line: &&String| line.contains("\"step\":\"health\"");
            lines.iter().filter(is_check).filter(|line| !line.contains(&hosts[0].name())).count()
        };
        while checking(&said) < 2 {
            said.push(lines.next().expect("it gets to the second stage"));
        }
        let pid = rustix::process::Pid::from_raw(i32::try_from(push.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        said.extend(lines);
        let status = push.wait().unwrap();
        let ran = Ran { what: format!("{args:?}"), status, stdout: said.join("\n"), stderr: String::new() };
        let ran = ran.exits(130);
        assert_eq!(summary(&ran), expected(&hosts, &outcomes));
        assert_eq!(answers(&hosts), running, "{ran}");
        hosts.iter().for_each(assert_tidy);
    }
}

#[test]
fn a_host_that_is_away_does_not_keep_the_others_from_going_back() {
    let hosts = Lab::hosts(4);
    image("away-story:1", &[("VERSION", "one")]);
    image("away-story:2", &[("VERSION", "two")]);
    let env = fleet(&hosts, &[("production", &[0, 1, 2, 3])]);
    for tag in ["away-story:1", "away-story:2"] {
        std::fs::write(env.path("arcane.toml"), shop(tag)).unwrap();
        env.run(&["push", "--to", "production", "--batch", "100%"]).succeeds();
    }
    hosts[1].cut_hard();
    let ran = env.run(&["rollback", "--to", "production", "--batch", "100%", "--json"]).exits(3);
    assert_eq!(summary(&ran), expected(&hosts, &["rolled_back", "failed", "rolled_back", "rolled_back"]));
    env.run(&["status"]).exits(3).says("unreachable");
    env.run(&["releases"]).exits(3).complains(&hosts[1].name());
    env.run(&["doctor", "production"]).exits(3);
    hosts[1].mend();
    assert_eq!(answers(&hosts), ["one", "two", "one", "one"]);
}

#[test]
fn a_server_that_drops_visitors_by_lot_is_reached_all_the_same() {
    let host = Lab::host();
    host.sshd_option("MaxStartups", "1:100:1");
    let env = TestEnv::new().fleet(&[&host]);
    // A jump host sees as many of us as there are hosts behind it.
    let many: String =
        (0..6).map(|number| format!("[host.h{number}]\nssh = \"{}\"\n", host.target())).collect();
    let env = env.write("fleet.toml", &many);
    let status = env.run(&["status", "--json"]).succeeds().json();
    let reached = status["hosts"].as_array().unwrap().iter().filter(|host| host["reachable"] == true);
    assert_eq!(reached.count(), 6, "{status}");
}
