//! Story: somebody has fifty hosts, some of which are not well. One command, one summary that names those, and never a
//! storm of connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod simulated;
mod support;

use serde_json::Value;
use simulated::{Fault, SimulatedFleet};
use support::{Ran, image};

const HOSTS: usize = 50;
/// Hosts at once, and so connections that prove who they are at once.
const AT_ONCE: usize = 8;

const SHOP: &str = "[app.shop]\nimage = \"fifty-story:1\"\nhealth = { stays_up = \"200ms\" }\n";

fn summary(ran: &Ran) -> Value {
    let mut lines = ran.json_lines();
    let last = lines.pop().expect("it says something");
    assert_eq!(last["event"], "summary", "{ran}");
    assert!(lines.iter().all(|line| line["event"] != "summary"), "one summary: {ran}");
    assert!(lines.iter().all(|line| line["host"].is_string()), "every line says which host: {ran}");
    last
}

/// The hosts that came to this, by their numbers.
fn hosts_that(summary: &Value, outcome: &str) -> Vec<usize> {
    let hosts = summary["hosts"].as_array().unwrap().iter();
    let wanted = hosts.filter(|host| host["outcome"] == outcome);
    wanted.map(|host| host["host"].as_str().unwrap()[1..].parse().unwrap()).collect()
}

#[test]
fn fifty_hosts_are_pushed_to_in_batches_and_one_summary_names_those_that_failed() {
    image("fifty-story:1", &[]);
    let fleet = SimulatedFleet::start(HOSTS);
    let env = fleet.env().write("arcane.toml", SHOP);

    // 12 of 50 are a batch by default; 40 to 49 are the last but one, and two of them are not well.
    fleet.breaks(40, Fault::Crashes);
    fleet.down(44);
    let ran = env.run(&["push", "--to", "all", "--json"]).exits(3);
    let all = summary(&ran);
    assert_eq!(hosts_that(&all, "failed"), [40, 44], "{ran}");
    let released = hosts_that(&all, "released");
    assert!(released.len() >= 37 && released[..37] == (1..=37).collect::<Vec<_>>(), "{ran}");
    // Those that were under way beside the first one that failed have it; the rest was left alone.
    let left_alone = hosts_that(&all, "not_begun");
    assert!(left_alone.contains(&50), "{ran}");
    assert_eq!(released.len() + left_alone.len() + 2, HOSTS);
    for number in released {
        assert_eq!(fleet.containers(number), ["shop*"]);
    }
    for number in left_alone.into_iter().chain([40, 44]) {
        assert_eq!(fleet.containers(number), [""; 0], "host {number}");
    }
    let (connecting, locked) = (fleet.connecting.highest(), fleet.locked.highest());
    assert!(connecting <= AT_ONCE, "{connecting} connections at once");
    assert!((2..=AT_ONCE).contains(&locked), "{locked} hosts at once");

    // A person is told the same: a table in which the failed ones say why.
    let ran = env.run(&["push", "--to", "all"]).exits(3);
    let failed: Vec<_> = ran.stdout.lines().filter(|line| line.contains("failed  ")).collect();
    assert!(failed.iter().any(|line| line.starts_with("h40 ") && line.contains("exited with code")), "{ran}");
    let said = ran.stdout.lines().last().unwrap_or_default();
    assert!(said.starts_with("shop on 50 hosts in ") && said.contains("failed"), "{ran}");

    // Well again, and all at once as far as the bound allows.
    fleet.breaks(40, Fault::None);
    fleet.connecting.highest();
    let ran = env.run(&["push", "--to", "all", "--batch", "100%", "--json"]).exits(3);
    assert_eq!(hosts_that(&summary(&ran), "failed"), [44], "{ran}");
    let connecting = fleet.connecting.highest();
    assert!(connecting <= AT_ONCE, "{connecting} connections at once");
}

#[test]
fn fifty_hosts_are_given_back_what_they_ran_when_it_was_all_or_nothing() {
    image("fifty-story:1", &[]);
    let fleet = SimulatedFleet::start(HOSTS);
    let env = fleet.env().write("arcane.toml", SHOP);
    env.run(&["push", "--to", "h01,h02,h03", "--json"]).succeeds();
    let before = env.run(&["status", "--to", "h01,h02,h03", "--json"]).succeeds().json();

    fleet.breaks(50, Fault::Crashes);
    let args = ["push", "--to", "all", "--batch", "100%", "--force", "--all-or-nothing", "--json"];
    let ran = env.run(&args).exits(4);
    let all = summary(&ran);
    assert_eq!(hosts_that(&all, "failed"), [50], "{ran}");
    assert_eq!(hosts_that(&all, "returned"), (1..=49).collect::<Vec<_>>(), "{ran}");
    for number in 4..=50 {
        assert_eq!(fleet.containers(number), [""; 0], "host {number}");
    }
    let after = env.run(&["status", "--to", "h01,h02,h03", "--json"]).succeeds().json();
    for number in 0..3 {
        let release = |status: &Value| status["hosts"][number]["apps"][0]["release"].clone();
        assert_eq!(release(&after), release(&before));
    }
}

#[test]
fn fifty_hosts_are_looked_at_without_a_storm_and_those_that_are_away_are_named() {
    let fleet = SimulatedFleet::start(HOSTS);
    let env = fleet.env().write("arcane.toml", SHOP);
    for number in [7, 31, 50] {
        fleet.down(number);
    }
    let ran = env.run(&["status", "--json"]).exits(3);
    let status = ran.json();
    let away = status["hosts"].as_array().unwrap().iter().filter(|host| host["reachable"] == false);
    let away: Vec<_> = away.map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(away, ["h07", "h31", "h50"]);
    let connecting = fleet.connecting.highest();
    assert!((2..=AT_ONCE).contains(&connecting), "{connecting} connections at once");
    for command in [&["releases", "shop"][..], &["doctor", "all"], &["logs", "shop", "--to", "all"]] {
        let ran = env.run(command).exits(3);
        assert!(["h07", "h31", "h50"].iter().all(|name| format!("{ran}").contains(name)), "{ran}");
        let connecting = fleet.connecting.highest();
        assert!((2..=AT_ONCE).contains(&connecting), "{connecting} connections at once");
    }
}
