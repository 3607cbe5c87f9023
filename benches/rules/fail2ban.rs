//! Beside `fail2ban-regex`, which many a server reads its logs with: the same expressions on the same file, both started
//! from nothing. Left out where it is not installed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use arcane::rules::{RuleSet, Scanner};

use crate::ROUNDS;
use crate::random::Random;
use crate::row;

const LINES: usize = 40_000;

/// For both: what is between is written in each one's way.
const EXPRESSIONS: [(&str, &str); 4] = [
    (r"Failed password for (?:invalid user )?\S+ from <HOST> port \d+", "Failed password for "),
    (r"Invalid user \S* from <HOST>", "Invalid user "),
    (r"Received disconnect from <HOST>: 11: .*preauth", "Received disconnect"),
    (r"maximum authentication attempts exceeded for .* from <HOST>", "maximum authentication"),
];
/// What `<HOST>` stands for here.
const HOST: &str = r"(?<peer>\d{1,3}(?:\.\d{1,3}){3})";

pub(crate) fn measure() {
    let there =
        Command::new("fail2ban-regex").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        println!("fail2ban-regex is not installed; its row is left out");
        return;
    }
    let directory = std::env::temp_dir().join(format!("arcane-bench-rules-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (log, filter) = (directory.join("auth.log"), directory.join("filter.conf"));
    std::fs::write(&log, lines()).unwrap();
    let failregex: Vec<_> = EXPRESSIONS.iter().map(|(one, _)| format!("sshd\\[\\d+\\]: {one}")).collect();
    std::fs::write(&filter, format!("[Definition]\nfailregex = {}\n", failregex.join("\n            ")))
        .unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut found = (0, 0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        found.0 = arcane(&log);
        ours.push(LINES as f64 / started.elapsed().as_secs_f64());
        let started = Instant::now();
        found.1 = fail2ban(&log, &filter);
        theirs.push(LINES as f64 / started.elapsed().as_secs_f64());
    }
    assert_eq!(found.0, found.1, "both find the same lines");
    let what = format!(
        "{LINES} lines of sshd, 4 expressions, {} matches, rules compiled and file read each time",
        found.0
    );
    row::versus_rate(&what, &ours.into(), "`fail2ban-regex`", &theirs.into(), "lines/s");
    std::fs::remove_dir_all(&directory).unwrap();
}

fn lines() -> String {
    let mut random = Random::default();
    let mut text = String::new();
    for number in 0..LINES {
        let (pid, port) = (1000 + random.below(30_000), 1024 + random.below(60_000));
        let address = format!("203.0.113.{}", random.below(250));
        let stamp = format!("Nov 25 {:02}:{:02}:{:02}", number / 3600 % 24, number / 60 % 60, number % 60);
        let said = match random.below(10) {
            0 => format!("Failed password for invalid user admin from {address} port {port} ssh2"),
            1 => format!("Invalid user guest from {address}"),
            2 => format!("Received disconnect from {address}: 11: Bye Bye [preauth]"),
            3..6 => {
                format!("Accepted publickey for deploy from {address} port {port} ssh2: ED25519 SHA256:k1")
            }
            6..8 => "pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)".to_owned(),
            _ => format!("Connection closed by {address} port {port} [preauth]"),
        };
        text.push_str(&format!("{stamp} host sshd[{pid}]: {said}\n"));
    }
    text
}

/// The matches that we find.
fn arcane(log: &Path) -> usize {
    let any: Vec<String> = EXPRESSIONS
        .iter()
        .map(|(one, _)| format!("'re:sshd\\[\\d+\\]: {}'", one.replace("<HOST>", HOST)))
        .collect();
    let text = format!(
        "pack = \"t\"\nschema = 1\n[[rule]]\nid = \"r\"\nclass = \"overload\"\nlog = {{ any = [{}] }}\n",
        any.join(", ")
    );
    let rules = RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap_or_else(|error| panic!("{error}"));
    let mut scanner = Scanner::new(Arc::new(rules));
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| scanner.matches(line).len()).sum()
}

/// The matches that it finds.
fn fail2ban(log: &Path, filter: &Path) -> usize {
    let output = Command::new("fail2ban-regex").arg(log).arg(filter).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // Lines: 40000 lines, 0 ignored, 12034 matched, 27966 missed
    let words = text.lines().find(|line| line.starts_with("Lines:")).unwrap_or_else(|| panic!("{text}"));
    words.split(", ").find_map(|word| word.strip_suffix(" matched")).unwrap().parse().unwrap()
}
