//! A team's story: secrets in the repository, read by those who may, with nothing but arcane, git and age.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use support::{Ran, TestEnv, eventually};

/// Runs arcane in a terminal of its own in which somebody answers each question with a line; what it shows is both
/// streams.
#[track_caller]
fn typed(env: &TestEnv, args: &str, answers: &[&str]) -> Ran {
    let line = format!("'{}' {args}", env!("CARGO_BIN_EXE_arcane"));
    let mut command = env.command("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut piece = [0; 4096];
    let mut answered = 0;
    // What is typed before a question is thrown away with it.
    while let Ok(read @ 1..) = stdout.read(&mut piece) {
        shown.extend_from_slice(&piece[..read]);
        let questions = String::from_utf8_lossy(&shown).matches("(not shown): ").count();
        for answer in answers.iter().take(questions).skip(answered) {
            stdin.write_all(answer.as_bytes()).unwrap();
            answered += 1;
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(answered, answers.len(), "it asked less often: {}", String::from_utf8_lossy(&shown));
    let stdout = String::from_utf8_lossy(&shown).into_owned();
    Ran { what: format!("{command:?}"), status, stdout, stderr: String::new() }
}

fn git(env: &TestEnv, args: &[&str]) -> Ran {
    Ran::of(env.command("git").args(args)).succeeds()
}

/// Alice, with a repository, a vault and two environments.
fn alice() -> TestEnv {
    let env = TestEnv::new();
    git(&env, &["init", "-q", "-b", "main"]);
    env.run(&["init", "--as", "alice", "--env", "staging", "--env", "production"]).succeeds();
    git(&env, &["add", "-A"]);
    git(&env, &["commit", "-qm", "A vault"]);
    env
}

/// Bob, with a clone of Alice's repository and a key of his own.
fn bob(alice: &TestEnv) -> TestEnv {
    let env = TestEnv::new();
    git(&env, &["clone", "-q", alice.cwd().to_str().unwrap(), "."]);
    env.run(&["init", "--as", "bob"]).succeeds().complains("You can read nothing yet.");
    env
}

/// Carries what is in one clone over to the other.
fn carry(from: &TestEnv, to: &TestEnv) {
    git(from, &["add", "-A"]);
    git(from, &["commit", "-qm", "A change"]);
    git(to, &["pull", "-q", "--no-edit", from.cwd().to_str().unwrap(), "main"]);
}

fn public_key(env: &TestEnv) -> String {
    let text = env.read("~/.config/arcane/identity");
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

#[test]
fn a_team_shares_one_environment_and_not_the_other() {
    let alice = alice();
    for environment in ["staging", "production"] {
        let value = format!("{environment}-sentinel-value\n");
        alice
            .run_with(&["secrets", "set", "API_KEY", "--env", environment], value.as_bytes())
            .succeeds()
            .never_says("sentinel");
    }
    carry_nothing_in_the_open(&alice);

    let bob = bob(&alice);
    git(&bob, &["pull", "-q", alice.cwd().to_str().unwrap(), "main"]);
    bob.run(&["secrets", "get", "API_KEY", "--env", "staging"])
        .exits(1)
        .complains("staging.age is not sealed for any key of yours")
        .complains(&public_key(&bob));
    carry(&bob, &alice);
    alice.run(&["team", "list"]).succeeds().says("bob    nothing");
    alice.run(&["team", "add", "bob", "--env", "staging"]).succeeds().complains("bob can read staging");
    carry(&alice, &bob);
    assert_eq!(
        bob.run(&["secrets", "get", "API_KEY", "--env", "staging"]).succeeds().stdout,
        "staging-sentinel-value",
        "a pipe gets the bytes and nothing else"
    );
    bob.run(&["secrets", "get", "API_KEY", "--env", "production"])
        .exits(1)
        .complains("not sealed for any key of yours")
        .never_says("sentinel");
    bob.run_with(&["secrets", "set", "FROM_BOB", "--env", "staging"], b"a-value-of-bob").succeeds();
    carry(&bob, &alice);
    let listed = alice.run(&["secrets", "list", "--env", "staging", "--json"]).succeeds().json();
    assert_eq!(listed[1]["name"], "FROM_BOB");
    assert_eq!(listed[1]["by"], "bob");

    let removed = alice.run(&["team", "remove", "bob"]).succeeds();
    removed
        .complains("bob has known these values")
        .says("staging      API_KEY")
        .says("staging      FROM_BOB");
    carry(&alice, &bob);
    bob.run(&["secrets", "list", "--env", "staging"]).exits(1).complains("not sealed for any key of yours");
    alice.run(&["secrets", "check"]).exits(5).says("bob knew this value and left; change it");
    alice.run_with(&["secrets", "set", "API_KEY", "--env", "staging"], b"changed-since-bob").succeeds();
    let found = alice.run(&["secrets", "check", "--json"]).exits(5).json();
    let names: Vec<_> =
        found["findings"].as_array().unwrap().iter().map(|finding| &finding["name"]).collect();
    assert_eq!(names, ["FROM_BOB"], "what was changed is no longer known");
}

/// No file of the working tree or of git's store holds the value.
#[track_caller]
fn carry_nothing_in_the_open(env: &TestEnv) {
    git(env, &["add", "-A"]);
    git(env, &["commit", "-qm", "Secrets"]);
    let found = Ran::of(env.command("grep").args(["-r", "-a", "-l", "sentinel-value", "."]));
    assert_eq!(found.text(), "", "no file of the repository holds a value");
}

#[test]
fn a_member_let_in_by_hand_is_not_sealed_for_until_a_reader_says_so() {
    let alice = alice();
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let text = format!("keys = [\"{key}\"]\nenvironments = [\"production\"]\n");
    let alice = alice.write(".arcane/team/mallory.toml", &text);
    alice
        .run_with(&["secrets", "set", "A", "--env", "production"], b"sentinel")
        .exits(7)
        .complains("no reader agreed to the key of mallory")
        .complains("arcane team add mallory --env production");
    alice.run_with(&["secrets", "set", "A", "--env", "staging"], b"sentinel").succeeds();
    alice.run(&["secrets", "check", "--env", "production"]).exits(5).says("no reader agreed");
    alice.run(&["team", "add", "mallory", "--env", "production"]).succeeds().complains(key);
    alice.run_with(&["secrets", "set", "A", "--env", "production"], b"sentinel").succeeds();
}

#[test]
fn age_opens_our_files_and_we_open_ages() {
    let alice = alice();
    alice.run_with(&["secrets", "set", "A", "--env", "production"], b"of \"arcane\"\nand more\n").succeeds();
    let identity = alice.path("~/.config/arcane/identity");
    let age = |args: &[&str]| Ran::of(alice.command("age").args(args)).succeeds();
    let opened = age(&["-d", "-i", identity.to_str().unwrap(), ".arcane/production.age"]);
    assert_eq!(opened.json()["secrets"]["A"]["value"], "of \"arcane\"\nand more\n");

    // What age seals, armoured or not, we open.
    let plain = opened.stdout.replace("of \\\"arcane\\\"", "of age");
    for armour in [&[][..], &["-a"]] {
        let alice_key = public_key(&alice);
        fs::write(alice.path("plain"), &plain).unwrap();
        let args = [armour, &["-r", &alice_key, "-o", ".arcane/production.age", "plain"]].concat();
        age(&args);
        assert_eq!(
            alice.run(&["secrets", "get", "A", "--env", "production"]).succeeds().stdout,
            "of age\nand more\n"
        );
    }
    // A key of age-keygen's opens what we seal.
    Ran::of(alice.command("age-keygen").args(["-o", "other.key"])).succeeds();
    let other = alice.read("other.key");
    let key = other.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    alice.run(&["team", "add", "ci", "--env", "production", "--key", key]).succeeds();
    age(&["-d", "-i", "other.key", ".arcane/production.age"]).says("of age");
    let ci = TestEnv::new().var("ARCANE_IDENTITY", alice.path("other.key").to_str().unwrap());
    let directory = alice.cwd();
    let there = ["-C", directory.to_str().unwrap()];
    ci.run(&[&there[..], &["secrets", "get", "A", "--env", "production"]].concat()).succeeds().says("of age");
    ci.run(&[&there[..], &["secrets", "get", "A", "--env", "staging"]].concat())
        .exits(1)
        .complains("not sealed for any key of yours");
}

#[test]
fn an_ssh_key_is_an_identity_with_and_without_a_passphrase() {
    let alice = alice();
    alice.run_with(&["secrets", "set", "A", "--env", "production"], b"for ssh").succeeds();
    let bob = TestEnv::new();
    let path = bob.path("~/.ssh/id_ed25519");
    let generate = |passphrase| {
        let _ = fs::remove_file(&path);
        let args = ["-q", "-t", "ed25519", "-N", passphrase, "-f", path.to_str().unwrap()];
        Ran::of(bob.command("ssh-keygen").args(args)).succeeds();
    };
    generate("");
    git(&bob, &["clone", "-q", alice.cwd().to_str().unwrap(), "."]);
    bob.run(&["init", "--as", "bob", "--ssh"]).succeeds();
    assert!(!bob.path("~/.config/arcane/identity").exists(), "no other key is made");
    let public = bob.read("~/.ssh/id_ed25519.pub");
    alice.run(&["team", "add", "bob", "--env", "production", "--key", &public]).succeeds();
    let directory = alice.cwd();
    let get = ["-C", directory.to_str().unwrap(), "secrets", "get", "A", "--env", "production"];
    assert_eq!(bob.run(&get).succeeds().stdout, "for ssh");
    let there = alice.path(".arcane/production.age");
    Ran::of(bob.command("age").args(["-d", "-i", path.to_str().unwrap(), there.to_str().unwrap()]))
        .succeeds()
        .says("for ssh");

    generate("open sesame");
    let public = bob.read("~/.ssh/id_ed25519.pub");
    alice.run(&["team", "add", "bob", "--env", "production", "--key", &public]).succeeds();
    bob.run(&get).exits(1).complains("a passphrase is needed, and none was given");
    let line = format!("-C '{}' secrets get A --env production --reveal", directory.display());
    typed(&bob, &line, &["open sesame\n"]).succeeds().says("for ssh").never_says("open sesame");
    typed(&bob, &line, &["wrong\n"]).exits(1).says("the passphrase is wrong").never_says("for ssh");
    let line = format!("-C '{}' secrets get A --env staging --reveal", directory.display());
    typed(&bob, &line, &[]).exits(1).says("not sealed for any key of yours").never_says("Passphrase");
}

#[test]
fn values_come_out_as_they_went_in() {
    let alice = alice();
    let large: Vec<u8> =
        (0..10 * 1024 * 1024_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cases: &[(&[u8], &[u8], &[&str])] = &[
        (b"one line\n", b"one line", &[]),
        (b"one line\r\n", b"one line", &[]),
        (b"one line\n", b"one line\n", &["--exact"]),
        (b"two\nlines\n", b"two\nlines\n", &[]),
        (b"", b"", &[]),
        (b"\n", b"", &[]),
        (&[0, 255, 10], &[0, 255, 10], &[]),
        (&large, &large, &[]),
    ];
    for (given, expected, options) in cases {
        let args = [&["secrets", "set", "A", "--env", "production"][..], options].concat();
        alice.run_with(&args, given).succeeds();
        let output = alice.arcane(&["secrets", "get", "A", "--env", "production"]).output().unwrap();
        assert!(output.status.success() && output.stdout == *expected, "{} bytes", given.len());
    }
    let too_large = vec![b'x'; 16 * 1024 * 1024 + 1];
    alice
        .run_with(&["secrets", "set", "A", "--env", "production"], &too_large)
        .exits(1)
        .complains("the value of A is larger than 16 MiB");
    for (name, expected) in
        [("A=B", "has `=` at character 2"), ("A\nB", r"has `\n` at character 2"), ("", "is empty")]
    {
        alice.run_with(&["secrets", "set", name, "--env", "production"], b"x").exits(2).complains(expected);
    }
    alice.run_with(&["secrets", "set", "A"], b"x").exits(2).complains("the vault has several environments");
    alice
        .run_with(&["secrets", "set", "A", "--env", "prod"], b"x")
        .exits(2)
        .complains("the vault has no environment `prod`")
        .complains("choose from production, staging");
}

#[test]
fn a_terminal_is_shown_nothing_unasked_and_a_typed_value_is_not_echoed() {
    let alice = alice();
    typed(&alice, "secrets set A --env production", &["typed-sentinel\n"])
        .succeeds()
        .says("Value of A in production (not shown):")
        .never_says("typed-sentinel");
    assert_eq!(alice.run(&["secrets", "get", "A", "--env", "production"]).stdout, "typed-sentinel");
    typed(&alice, "secrets set A --env production", &["half\x03"]).exits(130);
    assert_eq!(alice.run(&["secrets", "get", "A", "--env", "production"]).stdout, "typed-sentinel");
    for command in ["get A", "export"] {
        typed(&alice, &format!("secrets {command} --env production"), &[])
            .exits(2)
            .says("add --reveal")
            .never_says("typed-sentinel");
        typed(&alice, &format!("secrets {command} --env production --reveal"), &[])
            .succeeds()
            .says("typed-sentinel");
    }
}

#[test]
fn a_command_gets_the_values_and_takes_our_place() {
    let alice = alice().var("ARCANE_IDENTITY", "");
    let run = |args: &[&str]| alice.run(&[&["run", "--env", "production"][..], args].concat());
    run(&["--", "true"]).exits(2).complains("production holds no secrets");
    alice.run_with(&["secrets", "set", "A", "--env", "production"], b"a value").succeeds();
    alice.run_with(&["secrets", "set", "B", "--env", "production"], b"another").succeeds();
    run(&["--", "sh", "-c", "echo \"$A/$B\"; exit 7"]).exits(7).says("a value/another");
    run(&["--only", "B", "--", "sh", "-c", "echo \"${A-unset}/$B\""]).succeeds().says("unset/another");
    run(&["--only", "B,MISSING", "--", "echo", "started"])
        .exits(2)
        .complains("production has no secret `MISSING`")
        .never_says("started");
    let killed = run(&["--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.code(), None, "it ends by the signal itself");
    run(&["--", "no-such-program"]).exits(1).complains("`no-such-program` cannot be started");

    alice.run_with(&["secrets", "set", "NUL", "--env", "production"], b"\0x").succeeds();
    run(&["--", "true"]).exits(1).complains("`NUL` holds a NUL byte");
    alice.run_with(&["secrets", "set", "NUL", "--env", "production"], &vec![b'x'; 300_000]).succeeds();
    run(&["--", "true"]).exits(1).complains("the values are too large");

    let alice = alice.write("arcane.toml", "[app.shop]\nimage = \"shop:1\"\nsecrets = [\"A\", \"C\"]\n");
    alice
        .run(&["run", "--env", "production", "--", "echo", "started"])
        .exits(2)
        .complains("production has no secret `C`")
        .never_says("started");
    let found = alice.run(&["secrets", "check", "--env", "production", "--json"]).exits(5).json();
    let kinds: Vec<String> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| format!("{} {}", f["name"], f["kind"]))
        .collect();
    assert_eq!(
        kinds,
        [
            r#""C" "missing""#,
            r#""A" "short""#,
            r#""B" "unused""#,
            r#""B" "short""#,
            r#""NUL" "unused""#,
            r#""NUL" "monotonous""#,
        ]
    );
}

#[test]
fn the_key_of_a_machine_comes_from_a_variable_or_a_descriptor_and_goes_no_further() {
    let alice = alice();
    alice.run_with(&["secrets", "set", "A", "--env", "production"], b"a value").succeeds();
    let text = alice.read("~/.config/arcane/identity");
    let key = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let directory = alice.cwd();
    let machine = TestEnv::new();
    let arcane = env!("CARGO_BIN_EXE_arcane");
    let script = format!(
        "'{arcane}' -C '{}' run --env production -- sh -c 'echo \"$A ${{ARCANE_IDENTITY-gone}}\"'",
        directory.display()
    );
    let run = |script: &str, value: &str| {
        Ran::of(machine.command("sh").args(["-c", script]).env("ARCANE_IDENTITY", value))
    };
    run(&script, key).succeeds().says("a value gone");
    let with_descriptor = format!("printf %s \"$KEY\" | {{ {script} 3<&0 </dev/null; }}");
    Ran::of(
        machine.command("sh").args(["-c", &with_descriptor]).env("KEY", key).env("ARCANE_IDENTITY", "fd:3"),
    )
    .succeeds()
    .says("a value gone");
    run(&script, "fd:9")
        .exits(1)
        .complains("file descriptor 9 of ARCANE_IDENTITY cannot be used: it is not open");
    run(&script, "AGE-SECRET-KEY-1NONSENSE")
        .exits(1)
        .complains("ARCANE_IDENTITY cannot be used")
        .never_says("NONSENSE");
    run(&script, "/no/such/file").exits(1).complains("you have no identity here");
    machine
        .run(&["-C", directory.to_str().unwrap(), "secrets", "list", "--env", "production"])
        .exits(1)
        .complains("you have no identity here; looked for ");
}

#[test]
fn a_whole_file_goes_in_and_comes_out() {
    let alice = alice().write(".env", "# ours\nexport A='one two'\nB=\"x\\ny\"\nC=plain # note\n");
    alice
        .run(&["secrets", "import", ".env", "--env", "staging"])
        .succeeds()
        .complains("Set 3 secrets in staging")
        .complains(".env still holds them in the open");
    alice
        .run(&["secrets", "import", ".env", "--env", "staging"])
        .succeeds()
        .complains("3 had their value already");
    let exported = alice.run(&["secrets", "export", "--env", "staging"]).succeeds();
    assert_eq!(exported.stdout, "A=\"one two\"\nB=\"x\\ny\"\nC=plain\n");
    alice.run_with(&["secrets", "import", "-", "--env", "production"], b"A=\"one two\"\nD=4\n").succeeds();
    let diff = alice.run(&["secrets", "diff", "staging", "production", "--json"]).succeeds().json();
    assert_eq!(diff["same"], serde_json::json!(["A"]));
    assert_eq!(diff["only_one"], serde_json::json!(["B", "C"]));
    assert_eq!(diff["only_other"], serde_json::json!(["D"]));
    let alice = alice.write("bad.env", "A=1\nsentinel\n");
    alice
        .run(&["secrets", "import", "bad.env", "--env", "staging"])
        .exits(2)
        .complains("bad.env: line 2 has no `=`")
        .never_says("sentinel");
    alice.run_with(&["secrets", "set", "D", "--env", "staging"], &[255]).succeeds();
    alice.run(&["secrets", "export", "--env", "staging"]).exits(1).complains("can hold D: not text");
    let json = alice.run(&["secrets", "export", "--env", "staging", "--json"]).succeeds().json();
    assert_eq!((&json["C"]["value"], &json["D"]["base64"]), (&"plain".into(), &"/w==".into()));
    alice.run(&["secrets", "remove", "C", "D", "--env", "staging"]).succeeds();
    alice
        .run(&["secrets", "remove", "A", "C", "--env", "staging"])
        .exits(2)
        .complains("staging has no secret `C`");
    alice.run(&["secrets", "get", "A", "--env", "staging"]).succeeds().says("one two");
}

#[test]
fn an_environment_is_edited_in_memory_and_nothing_stays_behind() {
    let alice = alice().var("EDITOR", "sh ./editor.sh");
    alice
        .run_with(&["secrets", "import", "-", "--env", "staging"], b"KEEP=1\nGONE=2\nCHANGED=3\n")
        .succeeds();
    alice.run_with(&["secrets", "set", "BINARY", "--env", "staging"], &[0, 255]).succeeds();
    let edit = ["secrets", "edit", "--env", "staging"];
    let alice = alice.write(
        "editor.sh",
        "df --output=fstype \"$1\" | tail -1 > seen; stat -c %a \"$1\" >> seen; echo \"$1\" >> seen\n\
         sed -i -e /^GONE/d -e 's/^CHANGED=.*/CHANGED=\"a b\"/' \"$1\"; echo NEW=x >> \"$1\"; cp \"$1\" \"$1~\"\n",
    );
    alice.run(&edit).succeeds().complains("Changed 3 secrets in staging: CHANGED, GONE, NEW.");
    let seen = alice.read("seen");
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(seen[..2], ["tmpfs", "600"]);
    let directory = std::path::Path::new(seen[2]).parent().unwrap().to_owned();
    assert!(!directory.exists(), "{} is wiped, with the editor's copy", directory.display());
    let exported = alice.run(&["secrets", "export", "--env", "staging", "--json"]).succeeds().json();
    assert_eq!(
        exported.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["BINARY", "CHANGED", "KEEP", "NEW"]
    );
    assert_eq!(exported["BINARY"]["base64"], "AP8=");

    let before = fs::read(alice.path(".arcane/staging.age")).unwrap();
    for (script, code, expected) in [
        ("exit 3", 1, "the editor ended with exit status: 3; nothing was changed"),
        ("echo nonsense >> \"$1\"", 2, "is not understood: line 6 has no `=`"),
        ("true", 0, "Nothing was changed in staging."),
    ] {
        fs::write(alice.path("editor.sh"), script).unwrap();
        alice.run(&edit).exits(code).complains(expected);
        assert_eq!(fs::read(alice.path(".arcane/staging.age")).unwrap(), before);
    }
}

#[test]
fn an_editor_that_is_interrupted_leaves_nothing_and_a_killed_edit_is_wiped_by_the_next() {
    let alice = alice().var("EDITOR", "sh ./editor.sh");
    alice.run_with(&["secrets", "set", "A", "--env", "staging"], b"sentinel").succeeds();
    fs::write(alice.path("editor.sh"), "echo \"$1\" > seen.new; mv seen.new seen; exec sleep 60").unwrap();
    let begin = || {
        let _ = fs::remove_file(alice.path("seen"));
        let child =
            alice.arcane(&["secrets", "edit", "--env", "staging"]).stderr(Stdio::piped()).spawn().unwrap();
        let seen = eventually("the editor is open", Duration::from_secs(20), || {
            fs::read_to_string(alice.path("seen")).ok().filter(|text| text.ends_with('\n'))
        });
        (child, std::path::PathBuf::from(seen.trim_end()))
    };
    let signal = |child: &std::process::Child, name: &str| {
        Ran::of(alice.command("kill").args([name, &child.id().to_string()])).succeeds();
    };
    let (mut child, file) = begin();
    assert!(fs::read_to_string(&file).unwrap().contains("sentinel"));
    alice
        .run_with(&["secrets", "set", "A", "--env", "staging"], b"other")
        .exits(7)
        .complains("another arcane is changing the vault in ");
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "Ctrl-C is the editor's");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!file.parent().unwrap().exists(), "it was wiped");

    let (mut child, file) = begin();
    signal(&child, "-KILL");
    child.wait().unwrap();
    assert!(file.exists(), "nothing can be done on kill -9");
    fs::write(alice.path("editor.sh"), "true").unwrap();
    alice.run(&["secrets", "edit", "--env", "staging"]).succeeds();
    assert!(!file.parent().unwrap().exists(), "the next edit wiped it");
}

#[test]
fn a_key_can_have_a_passphrase() {
    let env = TestEnv::new();
    typed(&env, "init --as alice --passphrase", &["open sesame\n", "open sesame\n"])
        .succeeds()
        .never_says("open sesame");
    let identity = env.path("~/.config/arcane/identity");
    assert!(env.read("~/.config/arcane/identity").starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    assert_eq!(fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o600);
    env.run(&["secrets", "list"]).exits(1).complains("a passphrase is needed, and none was given");
    typed(&env, "secrets list", &["open sesame\n"]).succeeds().says("production holds no secrets.");
    typed(&env, "secrets list", &["wrong\n"]).exits(1).says("the passphrase is wrong");
    let other = TestEnv::new();
    typed(&other, "init --as alice --passphrase", &["one\n", "two\n"])
        .exits(1)
        .says("the two differ; no key was made");
    assert!(!other.path("~/.config/arcane/identity").exists());
}

#[test]
fn init_may_be_typed_again_and_takes_nothing_away() {
    let alice = alice();
    alice.run_with(&["secrets", "set", "A", "--env", "staging"], b"value").succeeds();
    let identity = alice.read("~/.config/arcane/identity");
    alice.run(&["init", "--env", "staging"]).succeeds().complains("You are alice in the vault in ");
    alice.run(&["init", "--env", "review"]).succeeds().complains("Made the environment review");
    assert_eq!(alice.read("~/.config/arcane/identity"), identity);
    assert_eq!(alice.run(&["secrets", "get", "A", "--env", "staging"]).succeeds().stdout, "value");
    alice.run(&["init", "--as", "bob"]).exits(2).complains("your key is alice's here, not bob's");
    let other = TestEnv::new();
    let directory = alice.cwd();
    other
        .run(&["-C", directory.to_str().unwrap(), "init", "--as", "alice"])
        .exits(2)
        .complains("the team has a alice, with another key");
    alice.run(&["team", "remove", "alice"]).exits(7).complains("alice is the last who can read");
    let empty = TestEnv::new();
    empty.run(&["secrets", "list"]).exits(2).complains("no vault was found in ").complains("arcane init");
}
