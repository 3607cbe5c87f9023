//! The vault in git: what is encrypted stays so, diffs and merges are by name, and nothing is committed in the open.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use support::{Ran, TestEnv};

#[track_caller]
fn git(env: &TestEnv, args: &[&str]) -> Ran {
    Ran::of(env.command("git").args(args)).succeeds()
}

fn try_git(env: &TestEnv, args: &[&str]) -> Ran {
    Ran::of(env.command("git").args(args))
}

#[track_caller]
fn set(env: &TestEnv, name: &str, environment: &str, value: &str) {
    let mut command = env.arcane(&["secrets", "set", name, "--env", environment]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{name} is set in {environment}");
}

fn commit(env: &TestEnv, what: &str) {
    git(env, &["add", "-A"]);
    git(env, &["commit", "-qm", what]);
}

const ATTRIBUTES: &str = "config/*.yml filter=arcane diff=arcane -text arcane=production\n";
const PLAIN: &str = "password: sentinel-of-yml\nkey: sentinel-value-1\nport: 80\n";

/// Alice, with a vault and a file that git encrypts.
fn alice() -> TestEnv {
    let env = TestEnv::new();
    git(&env, &["init", "-q", "-b", "main"]);
    env.run(&["init", "--as", "alice", "--env", "staging", "--env", "production"]).succeeds();
    set(&env, "API_KEY", "production", "sentinel-value-1");
    let env = env.write(".gitattributes", ATTRIBUTES).write("config/prod.yml", PLAIN);
    commit(&env, "A vault");
    env
}

/// Bob, whom Alice lets read an environment.
fn bob(alice: &TestEnv, environment: &str) -> TestEnv {
    let env = TestEnv::new();
    git(&env, &["clone", "-q", alice.cwd().to_str().unwrap(), "."]);
    env.run(&["init", "--as", "bob"]).succeeds();
    let text = env.read("~/.config/arcane/identity");
    let key = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    alice.run(&["team", "add", "bob", "--env", environment, "--key", key]).succeeds();
    commit(alice, "Let bob in");
    git(&env, &["checkout", "-q", "."]);
    git(&env, &["clean", "-qfd"]);
    git(&env, &["pull", "-q", alice.cwd().to_str().unwrap(), "main"]);
    env
}

#[test]
fn a_filtered_file_is_encrypted_in_git_and_open_in_the_working_tree() {
    let alice = alice();
    assert_eq!(alice.read("config/prod.yml"), PLAIN);
    let blob = alice.command("git").args(["show", "HEAD:config/prod.yml"]).output().unwrap().stdout;
    assert!(blob.starts_with(b"age-encryption.org/v1\n"), "what is committed is sealed");
    let found = Ran::of(alice.command("grep").args(["-r", "-a", "-l", "sentinel-of-yml", ".git"]));
    assert_eq!(found.text(), "", "git's store holds nothing of it");

    // Unchanged is unchanged, whatever git is asked and however often.
    git(&alice, &["update-index", "--really-refresh"]);
    fs::write(alice.path("config/prod.yml"), PLAIN).unwrap();
    git(&alice, &["add", "--renormalize", "."]);
    assert_eq!(git(&alice, &["status", "--porcelain"]).text(), "");
    assert_eq!(
        git(&alice, &["rev-parse", "HEAD:config/prod.yml"]).text(),
        git(&alice, &["rev-parse", ":config/prod.yml"]).text()
    );

    fs::write(alice.path("config/prod.yml"), PLAIN.replace("80", "81")).unwrap();
    let diff = git(&alice, &["diff"]);
    diff.says("-port: 80").says("+port: 81");
    commit(&alice, "Another port");
    git(&alice, &["log", "-p", "-1"]).says("+port: 81");

    // Staged, and taken back to the last commit's: the very same blob comes out.
    fs::write(alice.path("config/prod.yml"), "other\n").unwrap();
    git(&alice, &["add", "config/prod.yml"]);
    fs::write(alice.path("config/prod.yml"), PLAIN.replace("80", "81")).unwrap();
    git(&alice, &["add", "config/prod.yml"]);
    assert_eq!(git(&alice, &["status", "--porcelain"]).text(), "");
}

#[test]
fn a_fresh_clone_reads_it_once_it_is_taught_and_who_may_not_read_can_still_work() {
    let alice = alice();
    let bob = bob(&alice, "production");
    bob.run(&["git", "install"]).succeeds().complains("Opened config/prod.yml.");
    assert_eq!(bob.read("config/prod.yml"), PLAIN);
    assert_eq!(git(&bob, &["status", "--porcelain"]).text(), "", "opened is not changed");
    git(&bob, &["rm", "-q", "--cached", "config/prod.yml"]);
    fs::remove_file(bob.path("config/prod.yml")).unwrap();
    git(&bob, &["checkout", "HEAD", "config/prod.yml"]);
    assert_eq!(bob.read("config/prod.yml"), PLAIN, "the filter opens it on its way out");
    fs::write(bob.path("config/prod.yml"), "of bob\n").unwrap();
    commit(&bob, "Of bob");
    git(&alice, &["pull", "-q", bob.cwd().to_str().unwrap(), "main"]);
    assert_eq!(alice.read("config/prod.yml"), "of bob\n");

    let carol = TestEnv::new();
    git(&carol, &["clone", "-q", alice.cwd().to_str().unwrap(), "."]);
    carol.run(&["init", "--as", "carol"]).succeeds().complains("1 file left encrypted");
    let _ = fs::remove_file(carol.path("config/prod.yml"));
    git(&carol, &["checkout", "config/prod.yml"]).complains("left encrypted");
    assert!(fs::read(carol.path("config/prod.yml")).unwrap().starts_with(b"age-encryption.org/v1\n"));
    assert_eq!(git(&carol, &["status", "--porcelain", "config"]).text(), "");
    let carol = carol.write("README", "hello\n");
    git(&carol, &["add", "README"]);
    git(&carol, &["commit", "-qm", "Work"]);
    fs::write(carol.path("config/prod.yml"), "in the open\n").unwrap();
    let refused = try_git(&carol, &["add", "config/prod.yml"]);
    assert!(!refused.status.success(), "what cannot be encrypted is not added:\n{refused}");
    refused.complains("not sealed for any key of yours");
}

#[test]
fn who_was_removed_cannot_open_what_is_committed_from_then_on() {
    let alice = alice();
    let bob = bob(&alice, "production");
    alice.run(&["team", "remove", "bob"]).succeeds();
    // Whether git has noticed by now that the file is to be sealed anew depends on when it looked at it last.
    git(&alice, &["add", "-A"]);
    git(&alice, &["add", "--renormalize", "."]);
    commit(&alice, "Without bob");
    assert_eq!(alice.read("config/prod.yml"), PLAIN);
    git(&bob, &["pull", "-q", alice.cwd().to_str().unwrap(), "main"]);
    assert!(fs::read(bob.path("config/prod.yml")).unwrap().starts_with(b"age-encryption.org/v1\n"));
    // Alice still opens what was committed before.
    git(&alice, &["log", "-p"]).says("+password: sentinel-of-yml");
}

#[test]
fn a_clone_without_the_filter_cannot_commit_it_in_the_open() {
    let alice = alice();
    for key in ["filter.arcane.clean", "filter.arcane.smudge", "filter.arcane.required"] {
        git(&alice, &["config", "--unset", key]);
    }
    fs::write(alice.path("config/prod.yml"), "changed without a filter\n").unwrap();
    git(&alice, &["add", "config/prod.yml"]);
    let refused = try_git(&alice, &["commit", "-qm", "Oops"]);
    assert!(!refused.status.success(), "the hook looks at it:\n{refused}");
    refused.complains("config/prod.yml").complains("should be encrypted and is not");
    alice.run(&["git", "install"]).succeeds();
    git(&alice, &["add", "config/prod.yml"]);
    git(&alice, &["add", "--renormalize", "config/prod.yml"]);
    git(&alice, &["commit", "-qm", "Sealed"]);
    let blob = alice.command("git").args(["show", "HEAD:config/prod.yml"]).output().unwrap().stdout;
    assert!(blob.starts_with(b"age-encryption.org/v1\n"));

    fs::write(alice.path(".arcane/staging.age"), "API_KEY=sentinel\n").unwrap();
    git(&alice, &["add", ".arcane"]);
    try_git(&alice, &["commit", "-qm", "Oops"]).exits(1).complains(".arcane/staging.age");
}

#[test]
fn a_known_value_and_a_token_are_not_committed_and_a_hook_of_ones_own_is_kept() {
    let alice = alice().write("notes.txt", "first\nthe key is sentinel-value-1, do not tell\n");
    git(&alice, &["add", "notes.txt"]);
    try_git(&alice, &["commit", "-qm", "Oops"])
        .exits(1)
        .complains("notes.txt:2")
        .complains("holds the value of API_KEY in production")
        .never_says("sentinel-value-1");
    git(&alice, &["rm", "-qf", "notes.txt"]);
    let token = format!("{}{}", "ghp_", "0123456789abcdefghijklmnopqrstuvwxyz");
    let alice = alice.write("ci.txt", &format!("token: {token}\n")).write(".gitignore", "ignored.txt\n");
    let alice = alice.write("ignored.txt", &token);
    let found = alice.run(&["scan", "--json"]).exits(5);
    assert_eq!(
        found.json().as_array().unwrap().len(),
        1,
        "not what git overlooks, nor what it encrypts: {found}"
    );
    assert_eq!(found.json()[0]["path"], "ci.txt");
    found.never_says(&token).never_says("ignored.txt");
    alice.run(&["scan", "ci.txt"]).exits(5).says("holds a GitHub token");
    alice.run(&["scan", ".arcane"]).succeeds();
    alice.run(&["scan", "no-such-file"]).exits(1).complains("no-such-file");

    let hook = alice.path(".git/hooks/pre-commit");
    fs::write(&hook, "#!/bin/sh\ntrue\n").unwrap();
    alice.run(&["git", "install"]).succeeds().complains("is a hook of your own");
    assert_eq!(fs::read_to_string(&hook).unwrap(), "#!/bin/sh\ntrue\n");
}

#[test]
fn our_own_sources_are_no_alarm() {
    let env = TestEnv::new();
    for directory in ["src", "tests", "benches", "docs", "rules"] {
        env.run(&["scan", &format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"))]).succeeds();
    }
}

#[test]
fn a_vaults_diff_shows_names_and_never_values() {
    let alice = alice();
    set(&alice, "API_KEY", "production", "sentinel-value-2");
    set(&alice, "NEW", "production", "sentinel-value-3");
    git(&alice, &["diff"])
        .says("-secret API_KEY version 1 set by alice at ")
        .says("+secret API_KEY version 2 set by alice at ")
        .says("+secret NEW version 1 set by alice at ")
        .never_says("sentinel");
}

#[test]
fn branches_that_set_different_names_merge_and_the_same_name_conflicts_readably() {
    let alice = alice();
    let bob = bob(&alice, "production");
    set(&alice, "OF_ALICE", "production", "one");
    commit(&alice, "One");
    set(&bob, "OF_BOB", "production", "two");
    commit(&bob, "Two");
    git(&alice, &["pull", "-q", "--no-rebase", "--no-edit", bob.cwd().to_str().unwrap(), "main"]);
    let names = |env: &TestEnv| -> Vec<String> {
        let listed = env.run(&["secrets", "list", "--env", "production", "--json"]).succeeds().json();
        listed.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&alice), ["API_KEY", "OF_ALICE", "OF_BOB"]);
    git(&bob, &["pull", "-q", "--no-rebase", "--no-edit", alice.cwd().to_str().unwrap(), "main"]);

    set(&alice, "API_KEY", "production", "sentinel-of-alice");
    commit(&alice, "Alice's");
    set(&bob, "API_KEY", "production", "sentinel-of-bob");
    set(&bob, "MORE", "production", "more");
    commit(&bob, "Bob's");
    let conflict =
        try_git(&alice, &["pull", "-q", "--no-rebase", "--no-edit", bob.cwd().to_str().unwrap(), "main"]);
    assert!(!conflict.status.success());
    conflict
        .complains("both sides changed secrets of production")
        .complains("API_KEY: ours set by alice at ")
        .complains("theirs set by bob at ")
        .never_says("sentinel-of");
    assert_eq!(names(&alice), ["API_KEY", "MORE", "OF_ALICE", "OF_BOB"], "the rest is merged");
    set(&alice, "API_KEY", "production", "agreed-upon");
    commit(&alice, "Agreed");
    assert_eq!(
        alice.run(&["secrets", "get", "API_KEY", "--env", "production"]).succeeds().stdout,
        "agreed-upon"
    );
    git(&alice, &["fsck", "--strict"]);
}
