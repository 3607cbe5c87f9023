//! Story: an app, a hook and a host say what they must not, the values of the vault. Nobody sees them, and nothing keeps
//! them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod simulated;
mod support;

use std::fs;

use arcane::fleet::Timestamp;
use arcane::secrets::IdentityFile;
use data_encoding::BASE64;
use simulated::{Fault, SimulatedFleet};
use support::{Ran, TestEnv, image};

const VALUE: &str = "tok&9f8e/7d6c5b4a \"qzxw\"";

const SHOP: &str = r#"
[app.shop]
image = "masking-story:1"
health = { stays_up = "200ms" }
hooks = { before = { run = "cat said.txt; printf %20000s | tr ' ' x; cat said.txt", on = "here" } }
"#;

/// A user with a vault, and with hosts that have nothing yet.
fn with_vault(fleet: &SimulatedFleet) -> TestEnv {
    let env = fleet.env().write("arcane.toml", SHOP).write("said.txt", &said().join("\n"));
    env.run(&["init", "--as", "alice", "--env", "production"]).succeeds();
    let env = env.write("~/secrets.env", &format!("API_KEY='{VALUE}'\nDEBUG=true\n"));
    let file = env.path("~/secrets.env");
    env.run(&["secrets", "import", file.to_str().unwrap()]).succeeds();
    fs::remove_file(file).unwrap();
    env
}

/// The value in each of its forms.
fn forms() -> [String; 5] {
    [
        VALUE.to_owned(),
        r#"tok&9f8e/7d6c5b4a \"qzxw\""#.to_owned(),
        r#"tok\u00269f8e/7d6c5b4a \"qzxw\""#.to_owned(),
        "tok%269f8e%2F7d6c5b4a%20%22qzxw%22".to_owned(),
        BASE64.encode(VALUE.as_bytes()),
    ]
}

fn said() -> Vec<String> {
    let mut lines: Vec<_> = forms().iter().map(|form| format!("true, said {form}, and done")).collect();
    // Across two parts of a line, and where a line is cut to be shown.
    for before in [(16 << 10) - 10, 190, 290, 390] {
        lines.push(format!("{}{VALUE}", "x".repeat(before)));
    }
    lines
}

/// The value in no form, not even the part of it that nothing else has.
fn hides(ran: Ran) -> Ran {
    forms().into_iter().fold(ran, |ran, form| ran.never_says(&form)).never_says("9f8e").never_says("qzxw")
}

#[test]
fn what_an_app_and_a_hook_say_is_masked_where_it_is_shown_and_where_it_is_kept() {
    image("masking-story:1", &[]);
    let fleet = SimulatedFleet::start(2);
    let env = with_vault(&fleet);
    fleet.writes(1, &said());
    fleet.writes(2, &said());

    let ran = hides(env.run(&["push", "--to", "h01", "--json"]).succeeds());
    assert!(ran.stdout.contains("[secret API_KEY]"), "{ran}");
    // What is too short to be looked for stays readable.
    let ran = hides(env.run(&["logs", "shop"]).succeeds()).says("true, said [secret API_KEY], and done");
    // Of a line that is too long for a terminal the end is not shown.
    assert_eq!(ran.stdout.matches("[secret API_KEY]").count(), said().len() - 1);
    let ran = hides(env.run(&["logs", "shop", "--json"]).succeeds());
    assert_eq!(ran.stdout.matches("[secret API_KEY]").count(), said().len());

    fleet.breaks(2, Fault::Crashes);
    for args in [&["push", "--to", "h02"][..], &["push", "--to", "h02", "--json"]] {
        let ran = hides(env.run(args).exits(4));
        assert!(ran.stderr.contains("| true, said [secret API_KEY], and done"), "its last words: {ran}");
    }
    hides(env.run(&["releases", "shop", "--json"]).succeeds());
    let state = env.path("~/.local/state/arcane");
    for entry in fs::read_dir(&state).unwrap() {
        let kept = fs::read(entry.unwrap().path()).unwrap();
        assert!(!kept.windows(4).any(|window| window == b"9f8e"), "the journal keeps it");
    }
}

#[test]
fn the_same_story_without_a_vault_shows_everything() {
    image("masking-story:1", &[]);
    let fleet = SimulatedFleet::start(1);
    let env = fleet.env().write("arcane.toml", SHOP).write("said.txt", &said().join("\n"));
    fleet.writes(1, &said());
    let ran = env.run(&["push"]).succeeds();
    assert!(ran.stderr.contains(VALUE) && !ran.stderr.contains("not masked"), "{ran}");
    env.run(&["logs", "shop"]).succeeds().says(VALUE);
}

#[test]
fn errors_and_the_log_are_masked_and_an_environment_that_cannot_be_read_is_named() {
    // The name of a host that is not there is the value of a secret.
    let env = TestEnv::new()
        .write("fleet.toml", "[host.h01]\nssh = \"deploy@tok-9f8e7d6c.invalid\"\n")
        .write("secrets.env", "HOST=tok-9f8e7d6c.invalid\n")
        .var("ARCANE_LOG", "trace");
    env.run(&["init", "--as", "alice", "--env", "production"]).succeeds();
    env.run(&["secrets", "import", "secrets.env"]).succeeds();
    for args in [&["logs", "shop"][..], &["logs", "shop", "--json"], &["status"], &["status", "--json"]] {
        let ran = env.run(args).exits(6).never_says("9f8e7d6c").never_says("not masked");
        assert!(format!("{ran}").contains("[secret HOST]"), "{ran}");
    }

    // Somebody who may not read it sees what is there, and is told.
    fs::rename(env.path("~/.config/arcane/identity"), env.path("~/alice")).unwrap();
    env.run(&["logs", "shop"]).exits(6).complains("warning: values are not masked: ").complains("9f8e7d6c");
    let key = env.path("~/other");
    env.run(&["init", "--as", "bob"]).succeeds();
    fs::rename(env.path("~/.config/arcane/identity"), &key).unwrap();
    let env = env.var("ARCANE_IDENTITY", key.to_str().unwrap());
    env.run(&["logs", "shop"])
        .exits(6)
        .complains("warning: values of production are not masked: none of the keys at hand opens it");
    // A key behind a descriptor is read once, and masks.
    let key = env.path("~/alice");
    let line = "exec 3< <(cat \"$0\"); ARCANE_IDENTITY=fd:3 exec \"$1\" status";
    let mut status = env.command("bash");
    status.args(["-c", line, key.to_str().unwrap(), env!("CARGO_BIN_EXE_arcane")]);
    Ran::of(&mut status).exits(6).never_says("9f8e7d6c").never_says("not masked");
    // Nor is a passphrase asked for.
    let sealed = env.path("~/sealed");
    IdentityFile::create(&sealed, Some("a passphrase".to_owned().into()), Timestamp::from_seconds(1))
        .unwrap();
    let mut logs = env.arcane(&["logs", "shop"]);
    Ran::of(logs.env("ARCANE_IDENTITY", sealed))
        .exits(6)
        .complains("warning: values are not masked: the key has a passphrase, which is not asked for here");
    // Who asks for no log is not told each time.
    env.run(&["unlock", "h01"]).exits(6).never_says("not masked");
}
