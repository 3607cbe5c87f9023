//! What travels, and how long it takes, against the pipe that everybody writes: `docker save | zstd | ssh | docker load`.
//! The image is of the size at which people begin to complain: 1.3 GB in a few layers, compressible like programs are.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::row::{Sample, print, versus};
use super::support::{LabHost, Ran, TestEnv, image};
use super::{app, seconds, ssh_words};

const ROUNDS: usize = 5;
/// Three of these, and the app itself, make the image.
const LAYER: usize = 430 << 20;
const LINE: (&str, &str) = ("40ms", "50mbit");
const PIPE: &str = "`docker save \\| zstd -T0 -3 \\| ssh \\| zstd -d \\| docker load`";
const BASE: &str = "bench-transfer:base";

/// A first push: there is nothing on the host.
pub(crate) fn whole(host: &LabHost) {
    let env = &base(host);
    let [mut ours, mut theirs] = [const { Vec::new() }; 2];
    for round in 0..ROUNDS {
        let push = || ours.push(seconds(|| drop(pushed_as(env, BASE))));
        let pipe = || theirs.push(seconds(|| piped(env, host, BASE)));
        // Neither always comes first: the second finds the machine's caches warm.
        let (mut push, mut pipe) = (push, pipe);
        for turn in 0..2 {
            clean(host);
            if (round + turn) % 2 == 0 { push() } else { pipe() }
        }
    }
    let [ours, theirs] = [ours, theirs].map(Sample::from);
    versus("first push, 1.3 GB image, swap and health check included", &ours, PIPE, &theirs, "s");
}

/// The host has the image; one line of its top layer changes, or nothing.
pub(crate) fn changed(host: &LabHost) {
    let env = base(host);
    clean(host);
    drop(pushed_as(&env, BASE));
    let [mut ours, mut unchanged, mut bytes, mut theirs] = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let tag = format!("bench-transfer:line-{round}");
        on_top(&env, &tag, &format!("line {round}\n"));
        let mut done = Value::Null;
        ours.push(seconds(|| done = pushed_as(&env, &tag)));
        assert_eq!(done["layers_sent"], 1, "{done}");
        bytes.push(done["bytes_sent"].as_f64().unwrap());
        unchanged.push(seconds(|| assert_eq!(pushed_as(&env, &tag)["outcome"], "unchanged")));
        theirs.push(seconds(|| piped(&env, host, &tag)));
    }
    let counted = Ran::of(
        env.command("bash").args(["-c", "docker save bench-transfer:line-0 | zstd -T0 -3 -q | wc -c"]),
    );
    let counted: f64 = counted.succeeds().text().parse().unwrap();
    let [ours, unchanged, bytes, theirs] = [ours, unchanged, bytes, theirs].map(Sample::from);
    versus("push after a one-line change in the top layer of it", &ours, PIPE, &theirs, "s");
    print(
        "the same, bytes on the line",
        &format!("{PIPE}: {:.0} MB", counted / 1e6),
        &format!("{:.0} bytes", bytes.median()),
        &format!("{:.0}", counted / bytes.median()),
        ROUNDS,
    );
    versus("push of the unchanged image", &unchanged, PIPE, &theirs, "s");
}

/// The same over a line as people have it at home, with a layer of 20 MB changed.
pub(crate) fn slow_line(host: &LabHost) {
    let env = base(host);
    drop(pushed_as(&env, BASE));
    let blob = env.path("context/layer");
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    let [mut ours, mut theirs] = [const { Vec::new() }; 2];
    for round in 0..ROUNDS {
        let tag = format!("bench-transfer:layer-{round}");
        fill(&blob, 20 << 20, 1000 + round as u64);
        build(&env, &tag, &format!("FROM {BASE}\nCOPY layer /layer\n"));
        host.slow(LINE.0, LINE.1);
        let mut done = Value::Null;
        ours.push(seconds(|| done = pushed_as(&env, &tag)));
        assert_eq!(done["layers_sent"], 1, "{done}");
        theirs.push(seconds(|| piped(&env, host, &tag)));
    }
    let [ours, theirs] = [ours, theirs].map(Sample::from);
    let what = format!("push over {} and {} of round trip, a layer of 20 MB changed", LINE.1, LINE.0);
    versus(&what, &ours, PIPE, &theirs, "s");
}

fn pushed_as(env: &TestEnv, tag: &str) -> Value {
    fs::write(env.path("arcane.toml"), app("shop", tag, 8000, "")).unwrap();
    env.run(&["push", "--json"]).succeeds().json_lines().pop().unwrap()
}

fn piped(env: &TestEnv, host: &LabHost, tag: &str) {
    let ssh = format!("ssh {}", ssh_words(env, host).join(" "));
    let script =
        format!("set -eo pipefail; docker save {tag} | zstd -T0 -3 -q | {ssh} 'zstd -dq | docker load -q'");
    Ran::of(env.command("bash").args(["-c", &script])).succeeds();
}

/// The host without containers and images, its engine warm.
fn clean(host: &LabHost) {
    host.ssh("docker ps -aq | xargs -r docker rm -f; docker images -aq | sort -u | xargs -r docker rmi -f")
        .succeeds();
}

/// The image, made if it is not there yet: it takes minutes, and stays for the next run.
fn base(host: &LabHost) -> TestEnv {
    let env = TestEnv::new().fleet(&[host]);
    if !docker(&["images", "-q", BASE]).text().is_empty() {
        return env;
    }
    image("bench-transfer:app", &[("VERSION", "one")]);
    let context = env.path("context");
    fs::create_dir_all(&context).unwrap();
    let mut lines = "FROM bench-transfer:app\n".to_owned();
    for layer in ["a", "b", "c"] {
        fill(&context.join(layer), LAYER, layer.len() as u64 + u64::from(layer.as_bytes()[0]));
        lines += &format!("COPY {layer} /{layer}\n");
    }
    build(&env, BASE, &lines);
    fs::remove_dir_all(&context).unwrap();
    env
}

fn on_top(env: &TestEnv, tag: &str, line: &str) {
    fs::create_dir_all(env.path("context")).unwrap();
    fs::write(env.path("context/line"), line).unwrap();
    build(env, tag, &format!("FROM {BASE}\nCOPY line /line\n"));
}

fn build(env: &TestEnv, tag: &str, dockerfile: &str) {
    let context = env.path("context");
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    docker(&["build", "-q", "-t", tag, context.to_str().unwrap()]);
}

fn docker(args: &[&str]) -> Ran {
    Ran::of(Command::new("docker").env("DOCKER_BUILDKIT", "0").args(args)).succeeds()
}

/// Bytes that zstd makes about 40 % of, as it does of a Debian system: noise between words that repeat.
fn fill(path: &Path, size: usize, seed: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut left = size;
    while left > 0 {
        let mut block = Vec::with_capacity(512);
        for _ in 0..26 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        while block.len() < 512 {
            let word =
                ["static ", "struct ", "return ", "string "][(state >> (block.len() % 61)) as usize % 4];
            block.extend_from_slice(word.as_bytes());
        }
        block.truncate(left.min(512));
        file.write_all(&block).unwrap();
        left -= block.len();
    }
}
