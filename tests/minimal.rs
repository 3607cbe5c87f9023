//! The minimal build: secrets and git, and nothing that talks to a server.

use std::process::Command;

/// Crates that belong to what the minimal build leaves out.
const LEFT_OUT: &[&str] = &[
    "tokio",
    "russh",
    "hyper",
    "bollard",
    "rusqlite",
    "zstd",
    "ratatui",
    "candle-core",
    "openssl-sys",
    "indicatif",
];

fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn what_talks_to_servers_is_not_in_it() {
    let minimal = tree(&["--no-default-features", "--features", "minimal"]);
    assert!(minimal.iter().any(|name| name == "age"), "the vault is in it: {minimal:?}");
    let found: Vec<_> = LEFT_OUT.iter().filter(|name| minimal.iter().any(|found| found == *name)).collect();
    assert!(found.is_empty(), "the minimal build has {found:?}");
    // The question itself can be answered with yes.
    let whole = tree(&[]);
    assert!(["tokio", "russh", "hyper"].iter().all(|name| whole.iter().any(|found| found == name)));
}
