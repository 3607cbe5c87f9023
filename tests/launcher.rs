//! The launcher by itself, without a container: what it becomes is what would have run without it, with the secrets on top.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{Ran, TestEnv, app_program, eventually};

const HERE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

fn built(architecture: &str) -> PathBuf {
    Path::new(env!("OUT_DIR")).join(format!("launcher-{architecture}"))
}

/// A directory with the launcher, under the name that it has in a container, and these secrets beside it.
struct Beside(TestEnv);

impl Beside {
    fn new(secrets: &[(&str, &[u8])]) -> Self {
        let env = TestEnv::new();
        // Not a copy: another test that starts something meanwhile would have it open for writing, and it could not be run.
        symlink(built(HERE), env.path("launch")).unwrap();
        let entries = secrets.iter().map(|(name, value)| [name.as_bytes(), b"=", value, b"\0"].concat());
        fs::write(env.path("env"), entries.collect::<Vec<_>>().concat()).unwrap();
        Self(env)
    }

    /// The launcher, about to start this, in an environment with nothing but a path.
    fn launch(&self, words: &[impl AsRef<OsStr>]) -> Command {
        let mut command = self.0.command(self.0.path("launch").to_str().unwrap());
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    /// A program in the working directory that says its name.
    fn script(&self, path: &str, mode: u32) {
        let path = self.0.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\necho \"$0\"\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// What the test app says of how it was started, but for its number.
fn report(command: &mut Command) -> String {
    let ran = Ran::of(command.env("REPORT_ONCE", "1")).succeeds();
    let (pid, rest) = ran.stdout.split_once('\n').unwrap();
    assert!(pid.starts_with("pid "), "{ran}");
    rest.to_owned()
}

#[test]
fn words_and_values_arrive_byte_for_byte() {
    let large = vec![b'x'; 100 * 1024];
    let many: Vec<(String, Vec<u8>)> = (0..600).map(|n| (format!("N{n}"), vec![b'v'; n])).collect();
    let mut secrets: Vec<(&str, &[u8])> = vec![
        ("EMPTY", b""),
        ("HARD", b" a=b\n\"$HOME\" 'x' \\ `id`\t\n"),
        ("BYTES", b"\xff\xfe\x80\x01\x7f"),
        ("LARGE", &large),
        ("OVER", b"ours"),
    ];
    secrets.extend(many.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
    let beside = Beside::new(&secrets);
    let app = app_program();
    let mut words: Vec<OsString> =
        [app.to_str().unwrap(), "report", "a  b", "", "'\"$HOME`", "line\nline", "žluť"]
            .map(OsString::from)
            .to_vec();
    words.push(OsString::from_vec(b"\xff\xfe".to_vec()));
    let inherited = [("OVER", "image"), ("OVERALL", "stays"), ("OVE", "stays"), ("KEPT", "")];

    let launched = report(beside.launch(&words).envs(inherited));
    let mut plain = beside.0.command(words[0].to_str().unwrap());
    plain.args(&words[1..]).env_clear().env("PATH", "/usr/bin:/bin").envs(inherited);
    let values = secrets.iter().map(|(name, value)| (name, OsStr::from_bytes(value)));
    assert_eq!(launched, report(plain.envs(values)));
    assert!(launched.contains("\narg \"\\xff\\xfe\"\n"), "{launched}");
    assert_eq!(launched.matches("\nenv N").count(), 600);
}

#[test]
fn an_entry_that_was_cut_off_is_none() {
    let beside = Beside::new(&[]);
    fs::write(beside.0.path("env"), b"A=1\0SECRET=half").unwrap();
    let env = Ran::of(&mut beside.launch(&["env"])).succeeds();
    assert_eq!(env.stdout, "PATH=/usr/bin:/bin\nA=1\n");
}

#[test]
fn it_is_gone_once_the_app_runs() {
    let beside = Beside::new(&[("A", b"1")]);
    let app = app_program();
    let app = app.to_str().unwrap();
    let child =
        beside.launch(&[app, "report"]).env("REPORT_ONCE", "1").stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.starts_with(&format!("pid {pid}\n")), "{said}");

    Ran::of(&mut beside.launch(&[app, "--exit-after", "0", "--exit-code", "7"])).exits(7);
    Ran::of(&mut beside.launch(&["sh", "-c", "exit 255"])).exits(255);
    // Somebody who handles the signal, and somebody who does not.
    for (script, code, signal) in [("trap 'exit 9' TERM; ", Some(9), None), ("", None, Some(15))] {
        let script = format!("{script}echo up; while :; do sleep 0.05; done");
        let mut child = beside.launch(&["sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut up = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
        kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        let ended = eventually("it ends", Duration::from_secs(5), || child.try_wait().unwrap());
        assert_eq!((ended.code(), ended.signal()), (code, signal), "{script}");
    }
}

#[test]
fn programs_are_found_as_an_engine_finds_them() {
    let beside = Beside::new(&[("A", b"1")]);
    beside.script("first/tool", 0o644);
    beside.script("second/tool", 0o755);
    beside.script("tool", 0o755);
    beside.script("locked", 0o644);
    fs::write(beside.0.path("text"), "no program").unwrap();
    fs::set_permissions(beside.0.path("text"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = |path: &str, words: &[&str]| Ran::of(beside.launch(words).env("PATH", path));

    // What cannot be run is passed over, as is what is not there.
    ran("nowhere:first:second", &["tool"]).succeeds().says("second/tool");
    // The working directory: an empty entry.
    ran("first:", &["tool"]).succeeds().says("./tool");
    ran("/usr/bin", &["second/tool"]).succeeds().says("second/tool");
    ran("/usr/bin", &["./tool"]).succeeds().says("./tool");
    ran(&"x".repeat(5000), &["./tool"]).succeeds();
    Ran::of(beside.launch(&["true"]).env_remove("PATH")).succeeds();

    for (path, word, code, why) in [
        ("/usr/bin", "nobody", 127, "cannot start nobody: no such file"),
        (&"x".repeat(5000), "nobody", 127, "cannot start nobody: no such file"),
        ("/usr/bin", "/no/where", 127, "cannot start /no/where: no such file"),
        ("/usr/bin", "tool/below", 127, "cannot start tool/below: not a directory"),
        ("/usr/bin", "", 127, "the image names no command"),
        ("/usr/bin", "./locked", 126, "cannot start ./locked: permission denied"),
        ("first", "tool", 126, "cannot start tool: permission denied"),
        ("/usr/bin", "./first", 126, "cannot start ./first: permission denied"),
        ("/usr/bin", "./text", 126, "cannot start ./text: not a program for this machine"),
    ] {
        ran(path, &[word]).exits(code).complains(&format!("arcane: {why}"));
    }
    Ran::of(&mut beside.launch(&[""; 0])).exits(127).complains("the image names no command");

    // A path that is itself a secret counts.
    let beside = Beside::new(&[("PATH", b"own")]);
    beside.script("own/tool", 0o755);
    Ran::of(&mut beside.launch(&["tool"])).succeeds().says("own/tool");
}

#[test]
fn nothing_starts_without_its_secrets_and_nothing_of_them_is_said() {
    let beside = Beside::new(&[]);
    fs::remove_file(beside.0.path("env")).unwrap();
    let ran = Ran::of(&mut beside.launch(&["touch", "started"])).exits(78);
    ran.complains("the secrets of this release are not here").complains("`arcane heal` or `arcane push`");
    assert!(!beside.0.path("started").exists());

    let large = [b"t0p5ecret".as_slice(), &vec![b'x'; 128 * 1024]].concat();
    let beside = Beside::new(&[("A", &large)]);
    let ran = Ran::of(&mut beside.launch(&["touch", "started"])).exits(126);
    ran.complains("too large; Linux allows 128 KiB for one variable: use secret_files")
        .never_says("t0p5ecret");
    assert!(!beside.0.path("started").exists());
}

#[test]
#[ignore = "needs qemu-aarch64-static, of Debian's qemu-user-static (380 MB); type: cargo test --test launcher -- --ignored"]
fn the_one_for_arm64_does_the_same() {
    let beside = Beside::new(&[("HARD", b"a\n=\xff"), ("OVER", b"ours"), ("EMPTY", b"")]);
    assert!(fs::metadata(built("arm64")).unwrap().len() > 0, "rustup target add aarch64-unknown-linux-gnu");
    let emulated = |words: &[&str]| {
        let mut command = beside.0.command("qemu-aarch64-static");
        command.arg("-0").arg(beside.0.path("launch")).arg(built("arm64")).args(words).env_clear();
        command.envs([("PATH", "/usr/bin:/bin"), ("OVER", "image")]);
        command
    };
    let app = app_program();
    let words = [app.to_str().unwrap(), "report", "a b", ""];
    // The emulator keeps its own threads, signals and files: what the launcher hands on is compared.
    let told = |text: String| {
        let kept =
            |line: &&str| ["env ", "arg ", "cwd ", "Uid", "Gid"].iter().any(|word| line.starts_with(word));
        text.lines().filter(kept).map(str::to_owned).collect::<Vec<_>>()
    };
    let native = report(beside.launch(&words).env("OVER", "image"));
    assert_eq!(told(report(&mut emulated(&words))), told(native));
    Ran::of(&mut emulated(&["sh", "-c", "exit 7"])).exits(7);
    Ran::of(&mut emulated(&["nobody"])).exits(127).complains("cannot start nobody: no such file");
    fs::remove_file(beside.0.path("env")).unwrap();
    Ran::of(&mut emulated(&["true"])).exits(78);

    let keeper = Keeper::new("arm64");
    keeper.says_all_of(keeper.run("unshare", &["-rm"], STORY));
}

// --- the same program as `arcane-keep` -----------------------------------------------------------------------------

/// What a shell sees of a directory of the host in which secrets are kept.
const STORY: &str = r#"
    keep have run shop r1
    keep add run shop r1 <parcel
    keep have run shop r1
    keep add run shop r1 </dev/null
    keep add run shop r2 <parcel
    (cd run/arcane && find . -type d -printf '%p %m\n' -o -printf '%p %m %s\n' | sort)
    cat run/arcane/shop/r1/launch/env run/arcane/shop/r1/files/LOGO | od -An -tx1 -v
    keep put run shop r3 r1 <parcel
    ls run/arcane/shop
    keep sweep run shop r3 r7
    ls run/arcane/shop
    keep sweep run shop
    ls -A run/arcane
    stat -f -c %T run/arcane
"#;

struct Keeper(TestEnv, String);

impl Keeper {
    /// With a parcel of a launcher, a variable and two files.
    fn new(architecture: &str) -> Self {
        let env = TestEnv::new();
        symlink(built(architecture), env.path("arcane-keep")).unwrap();
        fs::create_dir(env.path("run")).unwrap();
        fs::write(env.path("parcel"), parcel()).unwrap();
        let emulator = if architecture == HERE { "" } else { "qemu-aarch64-static -0 arcane-keep" };
        Self(env, format!("keep() {{ {emulator} ./arcane-keep \"$@\"; }}\n"))
    }

    /// A script in which `keep` is the helper, run by this program: one that gives it a name space of its own, in which it is
    /// root.
    fn run(&self, by: &str, options: &[&str], script: &str) -> Ran {
        let script = format!("{}{script}", self.1);
        Ran::of(self.0.command(by).args(options).args(["sh", "-c", &script]))
    }

    fn says_all_of(&self, ran: Ran) {
        let kept = |release: &str| {
            let names =
                ["", "/files", "/files/EMPTY", "/files/LOGO", "/launch", "/launch/env", "/launch/launch"];
            let modes = ["555", "555", "444 0", "444 3", "555", "444 4", "555 3"];
            let lines =
                names.iter().zip(modes).map(|(name, mode)| format!("./shop/{release}{name} {mode}\n"));
            lines.collect::<String>()
        };
        let expected = format!(
            "absent\nkept\npresent\npresent\nkept\n. 700\n./shop 700\n{}{} 41 3d 31 00 00 ff 0a\nkept\nr1\nr3\nr3\ntmpfs\n",
            kept("r1"),
            kept("r2")
        );
        assert_eq!(ran.succeeds().stdout, expected);
    }
}

fn record(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap();
    [&[kind, u8::try_from(name.len()).unwrap()], size.to_le_bytes().as_slice(), name.as_bytes(), content]
        .concat()
}

fn parcel() -> Vec<u8> {
    let records = [
        record(b'x', "launch", b"ELF"),
        record(b'l', "env", b"A=1\0"),
        record(b'f', "LOGO", b"\0\xff\n"),
        record(b'f', "EMPTY", b""),
        record(b'.', "", b""),
    ];
    records.concat()
}

#[test]
fn secrets_are_kept_in_memory_until_they_are_swept() {
    let keeper = Keeper::new(HERE);
    keeper.says_all_of(keeper.run("unshare", &["-rm"], STORY));
}

#[test]
fn what_does_not_come_whole_is_not_kept() {
    let keeper = Keeper::new(HERE);
    let whole = parcel().len();
    let script = format!(
        "for size in $(seq 0 {}); do
             head -c $size parcel | keep add run shop r1 2>>said && exit 1
             [ -z \"$(ls -A run/arcane/shop)\" ] || exit 2
         done
         # One that was killed in the middle.
         mkdir -p run/arcane/shop/.r1/launch; echo half >run/arcane/shop/.r1/launch/env
         keep add run shop r1 <parcel; ls -A run/arcane/shop run/arcane/shop/r1
         mkdir -p run/arcane/shop/.r2/files; echo half >run/arcane/shop/.r2/files/A
         keep sweep run shop r1; ls -A run/arcane/shop",
        whole - 1
    );
    let ran = keeper.run("unshare", &["-rm"], &script).succeeds();
    assert_eq!(ran.stdout, "kept\nrun/arcane/shop:\nr1\n\nrun/arcane/shop/r1:\nfiles\nlaunch\nr1\n");
    let said = keeper.0.read("said");
    let cut = "arcane: the line ended before the secrets had come; nothing was kept\n";
    assert_eq!(said, cut.repeat(whole));

    // No name leads elsewhere, and nothing is written twice.
    for name in ["../x", ".x", "", "a/b"] {
        let bad = [record(b'f', name, b"1"), record(b'.', "", b"")].concat();
        fs::write(keeper.0.path("parcel"), bad).unwrap();
        let ran = keeper.run("unshare", &["-rm"], "keep add run shop r1 <parcel; echo $?; find run -type f");
        assert_eq!(ran.complains("cannot read what was sent").stdout, "1\n", "{name}");
    }
    let twice = [record(b'f', "A", b"1"), record(b'f', "A", b"2"), record(b'.', "", b"")].concat();
    fs::write(keeper.0.path("parcel"), twice).unwrap();
    keeper.run("unshare", &["-rm"], "keep add run shop r1 <parcel").exits(1).complains("exists already");
    for words in [
        "put run .. r1",
        "put run shop ../r1",
        "put run shop",
        "take run shop r1",
        "put run",
        "sweep run a/b",
    ] {
        keeper.run("unshare", &["-rm"], &format!("keep {words} </dev/null")).exits(2).complains("arcane: ");
    }
}

#[test]
fn secrets_are_never_kept_on_a_disk_or_where_others_look() {
    let keeper = Keeper::new(HERE);
    // Root of a name space that may not mount.
    let ran = keeper.run("unshare", &["-r"], "keep add run shop r1 <parcel").exits(1);
    ran.complains("would be on a disk");
    assert_eq!(fs::read_dir(keeper.0.path("run/arcane")).unwrap().count(), 0);
    let open =
        "mkdir -p run/arcane; mount -t tmpfs -o mode=0755 tmpfs run/arcane; keep add run shop r1 <parcel";
    keeper.run("unshare", &["-rm"], open).exits(1).complains("is not root's alone");
    let full = "mkdir -p run/arcane; mount -t tmpfs -o mode=0700,size=8k tmpfs run/arcane
                keep add run shop r1 <large; echo $?; find run/arcane -mindepth 2";
    fs::write(keeper.0.path("large"), [record(b'f', "A", &vec![1; 1 << 20]), record(b'.', "", b"")].concat())
        .unwrap();
    let ran = keeper.run("unshare", &["-rm"], full).complains("no room in memory");
    assert_eq!(ran.stdout, "1\n");
}
