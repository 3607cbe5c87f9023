//! What a rule is to be judged by: a line that was typed, a log file, or a recording.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use super::args::SettingOptions;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::fleet::text::plural;
use crate::fleet::{AppName, HostName, Observation, Recording};
use crate::rules::{Setting, Transcript};

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
    /// Reads LINE|FILE|-.
    pub(super) fn line_or_file(source: &str) -> Result<Self, Failure> {
        let path = Path::new(source);
        if source == "-" || path.is_file() {
            return Self::file(source);
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

    /// Reads FILE|-.
    pub(super) fn file(source: &str) -> Result<Self, Failure> {
        let path = Path::new(source);
        let mut bytes = Vec::new();
        let read = if source == "-" {
            std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes)
        } else {
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
        let observations = setting.setting()?.observations(&transcript.lines);
        // What tells the setting comes before the lines.
        let before = observations.len() - transcript.lines.len();
        let number = |index: usize| index.checked_sub(before).map(|index| transcript.lines[index].number);
        let numbered = observations.into_iter().enumerate();
        Ok(Evidence {
            observations: numbered.map(|(index, one)| (number(index), one)).collect(),
            times: transcript.times.meaning().to_owned(),
            is_recording: false,
        })
    }
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
        })
    }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(exit::USAGE, format!("cannot read {}: {why}", path.display()))
}
