//! Story: one person lets arcane heal unattended and must be able to sleep; another approves each remedy by hand. What
//! either of them finds in the morning is what really happened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::print_stderr,
    reason = "what the supervisor said is told where a failing test's output goes"
)]

mod support;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Lab, LabHost, Ran, TestEnv, eventually, image};

/// What a real host may take for a loop, a remedy and its proof.
const SOON: Duration = Duration::from_secs(30);

/// Let the supervisor do everything.
const AUTO: &str = "mode = \"auto\"";

/// An app that is proved and called healed quickly.
fn shop(image: &str, policy: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"2s\"\nprove = \"1s\"\n\
         memory = \"32m\"\nhealth = {{ http = \"/healthz\", within = \"15s\" }}\n\n\
         [app.shop.heal]\nverify = \"5s\"\n{policy}\n"
    )
}

/// A good v1 and a v2 that gets healthy and then panics, again and again.
fn releases(name: &str) -> (String, String) {
    let tags = (format!("{name}:1"), format!("{name}:2"));
    image(&tags.0, &[("VERSION", "one")]);
    image(&tags.1, &[("VERSION", "two"), ("PANIC_AFTER", "1.5")]);
    tags
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

fn push(env: &TestEnv, image: &str, policy: &str) {
    fs::write(env.path("arcane.toml"), shop(image, policy)).unwrap();
    env.run(&["push"]).succeeds();
}

/// The same, and it has run for long enough to be gone back to.
fn push_proved(env: &TestEnv, image: &str, policy: &str) {
    push(env, image, policy);
    std::thread::sleep(Duration::from_millis(1500));
}

fn incidents(env: &TestEnv) -> Vec<Value> {
    env.run(&["incidents", "--all", "--json"]).succeeds().json().as_array().unwrap().clone()
}

/// Waits for the only incident there is to get into a state.
#[track_caller]
fn incident_is(env: &TestEnv, state: &str) -> Value {
    eventually(&format!("one incident, {state}"), SOON, || match &incidents(env)[..] {
        [one] if one["state"] == state => Some(one.clone()),
        [] | [_] => None,
        more => panic!("one problem, several incidents: {more:?}"),
    })
}

/// What was done for an incident, and how it ended: `rollback auto healed`.
fn actions(incident: &Value) -> Vec<String> {
    let word = |action: &Value, name: &str| action[name].as_str().unwrap().to_owned();
    let row = |action: &Value| ["remedy", "by", "outcome"].map(|name| word(action, name)).join(" ");
    incident["actions"].as_array().unwrap().iter().map(row).collect()
}

/// How often the engine has restarted the app, and since when it runs.
fn life(host: &LabHost) -> String {
    let format = "{{.Id}} {{.RestartCount}} {{.State.StartedAt}}";
    host.docker(&["inspect", "-f", format, "shop"]).succeeds().text().to_owned()
}

/// A `watch` or `heal` that runs beside the test; killed when dropped.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it, and returns once it has said that it is there.
    fn start(env: &TestEnv, args: &[&str]) -> Self {
        let log = env.path("~/supervisor.log");
        let file = File::create(&log).unwrap();
        let both = file.try_clone().unwrap();
        let child = env.arcane(args).arg("--json").stdout(file).stderr(both).spawn().unwrap();
        let running = Self { child, log };
        running.says("loaded.");
        running
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    fn says(&self, text: &str) {
        eventually(&format!("{text:?} in:\n{}", self.text()), SOON, || {
            self.text().contains(text).then_some(())
        });
    }

    /// One line that says both.
    #[track_caller]
    fn announces(&self, event: &str, text: &str) {
        let event = format!("\"event\":\"{event}\"");
        eventually(&format!("{event} {text:?} in {}", self.log.display()), SOON, || {
            self.text().lines().any(|line| line.contains(&event) && line.contains(text)).then_some(())
        });
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::INT);
        (self.child.wait().unwrap(), self.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.text());
        }
        // Already gone after stop().
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_crash_loop_after_a_deploy_is_rolled_back_unattended() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-auto");
    let env = TestEnv::new().fleet(&[&host]);
    push_proved(&env, &v1, AUTO);
    let heal = Running::start(&env, &["heal", "--auto"]);
    push(&env, &v2, AUTO);
    let incident = incident_is(&env, "healed");
    assert_eq!(actions(&incident), ["rollback auto healed"]);
    assert_eq!(incident["class"], "app_crash");
    let evidence = incident["evidence"].to_string();
    assert!(evidence.matches("die exit=101").count() >= 3, "{evidence}");
    assert_eq!(answer(&host), "one");
    let names = host.docker(&["ps", "-a", "--format", "{{.Names}}"]).succeeds();
    assert!(!names.stdout.contains("_new") && !names.stdout.contains("_back"), "{names}");

    env.run(&["incidents", "--check"]).succeeds();
    env.run(&["approve", "1"]).exits(7).complains("incident 1 is healed");
    env.run(&["dismiss", "1"]).exits(7).complains("incident 1 is healed");
    let (status, said) = heal.stop();
    assert!(said.contains("nothing is left running"), "{said}");
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn who_approves_is_asked_first_and_obeyed() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-approve");
    let env = TestEnv::new().fleet(&[&host]);
    let policy = "mode = \"approve\"";
    push_proved(&env, &v1, policy);
    // Unattended, but the owner of the app wants to be asked.
    let _heal = Running::start(&env, &["heal", "--auto"]);
    push(&env, &v2, policy);
    let waiting = incident_is(&env, "awaiting_approval");
    let keys = [
        "id",
        "host",
        "app",
        "release",
        "class",
        "confidence",
        "state",
        "opened_at",
        "evidence",
        "proposals",
        "actions",
    ];
    for key in keys {
        assert!(!waiting[key].is_null(), "{key} is missing: {waiting}");
    }
    assert_eq!((&waiting["app"], &waiting["host"]), (&"shop".into(), &host.name().into()));
    assert_eq!(waiting["proposals"][0]["remedy"], "rollback");
    assert_eq!(waiting["proposals"][0]["mode"], "approve");
    assert!(waiting["proposals"][0]["reason"].as_str().unwrap().contains("policy of shop"), "{waiting}");
    assert_eq!(waiting["actions"], Value::Array(vec![]));

    env.run(&["incidents", "--check"]).exits(5).says("awaiting_approval");
    env.run(&["approve", "99"]).exits(2).complains("there is no incident 99");
    env.run(&["approve", "1", "--remedy", "redeploy"]).exits(2).complains("proposed: rollback");
    assert_eq!(incident_is(&env, "awaiting_approval")["actions"], Value::Array(vec![]));

    env.run(&["approve", "1"]).succeeds();
    let healed = incident_is(&env, "healed");
    let [action] = &healed["actions"].as_array().unwrap()[..] else { panic!("{healed}") };
    assert!(action["by"].as_str().unwrap().starts_with("tester@"), "{action}");
    assert_eq!((&action["remedy"], &action["outcome"]), (&"rollback".into(), &"healed".into()));
    assert_eq!(answer(&host), "one");
}

#[test]
fn watch_changes_nothing_and_an_approval_needs_no_supervisor() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-watch");
    let env = TestEnv::new().fleet(&[&host]);
    push_proved(&env, &v1, AUTO);
    let watch = Running::start(&env, &["watch"]);
    push(&env, &v2, AUTO);
    let seen = incident_is(&env, "open");
    assert_eq!((actions(&seen).len(), &seen["proposals"][0]["remedy"]), (0, &"rollback".into()), "{seen}");
    let (status, said) = watch.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("rollback is suggested"), "{said}");

    let ran = env.run(&["approve", "1"]).succeeds().complains("no supervisor is running");
    assert!(ran.stdout.contains("healed"), "{ran}");
    let healed = incident_is(&env, "healed");
    assert!(actions(&healed)[0].starts_with("rollback tester@"), "{healed}");
    assert_eq!(answer(&host), "one");
}

#[test]
fn what_an_operator_stops_stays_stopped() {
    let host = Lab::host();
    image("heal-stop:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[&host]);
    push(&env, "heal-stop:1", AUTO);
    let heal = Running::start(&env, &["heal", "--auto"]);
    std::thread::sleep(Duration::from_secs(2));
    host.docker(&["stop", "-t", "1", "shop"]).succeeds();
    heal.says("\"died\"");
    std::thread::sleep(Duration::from_secs(8));
    let running =
        || host.docker(&["inspect", "-f", "{{.State.Running}}", "shop"]).succeeds().text().to_owned();
    assert_eq!((running().as_str(), incidents(&env).len()), ("false", 0));
    // Starting it again lifts it.
    host.docker(&["start", "shop"]).succeeds();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((running().as_str(), incidents(&env).len()), ("true", 0), "{}", heal.text());
    assert_eq!(answer(&host), "one");
}

#[test]
fn a_freeze_holds_everything_back_until_the_thaw() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-freeze");
    let env = TestEnv::new().fleet(&[&host]);
    push_proved(&env, &v1, AUTO);
    env.run(&["freeze", "--why", "the sale is on"]).succeeds().says("until `arcane thaw`");
    let heal = Running::start(&env, &["heal", "--auto"]);
    push(&env, &v2, AUTO);
    heal.announces("waiting", "frozen by tester@");
    let held = incident_is(&env, "waiting");
    assert_eq!(actions(&held).len(), 0);
    // An approval is no thaw.
    env.run(&["approve", "1"]).exits(7).says("frozen by tester@");
    assert_eq!(actions(&incident_is(&env, "waiting")).len(), 0);
    env.run(&["thaw"]).succeeds();
    let healed = incident_is(&env, "healed");
    assert_eq!(
        (actions(&healed), answer(&host)),
        (vec!["rollback auto healed".to_owned()], "one".to_owned())
    );
}

#[test]
fn what_a_log_says_moves_nobody() {
    let host = Lab::host();
    let forged = "Memory cgroup out of memory: Killed process 4711 (app) total-vm:1234kB";
    image("heal-forged:1", &[("VERSION", "one")]);
    image(
        "heal-forged:2",
        &[("VERSION", "two"), ("LOG_TEXT", forged), ("LOG_EVERY", "1"), ("LOG_COUNT", "10")],
    );
    let env = TestEnv::new().fleet(&[&host]);
    push(&env, "heal-forged:1", AUTO);
    let heal = Running::start(&env, &["heal", "--auto"]);
    push(&env, "heal-forged:2", AUTO);
    let before = life(&host);
    heal.announces("signal", "oom-killer");
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(life(&host), before);
    assert!(incidents(&env).iter().all(|incident| actions(incident).is_empty()), "{}", heal.text());
    assert_eq!(answer(&host), "two");
}

#[test]
fn an_owners_policy_is_respected() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-policy");
    let env = TestEnv::new().fleet(&[&host]);
    for (policy, state, note) in [
        ("mode = \"off\"", "open", "healing is off for shop"),
        ("mode = \"suggest\"", "open", "the policy of shop is suggest"),
        ("mode = \"auto\"\nremedies = [\"restart\"]", "awaiting_approval", "guard `remedies`"),
    ] {
        let env = TestEnv::new().fleet(&[&host]);
        push_proved(&env, &v1, policy);
        let _heal = Running::start(&env, &["heal", "--auto"]);
        push(&env, &v2, policy);
        let incident = incident_is(&env, state);
        assert!(incident["note"].as_str().unwrap_or_default().contains(note), "{policy}: {incident}");
        assert_eq!(actions(&incident).len(), 0, "{policy}");
        let proposed = incident["proposals"].as_array().unwrap().len();
        assert_eq!(proposed, usize::from(!policy.contains("off")), "{policy}: {incident}");
    }
    env.run(&["status"]).succeeds();
}

#[test]
fn a_supervisor_killed_in_the_act_is_reconciled_by_the_next() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-killed");
    for pause in [0, 250, 1000] {
        let env = TestEnv::new().fleet(&[&host]);
        push_proved(&env, &v1, AUTO);
        let mut heal = Running::start(&env, &["heal", "--auto"]);
        push(&env, &v2, AUTO);
        heal.announces("acting", "rollback");
        std::thread::sleep(Duration::from_millis(pause));
        heal.child.kill().unwrap();
        heal.child.wait().unwrap();
        let _heal = Running::start(&env, &["heal", "--auto"]);
        let after = eventually("it comes to an end", 2 * SOON, || {
            let [one] = &incidents(&env)[..] else { panic!("{:?}", incidents(&env)) };
            ["healed", "escalated"].contains(&one["state"].as_str().unwrap()).then(|| one.clone())
        });
        assert_eq!(actions(&after).len(), 1, "{after}");
        if after["state"] == "healed" {
            assert_eq!(answer(&host), "one", "{after}");
            continue;
        }
        // Left half-way: it says where the way on is told, and that way works.
        assert!(after["note"].as_str().unwrap().contains("`arcane status`"), "{after}");
        let status = env.run(&["status", "--json"]).succeeds().json();
        if let Some(next) = status["hosts"][0]["apps"][0]["next"].as_str() {
            let words: Vec<&str> = next.strip_prefix("arcane ").unwrap().split(' ').collect();
            env.run(&words).succeeds();
            let after = env.run(&["status", "--json"]).succeeds().json();
            assert!(after["hosts"][0]["apps"][0]["next"].is_null(), "{next}: {after}");
        }
    }
}

#[test]
fn a_deploy_under_way_is_not_interfered_with() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-lock");
    image("heal-lock:3", &[("VERSION", "three"), ("SLOW_START", "6")]);
    let env = TestEnv::new().fleet(&[&host]);
    push_proved(&env, &v1, AUTO);
    env.run(&["freeze"]).succeeds();
    let heal = Running::start(&env, &["heal", "--auto"]);
    push(&env, &v2, AUTO);
    heal.announces("waiting", "frozen by tester@");
    fs::write(env.path("arcane.toml"), shop("heal-lock:3", AUTO)).unwrap();
    let pushing = env.arcane(&["push"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut pushing = pushing;
    eventually("the lock is held", SOON, || {
        host.docker(&["ps", "--format", "{{.Names}}"]).stdout.contains("shop_new").then_some(())
    });
    env.run(&["thaw"]).succeeds();
    assert!(pushing.wait().unwrap().success());
    let over = incident_is(&env, "dismissed");
    let done = actions(&over);
    assert!(done.iter().all(|action| action.ends_with("refused")), "{done:?}\n{}", heal.text());
    assert_eq!(answer(&host), "three");
}

#[test]
fn an_unreachable_host_is_not_a_broken_app() {
    let host = Lab::host();
    image("heal-cut:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[&host]);
    push(&env, "heal-cut:1", AUTO);
    let heal = Running::start(&env, &["heal", "--auto"]);
    std::thread::sleep(Duration::from_secs(2));
    let before = life(&host);
    host.cut();
    std::thread::sleep(Duration::from_secs(25));
    host.mend();
    heal.says("host_unreachable");
    heal.says("host_reachable");
    assert_eq!((incidents(&env).len(), life(&host)), (0, before), "{}", heal.text());
}

#[test]
fn memory_running_out_costs_no_more_than_the_engines_own_restart() {
    let host = Lab::host();
    image("heal-oom:1", &[("VERSION", "one"), ("LEAK_ON_REQUEST", "40")]);
    let env = TestEnv::new().fleet(&[&host]);
    push(&env, "heal-oom:1", AUTO);
    let _heal = Running::start(&env, &["heal", "--auto"]);
    std::thread::sleep(Duration::from_secs(2));
    Ran::of(std::process::Command::new("curl").args([
        "-s",
        "--max-time",
        "2",
        &format!("{}/leak", host.app_url(8000)),
    ]));
    let incident = incident_is(&env, "healed");
    assert_eq!(actions(&incident), ["restart engine healed"]);
    assert_eq!(incident["class"], "out_of_memory");
    assert_eq!(answer(&host), "one");
}

#[test]
fn two_healers_of_one_host_are_one_too_many() {
    let host = Lab::host();
    let env = TestEnv::new().fleet(&[&host]);
    let heal = Running::start(&env, &["heal", "--for", "60s"]);
    std::thread::sleep(Duration::from_secs(1));
    env.run(&["heal", "--auto", "--for", "1s"]).exits(7).complains(&heal.child.id().to_string());
    // Who only looks is welcome.
    env.run(&["watch", "--for", "1s"]).succeeds();
    let (status, _) = heal.stop();
    assert_eq!(status.code(), Some(0));
    env.run(&["heal", "--auto", "--for", "1s"]).succeeds();
}

/// The lines of a text that are JSON with this event.
fn told(text: &str, event: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn what_is_recorded_while_it_is_healed_is_decided_alike_in_a_replay() {
    let host = Lab::host();
    let (v1, v2) = releases("heal-replay");
    let env = TestEnv::new().fleet(&[&host]);
    push_proved(&env, &v1, AUTO);
    let tape = env.path("shop.recording");
    let mut record = env.arcane(&["record", "-o", "shop.recording"]).spawn().unwrap();
    let recorded = |text: &str| fs::read_to_string(&tape).unwrap_or_default().contains(text);
    eventually("the recorder sees the app", SOON, || recorded("\"deployed\"").then_some(()));
    let heal = Running::start(&env, &["heal", "--auto"]);
    push(&env, &v2, AUTO);
    incident_is(&env, "healed");
    let (_, live) = heal.stop();
    let pid = Pid::from_raw(record.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(record.wait().unwrap().success());
    assert!(recorded("\"why\":\"interrupted\""));

    let replayed = env.run(&["rules", "replay", "--auto", "--json", "shop.recording"]).succeeds();
    let signals = |text: &str| -> Vec<Value> {
        told(text, "signal").into_iter().map(|it| it["signal"].clone()).collect()
    };
    assert_eq!(signals(&replayed.stdout), signals(&live), "{replayed}");
    let acts = told(&replayed.stdout, "would_act");
    assert_eq!((acts.len(), &acts[0]["remedy"]), (1, &"rollback".into()), "{replayed}");
    assert_eq!(told(&replayed.stdout, "ended")[0]["shown"], true, "{replayed}");
    assert_eq!(told(&replayed.stdout, "healed").len(), 1, "{replayed}");

    // Killed while it writes a line, a recording is as good up to there; and nobody else's is written over.
    let text = fs::read_to_string(&tape).unwrap();
    fs::write(&tape, &text[..text.len() - 20]).unwrap();
    let again = env.run(&["rules", "replay", "--auto", "--json", "shop.recording"]).succeeds();
    again.complains("the last line is cut off");
    env.run(&["record", "-o", "shop.recording", "--for", "1s"]).exits(2).complains("--force");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&tape).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
