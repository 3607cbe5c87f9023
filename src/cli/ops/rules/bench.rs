//! `arcane rules bench FILE`: how fast rules judge the lines of a file, on one core, from its bytes to signals.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use serde_json::json;

use super::input::refuse_directory;
use super::load;
use crate::cli::args::Arguments;
use crate::cli::args::RuleBench;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::fleet::text::plural;
use crate::fleet::{
    AppName, ContainerId, Fact, Freshness, HostName, LineText, Observation, Profile, ReleaseId, Role, Stream,
    Subject, Timestamp,
};
use crate::rules::Engine;

/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;
/// The longest text of one line, as the watcher gives it out; a longer one comes in pieces.
const LINE_LIMIT: usize = 64 << 10;
/// How far apart lines are taken to be.
const APART: Duration = Duration::from_millis(1);

/// Judges every line as if it had just been logged by a live container.
struct Judge {
    engine: Engine,
    host: HostName,
    subject: Arc<Subject>,
    at: Timestamp,
    lines: u64,
    signals: u64,
}

pub(super) fn run(ui: &Ui, arguments: &Arguments, options: &RuleBench) -> Result<u8, Failure> {
    let rules = Arc::new(load(&arguments.directory, &options.rules)?);
    let path = &options.file;
    let mut judge = Judge::new(Engine::new(Arc::clone(&rules)))?;
    refuse_directory(path, "name a file of log lines: `arcane rules bench FILE`")?;
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let started = Instant::now();
    let bytes = judge.read(&mut file).map_err(|error| unreadable(path, &error))?;
    let seconds = started.elapsed().as_secs_f64();
    let (lines, rules) = (judge.lines, rules.rules().len());
    let (lines_per_s, mb_per_s) = (lines as f64 / seconds, bytes as f64 / seconds / 1e6);
    if options.json {
        ui.json(&json!({
            "rules": rules, "lines": lines, "bytes": bytes, "seconds": seconds, "lines_per_s": lines_per_s,
            "mb_per_s": mb_per_s, "signals": judge.signals, "threads": 1,
        }));
    } else {
        let lines = plural(usize::try_from(lines).unwrap_or(usize::MAX), "line");
        ui.out(&format!(
            "{}, {lines}: {seconds:.2} s, {lines_per_s:.0} lines/s, {mb_per_s:.0} MB/s on one core, {}",
            plural(rules, "rule"),
            plural(usize::try_from(judge.signals).unwrap_or(usize::MAX), "signal"),
        ));
    }
    Ok(exit::DONE)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit::USAGE, format!("cannot read {}: {error}", path.display()))
}

impl Judge {
    fn new(engine: Engine) -> Result<Self, Failure> {
        let at = Timestamp::from_seconds(1_800_000_000);
        let name = |error: crate::fleet::NameError| Failure::from_error(exit::BUG, &error);
        let subject = Arc::new(Subject {
            app: AppName::parse("app").map_err(name)?,
            release: ReleaseId::new(at, 0),
            container: ContainerId("0".repeat(64)),
            role: Role::Live,
            profile: Profile::default(),
        });
        let host = HostName::parse("host").map_err(name)?;
        Ok(Self { engine, host, subject, at, lines: 0, signals: 0 })
    }

    /// Judges all lines of a file; returns how many bytes it had.
    fn read(&mut self, file: &mut impl Read) -> std::io::Result<u64> {
        let mut bytes = 0;
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            let before = block.len();
            let read = file.take((BLOCK - before) as u64).read_to_end(&mut block)?;
            bytes += read as u64;
            // A block ends with a line, unless there is none that ends in it.
            let end = block.iter().rposition(|&byte| byte == b'\n').map_or(block.len(), |at| at + 1);
            let end = if read == 0 { block.len() } else { end };
            let rest = block.split_off(end);
            self.judge(std::mem::replace(&mut block, rest));
            if read == 0 {
                return Ok(bytes);
            }
            block.reserve(BLOCK - block.len());
        }
    }

    fn judge(&mut self, block: Vec<u8>) {
        let text = String::from_utf8(block)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let text = ByteString::from(text);
        for line in text.lines() {
            self.lines += 1;
            let mut rest = line;
            while rest.len() > LINE_LIMIT {
                let cut = (0..=LINE_LIMIT).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(LINE_LIMIT);
                self.observe(text.slice_ref(&rest[..cut]));
                rest = &rest[cut..];
            }
            self.observe(text.slice_ref(rest));
        }
    }

    fn observe(&mut self, text: ByteString) {
        self.at = self.at + APART;
        let observation = Observation {
            at: self.at,
            host: self.host.clone(),
            subject: Some(Arc::clone(&self.subject)),
            freshness: Freshness::Live,
            fact: Fact::Line { stream: Stream::Stdout, text: LineText::from(text) },
        };
        self.signals += self.engine.observe(&observation).len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;

    #[test]
    fn every_line_is_judged_whatever_the_file_is_like() {
        let long = "x".repeat(3 * BLOCK);
        for (text, lines) in [
            (String::new(), 0),
            ("one".to_owned(), 1),
            ("one\ntwo\n".to_owned(), 2),
            (format!("one\n{}\nthree", "two ".repeat(50_000)), 3),
            ("java.lang.OutOfMemoryError: Java heap space\n".repeat(100_000), 100_000),
        ] {
            let mut judge = Judge::new(Engine::new(Arc::new(RuleSet::builtin()))).unwrap();
            assert_eq!(judge.read(&mut text.as_bytes()).unwrap(), text.len() as u64);
            assert_eq!(judge.lines, lines);
            assert_eq!(judge.signals > 0, text.contains("OutOfMemory"));
        }
        let mut judge = Judge::new(Engine::new(Arc::new(RuleSet::builtin()))).unwrap();
        judge.read(&mut long.as_bytes()).unwrap();
        judge.read(&mut &b"\xff\xfe not text\n"[..]).unwrap();
        assert!(judge.lines >= 2);
    }
}
