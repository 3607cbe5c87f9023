//! Recordings: what was observed of an app, kept to be judged again later. A text file of JSON lines: a [`Header`], then
//! a [`Recorded`] for each observation as it came in, and an [`End`] when the recording was ended rather than killed.

use serde::{Deserialize, Serialize};

use super::name::{AppName, HostName};
use super::observation::Observation;
use super::text::quoted;
use super::time::Timestamp;

/// The version of the format.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub arcane_recording: u32,
    /// Of this app.
    pub app: AppName,
    /// On these hosts.
    pub from: Vec<HostName>,
    /// When it began, by the clock of the machine that recorded.
    pub at: Timestamp,
}

/// An observation, and when it came in by the clock of the machine that recorded: the clock that a supervisor there
/// decided by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When it came in.
    pub seen: Timestamp,
    /// What was observed.
    #[serde(flatten)]
    pub observation: Observation,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub end: Timestamp,
    /// Why: in words.
    pub why: String,
}

/// A recording, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// How it began.
    pub header: Header,
    /// What came in, each with its line in the file, from 1.
    pub entries: Vec<(usize, Recorded)>,
    /// How it ended; `None` when the recorder was killed.
    pub end: Option<End>,
    /// Whether the last line was being written when the recorder was killed.
    pub cut: bool,
}

/// A text that is no recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It does not begin like one.
    #[error("it is no recording: its first line is {} and not a header with `arcane_recording`", quoted(.0))]
    Header(String),
    /// It is of another version.
    #[error("it is a recording of version {0}; this arcane reads version {VERSION}")]
    Version(u64),
    /// A line is not understood.
    #[error("line {line}, column {column} is not understood: {message}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Where in it, from 1.
        column: usize,
        /// Why not.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Observed(Box<Recorded>),
    End(End),
}

impl Recording {
    /// Whether a text begins like a recording.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.trim_start().starts_with("{\"arcane_recording\"")
    }

    /// Reads a recording. A last line that was cut off is left out.
    ///
    /// # Errors
    /// When any other line is not understood.
    pub fn read(text: &str) -> Result<Self, RecordingError> {
        let mut lines = text.split_inclusive('\n').enumerate().map(|(index, line)| (index + 1, line));
        let header = header(lines.next().map_or("", |(_, line)| line))?;
        let mut recording = Self { header, entries: Vec::new(), end: None, cut: false };
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Entry::Observed(recorded)) => recording.entries.push((number, *recorded)),
                Ok(Entry::End(end)) => recording.end = Some(end),
                Err(_) if !line.ends_with('\n') => recording.cut = true,
                Err(error) => return Err(misunderstood(number, line, &error)),
            }
        }
        Ok(recording)
    }

    /// When the last thing is known to have been so: its end, or the last that came in.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        let last = self.entries.last().map_or(self.header.at, |(_, recorded)| recorded.seen);
        self.end.as_ref().map_or(last, |end| end.end)
    }
}

fn header(line: &str) -> Result<Header, RecordingError> {
    let no_header = || RecordingError::Header(line.trim_end().to_owned());
    let value: serde_json::Value = serde_json::from_str(line).map_err(|_| no_header())?;
    let version = value.get("arcane_recording").and_then(serde_json::Value::as_u64).ok_or_else(no_header)?;
    if version != u64::from(VERSION) {
        return Err(RecordingError::Version(version));
    }
    serde_json::from_value(value).map_err(|error| misunderstood(1, line, &error))
}

/// What is wrong with a line. Alternatives hide what is wrong with an observation, so it is read again as one.
fn misunderstood(line: usize, text: &str, error: &serde_json::Error) -> RecordingError {
    let again = serde_json::from_str::<Recorded>(text).err();
    let error = again.as_ref().filter(|_| line > 1).unwrap_or(error);
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or(&full);
    RecordingError::Line {
        line,
        column: error.column().max(1),
        message: super::text::printable(message, 200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Fact, Freshness};

    fn text(lines: &[&str]) -> String {
        let header = r#"{"arcane_recording":1,"app":"shop","from":["web1"],"at":"2026-11-25T10:00:00Z"}"#;
        [&[header], lines].concat().join("\n")
    }

    fn recorded() -> Recorded {
        Recorded {
            seen: Timestamp::from_seconds(1_700_000_001),
            observation: Observation {
                at: Timestamp::from_seconds(1_700_000_000),
                host: HostName::parse("web1").unwrap(),
                subject: None,
                freshness: Freshness::Live,
                fact: Fact::HostUnreachable { reason: "no \"route\"\n".to_owned() },
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let line = serde_json::to_string(&recorded()).unwrap();
        let end = r#"{"end":"2026-11-25T10:00:09Z","why":"interrupted"}"#;
        let read = Recording::read(&(text(&[&line, "", end]) + "\n")).unwrap();
        assert_eq!(read.entries, [(2, recorded())]);
        assert_eq!((read.cut, read.until()), (false, Timestamp::parse("2026-11-25T10:00:09Z").unwrap()));
        let cut = Recording::read(&text(&[&line, &line[..40]])).unwrap();
        assert_eq!((cut.entries.len(), cut.cut, cut.end.is_none()), (1, true, true));
        assert_eq!(cut.until(), recorded().seen);
    }

    #[test]
    fn what_is_none_is_refused_with_its_place() {
        let line = serde_json::to_string(&recorded()).unwrap();
        let broken = line.replace("\"live\"", "\"dead\"");
        for (text, says) in [
            (String::new(), "it is no recording"),
            ("ERROR \u{1b}[31m".to_owned(), "`ERROR \\u{1b}[31m`"),
            ("{\"arcane_recording\":2}".to_owned(), "version 2"),
            (text(&["{\"seen\":1,", &line]) + "\n", "line 2, column"),
            (text(&[&line, &broken, &line]) + "\n", "line 3, column"),
            (text(&[&broken, ""]), "unknown variant `dead`"),
            ("{\"arcane_recording\":1,\"app\":\"-\"}".to_owned(), "line 1, column"),
        ] {
            let error = Recording::read(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error} should say {says}");
        }
    }
}
