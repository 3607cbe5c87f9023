//! What somebody gives us as a recording or a log file: it is read or refused with a place that is in it, what was read can be
//! written and read again, and rules that remember much decide the same of it twice.

#![no_main]

use std::sync::{Arc, LazyLock};

use arcane::fleet::{Recording, RecordingError};
use arcane::rules::{Engine, RuleSet, Times, Transcript};
use arcane_fuzz::Draw;
use libfuzzer_sys::fuzz_target;
use serde_json::to_string;

/// Rules that remember: one of each kind, beside those that come with Arcane about state.
static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let mut files = RuleSet::builtin_files();
    files.retain(|(file, _)| file.ends_with("core.toml"));
    files.push(("t.toml".to_owned(), REMEMBERING.to_owned()));
    Arc::new(RuleSet::load(&files).unwrap_or_else(|error| panic!("{error}")))
});

const REMEMBERING: &str = r#"
pack   = "t"
schema = 1

[[rule]]
id       = "counted"
class    = "overload"
log      = { any = ["boom", 're:code (?<code>\d+)'] }
by       = ["host", "app"]
count    = 3
within   = "10s"
cooldown = "1m"

[[rule]]
id     = "silent"
class  = "hang"
absent = { log = "job done", for = "1m" }

[[rule]]
id    = "lasting"
class = "hang"
on    = { event = "health:unhealthy" }
for   = "30s"

[[rule]]
id   = "full"
class = "out_of_memory"
stat = "mem_pct >= 90"
for  = "20s"

[[rule]]
id       = "cascade"
class    = "dependency_unavailable"
sequence = [{ on = "die" }, { log = { any = ["refused"] } }]
within   = "2m"

[[rule]]
id      = "confirmed"
class   = "app_crash"
log     = { any = ["fatal"] }
confirm = { any = [{ event = "die", within = "10s" }, { stat = "mem_pct >= 95" }] }
"#;

const HEAD: &str = r#"{"arcane_recording":1,"app":"shop","from":["web1"],"at":"2026-11-25T10:00:00Z"}"#;

// What is made once takes no input's time.
fuzz_target!(init: { LazyLock::force(&RULES); }, |input: &[u8]| {
    let mut draw = Draw::new(input);
    let kind = draw.byte() % 4;
    let said = String::from_utf8_lossy(draw.rest()).into_owned();
    match kind {
        0 => transcript(&said),
        1 => recording(&said),
        // Most of an input is better spent on what happened than on how a recording begins.
        _ => recording(&format!("{HEAD}\n{said}")),
    }
});

fn transcript(text: &str) {
    let read = Transcript::read(text);
    assert_eq!(read.lines.len() + read.left_out, text.lines().count());
    for (index, (line, raw)) in read.lines.iter().zip(text.lines()).enumerate() {
        assert_eq!(line.number, index + 1);
        assert!(line.text.len() <= 64 << 10);
        let as_it_stands = match read.times {
            Times::Docker => {
                raw.ends_with(&line.text)
                    && raw.len() >= line.text.len() + 30 - usize::from(line.text.is_empty())
            }
            Times::Arcane => raw.starts_with(|c: char| c == '{' || c.is_whitespace()),
            Times::Told { .. } | Times::Apart { .. } => raw.starts_with(&line.text),
        };
        assert!(as_it_stands, "{line:?} of {raw:?}");
    }
}

fn recording(text: &str) {
    let read = match Recording::read(text) {
        Ok(read) => read,
        Err(error) => return refused(&error, text),
    };
    let mut first = Engine::new(Arc::clone(&RULES));
    let mut second = Engine::traced(Arc::clone(&RULES));
    for (_, recorded) in &read.entries {
        let signals = first.replay(&recorded.observation);
        assert_eq!(second.replay(&recorded.observation), signals);
        for signal in signals {
            assert!(signal.say.chars().all(|c| !c.is_control()), "{:?}", signal.say);
            assert!((1..=20).contains(&signal.evidence.len()), "{:?}", signal.evidence);
        }
    }
    assert_eq!(first.advance(read.until()), second.advance(read.until()));

    let again = written(&read);
    let read_again = Recording::read(&again).unwrap_or_else(|error| panic!("{error}: {again}"));
    assert_eq!((read_again.header.clone(), read_again.end.clone()), (read.header, read.end));
    // A number that is not whole may be told more exactly than it can be kept, once.
    assert_eq!(Recording::read(&written(&read_again)).map(|read| read.entries), Ok(read_again.entries));
}

fn written(read: &Recording) -> String {
    let entries = read.entries.iter().map(|(_, recorded)| to_string(recorded));
    let end = read.end.iter().map(to_string);
    let lines: Result<Vec<String>, _> =
        [to_string(&read.header)].into_iter().chain(entries).chain(end).collect();
    lines.expect("what was read can be written").join("\n") + "\n"
}

fn refused(error: &RecordingError, text: &str) {
    let shown = error.to_string();
    assert!(shown.chars().all(|c| !c.is_control()) && shown.len() < 4000, "{shown:?}");
    if let RecordingError::Line { line, column, .. } = error {
        let raw = text.split_inclusive('\n').nth(line - 1).unwrap_or_else(|| panic!("no such line: {shown}"));
        assert!((1..=raw.len() + 1).contains(column), "{shown}");
    }
}
