//! Holds the walls of the house: which room may use which, how large a file may grow, which words must not appear.
//! Reads the sources as text; knows nothing of Rust beyond `crate::` and `use`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms it may use. `fleet` and `clock` are there for everybody but `fleet` itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("fleet", &[]),
    ("clock", &["fleet"]),
    ("config", &["fleet"]),
    ("journal", &["fleet", "config", "secrets"]),
    ("rules", &["fleet", "config"]),
    ("diagnose", &["fleet", "config"]),
    ("secrets", &["fleet", "config"]),
    ("git", &["fleet"]),
    ("ssh", &["fleet", "config"]),
    ("docker", &["fleet", "config", "ssh"]),
    ("deploy", &["fleet", "clock", "config", "ssh", "docker", "journal", "rules", "secrets"]),
    ("watch", &["fleet", "clock", "config", "ssh", "docker", "deploy", "journal", "rules", "secrets"]),
    ("heal", &["fleet", "clock", "config", "ssh", "docker", "deploy", "journal", "rules", "diagnose"]),
    (
        "cli",
        &[
            "fleet", "clock", "config", "ssh", "docker", "deploy", "journal", "rules", "secrets", "git",
            "watch", "heal", "diagnose",
        ],
    ),
];

/// Files that decide without I/O, and what they must not mention for that.
const PURE: &[&str] = &[
    "src/fleet/",
    "src/rules/",
    "src/diagnose/",
    "src/deploy/situation.rs",
    "src/deploy/labels.rs",
    "src/deploy/caddyfile/",
    "src/deploy/rollout/course.rs",
    "src/deploy/rollout/stages.rs",
    "src/secrets/contents.rs",
    "src/secrets/dotenv.rs",
    "src/secrets/forms.rs",
    "src/secrets/merge.rs",
    "src/secrets/redact.rs",
    "src/secrets/scan.rs",
    "src/secrets/survey.rs",
    "src/watch/trace/",
    "src/heal/supervisor",
    "src/heal/guard.rs",
    "src/heal/ladder.rs",
    "src/heal/replay.rs",
];
const IMPURE: &[&str] =
    &["tokio::", "std::fs", "std::net", "SystemTime::now", "Instant::now", "clock::now", "std::env::"];

/// Only these may read this machine's clock.
const CLOCK: &[&str] = &["src/clock.rs"];

/// Words that belong in no source: they mark unfinished work or talk about something other than Arcane.
const FORBIDDEN: &[&str] = &["TODO", "FIXME", "XXX", "HACK", "todo!(", "unimplemented!(", "dbg!("];

const FAIL_LINES: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &str) -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(directory), &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The part of a file that is not its inline tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn room_of(file: &str) -> Option<&'static str> {
    let inside = file.strip_prefix("src/")?;
    ROOMS
        .iter()
        .map(|(room, _)| *room)
        .find(|room| inside.strip_prefix(room).is_some_and(|rest| rest.starts_with('/') || rest == ".rs"))
}

/// The rooms that a text names after `crate::`, grouped imports included.
fn used_rooms(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (index, _) in text.match_indices("crate::") {
        let rest = &text[index + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let word: String =
                name.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            used.insert(word);
        }
    }
    used
}

#[test]
fn no_room_uses_a_room_above_it() {
    let mut broken = Vec::new();
    for (file, text) in sources("src") {
        let Some(room) = room_of(&file) else { continue };
        let allowed = ROOMS.iter().find(|(name, _)| *name == room).unwrap().1;
        for used in used_rooms(&text) {
            let known = ROOMS.iter().any(|(name, _)| *name == used);
            if known && used != room && !allowed.contains(&used.as_str()) {
                broken.push(format!("{file}: {room} must not use {used}"));
            }
        }
    }
    assert!(broken.is_empty(), "walls broken:\n{}", broken.join("\n"));
}

#[test]
fn every_source_belongs_to_a_room() {
    let outside = ["src/main.rs", "src/lib.rs"];
    let homeless: Vec<_> = sources("src")
        .into_iter()
        .map(|(file, _)| file)
        .filter(|file| room_of(file).is_none() && !outside.contains(&file.as_str()))
        .collect();
    assert!(homeless.is_empty(), "give these a room in tests/tidy.rs and ARCHITECTURE.md: {homeless:?}");
}

#[test]
fn what_decides_does_no_input_or_output() {
    let mut broken = Vec::new();
    for (file, text) in sources("src") {
        if !PURE.iter().any(|pure| file.starts_with(pure)) {
            continue;
        }
        for word in IMPURE {
            if without_tests(&text)
                .lines()
                .any(|line| line.contains(word) && !line.trim_start().starts_with("//"))
            {
                broken.push(format!("{file} mentions {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "pure files do I/O:\n{}", broken.join("\n"));
}

#[test]
fn only_the_clock_reads_the_clock() {
    let broken: Vec<_> = sources("src")
        .into_iter()
        .filter(|(file, text)| text.contains("SystemTime::now") && !CLOCK.contains(&file.as_str()))
        .map(|(file, _)| file)
        .collect();
    assert!(broken.is_empty(), "ask clock::now instead: {broken:?}");
}

#[test]
fn files_are_read_in_one_sitting() {
    let too_long: Vec<_> = sources("src")
        .into_iter()
        .map(|(file, text)| (file, without_tests(&text).lines().count()))
        .filter(|(_, lines)| *lines > FAIL_LINES)
        .collect();
    assert!(too_long.is_empty(), "longer than {FAIL_LINES} lines without tests: {too_long:?}");
}

#[test]
fn every_file_tells_its_story() {
    let silent: Vec<_> = ["src", "fuzz/src", "fuzz/targets"]
        .iter()
        .flat_map(|directory| sources(directory))
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(file, _)| file)
        .collect();
    assert!(silent.is_empty(), "no //! header: {silent:?}");
}

#[test]
fn no_forbidden_words() {
    let mut found = Vec::new();
    for (file, text) in ["src", "tests", "benches", "fuzz/src", "fuzz/targets"]
        .iter()
        .flat_map(|directory| sources(directory))
    {
        if file == "tests/tidy.rs" {
            continue;
        }
        for word in FORBIDDEN {
            if text.contains(word) {
                found.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The walls themselves must be able to fail.
#[test]
fn the_wall_test_sees_through_grouped_imports() {
    let used = used_rooms(
        "use crate::{fleet::App, heal};\nuse crate::deploy::Error;\nlet x = crate::docker::Engine;",
    );
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["deploy", "docker", "fleet", "heal"]);
}

#[test]
fn every_rule_file_is_embedded() {
    let list = fs::read_to_string(root().join("src/rules/builtin.rs")).unwrap();
    let missing: Vec<String> = fs::read_dir(root().join("rules"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !list.contains(&format!("../../rules/{name}")))
        .collect();
    assert!(missing.is_empty(), "not embedded: {missing:?}");
}
