//! Real hosts to test against: `tests/lab/lab` seen from Rust.
//!
//! A test takes a host, has it to itself until the guard is dropped, and gets it fresh. Where the lab cannot run, a test
//! that needs it fails and says why: it is never skipped.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Ran;

pub(crate) struct Lab;

impl Lab {
    /// A free host of the pool, as fresh. Waits for one; needs several at once: [`Lab::hosts`].
    pub(crate) fn host() -> LabHost {
        Self::hosts(1).remove(0)
    }

    /// Several hosts, taken together: two tests that took theirs one by one could wait for each other for ever.
    pub(crate) fn hosts(count: usize) -> Vec<LabHost> {
        assert!(count <= pool_size(), "{count} hosts wanted of {}: raise ARCANE_LAB_HOSTS", pool_size());
        let locks = take_locks(count);
        let hosts: Vec<LabHost> =
            locks.into_iter().map(|(number, lock)| LabHost { number, _lock: lock }).collect();
        std::thread::scope(|scope| {
            for host in &hosts {
                scope.spawn(|| host.reset());
            }
        });
        hosts
    }
}

/// One host, held until dropped.
pub(crate) struct LabHost {
    number: usize,
    _lock: File,
}

impl LabHost {
    pub(crate) fn name(&self) -> String {
        format!("lab{}", self.number)
    }

    pub(crate) fn port(&self) -> u16 {
        port_setting("LAB_PORT_BASE", 2200) + self.number as u16
    }

    /// As fleet.toml names it.
    pub(crate) fn target(&self) -> String {
        format!("root@127.0.0.1:{}", self.port())
    }

    /// Where this machine reaches a port of the host: one of 8000 to 8009, 80 or 443.
    pub(crate) fn app_port(&self, port: u16) -> u16 {
        let offset = match port {
            8000..=8009 => port - 8000,
            80 => 80,
            443 => 43,
            _ => panic!("port {port} of a lab host is not published: use 8000 to 8009, 80 or 443"),
        };
        port_setting("LAB_APP_BASE", 18000) + 100 * self.number as u16 + offset
    }

    pub(crate) fn app_url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{}", self.app_port(port))
    }

    /// A command line of the host's shell, as root.
    #[track_caller]
    pub(crate) fn ssh(&self, command: &str) -> Ran {
        self.lab("ssh", &[command])
    }

    /// The same as the user `deploy`, who is in the group docker and nothing else.
    #[track_caller]
    pub(crate) fn ssh_as_deploy(&self, command: &str) -> Ran {
        Ran::of(script(&["ssh", &self.number.to_string(), command]).env("LAB_USER", "deploy"))
    }

    /// A command on the host, as root, that needs no network.
    #[track_caller]
    pub(crate) fn console(&self, command: &str) -> Ran {
        self.lab("console", &[command])
    }

    /// Docker on the host.
    #[track_caller]
    pub(crate) fn docker(&self, args: &[&str]) -> Ran {
        self.lab("docker", args)
    }

    /// Its containers, each with its state: `shop running`, in the order of their names.
    #[track_caller]
    pub(crate) fn containers(&self) -> Vec<String> {
        let names = self.docker(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).succeeds();
        let mut names: Vec<_> = names.text().lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Bring images of this machine's engine to the host.
    #[track_caller]
    pub(crate) fn load(&self, tags: &[&str]) {
        self.lab("load", tags).succeeds();
    }

    /// From now on every packet is dropped without a word.
    #[track_caller]
    pub(crate) fn cut(&self) {
        self.lab("cut", &[]).succeeds();
    }

    /// The network is gone and connections die at once.
    #[track_caller]
    pub(crate) fn cut_hard(&self) {
        self.lab("cut", &["--hard"]).succeeds();
    }

    #[track_caller]
    pub(crate) fn mend(&self) {
        self.lab("mend", &[]).succeeds();
    }

    /// Every process of the host, its containers included, stands still.
    #[track_caller]
    pub(crate) fn freeze(&self) {
        self.lab("freeze", &[]).succeeds();
    }

    #[track_caller]
    pub(crate) fn thaw(&self) {
        self.lab("thaw", &[]).succeeds();
    }

    /// An orderly restart.
    #[track_caller]
    pub(crate) fn reboot(&self) {
        self.lab("reboot", &[]).succeeds();
    }

    /// A restart without a warning.
    #[track_caller]
    pub(crate) fn power_loss(&self) {
        self.lab("reboot", &["--hard"]).succeeds();
    }

    /// restart, stop, start or kill the host's engine.
    #[track_caller]
    pub(crate) fn dockerd(&self, action: &str) {
        self.lab("dockerd", &[action]).succeeds();
    }

    /// For new connections, until the host is reset.
    #[track_caller]
    pub(crate) fn sshd_option(&self, option: &str, value: &str) {
        self.lab("sshd", &[option, value]).succeeds();
    }

    /// A slow line for new ssh connections: `slow("40ms", "50mbit")`.
    #[track_caller]
    pub(crate) fn slow(&self, round_trip: &str, rate: &str) {
        self.lab("slow", &[round_trip, rate]).succeeds();
    }

    /// The engine answers the first request that fits, as in `refuse("POST /start")`, with an error. For new connections.
    #[track_caller]
    pub(crate) fn refuse(&self, request: &str) {
        self.lab("refuse", &[request]).succeeds();
    }

    #[track_caller]
    pub(crate) fn reset(&self) {
        self.lab("reset", &[]).succeeds();
    }

    #[track_caller]
    fn lab(&self, command: &str, args: &[&str]) -> Ran {
        let number = self.number.to_string();
        let words: Vec<&str> = [command, &number].into_iter().chain(args.iter().copied()).collect();
        Ran::of(script(&words).env("ARCANE_LAB_HELD", &number))
    }
}

/// An image of the test app (tests/lab/apps/failing.rs) in this machine's engine: `image("shop:1", &[("VERSION", "1")])`.
/// The engine is shared: a tag that no other test uses.
#[track_caller]
pub(crate) fn image(tag: &str, env: &[(&str, &str)]) {
    image_with(tag, env, &[]);
}

/// The same with options of `lab app`: `--size 50M`, `--seed WORD`, `--healthcheck`, `--shell`, `--end LINES`.
#[track_caller]
pub(crate) fn image_with(tag: &str, env: &[(&str, &str)], options: &[&str]) {
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let words: Vec<&str> = ["app", tag]
        .into_iter()
        .chain(env.iter().map(String::as_str))
        .chain(options.iter().copied())
        .collect();
    Ran::of(&mut script(&words)).succeeds();
}

/// The test app's program on this machine, for its modes.
#[track_caller]
pub(crate) fn app_program() -> PathBuf {
    Ran::of(&mut script(&["app-path"])).succeeds().text().into()
}

pub(super) fn script(words: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab"));
    command.args(words).stdin(Stdio::null());
    command
}

/// Where the script keeps keys and locks; the same rule as in tests/lab/lib/common.sh.
pub(super) fn state() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ARCANE_LAB_STATE").unwrap_or_else(|| {
        let home = || set("HOME").unwrap_or_else(|| "/root".into()).join(".cache");
        set("XDG_CACHE_HOME").unwrap_or_else(home).join("arcane-lab")
    })
}

fn pool_size() -> usize {
    env::var("ARCANE_LAB_HOSTS").map_or(4, |text| text.parse().expect("ARCANE_LAB_HOSTS is a number"))
}

fn port_setting(name: &str, default: u16) -> u16 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no port")))
}

/// Free hosts, whoever on this machine asks: other tests, other checkouts. The kernel frees what a killed test held.
fn take_locks(count: usize) -> Vec<(usize, File)> {
    let directory = state();
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("cannot create {}: {error}", directory.display()));
    // One chooses at a time, so that whoever wants several gets them before those who came later.
    let choosing = open(&directory.join("choose.lock"));
    choosing.lock().expect("the lock file is ours");
    let mut taken = Vec::new();
    let started = Instant::now();
    loop {
        for number in 1..=pool_size() {
            if taken.len() < count && taken.iter().all(|(other, _)| *other != number) {
                let lock = open(&directory.join(format!("use-{number}.lock")));
                if lock.try_lock().is_ok() {
                    taken.push((number, lock));
                }
            }
        }
        if taken.len() == count {
            return taken;
        }
        assert!(
            started.elapsed() < Duration::from_secs(1200),
            "no free lab host in 20 minutes; see who holds them: fuser {}/use-*.lock",
            directory.display()
        );
        sleep(Duration::from_millis(50));
    }
}

fn open(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}
