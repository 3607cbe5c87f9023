//! What a rule is to be judged by: a line that was typed, a log file, or a recording.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use super::args::SettingOptions;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::fleet::text::plural;
use crate::fleet::{AppName, HostName, Observation, Profile, Recording, Stream, Timestamp};
use crate::rules::{LogLine, Setting, Times, Transcript};
use crate::watch::{Assembler, Line};

/// Bytes that are read of one file.
const LIMIT: u64 = 256 << 20;

/// A text, and where it came from.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// For messages.
    pub(super) name: String,
    /// Whether the text itself was typed.
    pub(super) is_typed: bool,
    /// Whether more was there than is read of one file.
    pub(super) is_cut: bool,
}

/// Observations, each with its line in the file if it has one.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) observations: Vec<(Option<usize>, Observation)>,
    /// What is to be known of their times.
    pub(super) times: String,
    pub(super) is_recording: bool,
}

impl Text {
    /// Reads LINE|FILE|-; `hint` says what to type instead of a directory.
    pub(super) fn line_or_file(source: &str, hint: &str) -> Result<Self, Failure> {
        let path = Path::new(source);
        if source == "-" || path.is_file() || path.is_dir() {
            return Self::file(source, hint);
        }
        let is_path = !source.contains(char::is_whitespace)
            && (source.starts_with(['/', '.', '~'])
                || [".log", ".txt", ".json", ".jsonl"].iter().any(|end| source.ends_with(end)));
        if is_path {
            return Err(unreadable(path, "there is no such file")
                .hint(format!("if it is a log line: `echo '…' | arcane rules … {}`", "-")));
        }
        Ok(Self { text: source.to_owned(), name: "the line".to_owned(), is_typed: true, is_cut: false })
    }

    /// Reads FILE|-; `hint` says what to type instead of a directory.
    pub(super) fn file(source: &str, hint: &str) -> Result<Self, Failure> {
        let path = Path::new(source);
        let mut bytes = Vec::new();
        let read = if source == "-" {
            std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes)
        } else {
            refuse_directory(path, hint)?;
            std::fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
        };
        read.map_err(|error| unreadable(path, &error.to_string()))?;
        let limit = usize::try_from(LIMIT).unwrap_or(usize::MAX);
        let is_cut = bytes.len() > limit;
        bytes.truncate(limit);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let name = if source == "-" { "standard input".to_owned() } else { source.to_owned() };
        Ok(Self { text, name, is_typed: false, is_cut })
    }

    /// As a recording.
    pub(super) fn recording(&self) -> Result<Recording, Failure> {
        Recording::read(&self.text).map_err(|error| {
            Failure::new(exit::USAGE, format!("{}: {error}", self.name))
                .hint("`arcane record APP` makes a recording; `arcane rules explain` reads plain log files")
        })
    }

    /// As observations: those of a recording, or of lines in this setting.
    pub(super) fn evidence(&self, ui: &Ui, setting: &SettingOptions) -> Result<Evidence, Failure> {
        if self.is_cut {
            ui.tagged(Tag::Warning, &format!("only the first {LIMIT} bytes of {} are read", self.name));
        }
        if Recording::is_one(&self.text) {
            let recording = self.recording()?;
            warn_of_the_end(ui, &recording);
            let numbered = recording.entries.into_iter();
            return Ok(Evidence {
                observations: numbered.map(|(line, one)| (Some(line), one.observation)).collect(),
                times: "times as they were recorded".to_owned(),
                is_recording: true,
            });
        }
        let transcript = Transcript::read(&self.text);
        if transcript.left_out > 0 {
            let more = plural(transcript.left_out, "more line");
            ui.tagged(Tag::Warning, &format!("{more} of {} are not read", self.name));
        }
        let lines = assembled(&transcript, setting.stream.into());
        let observations = setting.setting()?.observations(&lines);
        // What tells the setting comes before the lines.
        let before = observations.len() - lines.len();
        let number = |index: usize| index.checked_sub(before).map(|index| lines[index].number);
        let numbered = observations.into_iter().enumerate();
        Ok(Evidence {
            observations: numbered.map(|(index, one)| (number(index), one)).collect(),
            times: transcript.times.meaning(),
            is_recording: false,
        })
    }
}

/// The lines as the watcher would tell them: those of one stack trace as one. A trace has the number of its first line.
fn assembled(transcript: &Transcript, stream: Stream) -> Vec<LogLine> {
    let lines = &transcript.lines;
    if transcript.times == Times::Arcane {
        return lines.clone();
    }
    let mut assembler = Assembler::default();
    let mut told: Vec<Line> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        // The stamp of a trace is that of its first line: it tells which one that was.
        let at = Timestamp::from_nanos(i64::try_from(index).unwrap_or(i64::MAX));
        assembler.push(Line { at, stream, text: line.text.as_str().into() }, &mut told);
    }
    assembler.flush(&mut told);
    let first = |line: Line| {
        let index = usize::try_from(line.at.as_nanos()).ok()?;
        let LogLine { number, at, .. } = lines.get(index)?;
        Some(LogLine { number: *number, at: *at, text: line.text.to_string() })
    };
    told.into_iter().filter_map(first).collect()
}

/// Says how a recording ended when it was not ended in order.
pub(super) fn warn_of_the_end(ui: &Ui, recording: &Recording) {
    if recording.cut {
        ui.tagged(Tag::Warning, "the last line is cut off and left out: the recorder was killed");
    } else if recording.end.is_none() {
        ui.tagged(Tag::Warning, "the recording has no end: the recorder was killed");
    }
}

impl SettingOptions {
    fn setting(&self) -> Result<Setting, Failure> {
        let bug = |error: crate::fleet::NameError| Failure::from_error(exit::BUG, &error);
        let app = self.app.clone().map_or_else(|| AppName::parse("app").map_err(bug), Ok)?;
        let host = self.host.clone().map_or_else(|| HostName::parse("host").map_err(bug), Ok)?;
        Ok(Setting {
            app,
            host,
            deploy_age: self.deploy_age,
            previous: Some(self.previous).filter(|ran| *ran > Duration::ZERO),
            uptime: self.uptime.unwrap_or(self.deploy_age),
            stream: self.stream.into(),
            profile: Profile {
                environment: self.env.clone(),
                ..Profile::new(
                    self.image.as_deref().unwrap_or_default(),
                    &self.label.iter().cloned().collect(),
                    self.role.clone(),
                )
            },
        })
    }
}

/// Says that a path leads to a directory, and what to type instead. It is no log line either: whoever has one that is
/// spelt like a directory can still send it through a pipe.
pub(in crate::cli::ops) fn refuse_directory(path: &Path, hint: &str) -> Result<(), Failure> {
    if path.is_dir() { Err(unreadable(path, "it is a directory").hint(hint)) } else { Ok(()) }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(exit::USAGE, format!("cannot read {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_trace_is_one_line_and_has_the_number_of_its_first() {
        let text = "up\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    x()\nKeyError: 'K'\ndown\n";
        let lines = assembled(&Transcript::read(text), Stream::Stderr);
        let told: Vec<(usize, usize)> =
            lines.iter().map(|line| (line.number, line.text.lines().count())).collect();
        assert_eq!(told, [(1, 1), (2, 4), (6, 1)]);
    }

    #[test]
    fn a_directory_is_said_to_be_one() {
        let folder = std::env::temp_dir().join(format!("arcane-input-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let source = folder.to_str().unwrap();
        for failure in [Text::line_or_file(source, "").unwrap_err(), Text::file(source, "").unwrap_err()] {
            assert_eq!(failure.code(), exit::USAGE);
            assert!(failure.line().ends_with("it is a directory"), "{}", failure.line());
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_looks_like_a_file_is_none_that_is_missing() {
        for source in ["./nothing.log", "/nowhere", "shop.recording.jsonl"] {
            assert_eq!(Text::line_or_file(source, "").unwrap_err().code(), exit::USAGE, "{source}");
        }
        assert!(Text::line_or_file("/healthz answered 500", "").unwrap().is_typed);
        assert!(Text::line_or_file("panic", "").unwrap().is_typed);
    }
}
