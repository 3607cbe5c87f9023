//! A user who has nothing but what the test gave them: a home, a working directory, an environment.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{LabHost, Ran, lab};

pub(crate) struct TestEnv {
    root: PathBuf,
    variables: Vec<(String, String)>,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("arcane-test-{}-{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let env = Self { root: env::temp_dir().join(name), variables: Vec::new() };
        for directory in [env.cwd(), env.home().join(".ssh"), env.root.join("tmp")] {
            fs::create_dir_all(directory).expect("the temporary directory is writable");
        }
        set_mode(&env.home().join(".ssh"), 0o700);
        env
    }

    /// Where arcane runs: the project's directory.
    pub(crate) fn cwd(&self) -> PathBuf {
        self.root.join("project")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Write a file; its path is relative to the working directory, or begins with `~/`.
    pub(crate) fn write(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory is ours");
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        self
    }

    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        path.strip_prefix("~/").map_or_else(|| self.cwd().join(path), |rest| self.home().join(rest))
    }

    /// An environment variable for every run.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Know these hosts: in fleet.toml, in known_hosts, and with a key that opens them.
    pub(crate) fn fleet(self, hosts: &[&LabHost]) -> Self {
        let state = lab::state();
        let mut fleet = String::new();
        for host in hosts {
            writeln!(fleet, "[host.{}]\nssh = \"{}\"\n", host.name(), host.target())
                .expect("strings take all");
        }
        let read = |name| fs::read_to_string(state.join(name)).expect("the lab has keys once a host is up");
        let env = self
            .write("fleet.toml", &fleet)
            .write("~/.ssh/known_hosts", &read("known_hosts"))
            .write("~/.ssh/id_ed25519", &read("id_ed25519"))
            .write("~/.ssh/id_ed25519.pub", &read("id_ed25519.pub"));
        set_mode(&env.path("~/.ssh/id_ed25519"), 0o600);
        env
    }

    /// The program under test, in this environment and no other.
    pub(crate) fn arcane(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_arcane"));
        command.args(args);
        command
    }

    /// Any other program in this environment: git, say.
    pub(crate) fn command(&self, program: &str) -> Command {
        let home = self.home();
        let mut command = Command::new(program);
        command
            .current_dir(self.cwd())
            .stdin(Stdio::null())
            .env_clear()
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("TMPDIR", self.root.join("tmp"))
            .envs([("USER", "tester"), ("LANG", "C.UTF-8"), ("TZ", "UTC"), ("TERM", "dumb")])
            .envs([
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_AUTHOR_NAME", "tester"),
                ("GIT_AUTHOR_EMAIL", "tester@example.com"),
            ])
            .envs([("GIT_COMMITTER_NAME", "tester"), ("GIT_COMMITTER_EMAIL", "tester@example.com")]);
        // How to find programs and this machine's engine belongs to the machine, not to the user.
        for name in ["PATH", "DOCKER_HOST", "LLVM_PROFILE_FILE"] {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a push and returns when one of its lines of JSON is it. What it says from there on has nobody to read it, as
    /// when its terminal is gone: that must not matter.
    #[track_caller]
    pub(crate) fn push_until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Child {
        let mut child =
            self.arcane(&["push", "--json"]).stdout(Stdio::piped()).spawn().expect("arcane starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let said = lines.any(|line| is_it(&line.expect("lines of text")));
        assert!(said, "the push ended before {what}: {:?}", child.wait());
        child
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.arcane(args))
    }

    /// The same, with these bytes on its standard input: a value for `secrets set`.
    #[track_caller]
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let path = self.root.join("tmp/input");
        fs::write(&path, input).expect("the directory is ours");
        let file = fs::File::open(&path).expect("it was just written");
        fs::remove_file(&path).expect("the directory is ours");
        Ran::of(self.arcane(args).stdin(file))
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's files are kept: {}", self.root.display());
        } else {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}
