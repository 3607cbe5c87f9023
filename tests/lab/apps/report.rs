//! What a program finds when it starts, a fact a line: so that two ways to start it can be compared, and secrets by what
//! they hash to.

use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process;

/// Everything but what differs from start to start. Variables and files are given as length and hash.
pub fn report() -> String {
    let mut lines = vec![format!("pid {}", process::id()), format!("cwd {:?}", env::current_dir())];
    lines.extend(env::args_os().map(|word| format!("arg \"{}\"", word.as_bytes().escape_ascii())));
    // Owner, and what is done with signals.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kept =
        |line: &&str| ["Uid:", "Gid:", "Groups:", "Sig", "Cap"].iter().any(|word| line.starts_with(word));
    lines.extend(status.lines().filter(kept).filter(|line| !line.starts_with("SigQ")).map(str::to_owned));
    let open = fs::read_dir("/proc/self/fd").map(Iterator::count);
    lines.push(format!("files open {open:?}"));
    let mut named: Vec<String> = env::vars_os()
        .map(|(name, value)| format!("env {}={}", name.as_bytes().escape_ascii(), digest(value.as_bytes())))
        .collect();
    for file in fs::read_dir("/run/secrets").into_iter().flatten().flatten() {
        let content =
            fs::read(file.path()).map_or_else(|error| error.to_string(), |content| digest(&content));
        named.push(format!("file {}={content}", file.path().display()));
    }
    named.sort();
    lines.extend(named);
    lines.join("\n")
}

/// Length, and FNV-1a.
fn digest(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{}:{:016x}", bytes.len(), bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}
