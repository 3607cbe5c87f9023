//! What a deployer waits for, and what the app's users notice, against the script that arcane replaces.

use serde_json::Value;

use super::row::{Sample, print, versus};
use super::support::{LabHost, Probe, Ran, TestEnv, image, image_with};
use super::{app, pause, seconds, ssh_words};

const ROUNDS: usize = 5;
/// Requests a second while a release is swapped: what a gap is measured with.
const RATE: u32 = 100;
const LARGE: &str = "300M";

pub(crate) fn small(host: &LabHost) {
    let [mut unchanged, mut push, mut script] = [const { Vec::new() }; 3];
    let [mut told, mut ours, mut theirs] = [const { Vec::new() }; 3];
    let mut env = Some(TestEnv::new().fleet(&[host]));
    for round in 0..=ROUNDS {
        let [tag, other] = ["a", "b"].map(|side| format!("bench-push-{side}:{round}"));
        image(&tag, &[("VERSION", &tag)]);
        image(&other, &[("VERSION", &other)]);
        let here = env.take().unwrap().write("arcane.toml", &app("shop", &tag, 8000, ""));
        let here = env.insert(here);
        if round == 0 {
            here.run(&["push"]).succeeds();
            send(here, host, &other, "docker run -d --name other -p 8001:8080 ");
            continue;
        }
        let probe = Probe::start(&host.app_url(8000), RATE);
        let mut done = Value::Null;
        push.push(seconds(|| done = pushed(here)));
        told.push(done["gap_seconds"].as_f64().unwrap());
        ours.push(gap(probe));
        unchanged.push(seconds(|| assert_eq!(pushed(here)["outcome"], "unchanged")));
        let probe = Probe::start(&host.app_url(8001), RATE);
        let swap = "docker rm -f other_old >/dev/null; docker rename other other_old && docker stop -t 2 other_old && \
                    docker run -d --name other -p 8001:8080 ";
        script.push(seconds(|| send(here, host, &other, swap)));
        pause(0.5);
        theirs.push(gap(probe));
    }
    let [unchanged, push, script] = [unchanged, push, script].map(Sample::from);
    let [told, ours, theirs] = [told, ours, theirs].map(Sample::from);
    versus(
        "`arcane push`, nothing changed",
        &unchanged,
        "save, load, rename, stop, run over ssh",
        &script,
        "s",
    );
    versus(
        "`arcane push`, a new image of 1 MB",
        &push,
        "save, load, rename, stop, run over ssh",
        &script,
        "s",
    );
    versus("gap of a swap, seen by a client", &ours, "rename, stop, run over ssh", &theirs, "s");
    super::row::alone("gap of a swap, as told (stop to healthy)", &told, "s");
}

pub(crate) fn large(host: &LabHost) {
    image_with("bench-large:1", &[("VERSION", "one")], &["--size", LARGE]);
    let env = TestEnv::new().fleet(&[host]).write("arcane.toml", &app("shop", "bench-large:1", 8000, ""));
    let [mut ours, mut theirs, mut bytes] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        clean(host);
        ours.push(seconds(|| bytes.push(pushed(&env)["bytes_sent"].as_f64().unwrap())));
        clean(host);
        theirs.push(seconds(|| send(&env, host, "bench-large:1", "docker run -d --name shop -p 8000:8080 ")));
    }
    let [ours, theirs, bytes] = [ours, theirs, bytes].map(Sample::from);
    let what = "first push of 300 MB that do not compress";
    versus(what, &ours, "`docker save \\| zstd -T0 -3 \\| ssh`, load, run", &theirs, "s");
    let counted =
        Ran::of(env.command("bash").args(["-c", "docker save bench-large:1 | zstd -T0 -3 -q | wc -c"]));
    let counted: f64 = counted.succeeds().text().parse().unwrap();
    let [sent, theirs] = [bytes.median(), counted].map(|bytes| format!("{:.1} MB", bytes / 1e6));
    print(
        &format!("{what}, bytes sent"),
        &theirs,
        &sent,
        &format!("{:.2}", counted / bytes.median()),
        ROUNDS,
    );

    image_with("bench-large:2", &[("VERSION", "two")], &["--size", LARGE]);
    clean(host);
    pushed(&env);
    let env = env.write("arcane.toml", &app("shop", "bench-large:2", 8000, ""));
    let mut sent = 0.0;
    let took = seconds(|| sent = pushed(&env)["bytes_sent"].as_f64().unwrap());
    print(
        "a small change of that image, bytes sent",
        &theirs,
        &format!("{:.1} MB in {took:.1} s", sent / 1e6),
        &format!("{:.2}", counted / sent),
        1,
    );
}

/// The host without containers and images, its engine warm.
fn clean(host: &LabHost) {
    host.ssh("docker ps -aq | xargs -r docker rm -f; docker images -aq | sort -u | xargs -r docker rmi -f")
        .succeeds();
}

/// The last line that `push --json` says.
fn pushed(env: &TestEnv) -> Value {
    env.run(&["push", "--json"]).succeeds().json_lines().pop().unwrap()
}

/// The script: send an image, then run a command line that ends with its name.
fn send(env: &TestEnv, host: &LabHost, tag: &str, run: &str) {
    let ssh = format!("ssh {}", ssh_words(env, host).join(" "));
    let script = format!(
        "set -eo pipefail; docker save {tag} | zstd -T0 -3 -q | {ssh} 'zstd -dq | docker load -q'; {ssh} '{run}{tag}'"
    );
    Ran::of(env.command("bash").args(["-c", &script])).succeeds();
}

/// Seconds without an answer.
fn gap(probe: Probe) -> f64 {
    probe.stop().pop().unwrap()["longest_gap_ms"].as_f64().unwrap() / 1000.0
}
