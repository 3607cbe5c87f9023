//! A thief's story: a value that exists nowhere else goes through everything that can happen to a release, and is then
//! looked for everywhere but in memory. The same search finds what plain `docker run -e` leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::cell::RefCell;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

/// A value, and all that it may be written as.
struct Sentinel {
    value: String,
    forms: Vec<String>,
}

impl Sentinel {
    /// One that was never there before, with all that has to be escaped somewhere.
    fn new(name: &str) -> Self {
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let value = format!("{name}/{nanos:x}+\"quo te\"&\\%{}", std::process::id());
        let mut forms = vec![value.clone(), HEXLOWER.encode(value.as_bytes())];
        for shift in 0..3 {
            // What stands at another place in a longer text is other characters in base64, but for those at the edges.
            let shifted = [vec![b'x'; shift], value.clone().into_bytes()].concat();
            for encoded in [BASE64.encode(&shifted), BASE64URL.encode(&shifted)] {
                forms.push(encoded[4..encoded.len() - 4].to_owned());
            }
        }
        let escape = |keep: fn(char) -> bool, with: fn(u8) -> String| -> String {
            value.chars().map(|c| if keep(c) { c.to_string() } else { with(c as u8) }).collect()
        };
        forms.push(escape(|c| c.is_ascii_alphanumeric(), |byte| format!("%{byte:02X}")));
        forms.push(escape(|c| c.is_ascii_alphanumeric(), |byte| format!("%{byte:02x}")));
        forms.push(escape(|c| !matches!(c, '"' | '\\'), |byte| format!("\\{}", byte as char)));
        // What a shell or a debug print would make of a part of it.
        forms.push(format!("{name}/{nanos:x}"));
        Self { value, forms }
    }

    fn is_in(&self, text: &str) -> Option<&String> {
        self.forms.iter().find(|form| text.contains(form.as_str()))
    }

    #[track_caller]
    fn is_not_in(&self, what: &str, text: &str) {
        if let Some(form) = self.is_in(text) {
            let at = text.find(form.as_str()).unwrap();
            let around = &text.as_bytes()[at.saturating_sub(100)..(at + 200).min(text.len())];
            panic!("the secret is in {what}: …{}…", String::from_utf8_lossy(around));
        }
    }

    /// The files of a host, outside its memory, that hold it.
    fn files_on(&self, host: &LabHost) -> Vec<String> {
        let patterns = BASE64.encode(self.forms.join("\n").as_bytes());
        // What was written a moment ago, too.
        host.console(&format!("echo {patterns} | base64 -d > /run/lab/patterns; sync")).succeeds();
        // By path: a layer of an image may have a directory `run`, too.
        let found = host.console(
            "find / \\( -path /proc -o -path /sys -o -path /dev -o -path /run \\) -prune -o -type f -print0 \
             | xargs -0 grep -aFlsf /run/lab/patterns; true",
        );
        host.console("rm /run/lab/patterns").succeeds();
        found.text().lines().map(str::to_owned).collect()
    }

    /// The files of a directory of this machine that hold it.
    fn files_in(&self, directory: &std::path::Path) -> Vec<String> {
        let patterns = std::env::temp_dir().join(format!("sentinel-{}", std::process::id()));
        fs::write(&patterns, self.forms.join("\n")).unwrap();
        let found = Ran::of(Command::new("grep").arg("-raFlf").arg(&patterns).arg(directory));
        fs::remove_file(&patterns).unwrap();
        found.text().lines().map(str::to_owned).collect()
    }
}

/// What anybody sees who may use the engine: containers, images, logs.
fn shown(host: &LabHost) -> String {
    host.console(
        "docker inspect $(docker ps -aq) $(docker images -q) 2>&1; for i in $(docker images -q); do docker history --no-trunc $i; done; \
         for c in $(docker ps -aq); do docker logs $c 2>&1; docker top $c 2>/dev/null; done; docker events --since 30m --until 0s",
    )
    .stdout
}

/// What a copy of a running container holds.
fn copied(host: &LabHost) -> usize {
    let saved = host.console(
        "docker commit shop stolen >/dev/null && docker save stolen -o /tmp/stolen.tar && docker export shop -o /tmp/shop.tar \
         && mkdir -p /tmp/s && tar -xf /tmp/stolen.tar -C /tmp/s && for l in /tmp/s/*/layer.tar; do cp $l /tmp/s/$(basename $(dirname $l)).tar; done; \
         wc -c < /tmp/stolen.tar",
    );
    saved.text().lines().last().and_then(|size| size.parse().ok()).unwrap_or(0)
}

fn clear_copies(host: &LabHost) {
    host.console("rm -rf /tmp/stolen.tar /tmp/shop.tar /tmp/s; docker rmi stolen >/dev/null").succeeds();
}

/// Looks at the command lines and the public part of the processes of host and machine while `work` is done.
fn watched<T>(host: &LabHost, sentinel: &Sentinel, work: impl FnOnce() -> T) -> T {
    let (ended, seen) = (AtomicBool::new(false), Mutex::new(String::new()));
    let looked = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let ours = Ran::of(Command::new("ps").args(["-ww", "-eo", "args"])).stdout;
                seen.lock().unwrap().push_str(&ours);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let theirs =
                    host.console("for i in 1 2 3 4 5 6 7 8; do ps -ww -eo args; sleep 0.02; done").stdout;
                seen.lock().unwrap().push_str(&theirs);
            }
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        done
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen.contains("dockerd"), "nothing was seen of the host");
    sentinel.is_not_in("the command line of a process", &seen);
    looked
}

fn shop(version: u8, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"sentinel-story:{version}\"\nports = [8000]\nport = 8080\nmemory = \"64m\"\nprove = \"1s\"\nkeep = 2\n\
         stop_timeout = \"2s\"\nsecrets = [\"TOKEN\"]\nenv.NEED_ENV = \"TOKEN\"\n{more}\n\
         health = {{ http = \"/healthz\", within = \"5s\" }}\n[app.shop.heal]\nmode = \"auto\"\nverify = \"1s\"\n"
    )
}

fn answers(host: &LabHost, version: &str) {
    eventually(&format!("the app answers {version}"), Duration::from_secs(20), || {
        let answer = Ran::of(Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]));
        (answer.text() == version).then_some(())
    });
}

#[test]
fn a_secret_is_nowhere_but_in_memory() {
    let host = Lab::host();
    for version in 1..=3 {
        image(&format!("sentinel-story:{version}"), &[("VERSION", &version.to_string())]);
    }
    let sentinel = Sentinel::new("pushed");
    let env = TestEnv::new().fleet(&[&host]).var("ARCANE_LOG", "trace");
    let env = env.write("arcane.toml", &shop(1, "env.LEAK_ON_REQUEST = \"400\""));
    let said = RefCell::new(Vec::new());
    let run = |env: &TestEnv, args: &[&str], code: i32| {
        let ran = env.run(args).exits(code);
        said.borrow_mut().push(format!("{ran}"));
    };
    env.run(&["init", "--env", "production", "--as", "ada"]).succeeds();
    env.run_with(&["secrets", "set", "TOKEN"], sentinel.value.as_bytes()).succeeds();
    watched(&host, &sentinel, || run(&env, &["push"], 0));
    answers(&host, "1");

    // The app has it, and whoever reads the memory of its process as root.
    let own = host.console("cat /proc/$(docker inspect -f '{{.State.Pid}}' shop)/environ").succeeds();
    assert!(own.stdout.contains(&format!("TOKEN={}\0", sentinel.value)), "the app does not have it");

    // It crashes, and the engine starts it again without us.
    let _ = Ran::of(Command::new("curl").args([
        "-s",
        "--max-time",
        "10",
        &format!("{}/leak", host.app_url(8000)),
    ]));
    eventually("the engine has restarted it", Duration::from_secs(30), || {
        let count = host.docker(&["inspect", "-f", "{{.RestartCount}} {{.State.Running}}", "shop"]);
        (count.text() != "0 true" && count.text().ends_with("true")).then_some(())
    });
    answers(&host, "1");
    // A release that fails, one that does not, a release gone back to, one made anew.
    let env = env.write("arcane.toml", &shop(2, "env.REFUSE_HEALTH = \"1\""));
    watched(&host, &sentinel, || run(&env, &["push", "--json"], 4));
    let env = env.write("arcane.toml", &shop(3, ""));
    run(&env, &["push"], 0);
    answers(&host, "3");
    watched(&host, &sentinel, || run(&env, &["rollback"], 0));
    answers(&host, "1");
    host.dockerd("restart");
    answers(&host, "1");

    // Without warning, and without anybody to bring the secret: closed, and said why.
    host.power_loss();
    eventually("the engine has tried to start it", Duration::from_secs(30), || {
        let tried = host.docker(&["inspect", "-f", "{{.State.Running}} {{.State.Error}}", "shop"]);
        tried.text().contains("false").then_some(()).filter(|()| tried.stdout.contains("/run/arcane/shop/"))
    });
    let status = env.run(&["status"]).complains("arcane heal --once");
    said.borrow_mut().push(format!("{status}"));
    watched(&host, &sentinel, || run(&env, &["heal", "--auto", "--once"], 0));
    answers(&host, "1");
    for args in [
        &["status", "--json"][..],
        &["releases", "shop", "--json"],
        &["incidents", "--json"],
        &["logs", "shop"],
        &["doctor", &host.name()],
    ] {
        said.borrow_mut().push(format!("{}", env.run(args)));
    }

    sentinel.is_not_in("what the engine shows", &shown(&host));
    assert!(copied(&host) > 10_000, "nothing was copied");
    assert_eq!(sentinel.files_on(&host), [""; 0]);
    clear_copies(&host);
    sentinel.is_not_in("what arcane said", &said.borrow().join("\n"));
    assert_eq!(sentinel.files_in(&env.home()), [""; 0]);
    assert_eq!(sentinel.files_in(&env.cwd()), [""; 0]);

    // Removed: nothing in memory either.
    host.console("docker rm -f $(docker ps -aq)").succeeds();
    env.run(&["prune", "shop"]).succeeds();
    assert_eq!(host.console("find /run/arcane -mindepth 1").text(), "");
    assert_eq!(sentinel.files_on(&host), [""; 0]);
}

#[test]
fn the_same_search_finds_what_docker_itself_leaves() {
    let host = Lab::host();
    image("sentinel-plain:1", &[("VERSION", "1")]);
    host.load(&["sentinel-plain:1"]);
    let sentinel = Sentinel::new("plain");
    let value = &sentinel.value;
    let plain = format!("TOKEN={value}");
    host.docker(&["run", "-d", "--name", "shop", "-e", &plain, "sentinel-plain:1"]).succeeds();
    assert!(sentinel.is_in(&shown(&host)).is_some(), "docker inspect should show it");
    assert!(copied(&host) > 10_000, "nothing was copied");
    // What a bind mount that is not there, or `docker cp`, would leave.
    let planted = format!(
        "mkdir -p /tmp/root/run/secrets && echo {} > /tmp/root/run/secrets/TOKEN && docker cp /tmp/root/run shop:/",
        BASE64.encode(value.as_bytes())
    );
    host.console(&planted).succeeds();
    let files = sentinel.files_on(&host);
    for kept in ["config.v2.json", "/tmp/stolen.tar", "/diff/run/secrets/TOKEN"] {
        assert!(files.iter().any(|file| file.contains(kept)), "{kept} should hold it: {files:#?}");
    }
    clear_copies(&host);
}
