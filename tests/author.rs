//! Story: somebody writes heal rules, and does it wrong, with files that are not what they seem and lines that mean harm.
//! docs/rules.md tells the story in which all goes well; tests/tutorial.rs plays it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::TestEnv;

const RULES: &str = r#"pack = "shop"
schema = 1
[[rule]]
id    = "pump"
class = "overload"
log   = { any = ["pump is broken"] }
count = 2
within = "1m"
test  = [
  { name = "twice", fires = 1, line = "pump is broken", repeat = 2 },
  { name = "once", fires = 0, line = "pump is broken" },
]
[[rule]]
id    = "valve"
class = "overload"
log   = { any = ["valve is stuck"] }
test  = [{ fires = 1, line = "valve is shut" }]
"#;

fn env() -> TestEnv {
    TestEnv::new().write("shop.toml", RULES)
}

#[test]
fn a_line_that_means_harm_is_shown_and_does_none() {
    let env = env();
    let line = "\u{1b}[2J\u{1b}]0;owned\u{7}pump is broken\r\u{202e}evil\u{0}";
    let explained =
        env.run_with(&["rules", "explain", "--rules", "shop.toml", "-"], line.as_bytes()).succeeds();
    assert!(explained.stdout.contains("shop/pump") && explained.stdout.contains(r"\u{202e}"), "{explained}");
    let drafted = env.run_with(&["rules", "new", "-"], line.as_bytes()).succeeds();
    for ran in [&explained, &drafted] {
        let harmful = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!ran.stdout.contains(harmful) && !ran.stderr.contains(harmful), "{ran}");
    }
    // What it printed is a file that works.
    let env = env.write("new.toml", &drafted.stdout);
    env.run(&["rules", "test", "new.toml"]).succeeds();
    env.run(&["rules", "lint", "new.toml"]).succeeds();
    let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    env.run_with(&["rules", "explain", "-"], &garbage).succeeds().says("would fire");
    env.run_with(&["rules", "why-not", "crashloop", "-"], &garbage).succeeds().says("did not fire");
}

#[test]
fn a_directory_is_answered_with_what_to_type() {
    let env = env().write("logs/shop.log", "pump is broken\n");
    for command in [
        &["rules", "explain", "logs"][..],
        &["rules", "explain", "./logs"],
        &["rules", "new", "logs"],
        &["rules", "why-not", "crashloop", "logs"],
        &["rules", "replay", "logs"],
        &["rules", "test", "--labelled", "logs"],
        &["rules", "bench", "logs"],
    ] {
        let refused = env.run(command).exits(2);
        refused.complains("it is a directory").complains("hint: name ");
    }
}

#[test]
fn a_wrong_name_is_answered_with_the_right_one() {
    let env = env().write("other.toml", &RULES.replace("\"shop\"", "\"other\"")).write("a.log", "x\n");
    env.run(&["rules", "why-not", "pumpp", "a.log", "--rules", "shop.toml"])
        .exits(2)
        .complains("did you mean `pump`?");
    let both = ["rules", "why-not", "pump", "a.log", "--rules", "shop.toml", "--rules", "other.toml"];
    env.run(&both).exits(2).complains("could be shop/pump or other/pump");
    env.run(&["rules", "why-not", "shop/pump", "a.log", "--rules", "shop.toml"]).succeeds();
    env.run(&["rules", "why-not", "pump", "gone.log", "--rules", "shop.toml"]).exits(2).complains("gone.log");
    env.run(&["rules", "explain", "gone.log"]).exits(2).complains("there is no such file");
    env.run(&["rules", "explain", "--host", "no host", "x"]).exits(2).complains("host name");
}

#[test]
fn one_rule_is_tested_alone() {
    let env = env();
    env.run(&["rules", "test", "shop.toml"])
        .exits(1)
        .says("3 tests, 1 failed")
        .says("nothing matched the trigger");
    env.run(&["rules", "test", "shop.toml", "--rule", "pump"]).succeeds().says("2 tests, 0 failed");
    let failed = env.run(&["rules", "test", "shop.toml", "--rule", "shop/valve", "--json"]).exits(1).json();
    assert_eq!((&failed["failed"], &failed["failures"][0]["rule"]), (&1.into(), &"shop/valve".into()));
    env.run(&["rules", "test", "shop.toml", "--rule", "pmup"]).exits(2).complains("did you mean `pump`?");
}

#[test]
fn a_setting_that_is_said_is_taken_for_granted() {
    let young = RULES.replace(
        "count = 2\nwithin = \"1m\"",
        "require = { deploy_age = \"<1h\" }\nscope = { app = \"mill\" }",
    );
    let env = TestEnv::new().write("shop.toml", &young).write("a.log", "pump is broken\n");
    let why = ["rules", "why-not", "pump", "a.log", "--rules", "shop.toml"];
    env.run(&why).succeeds().says("outside the rule's scope").complains("--app");
    let of_mill = [&why[..], &["--app", "mill"]].concat();
    env.run(&of_mill).succeeds().says("deploy_age <1h is required, but it is 30d").complains("--deploy-age");
    let fires = [&of_mill[..], &["--deploy-age", "5m", "--json"]].concat();
    let fired = env.run(&fires).succeeds().json();
    assert_eq!((&fired["fired"], &fired["why"]), (&1.into(), &serde_json::Value::Null));
}

#[test]
fn whose_lines_they_are_can_be_said_in_full() {
    let scope = "scope = { image = \"mill*\", label = { tier = \"data\", zone = \"a\" }, env = \"staging\", role = \"pump\" }";
    let env = TestEnv::new()
        .write("shop.toml", &RULES.replace("count = 2\nwithin = \"1m\"", scope))
        .write("a.log", "pump is broken\n");
    let whose = [
        "--image",
        "ghcr.io/ada/mill:3",
        "--label",
        "tier=data",
        "--label",
        "zone=a",
        "--env",
        "staging",
        "--role",
        "pump",
    ];
    let explain = ["rules", "explain", "a.log", "--rules", "shop.toml"];
    let why = ["rules", "why-not", "pump", "a.log", "--rules", "shop.toml", "--json"];
    env.run(&[&explain[..], &whose].concat()).succeeds().says("shop/pump would fire");
    assert_eq!(env.run(&[&why[..], &whose].concat()).succeeds().json()["fired"], 1);
    // Each of them counts.
    for left_out in [0, 2, 4, 6, 8] {
        let rest = [&whose[..left_out], &whose[left_out + 2..]].concat();
        let told = env.run(&[&explain[..], &rest].concat()).succeeds();
        told.says("-> outside the rule's scope").says("nothing would fire");
    }
    env.run(&["rules", "why-not", "pump", "a.log", "--rules", "shop.toml"])
        .succeeds()
        .complains("--label and --env");
    for label in ["tier", "=data"] {
        env.run(&[&explain[..], &["--label", label]].concat()).exits(2).complains("NAME=VALUE");
    }
    env.run(&[&explain[..], &["--role", "Not A Role"]].concat()).exits(2).complains("is no role");
    // What the image tells.
    let by_image = RULES.replace("count = 2\nwithin = \"1m\"", "scope = { role = \"database\" }");
    let env = env.write("shop.toml", &by_image);
    env.run(&[&explain[..], &["--image", "postgres:16"]].concat()).succeeds().says("shop/pump would fire");
}

#[test]
fn a_recording_says_itself_whose_lines_they_are() {
    let scope = "scope = { image = \"mill*\", label = { tier = \"data\" }, env = \"staging\" }";
    let header = r#"{"arcane_recording":1,"app":"shop","from":["web1"],"at":"2026-11-25T10:00:00Z"}"#;
    let line = |image: &str| {
        let container = "5a".repeat(32);
        let profile = format!(r#"{{"image":"{image}","labels":{{"tier":"data"}},"environment":"staging"}}"#);
        let subject = format!(
            r#"{{"app":"shop","release":"20261120-090000-3f2c","container":"{container}","role":"live","profile":{profile}}}"#
        );
        format!(
            r#"{{"seen":"2026-11-25T10:00:05Z","at":"2026-11-25T10:00:05Z","host":"web1","subject":{subject},"freshness":"live","fact":{{"kind":"line","stream":"stdout","text":"pump is broken"}}}}"#
        )
    };
    for (image, signals) in [("mill:3", 1), ("saw:3", 0)] {
        let env = TestEnv::new()
            .write("shop.toml", &RULES.replace("count = 2\nwithin = \"1m\"", scope))
            .write("a.recording", &format!("{header}\n{}\n", line(image)));
        let replayed = env.run(&["rules", "replay", "a.recording", "--rules", "shop.toml"]).succeeds();
        replayed.says(&format!("{signals} signal"));
        let explained =
            env.run(&["rules", "explain", "a.recording", "--rules", "shop.toml", "--json"]).succeeds();
        assert_eq!(explained.json_lines().last().unwrap()["signals"].as_array().unwrap().len(), signals);
    }
}

#[test]
fn what_is_no_recording_is_refused_with_its_place() {
    let header = r#"{"arcane_recording":1,"app":"shop","from":["web1"],"at":"2026-11-25T10:00:00Z"}"#;
    for (text, says) in [
        ("", "its first line is"),
        ("ERROR pump is broken\n", "arcane rules explain"),
        ("{\"arcane_recording\":9}\n", "recording of version 9"),
        (&format!("{header}\n{{\"seen\":\"2026-11-25T10:00:00Z\",\"at\":7}}\n{header}\n"), "line 2, column"),
    ] {
        let env = TestEnv::new().write("a.recording", text);
        env.run(&["rules", "replay", "a.recording"]).exits(2).complains(says);
    }
    let env = TestEnv::new().write("a.recording", header);
    env.run(&["rules", "replay", "a.recording"]).succeeds().says("0 observations").complains("has no end");
    env.run(&["rules", "replay", "--auto", "--mode", "off", "a.recording"]).exits(2);
}

#[test]
fn a_host_that_is_away_makes_a_recording_that_says_so() {
    let fleet = "[host.gone]\nssh = \"root@127.0.0.1:1\"\n";
    let env = TestEnv::new().write("fleet.toml", fleet).write("kept.recording", "mine");
    env.run(&["record", "shop", "-o", "a.recording", "--for", "2s"]).exits(6).says("its time was over");
    env.run(&["rules", "replay", "a.recording"]).succeeds().says("0 signals, 0 incidents, 0 actions");
    env.run(&["record", "shop", "-o", "kept.recording", "--for", "1s"]).exits(2).complains("--force");
    assert_eq!(env.read("kept.recording"), "mine");
    env.run(&["record", "shop", "-o", "no/such/folder", "--for", "1s"]).exits(2).complains("no/such/folder");
    env.run(&["record", "shop", "--max-bytes", "10"]).exits(2).complains("--max-bytes");
}

#[test]
fn whoever_watches_is_told_which_rules_a_project_switches_off() {
    let off = "pack = \"mine\"\nschema = 1\n[[rule]]\nextends = \"core/unhealthy\"\noff = true\n";
    let env = TestEnv::new()
        .write("fleet.toml", "[host.gone]\nssh = \"root@127.0.0.1:1\"\n")
        .write("arcane.toml", "[app.shop]\nimage = \"shop:1\"\n")
        .write("rules/mine.toml", off);
    for command in [&["watch", "--for", "1s"][..], &["heal", "--auto", "--for", "1s"]] {
        let told = env.run(command);
        assert!(told.stderr.contains("core/unhealthy (core.toml:"), "{told}");
        assert!(
            told.stderr.contains(") is switched off by ") && told.stderr.contains("rules/mine.toml:4"),
            "{told}"
        );
        let told = env.run(&[command, &["--json"]].concat());
        let rules = told.json_lines().into_iter().find(|line| line["event"] == "rules").unwrap();
        let replaced = &rules["replaced"][0];
        assert_eq!((&replaced["rule"], &replaced["off"]), (&"core/unhealthy".into(), &true.into()));
        assert!(rules["rules"].as_u64() > Some(100) && rules["more_replaced"] == 0, "{rules}");
    }
}

#[test]
fn a_value_of_the_vault_gets_into_no_rule() {
    let env = TestEnv::new().vault("production", &[("TOKEN", b"hunter2-hunter2")]);
    let drafted = env.run(&["rules", "new", "login with hunter2-hunter2 failed"]).succeeds();
    drafted.never_says("hunter2").says("[secret TOKEN]");
    env.run(&["rules", "new", "login with hunter2-hunter2 failed", "-o", "a.toml"]).succeeds();
    assert!(!env.read("a.toml").contains("hunter2"));
    env.run(&["rules", "test", "a.toml"]).succeeds();
    env.run(&["rules", "new", "x failed again", "-o", "a.toml"]).exits(2).complains("a.toml");
}
