//! What somebody who may push, or git itself, puts in the place of what was there: noticed before anything is encrypted for
//! whom it was not meant, and never written over.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::process::Stdio;

use support::{Ran, TestEnv};

const STRANGER: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

#[track_caller]
fn git(env: &TestEnv, args: &[&str]) -> Ran {
    try_git(env, args).succeeds()
}

fn try_git(env: &TestEnv, args: &[&str]) -> Ran {
    Ran::of(env.command("git").args(args))
}

#[track_caller]
fn commit(env: &TestEnv, what: &str) {
    git(env, &["add", "-A"]);
    git(env, &["commit", "-qm", what]);
}

#[track_caller]
fn set(env: &TestEnv, name: &str, environment: &str, value: &str) -> Ran {
    env.run_with(&["secrets", "set", name, "--env", environment], value.as_bytes())
}

fn key_of(env: &TestEnv) -> String {
    let text = env.read("~/.config/arcane/identity");
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

/// A public key of somebody who is not there.
fn new_key() -> String {
    let somebody = TestEnv::new();
    somebody.run(&["init", "--as", "somebody"]).succeeds();
    key_of(&somebody)
}

/// Alice, with a vault of two environments in a repository.
fn alice() -> TestEnv {
    let env = TestEnv::new();
    git(&env, &["init", "-q", "-b", "main"]);
    env.run(&["init", "--as", "alice", "--env", "staging", "--env", "production"]).succeeds();
    set(&env, "API_KEY", "production", "sentinel-value-1").succeeds();
    commit(&env, "A vault");
    env
}

const OLDER: &str = "production is older here than what this clone has seen; bob can read it again";
const GET: &[&str] = &["secrets", "get", "API_KEY", "--env", "production"];

/// Alice's clone, in which Bob was removed, and who may still push has put back the version that he can read.
fn undone() -> TestEnv {
    let alice =
        alice().write(".gitattributes", "*.yml filter=arcane diff=arcane -text -merge arcane=production\n");
    alice.run(&["team", "add", "bob", "--env", "production", "--key", &new_key()]).succeeds();
    commit(&alice, "Let bob in");
    git(&alice, &["checkout", "-qb", "side"]);
    set(&alice, "SIDE", "production", "of the side").succeeds();
    commit(&alice, "On the side");
    git(&alice, &["checkout", "-q", "main"]);
    set(&alice, "MAIN", "production", "of main").succeeds();
    commit(&alice, "On main");
    git(&alice, &["tag", "before"]);
    alice.run(&["team", "remove", "bob"]).succeeds();
    commit(&alice, "Without bob");
    git(&alice, &["tag", "after"]);

    git(&alice, &["checkout", "before", "--", ".arcane"]);
    commit(&alice, "Tidy up");
    alice
}

#[test]
fn a_removal_that_somebody_undoes_is_noticed_by_whoever_saw_it() {
    let alice = undone();
    git(&alice, &["diff", "after", "HEAD"])
        .says("+reader bob age1")
        .says("-key for files age1")
        .says("+key for files age1")
        .says(", known by bob, who left")
        .never_says("sentinel");
    assert_eq!(
        alice.run(GET).succeeds().complains(OLDER).stdout,
        "sentinel-value-1",
        "it is there to be read"
    );
    alice.run(&["run", "--env", "production", "--", "true"]).succeeds().complains(OLDER);
    alice.run(&["secrets", "check", "--env", "production"]).exits(5).says(OLDER);
    alice.run(&["team", "list"]).succeeds().complains(OLDER);

    let there = fs::read(alice.path(".arcane/production.age")).unwrap();
    let alice = alice.write("more.env", "MORE=1\n").var("EDITOR", "echo MORE=1 >");
    let writers: &[&[&str]] = &[
        &["secrets", "set", "API_KEY", "--env", "production"],
        &["secrets", "edit", "--env", "production"],
        &["secrets", "import", "more.env", "--env", "production"],
        &["secrets", "remove", "API_KEY", "--env", "production"],
        &["secrets", "rotate", "--env", "production"],
        &["team", "add", "carol", "--env", "production", "--key", STRANGER],
        &["team", "remove", "bob"],
    ];
    for writer in writers {
        alice
            .run_with(writer, b"a new value")
            .exits(7)
            .complains(OLDER)
            .complains("arcane secrets rotate --env production --accept");
        assert_eq!(fs::read(alice.path(".arcane/production.age")).unwrap(), there, "{writer:?}");
    }
}

#[test]
fn nothing_is_encrypted_or_merged_for_a_version_that_was_put_back() {
    let alice = undone();
    let alice = alice.write("new.yml", "sentinel\n");
    let refused = try_git(&alice, &["add", "new.yml"]);
    assert!(!refused.status.success(), "nothing is encrypted for bob:\n{refused}");
    refused.complains(OLDER);
    fs::remove_file(alice.path("new.yml")).unwrap();
    let refused = try_git(&alice, &["merge", "-q", "--no-edit", "side"]);
    assert!(!refused.status.success(), "nothing is merged for bob:\n{refused}");
    refused.complains(OLDER);
    git(&alice, &["merge", "--abort"]);

    // Looking at a time long gone is nobody's attack, and going back is the end of it.
    git(&alice, &["checkout", "-q", "before"]);
    alice.run(GET).succeeds().complains(OLDER);
    git(&alice, &["checkout", "-q", "after"]);
    assert_eq!(alice.run(GET).succeeds().stderr, "");
    set(&alice, "API_KEY", "production", "changed").succeeds();
    git(&alice, &["checkout", "-q", "--", ".arcane"]);

    // Whoever means it says so.
    git(&alice, &["checkout", "-q", "main"]);
    alice.run(&["secrets", "rotate", "--accept"]).exits(2).complains("--env");
    alice
        .run(&["secrets", "rotate", "--env", "production", "--accept"])
        .succeeds()
        .complains("production has a new key, for alice, bob to read.");
    set(&alice, "API_KEY", "production", "changed").succeeds();
    git(&alice, &["stash", "-q"]);
    alice.run(&["secrets", "list", "--env", "production"]).succeeds().complains("production is older here");
    let memory = alice.path(".git/arcane/seen/.arcane/production");
    fs::write(&memory, "nonsense").unwrap();
    set(&alice, "API_KEY", "production", "changed")
        .exits(7)
        .complains("should hold a public key and names")
        .complains("remove ");
}

#[test]
fn a_key_that_was_slipped_into_a_members_file_is_not_let_in_with_theirs() {
    let alice = alice();
    let (bobs, other) = (new_key(), new_key());
    let file = |keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        fs::write(
            alice.path(".arcane/team/bob.toml"),
            format!("keys = [{}]\nenvironments = []\n", keys.join(", ")),
        )
        .unwrap();
    };
    let readers = || {
        let bytes = fs::read(alice.path(".arcane/production.age")).unwrap();
        let identity = alice.path("~/.config/arcane/identity");
        fs::write(alice.path("sealed"), bytes).unwrap();
        let opened = Ran::of(alice.command("age").args(["-d", "-i", identity.to_str().unwrap(), "sealed"]));
        opened.json()["readers"]["bob"].clone()
    };
    file(&[&bobs, STRANGER]);
    let add = ["team", "add", "bob", "--env", "production"];
    let refused = alice.run(&add).exits(2).complains(STRANGER).complains(&bobs);
    refused.complains("--all-keys").complains("keys that nobody has let in");
    assert_eq!(readers(), serde_json::Value::Null);
    alice
        .run(&[&add[..], &["--key", &bobs]].concat())
        .succeeds()
        .complains(&format!("bob can read production, with {bobs}."))
        .complains(&format!("Took {STRANGER} out of the team's file of bob"));
    assert_eq!(readers(), serde_json::json!([bobs]));
    assert!(!alice.read(".arcane/team/bob.toml").contains(STRANGER));

    // Known with one key, he is let into more with no other.
    file(&[&bobs, STRANGER]);
    alice
        .run(&["team", "add", "bob", "--env", "staging"])
        .exits(2)
        .complains(STRANGER)
        .complains("a key that nobody has let in");
    file(&[&bobs]);
    alice.run(&["team", "add", "bob", "--env", "staging"]).succeeds();
    file(&[&bobs, &other]);
    alice.run(&[&add[..], &["--all-keys"]].concat()).succeeds().complains(&other);
    let mut both = [bobs.clone(), other.clone()];
    both.sort();
    assert_eq!(readers(), serde_json::json!(both));
    alice
        .run(&["team", "add", "nobody", "--env", "production", "--all-keys"])
        .exits(2)
        .complains("no key of nobody is known");

    // A key that was lost goes; the others stay.
    let remove = |key: &str| alice.run(&["team", "remove", "bob", "--key", key]);
    remove(STRANGER).exits(2).complains("bob has no such key").complains(&bobs);
    let before = fs::read(alice.path(".arcane/production.age")).unwrap();
    remove(&other)
        .succeeds()
        .complains("no longer opens production as it is from now on")
        .complains("whoever has that key may know these values")
        .says("production   API_KEY");
    assert_eq!(readers(), serde_json::json!([bobs]));
    assert!(!alice.read(".arcane/team/bob.toml").contains(&other));
    set(&alice, "API_KEY", "production", "changed").succeeds();
    fs::write(alice.path(".arcane/production.age"), before).unwrap();
    set(&alice, "API_KEY", "production", "changed").exits(7).complains("production is older here");
    git(&alice, &["init", "-q"]);
    alice.run(&["secrets", "rotate", "--env", "production", "--accept"]).succeeds();
    remove(&other).succeeds();
    remove(&bobs)
        .exits(2)
        .complains("bob has no other key; nothing was changed")
        .complains("arcane team remove bob");
    alice.run(&["team", "remove", "eve", "--key", &other]).exits(2).complains("the team has no member `eve`");
}

#[test]
fn a_line_of_gitattributes_does_not_move_a_file_to_other_readers() {
    let alice =
        alice().write(".gitattributes", "*.yml filter=arcane diff=arcane -text -merge arcane=production\n");
    let alice = alice.write("config/prod.yml", "password: sentinel\n");
    commit(&alice, "A file");
    let alice =
        alice.write(".gitattributes", "*.yml filter=arcane diff=arcane -text -merge arcane=staging\n");
    let alice = alice.write("config/prod.yml", "password: sentinel-2\n");
    let refused = try_git(&alice, &["add", "config/prod.yml"]);
    assert!(!refused.status.success(), "{refused}");
    refused
        .complains("config/prod.yml is encrypted for production, and .gitattributes now says staging, which alice can read")
        .complains("arcane git reseal --env staging config/prod.yml")
        .never_says("sentinel");
    git(&alice, &["rm", "-q", "--cached", "config/prod.yml"]);
    assert!(
        !try_git(&alice, &["add", "config/prod.yml"]).status.success(),
        "nor by way of taking it out and in again"
    );
    git(&alice, &["read-tree", "HEAD"]);
    // A new file is whoever's it says.
    let alice = alice.write("config/new.yml", "port: 80\n");
    git(&alice, &["add", "config/new.yml"]);
    let reseal = |environment: &str| alice.run(&["git", "reseal", "--env", environment, "config/prod.yml"]);
    reseal("production")
        .exits(2)
        .complains(".gitattributes says staging for config/prod.yml, not production");
    reseal("staging").succeeds();
    git(&alice, &["commit", "-qm", "Moved"]);
    assert_eq!(git(&alice, &["status", "--porcelain", "config"]).text(), "");
    git(&alice, &["diff", "HEAD~", "HEAD", "--", "config/prod.yml"]).says("+password: sentinel-2");
    let alice = alice.write("config/prod.yml", "password: sentinel-3\n");
    git(&alice, &["add", "config/prod.yml"]);
}

#[test]
fn what_only_begins_like_an_encrypted_file_is_not_added() {
    let alice = alice().write(".gitattributes", "*.yml filter=arcane diff=arcane -text arcane=production\n");
    let alice = alice.write("a.yml", "password: sentinel\n");
    commit(&alice, "A file");
    let sealed = alice.command("git").args(["show", "HEAD:a.yml"]).output().unwrap().stdout;
    let magic = b"age-encryption.org/v1\n";
    let marked =
        [b"age-encryption.org/v1\n<<<<<<< ours\n", &sealed[magic.len()..], b"\n>>>>>>> theirs\n"].concat();
    for (what, bytes) in [
        ("in the open", b"age-encryption.org/v1\npassword: sentinel\n".to_vec()),
        ("armour around nothing", b"-----BEGIN AGE ENCRYPTED FILE-----\npassword: sentinel\n".to_vec()),
        ("cut off", sealed[..sealed.len() / 2].to_vec()),
        ("merged", marked),
    ] {
        fs::write(alice.path("a.yml"), bytes).unwrap();
        let refused = try_git(&alice, &["add", "a.yml"]);
        assert!(!refused.status.success(), "{what}: {refused}");
        refused
            .complains("a.yml begins as an encrypted file and does not go on as one")
            .complains("git checkout HEAD -- a.yml");
    }
    // Past the filter it is the hook that looks.
    fs::write(alice.path("a.yml"), b"age-encryption.org/v1\nsentinel-value-1\n").unwrap();
    git(&alice, &["-c", "filter.arcane.clean=cat", "-c", "filter.arcane.required=false", "add", "a.yml"]);
    try_git(&alice, &["-c", "filter.arcane.clean=cat", "commit", "-qm", "Oops"])
        .exits(1)
        .complains("a.yml  ")
        .complains("should be encrypted and is not")
        .complains("holds the value of API_KEY in production");
    // Whole, whoever can read it, it is as good as what was there.
    fs::write(alice.path("a.yml"), &sealed).unwrap();
    git(&alice, &["add", "a.yml"]);
    assert_eq!(git(&alice, &["status", "--porcelain", "a.yml"]).text(), "");
    alice
        .run(&["git", "install"])
        .succeeds()
        .complains("git may merge a.yml line by line")
        .complains("add `-merge`");
    let alice =
        alice.write(".gitattributes", "*.yml filter=arcane diff=arcane -text -merge arcane=production\n");
    assert!(!alice.run(&["git", "install"]).succeeds().stderr.contains("line by line"));
}

#[test]
fn what_git_puts_there_while_an_editor_is_open_is_kept() {
    let alice = alice().var("EDITOR", "sh ./editor.sh");
    let vault = ".arcane/staging.age";
    alice.run_with(&["secrets", "import", "-", "--env", "staging"], b"A=1\nB=1\nGONE=1\n").succeeds();
    fs::copy(alice.path(vault), alice.path("old.age")).unwrap();
    set(&alice, "B", "staging", "of git").succeeds();
    set(&alice, "NEW", "staging", "of git").succeeds();
    fs::copy(alice.path(vault), alice.path("new.age")).unwrap();
    let edit = ["secrets", "edit", "--env", "staging"];
    let exported = || alice.run(&["secrets", "export", "--env", "staging"]).succeeds().stdout;
    let begin = |script: &str| {
        fs::copy(alice.path("old.age"), alice.path(vault)).unwrap();
        fs::write(alice.path("editor.sh"), script).unwrap();
    };
    begin("cp new.age .arcane/staging.age; sed -i -e 's/^A=.*/A=edited/' -e /^GONE/d \"$1\"");
    alice.run(&edit).succeeds().complains("Changed 2 secrets in staging: A, GONE.");
    assert_eq!(exported(), "A=edited\nB=\"of git\"\nNEW=\"of git\"\n");

    begin("cp new.age .arcane/staging.age; sed -i -e 's/^A=.*/A=edited/' -e 's/^B=.*/B=edited/' \"$1\"");
    alice.run(&edit).exits(7).complains("B changed meanwhile in staging, too; nothing was changed");
    assert_eq!(fs::read(alice.path(vault)).unwrap(), fs::read(alice.path("new.age")).unwrap());

    // With somebody to ask, what was typed is still there, and saved again it counts.
    begin(
        "test -e again || cp new.age .arcane/staging.age; touch again; sed -i -e 's/^B=.*/B=edited/' \"$1\"",
    );
    let line = format!("'{}' secrets edit --env staging", env!("CARGO_BIN_EXE_arcane"));
    let mut command = alice.command("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Held open: its end would be Ctrl-D.
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("press Enter to edit it again"), "{shown}");
    assert!(shown.contains("Changed 1 secret in staging: B."), "{shown}");
    assert_eq!(exported(), "A=1\nB=edited\nGONE=1\nNEW=\"of git\"\n");
}

#[test]
fn a_service_of_several_has_a_vault_of_its_own() {
    let env = TestEnv::new();
    git(&env, &["init", "-q", "-b", "main"]);
    let env = env.write("services/shop/arcane.toml", "[app.shop]\nimage = \"shop:1\"\n");
    env.run(&["-C", "services/shop", "init", "--as", "alice"]).succeeds();
    assert!(env.path("services/shop/.arcane/production.age").exists() && !env.path(".arcane").exists());
    env.run_with(&["-C", "services/shop", "secrets", "set", "A"], b"sentinel-of-shop").succeeds();
    let env = env.write(".gitattributes", "*.yml filter=arcane diff=arcane -text -merge arcane=production\n");
    let env = env.write("services/shop/config/prod.yml", "password: sentinel\n");
    commit(&env, "A service");
    let blob =
        env.command("git").args(["show", "HEAD:services/shop/config/prod.yml"]).output().unwrap().stdout;
    assert!(blob.starts_with(b"age-encryption.org/v1\n"), "the filter finds the vault");
    fs::remove_file(env.path("services/shop/config/prod.yml")).unwrap();
    git(&env, &["checkout", "services/shop"]);
    assert_eq!(env.read("services/shop/config/prod.yml"), "password: sentinel\n");
    let env = env.write("services/shop/config/prod.yml", "password: other\n");
    git(&env, &["diff"]).says("-password: sentinel").says("+password: other");
    commit(&env, "Another password");
    git(&env, &["log", "-p", "-1"]).says("-password: sentinel").says("+password: other");
    env.run(&["-C", "services/shop", "git", "install"]).succeeds();

    let env = env.write("services/other/notes.txt", "it is sentinel-of-shop\n");
    env.run(&["scan"]).exits(5).says("services/other/notes.txt:1").says("holds the value of A in production");
    git(&env, &["add", "-A"]);
    try_git(&env, &["commit", "-qm", "Oops"]).exits(1).complains("holds the value of A in production");
    git(&env, &["rm", "-qf", "services/other/notes.txt"]);

    // Its vault is merged by name, too.
    git(&env, &["checkout", "-qb", "side"]);
    env.run_with(&["-C", "services/shop", "secrets", "set", "SIDE"], b"1").succeeds();
    commit(&env, "Side");
    git(&env, &["checkout", "-q", "main"]);
    env.run_with(&["-C", "services/shop", "secrets", "set", "MAIN"], b"1").succeeds();
    commit(&env, "Main");
    git(&env, &["merge", "-q", "--no-edit", "side"]);
    let listed = env.run(&["-C", "services/shop/config", "secrets", "list", "--json"]).succeeds().json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["A", "MAIN", "SIDE"]);
    assert!(env.path(".git/arcane/seen/services/shop/.arcane/production").exists());
}

#[test]
fn a_vault_above_the_repository_or_above_the_home_is_nobodys() {
    let env = TestEnv::new();
    env.run(&["init", "--as", "mallory"]).succeeds();
    let env = env.write("work/arcane.toml", "").write("home/work/x", "");
    env.run(&["-C", "home/work", "secrets", "list"]).succeeds();
    git(&env, &["init", "-q", "work"]);
    env.run(&["-C", "work", "secrets", "list"])
        .exits(2)
        .complains("no vault was found in ")
        .complains("/project/work\n");
    let home = env.path("home").to_str().unwrap().to_owned();
    let config = env.path("~/.config").to_str().unwrap().to_owned();
    let env = env.var("HOME", &home).var("XDG_CONFIG_HOME", &config);
    env.run(&["-C", "home/work", "secrets", "list"])
        .exits(2)
        .complains("up to ")
        .complains("/project/home\n");
    env.run(&["-C", "home/work", "init", "--as", "mallory"]).succeeds();
    assert!(env.path("home/work/.arcane/production.age").exists(), "nor is a new one put above");
}

#[test]
fn a_large_file_that_is_staged_is_told_and_not_brought_into_memory() {
    let alice = alice();
    fs::write(alice.path("large.bin"), vec![b'x'; 33 * 1024 * 1024]).unwrap();
    let alice = alice.write("small.txt", "it is sentinel-value-1\n");
    git(&alice, &["-c", "core.compression=0", "add", "-A"]);
    alice
        .run(&["scan", "--staged"])
        .exits(5)
        .says("small.txt:1")
        .complains("large.bin is larger than 32 MiB and was not looked into");
}
