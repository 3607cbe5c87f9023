//! Story: images of every form get their secrets, and are otherwise started just as an engine starts them without: each is
//! run by this machine's engine, too, and has to say the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Mutex;

use support::{Lab, LabHost, Ran, TestEnv, image_with};

/// An app, and how its image is made.
struct Form {
    name: &'static str,
    /// Options of `lab app`.
    options: &'static [&'static str],
    /// The last lines of the Dockerfile.
    end: &'static str,
    /// More of arcane.toml.
    toml: &'static str,
    /// Its `command` there.
    command: &'static [&'static str],
}

impl Form {
    const fn new(name: &'static str, end: &'static str) -> Self {
        Self {
            name,
            options: &[],
            end,
            toml: "health = { command = [\"/app\", \"need\", \"API_KEY\"] }",
            command: &[],
        }
    }

    /// In an image with a shell.
    const fn shell(name: &'static str, end: &'static str) -> Self {
        Self { options: &["--shell"], ..Self::new(name, end) }
    }

    const fn with(self, toml: &'static str) -> Self {
        Self { toml, ..self }
    }

    fn tag(&self) -> String {
        format!("form-story:{}", self.name)
    }

    fn make(&self) {
        image_with(&self.tag(), &[("OVER", "image")], &[self.options, &["--end", self.end]].concat());
    }
}

const DOCKER: &str = "health = { docker = true }";

const FORMS: [Form; 7] = [
    Form::new("words", "CMD [\"/app\", \"report\"]").with(
        "release = [\"/app\", \"need\", \"API_KEY\"]\nhealth = { command = [\"/app\", \"need\", \"API_KEY\"] }",
    ),
    Form {
        command: &["report", "own  words", "", "ž"],
        ..Form::new("own", "ENTRYPOINT [\"/app\"]\nCMD [\"report\", \"the image's\"]")
    },
    Form::new("relative", "WORKDIR /srv\nENTRYPOINT [\"\"]\nCMD [\"../app\", \"report\", \"x\"]"),
    Form::new("path", "ENV PATH=/nowhere:/srv:/\nWORKDIR /srv\nENTRYPOINT [\"app\", \"report\"]"),
    Form::shell(
        "line",
        "USER 1000\nHEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD test \"$API_KEY\" = 'k3y of  ada'\n\
         CMD /app report \"$API_KEY\" $API_KEY",
    )
    .with(DOCKER),
    Form::shell(
        "named",
        "RUN echo web:x:1500:1501::/home/web:/bin/sh >/etc/passwd && echo team:x:1502:web >/etc/group\nUSER web\n\
         SHELL [\"/bin/busybox\", \"ash\", \"-ec\"]\n\
         HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD test -n \"$API_KEY\"\n\
         ENTRYPOINT exec /app report \"$API_KEY\" \"$@\"\nCMD [\"zero\", \"one  two\"]",
    )
    .with(DOCKER),
    Form::shell("waits", "CMD trap 'exit 9' TERM; echo has $API_KEY; while :; do sleep 0.1; done")
        .with("health = { command = [\"test\", \"-f\", \"/run/secrets/API_KEY\"] }"),
];

/// This one gets everything.
const ALL: Form = Form::new(
    "all",
    "WORKDIR /srv/deep\nUSER 1234:99\n\
     HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD [\"/app\", \"need\", \"API_KEY\"]\n\
     ENTRYPOINT [\"/app\", \"report\"]\nCMD [\"a  b\", \"\", \"'\\\"$HOME\", \"l\\nl\", \"žluť\"]",
)
.with(DOCKER);

/// Those that cannot run, and what a push says of them.
const BROKEN: [(Form, &[&str]); 4] = [
    (Form::new("nobody", "CMD [\"nobody\"]"), &["it exited", "arcane: cannot start nobody: no such file"]),
    (
        Form::new("text", "CMD [\"/release\"]"),
        &["it exited", "arcane: cannot start /release: permission denied"],
    ),
    (Form::new("seven", "ENTRYPOINT [\"/app\"]\nCMD [\"--exit-code\", \"7\"]"), &["it exited"]),
    (Form::new("nothing", ""), &["the image names no command", "nothing was changed there"]),
];

const KEY: &str = "k3y of  ada";

fn declared() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("API_KEY".to_owned(), KEY.into()),
        ("OVER".to_owned(), b"vault".to_vec()),
        ("EMPTY".to_owned(), Vec::new()),
        ("HARD".to_owned(), b" a=b\n\"$HOME\" 'x' \\ `id`\t\n".to_vec()),
        ("BYTES".to_owned(), b"\xff\xfe\x80\x01".to_vec()),
        ("LARGE".to_owned(), vec![b'x'; 100 * 1024]),
    ];
    all.extend((0..500).map(|n| (format!("N{n}"), format!("value {n}").into_bytes())));
    all
}

/// Three megabytes in which every byte occurs.
fn logo() -> Vec<u8> {
    (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// As the test app writes it: length, and FNV-1a.
fn digest(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{}:{:016x}", bytes.len(), bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The lines of a report that begin with none of these, nor with what differs between any two containers; and no files.
fn lines(text: &str, without: &[&str]) -> Vec<String> {
    let passing = ["env HOSTNAME=", "env REPORT_ONCE=", "listening on", "file "];
    let is_kept = |line: &&str| !passing.iter().chain(without).any(|word| line.starts_with(word));
    text.lines().filter(is_kept).map(str::to_owned).collect()
}

/// What this machine's engine makes of the image, with this secret as a plain variable.
fn plainly(form: &Form, without: &[&str]) -> Vec<String> {
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "-e", "REPORT_ONCE=1", "-e", &format!("API_KEY={KEY}"), "-e", "OVER=vault"]);
    lines(&Ran::of(command.arg(form.tag()).args(form.command)).succeeds().stdout, without)
}

fn state(host: &LabHost, app: &str) -> String {
    let format = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
    host.docker(&["inspect", "-f", format, app]).succeeds().text().to_owned()
}

/// Does all of them, three at a time: what takes time is mostly waiting.
fn each<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let left = Mutex::new(all.iter());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    let Some(one) = next else { return };
                    work(one);
                }
            });
        }
    });
}

#[test]
fn an_image_of_any_form_is_started_as_it_would_be_with_secrets_on_top() {
    let host = Lab::host();
    let broken = BROKEN.iter().map(|(form, _)| form);
    let made: Vec<&Form> = [&ALL].into_iter().chain(&FORMS).chain(broken).collect();
    let names: Vec<String> = declared().into_iter().map(|(name, _)| name).collect();
    let mut toml = String::new();
    for form in &made {
        let all = format!("{names:?}\nsecret_files = [\"LOGO\", \"MARK\"]\nstop_timeout = \"5s\"");
        let secrets = if form.name == ALL.name { &all } else { "[\"API_KEY\", \"OVER\"]" };
        let Form { name, toml: more, command, .. } = form;
        write!(toml, "[app.{name}]\nimage = \"{}\"\nsecrets = {secrets}\n{more}\n", form.tag()).unwrap();
        if !command.is_empty() {
            writeln!(toml, "command = {command:?}").unwrap();
        }
    }
    let env = TestEnv::new().fleet(&[&host]).write("arcane.toml", &toml).vault("production", &[]);
    for (name, value) in declared().iter().take(6) {
        env.set("production", name, value);
    }
    let many = (0..500).fold(String::new(), |text, n| text + &format!("N{n}='value {n}'\n"));
    env.run_with(&["secrets", "import", "-", "--env", "production"], many.as_bytes()).succeeds();
    env.set("production", "LOGO", &logo());
    env.set("production", "MARK", b"");
    each(&made, |form| form.make());

    let push = |app: &str| env.run(&["push", app, "--env", "production", "--wait", "60s"]);
    each(&made[..=FORMS.len()], |form| _ = push(form.name).succeeds().never_says(KEY));
    each(&FORMS, |form| {
        let logs = host.docker(&["logs", form.name]).succeeds();
        if form.name != "waits" {
            assert_eq!(lines(&logs.stdout, &[]), plainly(form, &[]), "{}", form.name);
        }
    });
    everything(&host);

    // Signals reach the app, and its exit code is the container's; it is started again without us.
    host.docker(&["logs", "waits"]).succeeds().says("has k3y of ada");
    host.docker(&["stop", "-t", "20", "waits"]).succeeds();
    assert_eq!(state(&host, "waits"), "exited 9 0");
    host.docker(&["start", "waits"]).succeeds();
    assert_eq!(state(&host, "waits"), "running 0 0");

    each(&BROKEN, |(form, words)| {
        let ran = push(form.name);
        assert!(!ran.status.success(), "{ran}");
        words.iter().fold(ran, |ran, word| ran.complains(word)).never_says(KEY);
    });
    // An engine that starts it again at once leaves no code to tell of: it is asked what it saw.
    let format = "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}";
    let died = ["events", "--since", "5m", "--until", "0s", "--filter", "event=die", "--format", format];
    let died = host.docker(&died).succeeds();
    ["nobody_new 127\n", "text_new 126\n", "seven_new 7\n"].iter().fold(died, |died, one| died.says(one));
    let kept = host.console("ls /run/arcane").succeeds();
    let mut alive: Vec<&str> = made[..=FORMS.len()].iter().map(|form| form.name).collect();
    alive.sort_unstable();
    assert_eq!(kept.text().lines().collect::<Vec<_>>(), alive, "of those that failed nothing is left");
}

/// The one that gets everything has it, to the byte.
fn everything(host: &LabHost) {
    let said = host.docker(&["logs", ALL.name]).succeeds().stdout;
    assert_eq!(lines(&said, &["env "]), plainly(&ALL, &["env "]));
    assert!(said.starts_with("pid 1\n"), "{said}");
    let sorted = |lines: &mut dyn Iterator<Item = String>| lines.collect::<BTreeSet<_>>();
    let of = |kind: &'static str| {
        sorted(&mut said.lines().filter(|line| line.starts_with(kind)).map(str::to_owned))
    };
    let line = |kind: &str, (name, value): &(String, Vec<u8>)| format!("{kind}{name}={}", digest(value));
    let variables = sorted(&mut declared().iter().map(|one| line("env ", one)));
    let own =
        |line: &String| ["env HOME=", "env HOSTNAME=", "env PATH="].iter().any(|word| line.starts_with(word));
    assert_eq!(of("env ").into_iter().filter(|line| !own(line)).collect::<BTreeSet<_>>(), variables);
    let files = [("LOGO".to_owned(), logo()), ("MARK".to_owned(), Vec::new())];
    let files = sorted(&mut declared().iter().chain(&files).map(|one| line("file /run/secrets/", one)));
    assert_eq!(of("file "), files);
}
