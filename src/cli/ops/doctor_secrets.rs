//! Whether secrets that a host keeps in memory stay there: what `arcane doctor` says of swap.

use crate::ssh::{Error, Session};

/// What is asked: the kernel, whether anything is swapped to, and how secrets are kept now. All of it may be read by anybody.
const SCRIPT: &str = r#"echo "kernel $(uname -r)"
sed 1d /proc/swaps 2>/dev/null | sed 's/^/swap /'
grep ' /run/arcane ' /proc/mounts 2>/dev/null | sed 's/^/mount /'
test -d /run/arcane && echo "here "
grep ' /run ' /proc/self/mountinfo 2>/dev/null | grep -q shared: && echo "shared "
true"#;
/// Memory that is never swapped out came with this kernel (`noswap`, commit 2c6efe9cf2d7).
const NOSWAP: (u32, u32) = (6, 4);

/// How a host would keep secrets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Whether they stay in memory.
    pub(super) is_safe: bool,
    /// In words.
    pub(super) found: &'static str,
}

/// What to do where they do not.
pub(super) const FIX: &str =
    "turn swap off (`swapoff -a`, and its line in /etc/fstab), encrypt it, or boot Linux 6.4 or newer";

/// Asks a host.
pub(super) async fn look(session: &Session) -> Result<Kept, Error> {
    let output = session.run(SCRIPT, b"").await?;
    Ok(judge(&String::from_utf8_lossy(&output.stdout)))
}

fn judge(answer: &str) -> Kept {
    let line = |word: &str| answer.lines().find_map(|line| line.strip_prefix(word));
    let safe = |found| Kept { is_safe: true, found };
    let mount = line("mount ");
    if mount.is_some_and(|mount| mount.contains("noswap")) {
        return safe("kept in memory that is never swapped out");
    }
    if line("swap ").is_none() {
        return safe("kept in memory, and nothing here is swapped out");
    }
    let kernel = line("kernel ").and_then(version);
    // Without a file system of their own they lie in that of /run, which is swapped out like any other.
    if mount.is_some() || line("here ").is_some() {
        return Kept { is_safe: false, found: "kept in memory that may be swapped out to disk" };
    }
    if kernel >= Some(NOSWAP) && line("shared ").is_some() {
        return safe("would be kept in memory that is never swapped out");
    }
    Kept { is_safe: false, found: "would be kept in memory that may be swapped out to disk" }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_swapped_out_is_said() {
        let swap = "swap /dev/sda2 partition 8388604 0 -2\n";
        let mount = |options: &str| format!("mount tmpfs /run/arcane tmpfs rw,{options} 0 0\n");
        let shared = swap.to_owned() + "shared \n";
        for (kernel, rest, is_safe) in [
            ("6.1.0-13-amd64", String::new(), true),
            ("6.1.0-13-amd64", shared.clone(), false),
            ("6.4.0", shared.clone(), true),
            ("6.18.44-fc", shared.clone(), true),
            ("6.18.44-fc", shared.clone() + "here \n", false),
            ("6.18.44-fc", swap.to_owned(), false),
            ("7.0", shared.clone(), true),
            ("5.10.0", shared.clone(), false),
            ("strange", shared.clone(), false),
            ("6.18.44", swap.to_owned() + &mount("mode=700"), false),
            ("6.18.44", swap.to_owned() + &mount("mode=700,noswap"), true),
        ] {
            let kept = judge(&format!("kernel {kernel}\n{rest}"));
            assert_eq!(kept.is_safe, is_safe, "{kernel} {rest}: {}", kept.found);
        }
    }
}
