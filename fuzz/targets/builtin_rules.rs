//! The rules that come with Arcane match the lines that they say: whatever is found of a line was written in some rule file,
//! and of what is written nothing is missed.

#![no_main]

use std::sync::{Arc, LazyLock};

use arcane::rules::{RuleSet, Scanner};
use arcane_fuzz::Draw;
use arcane_fuzz::plain::{self, Log, Match, Pattern, Wanted};
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

struct World {
    rules: Arc<RuleSet>,
    /// Of each rule over lines its number and what it says.
    logs: Vec<(usize, Log)>,
    /// Every line that a test of a rule plays.
    samples: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let rules = RuleSet::builtin();
    let (mut logs, mut samples) = (Vec::new(), Vec::new());
    for (file, text) in RuleSet::builtin_files() {
        let table: Table = text.parse().expect("a built-in file is TOML");
        let pack = table["pack"].as_str().expect("a pack has a name");
        for rule in table["rule"].as_array().expect("a pack has rules") {
            samples.extend(rule.get("test").into_iter().flat_map(sample_lines));
            let Some(log) = rule.get("log") else { continue };
            let name = format!("{pack}/{}", rule["id"].as_str().expect("a rule has a name"));
            let number = rules.rules().iter().position(|rule| rule.name() == name);
            logs.push((number.unwrap_or_else(|| panic!("{file} has {name}")), plain(log)));
        }
    }
    logs.sort_by_key(|(number, _)| *number);
    World { rules: Arc::new(rules), logs, samples }
});

/// A text, or a list of them.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn plain(log: &Value) -> Log {
    assert!(log.get("fields").is_none(), "there is no plain way of reading logfmt yet: {log}");
    let patterns =
        |key| texts(log.get(key)).into_iter().map(|text| Pattern::lasting(text).expect("it is sound"));
    let members = log.get("json").and_then(Value::as_table).into_iter().flatten();
    let wanted = |(path, text): (&String, &Value)| {
        let text = text.as_str().expect("a member is asked for by a text");
        (path.clone(), Wanted::new(text).expect("it is sound"))
    };
    Log {
        any: patterns("any").collect(),
        all: patterns("all").collect(),
        not: patterns("not").collect(),
        json: members.map(wanted).collect(),
    }
}

fn sample_lines(tests: &Value) -> Vec<String> {
    let tests = tests.as_array().into_iter().flatten();
    let lines = tests.flat_map(|test| ["line", "each", "lines"].map(|key| texts(test.get(key))));
    lines.flatten().map(str::to_owned).collect()
}

/// Rules that are judged in full for one input, so that an input does not take all of a second.
const SHARE: usize = 6;

// What is made once takes no input's time.
fuzz_target!(init: { LazyLock::force(&WORLD); }, |input: &[u8]| {
    let mut draw = Draw::new(input);
    let part = usize::from(draw.byte()) % SHARE;
    let line = line(&mut draw);
    let mut scanner = Scanner::new(Arc::clone(&WORLD.rules));
    let found = scanner.matches(&line);
    // Of a line that makes too much work, something may be left out.
    let is_whole = scanner.counts().skipped == 0;
    let found: Vec<(usize, Match)> =
        found.into_iter().map(|found| (found.rule, (found.captures, found.alternative))).collect();
    let plain = plain::stripped(&line);
    for (rule, log) in &WORLD.logs {
        let found = found.iter().find(|(number, _)| number == rule).map(|(_, found)| found);
        if found.is_some() || (is_whole && rule % SHARE == part) {
            let expected = log.matches(&plain);
            assert_eq!(found, expected.as_ref(), "{line:?} and {}", WORLD.rules.rules()[*rule].name());
        }
    }
});

/// Sample lines, cut, joined and written over.
fn line(draw: &mut Draw<'_>) -> String {
    let mut line: Vec<char> = Vec::new();
    while !draw.is_empty() && line.len() < 4096 {
        let at = draw.number() % (line.len() + 1);
        match draw.byte() % 8 {
            0..=2 => {
                let sample = draw.number() % WORLD.samples.len();
                line.splice(at..at, WORLD.samples[sample].chars());
            }
            3 | 4 => {
                let length = draw.below(24);
                line.splice(at..at, draw.text(length).chars());
            }
            5 => {
                let end = (at + draw.below(256)).min(line.len());
                line.drain(at..end);
            }
            6 => {
                let end = (at + draw.below(64)).min(line.len());
                let other = match draw.byte() % 4 {
                    0 => str::to_uppercase,
                    1 => str::to_lowercase,
                    2 => |text: &str| text.replace(['k', 'K'], "\u{212a}").replace(['s', 'S'], "\u{17f}"),
                    _ => |text: &str| text.replace(' ', "\n"),
                };
                let changed = other(&line[at..end].iter().collect::<String>());
                line.splice(at..end, changed.chars());
            }
            _ => line.insert(at, '\n'),
        }
    }
    line.into_iter().collect()
}
