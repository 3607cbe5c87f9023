//! How soon a line is judged, and what a host full of talkative containers costs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arcane::fleet::Timestamp;
use serde_json::Value;

use super::row::{Sample, number, print};
use super::support::{LabHost, TestEnv, image};
use super::watching::{cpu_seconds, memory};
use super::{app, pause};

const SIGNALS: usize = 100;
const CONTAINERS: usize = 200;
/// How long they are looked at.
const SPAN: f64 = 60.0;

/// Fires on every line of a kind.
const RULE: &str = r#"
pack   = "bench"
schema = 1
[[rule]]
id       = "mark"
class    = "dependency_unavailable"
say      = "a line with the mark"
log      = { any = ["the mark of the bench"] }
cooldown = "1ms"
heal     = [{ do = "escalate" }]
test     = [{ fires = 1, line = "the mark of the bench" }, { fires = 0, line = "something else" }]
"#;

pub(crate) fn measure(host: &LabHost) {
    latency(host);
    host.reset();
    crowd(host);
}

/// From the engine's stamp to the line of JSON that tells of the signal, on one machine with one clock.
fn latency(host: &LabHost) {
    for (text, what) in [
        ("the mark of the bench", "line printed to signal told"),
        ("Error: the mark of the bench", "the same, of a line that could begin a stack trace"),
    ] {
        image("bench-mark:1", &[("LOG_TEXT", text), ("LOG_EVERY", "0.25")]);
        let env = TestEnv::new().fleet(&[host]).write("mark.toml", RULE);
        let env = env.write("arcane.toml", &app("shop", "bench-mark:1", 8000, ""));
        env.run(&["push"]).succeeds();
        let mut watch = env.arcane(&["watch", "--json", "--rules", "mark.toml"]);
        let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
        let late = lines.filter_map(|line| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let told: Value = serde_json::from_str(&line).ok()?;
            let at = Timestamp::parse(told["signal"]["at"].as_str()?).unwrap();
            let at = Duration::from_nanos(u64::try_from(at.as_nanos()).unwrap());
            Some(now.saturating_sub(at).as_secs_f64() * 1000.0)
        });
        let late = Sample::from(late.take(SIGNALS).collect::<Vec<_>>());
        end(&mut watch);
        let figure = format!(
            "p50 {} ms, p99 {} ms, at most {} ms",
            number(late.quantile(0.5)),
            number(late.quantile(0.99)),
            number(late.quantile(1.0))
        );
        print(what, "–", &figure, "–", SIGNALS);
    }
}

/// A host with many containers that log all the time.
fn crowd(host: &LabHost) {
    image("bench-crowd:1", &[("LOG_TEXT", "GET /orders 200 in 12 ms"), ("LOG_EVERY", "0.01")]);
    let toml = "[app.shop0]\nimage = \"bench-crowd:1\"\nport = 8080\nhealth = { tcp = true }\n";
    let env = TestEnv::new().fleet(&[host]).write("arcane.toml", toml);
    env.run(&["push"]).succeeds();
    // The others are copies under other names, so that no push is needed for each.
    let inspected = host.docker(&["inspect", "shop0"]).succeeds();
    let inspected: Value = serde_json::from_str(&inspected.stdout).unwrap();
    let labels: BTreeMap<String, String> =
        serde_json::from_value(inspected[0]["Config"]["Labels"].clone()).unwrap();
    let image = inspected[0]["Config"]["Image"].as_str().unwrap();
    for number in 1..CONTAINERS {
        let name = format!("shop{number}");
        let mut args = vec!["run".to_owned(), "-d".to_owned(), "--name".to_owned(), name.clone()];
        for (key, value) in &labels {
            args.extend(["--label".to_owned(), format!("{key}={}", value.replace("shop0", &name))]);
        }
        args.push(image.to_owned());
        host.docker(&args.iter().map(String::as_str).collect::<Vec<_>>()).succeeds();
    }
    let mut watch = env.arcane(&["watch", "--json", "--for", &format!("{:.0}s", SPAN + 20.0)]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = watch.stdout.take().unwrap();
    let told =
        std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).collect::<Vec<_>>());
    pause(10.0);
    let (before, lines) = (cpu_seconds(watch.id()), logged(host));
    pause(SPAN);
    let share = 100.0 * (cpu_seconds(watch.id()) - before) / SPAN;
    let rate = (logged(host) - lines) / SPAN;
    let [now, most] = memory(watch.id());
    watch.wait().unwrap();
    let told = told.join().unwrap();
    let count = |kind: &str| told.iter().filter(|line| line.contains(kind)).count();
    let figure = format!(
        "{:.0} lines/s written, {} gaps, {} times behind, {now:.1} MiB now, {most:.1} MiB at most, {share:.1} % of a core",
        rate,
        count(r#""kind":"gap""#),
        count(r#""state":"behind""#),
    );
    print(
        &format!("`arcane watch`, {CONTAINERS} containers with 100 lines/s each, {SPAN:.0} s"),
        "–",
        &figure,
        "–",
        1,
    );
}

/// Lines that all containers of a host have logged.
fn logged(host: &LabHost) -> f64 {
    let count = host.ssh("cat /var/lib/docker/containers/*/*-json.log | wc -l").succeeds();
    count.stdout.trim().parse().unwrap()
}

fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let _ = child.wait();
}
