//! Story: whatever breaks, at whatever step of a push, the app serves the old release or the new one, nothing is left
//! lying about, and `arcane push` again just works. Prints a table of steps and faults.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "the table is for whoever looks")]

mod support;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

/// What breaks when a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The step itself fails.
    Error,
    /// The line is cut for three seconds, and every connection with it.
    Cut,
    /// arcane is killed.
    Kill,
    /// The host's engine is killed, and comes back as under a service manager.
    Engine,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Cut => "line cut",
            Self::Kill => "kill -9 arcane",
            Self::Engine => "kill -9 dockerd",
        })
    }
}

/// How the app's releases take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    SmartSwap,
    BlueGreen,
}

/// An app on a host, and what it answered last.
struct Shop {
    by: By,
    host: LabHost,
    env: TestEnv,
    serves: String,
    /// The image of the release that was made last.
    image: String,
}

/// How a push with a fault in it ended.
struct Cell {
    code: Option<i32>,
    serves_new: bool,
    down: Duration,
    /// Who left it down, if it was not served again by itself.
    down_with: Option<&'static str>,
    /// Whether the engine kept a port that no container has.
    keeps_port: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"));
        let keeps = if self.keeps_port { " *" } else { "" };
        if let Some(who) = self.down_with {
            return f.pad(&format!("{code}, left down by {who}{keeps}"));
        }
        let serves = if self.serves_new { "new" } else { "old" };
        f.pad(&format!("{code}, {serves} after {:.0} s{keeps}", self.down.as_secs_f64()))
    }
}

/// Somebody for whom the app always has something to answer, until dropped.
struct Visitor {
    leaves: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Visitor {
    fn of(url: String) -> Self {
        let leaves = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&leaves);
        let thread = thread::spawn(move || {
            while !left.load(Ordering::Relaxed) {
                // Longer than the way from Caddy's reload to the look at what is being answered, on a busy machine, too.
                let slow = format!("{url}/slow/8000");
                Ran::of(Command::new("curl").args(["-s", "--max-time", "9", "-H", "Host: shop.test", &slow]));
            }
        });
        Self { leaves, thread: Some(thread) }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shop {
    fn new(host: LabHost, by: By) -> Self {
        let (env, image) = (TestEnv::new().fleet(&[&host]), String::new());
        let mut shop = Self { by, env, host, serves: String::new(), image };
        shop.comes_anew("first");
        if by == By::BlueGreen {
            shop.env.run(&["init", "--caddy"]).succeeds();
        }
        shop.env.run(&["push"]).succeeds();
        "first".clone_into(&mut shop.serves);
        shop
    }

    /// Makes an image of its own for a release that answers with a word, and asks for it.
    fn comes_anew(&mut self, word: &str) {
        self.image = format!("fault-story-{:?}:{word}", self.by).to_lowercase();
        image(&self.image, &[("LOG_TEXT", word)]);
        self.configure(word, "");
    }

    /// Asks for a release of the last image that answers with a word.
    fn configure(&self, word: &str, more: &str) {
        let by = match self.by {
            By::SmartSwap => "ports = [8000]",
            By::BlueGreen => {
                "strategy = \"blue-green\"\nports = [8001, 8002]\ndomain = \"http://shop.test\"\ndrain = \"2s\""
            }
        };
        let text = format!(
            "[app.shop]\nimage = \"{}\"\n{by}\nport = 8080\nstop_timeout = \"2s\"\nkeep = 1\nprove = \"1s\"\n\
             health = {{ http = \"/healthz\", within = \"10s\" }}\nenv.VERSION = \"{word}\"\n{more}\n",
            self.image
        );
        std::fs::write(self.env.path("arcane.toml"), text).unwrap();
    }

    fn url(&self) -> String {
        self.host.app_url(if self.by == By::SmartSwap { 8000 } else { 80 })
    }

    fn answer(&self) -> String {
        Ran::of(Command::new("curl").args(["-s", "--max-time", "1", "-H", "Host: shop.test", &self.url()]))
            .text()
            .to_owned()
    }

    /// The steps of a push that goes well, in their order: one that finds older releases to remove, and something that is
    /// being answered.
    fn steps(&mut self) -> Vec<String> {
        self.configure("second", "");
        self.env.run(&["push"]).succeeds();
        self.proves_itself();
        let word = format!("steps{}", self.host.port());
        self.comes_anew(&word);
        let visitor = (self.by == By::BlueGreen).then(|| Visitor::of(self.url()));
        let ran = self.env.run(&["push", "--json"]).succeeds();
        drop(visitor);
        self.serves = word;
        let mut steps = Vec::new();
        for line in ran.stdout.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(step) = event["step"].as_str()
                && !steps.iter().any(|known| known == step)
            {
                steps.push(step.to_owned());
            }
        }
        steps
    }

    /// Lets the live release run for as long as it takes to be good: then the one before it is not kept for its sake.
    fn proves_itself(&self) {
        thread::sleep(Duration::from_millis(1200));
    }

    /// Pushes with a fault at a step; then checks that all is well, and that pushing again just works.
    fn suffer(&mut self, step: &str, fault: Fault) -> Cell {
        let word = format!("{step}-{fault:?}").to_lowercase();
        let is_unhealthy = fault == Fault::Error && step == "health";
        // What the later steps do has nothing to do with which image it is.
        if ["look", "transfer", "lock", "create"].contains(&step) {
            self.comes_anew(&word);
        }
        if step == "tidy" {
            self.proves_itself();
        }
        self.configure(&word, if is_unhealthy { "env.REFUSE_HEALTH = \"1\"" } else { "" });
        let visitor = (step == "drain").then(|| Visitor::of(self.url()));
        if fault == Fault::Error {
            self.break_step(step);
        }
        let (mut push, words) = (self.env.arcane(&["push", "--json"]), self.env.path("words"));
        push.stdout(Stdio::piped()).stderr(std::fs::File::create(&words).unwrap());
        let mut push = push.spawn().unwrap();
        let lines = BufReader::new(push.stdout.take().unwrap()).lines();
        let hit = format!("\"step\":\"{step}\"");
        let mut is_hit = fault == Fault::Error;
        let mut is_undone = false;
        let mut begun = Instant::now();
        for line in lines.map_while(Result::ok) {
            is_undone |= line.contains("\"step\":\"boomerang\"");
            if !is_hit && line.contains(&hit) {
                is_hit = true;
                begun = Instant::now();
                self.strike(&mut push, fault);
            }
        }
        assert!(is_hit, "{step}: the push ended before it");
        let code = push.wait().unwrap().code();
        let words = std::fs::read_to_string(words).unwrap();
        eprintln!("{step}, {fault}: {words}");
        let (serves, down_with, keeps_port) = self.aftermath(step, fault, (code, is_undone), &word, &words);
        let cell = Cell { code, serves_new: serves == word, down: begun.elapsed(), down_with, keeps_port };
        drop(visitor);
        self.serves = serves;
        if fault == Fault::Error {
            self.host.ssh(
                "unrefuse; rmdir /var/lock/arcane.deploy /etc/caddy/.Caddyfile.arcane 2>/dev/null; true",
            );
        }
        if is_unhealthy {
            assert_eq!(cell.code, Some(4));
            self.configure(&word, "");
        }
        eventually(&format!("{step}, {fault}: a free lock"), Duration::from_secs(60), || {
            self.env.run(&["unlock", &self.host.name()]).stdout.contains("is not locked").then_some(())
        });
        eventually("the engine", Duration::from_secs(30), || {
            self.host.docker(&["version"]).status.success().then_some(())
        });
        let mut cell = cell;
        let again = self.env.run(&["push"]);
        if fault == Fault::Engine && again.stderr.contains("is kept by the host's engine") {
            // Docker 20.10 allocates the port of a container anew that it was starting when it was killed, removes that
            // container's endpoint, and never frees the port. The push says what does.
            again.exits(1).complains("nothing was changed").complains("only a restart frees the port");
            cell.keeps_port = true;
            self.host.dockerd("restart");
            self.env.run(&["push"]).succeeds();
        } else {
            again.succeeds();
        }
        assert_eq!(self.answer(), word, "{step}, {fault}: push again");
        self.serves = word;
        if step == "tidy" {
            // The push before had succeeded already: what it did not get to goes with the next release.
            self.env.run(&["push", "--force"]).succeeds();
        }
        self.is_tidy(&format!("{step}, {fault}"));
        cell
    }

    /// What answers after a fault, who left it down if nothing does, and whether that is for a port that the engine keeps.
    fn aftermath(
        &self,
        step: &str,
        fault: Fault,
        (code, is_undone): (Option<i32>, bool),
        word: &str,
        said: &str,
    ) -> (String, Option<&'static str>, bool) {
        if fault == Fault::Engine && self.is_left_down() {
            // Docker 20.10 does not start again what it finds running when it comes back from a kill: it stops it, and
            // takes that for a stop by hand. Nothing of ours was under way, or the last answer had come before the blow fell.
            assert!(
                code != Some(0) || !is_undone,
                "{step}, {fault}: a push that succeeded left nothing running"
            );
            return (self.serves.clone(), Some("dockerd"), false);
        }
        // Nobody but the engine can bring back what it keeps from itself; see above.
        let may_be_kept = fault == Fault::Engine && said.contains("port is already allocated");
        let patience = Instant::now() + Duration::from_secs(30);
        let serves = eventually(&format!("{step}, {fault}: the app"), Duration::from_secs(40), || {
            let answer = self.answer();
            let served = [self.serves.as_str(), word].into_iter().find(|word| **word == answer).map(Some);
            served.or_else(|| (may_be_kept && Instant::now() > patience).then_some(None))
        });
        if let Some(serves) = serves {
            return (serves.to_owned(), None, false);
        }
        assert_eq!(code, Some(1), "{step}, {fault}: {said}");
        assert!(said.contains("only a restart of the engine frees the port"), "{said}");
        self.host.dockerd("restart");
        (self.serves.clone(), Some("dockerd"), true)
    }

    /// Whether nothing of the app runs, and nothing was begun that could have stopped it.
    fn is_left_down(&self) -> bool {
        let state = || {
            let ran = self.host.docker(&[
                "ps",
                "-a",
                "--filter",
                "label=arcane.app",
                "--format",
                "{{.Names}} {{.State}}",
            ]);
            ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        eventually("the engine", Duration::from_secs(30), || {
            let before = state();
            thread::sleep(Duration::from_secs(2));
            (!before.is_empty() && before == state()).then_some(before)
        })
        .iter()
        .all(|line| !line.ends_with(" running") && !line.contains("_new"))
    }

    /// A push that was hit may have succeeded without tidying; then pushing again finds nothing to do, and what is too much
    /// goes with the next release.
    fn ends_with_what_is_kept(&mut self, fault: Fault) {
        let word = format!("last-{fault:?}").to_lowercase();
        self.configure(&word, "");
        self.env.run(&["push"]).succeeds();
        self.serves = word;
        let names = self.host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds().stdout;
        // The live one, the one before, and the last that was proved.
        assert!(names.lines().count() <= 3, "{fault}: {names}");
    }

    fn strike(&self, push: &mut Child, fault: Fault) {
        let pid = Pid::from_child(push);
        // It stands still while the blow falls, so that it does not get ahead.
        kill_process(pid, Signal::STOP).unwrap();
        match fault {
            Fault::Error => {}
            Fault::Cut => self.host.cut_hard(),
            Fault::Kill => push.kill().unwrap(),
            Fault::Engine => self.host.dockerd("kill"),
        }
        kill_process(pid, Signal::CONT).unwrap();
        if fault == Fault::Cut {
            thread::sleep(Duration::from_secs(3));
            self.host.mend();
        }
    }

    /// Makes a step of the next push fail.
    fn break_step(&self, step: &str) {
        match step {
            "look" => self.host.refuse("GET /containers/json"),
            "transfer" => self.host.refuse("POST /images/load"),
            "lock" => {
                self.host.ssh("rm -f /var/lock/arcane.deploy; mkdir /var/lock/arcane.deploy").succeeds();
            }
            "create" => self.host.refuse("POST /containers/create?name=shop_new"),
            "rename" => self.host.refuse("POST /rename"),
            "stop" => self.host.refuse("POST /stop"),
            "start" => self.host.refuse("POST /start"),
            "health" => {}
            "route" => {
                self.host.ssh("mkdir /etc/caddy/.Caddyfile.arcane").succeeds();
            }
            // Nothing is asked of the engine or of Caddy there; the next step is what can fail.
            "drain" => self.host.refuse("POST /stop"),
            "switch" => self.host.refuse("POST /rename?name=shop HTTP"),
            "tidy" => self.host.refuse("DELETE ?v=0"),
            step => panic!("say how to make {step} fail"),
        }
    }

    /// No container, image, lock or file that has no reason to be there.
    fn is_tidy(&self, when: &str) {
        let listed = self.host.docker(&["ps", "-a", "--format", "{{.Names}} {{.Label \"arcane.release\"}}"]);
        let listed = listed.succeeds().stdout;
        let containers: Vec<_> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
        for (name, release) in &containers {
            let known = ["shop".to_owned(), "shop_old".to_owned(), format!("shop_{release}")];
            assert!(known.contains(&(*name).to_owned()), "{when}: {name} is left: {listed}");
        }
        let releases: BTreeSet<_> = containers.iter().map(|(_, release)| *release).collect();
        let tags = self.host.docker(&["images", "arcane/shop", "--format", "{{.Tag}}"]).succeeds().stdout;
        for tag in tags.lines() {
            assert!(releases.contains(tag), "{when}: the image {tag} is left: {listed}");
        }
        let files =
            self.host.ssh("ls -A /tmp /var/tmp /run/arcane 2>/dev/null; ls -A /etc/caddy | grep -vx Caddyfile; pgrep -lx 'zstd|flock'; true");
        let left = files.stdout.lines().filter(|line| !line.is_empty() && !line.ends_with(':'));
        assert_eq!(left.collect::<Vec<_>>(), [""; 0], "{when}");
    }
}

fn table(steps: &[String], columns: &[(Fault, Vec<Cell>)]) -> String {
    let mut text = format!("{:10}", "step");
    for (fault, _) in columns {
        text += &format!(" | {fault:24}");
    }
    for (index, step) in steps.iter().enumerate() {
        text += &format!("\n{step:10}");
        for (_, cells) in columns {
            text += &format!(" | {:24}", cells[index]);
        }
    }
    text
}

#[test]
fn a_smart_swap_survives_any_fault_at_any_step() {
    any_fault_at_any_step(By::SmartSwap);
}

#[test]
fn a_swap_between_two_slots_survives_any_fault_at_any_step() {
    any_fault_at_any_step(By::BlueGreen);
}

fn any_fault_at_any_step(by: By) {
    let mut shops: Vec<_> = Lab::hosts(2).into_iter().map(|host| Shop::new(host, by)).collect();
    let steps = shops[0].steps();
    let tried = ["look", "transfer", "lock", "create", "start", "health", "switch", "stop", "tidy"];
    assert!(tried.iter().all(|tried| steps.iter().any(|step| step == tried)), "{steps:?}");
    assert!(by == By::SmartSwap || steps.iter().any(|step| step == "drain"), "{steps:?}");
    let shares = [[Fault::Error, Fault::Cut], [Fault::Kill, Fault::Engine]];
    let columns: Vec<_> = thread::scope(|scope| {
        let steps = &steps;
        let threads: Vec<_> = shops
            .iter_mut()
            .zip(shares)
            .map(|(shop, faults)| {
                scope.spawn(move || {
                    faults.map(|fault| {
                        let cells = steps.iter().map(|step| shop.suffer(step, fault)).collect();
                        shop.ends_with_what_is_kept(fault);
                        (fault, cells)
                    })
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    eprintln!("{}", table(&steps, &columns));
}
