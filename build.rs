//! Builds the launcher (launcher/main.rs) for each architecture that servers have and this toolchain can build for. Where it
//! cannot, an empty file takes its place, and a push to such a server uses the shell of the app's image.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As Docker calls the architecture, and the targets of rustc that will do: the launcher uses the core library only.
const ARCHITECTURES: [(&str, [&str; 2]); 2] = [
    ("amd64", ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"]),
    ("arm64", ["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"]),
];

fn main() {
    println!("cargo::rerun-if-changed=launcher");
    println!("cargo::rerun-if-changed=build.rs");
    // Only what deploys needs it.
    if env::var_os("CARGO_FEATURE_OPS").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a directory for what is built"));
    for (architecture, targets) in ARCHITECTURES {
        let program = out.join(format!("launcher-{architecture}"));
        let built =
            targets.into_iter().filter(|target| has_core(target)).any(|target| build(target, &program));
        if !built {
            fs::write(&program, []).expect("the directory for what is built can be written to");
            println!(
                "cargo::warning=no launcher for {architecture}: `rustup target add {}` makes it possible",
                targets[0]
            );
        }
    }
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Whether the toolchain has the core library for a target.
fn has_core(target: &str) -> bool {
    let asked = rustc().args(["--print", "target-libdir", "--target", target]).output();
    let directory = asked.ok().and_then(|asked| String::from_utf8(asked.stdout).ok());
    let files = directory.and_then(|directory| fs::read_dir(directory.trim()).ok());
    files
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Builds with the linker that comes with the toolchain, or with the C compiler where it lacks that and is of this machine.
fn build(target: &str, program: &Path) -> bool {
    let own = [
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Clink-self-contained=no",
        "-Clink-arg=--gc-sections",
    ];
    let c =
        ["-Clinker=cc", "-Clinker-flavor=gcc", "-Clink-arg=-nostartfiles", "-Clink-arg=-Wl,--gc-sections"];
    let is_host = env::var("HOST").is_ok_and(|host| host.split('-').next() == target.split('-').next());
    links(own, target, program) || (is_host && links(c, target, program))
}

fn links(linker: [&str; 4], target: &str, program: &Path) -> bool {
    let built = rustc()
        .args(["--edition=2024", "--crate-name=launcher", "--crate-type=bin", "launcher/main.rs", "-o"])
        .arg(program)
        .args(["--target", target, "-Copt-level=s", "-Cpanic=abort", "-Crelocation-model=static"])
        .args(["-Ccodegen-units=1", "-Cstrip=symbols", "-Clink-arg=-static", "-Clink-arg=-nostdlib"])
        .args(linker)
        .output();
    built.is_ok_and(|built| built.status.success())
}
