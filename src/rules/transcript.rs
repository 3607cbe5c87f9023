//! A log file read as lines with times: those that the lines themselves tell, when most do; else one a second.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::hit::boundary;
use crate::fleet::Timestamp;

/// Lines that are read of one file.
const MOST_LINES: usize = 1_000_000;
/// Bytes of one line that are looked at, as much as the watcher keeps.
const LINE: usize = 64 << 10;
/// Lines by which it is judged whether a file tells times.
const PROBE: usize = 1000;
/// A time stands in front, or not far from there.
const HEAD: usize = 256;
/// The time of the first line of a file that tells none.
const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// Lines of a log, each with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The lines, as they stand in the file.
    pub lines: Vec<LogLine>,
    /// Where their times come from.
    pub times: Times,
    /// Lines that were left out because there are too many.
    pub left_out: usize,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its number in the file, from 1.
    pub number: usize,
    /// When.
    pub at: Timestamp,
    /// The text, without the time that Docker put in front of it.
    pub text: String,
}

/// Where the times of lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// `docker logs -t` wrote them in front of each line; they are not part of the text.
    Docker,
    /// `arcane logs --json` wrote them.
    Arcane,
    /// The lines tell them. A line that tells none has the time of the one before.
    Told {
        /// Whether some tell no time zone, and were taken as UTC.
        zone_guessed: bool,
    },
    /// The lines do not tell, or too few of them: taken as one second apart.
    Apart {
        /// How many do.
        told: usize,
        /// Of how many that were looked at.
        of: usize,
    },
}

impl Times {
    /// In words, for a person who wonders.
    #[must_use]
    pub fn meaning(self) -> String {
        let meaning = match self {
            Self::Docker => "times as Docker stamped them",
            Self::Arcane => "times as `arcane logs` wrote them",
            Self::Told { zone_guessed: false } => "times as the lines tell them",
            Self::Told { zone_guessed: true } => "times as the lines tell them, taken as UTC",
            Self::Apart { told: 0, .. } => "the lines tell no times: taken as 1s apart",
            Self::Apart { told, of } => {
                let which = if of == PROBE { "the first " } else { "" };
                return format!("only {told} of {which}{of} lines tell a time: all taken as 1s apart");
            }
        };
        meaning.to_owned()
    }
}

impl Transcript {
    /// Reads the text of a log file.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut all = text.lines();
        let raw: Vec<&str> =
            all.by_ref().take(MOST_LINES).map(|line| &line[..boundary(line, LINE)]).collect();
        let left_out = all.count();
        let readers: [(Times, fn(&str) -> Option<(Timestamp, String)>); 2] =
            [(Times::Docker, docker), (Times::Arcane, arcane)];
        let stamped = readers.into_iter().find_map(|(times, read)| Some((times, all_of(&raw, read)?)));
        let (times, lines) = stamped.unwrap_or_else(|| told(&raw));
        let number = |(index, (at, text))| LogLine { number: index + 1, at, text };
        Self { lines: lines.into_iter().enumerate().map(number).collect(), times, left_out }
    }
}

/// Every line read in the same way, or none.
fn all_of(lines: &[&str], read: fn(&str) -> Option<(Timestamp, String)>) -> Option<Vec<(Timestamp, String)>> {
    if lines.is_empty() { None } else { lines.iter().map(|line| read(line)).collect() }
}

/// `2026-11-25T10:00:00.123456789Z the line`: always nine digits, which hardly any program writes of itself.
fn docker(line: &str) -> Option<(Timestamp, String)> {
    const WIDTH: usize = "2026-11-25T10:00:00.123456789Z".len();
    let (stamp, text) = (line.get(..WIDTH)?, line.get(WIDTH..)?);
    let text = if text.is_empty() { text } else { text.strip_prefix(' ')? };
    Some((Timestamp::parse(stamp).ok()?, text.to_owned()))
}

/// A line of `arcane logs --json`.
fn arcane(line: &str) -> Option<(Timestamp, String)> {
    let Value::Object(mut object) = serde_json::from_str(line).ok()? else {
        return None;
    };
    let at = Timestamp::parse(object.get("at")?.as_str()?).ok()?;
    object.get("container")?;
    match object.remove("line")? {
        Value::String(text) => Some((at, text)),
        _ => None,
    }
}

fn told(lines: &[&str]) -> (Times, Vec<(Timestamp, String)>) {
    let found: Vec<Option<(Timestamp, bool)>> = lines.iter().map(|line| time_of(line)).collect();
    let probed = &found[..found.len().min(PROBE)];
    let tell = probed.iter().flatten().count();
    let first = found.iter().flatten().next();
    match first {
        Some(&(first, _)) if tell * 2 >= probed.len() => {
            let mut last = first;
            let zone_guessed = found.iter().flatten().any(|(_, has_zone)| !has_zone);
            let timed = lines.iter().zip(&found).map(|(line, time)| {
                last = time.map_or(last, |(at, _)| at);
                (last, (*line).to_owned())
            });
            (Times::Told { zone_guessed }, timed.collect())
        }
        _ => {
            let second = |index: usize| {
                let after = std::time::Duration::from_secs(u64::try_from(index).unwrap_or(u64::MAX));
                START + after
            };
            let timed = lines.iter().enumerate().map(|(index, line)| (second(index), (*line).to_owned()));
            (Times::Apart { told: tell, of: probed.len() }, timed.collect())
        }
    }
}

static ISO: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"\b(\d{4})[-/](\d{2})[-/](\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,](\d{1,9}))?\d* ?(Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    )
});
static COMMON_LOG: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"\b(\d{2})/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{4})",
    )
});
static EPOCH: LazyLock<Regex> =
    LazyLock::new(|| constant(r#""(?:time|ts|timestamp)": ?(\d{10})(\d{3})?(?:\.(\d{1,9}))?\d*[,}]"#));

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn constant(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern is valid: a test uses each")
}

/// The time that a line tells, and whether it says in which zone.
fn time_of(line: &str) -> Option<(Timestamp, bool)> {
    let head = &line[..boundary(line, HEAD)];
    iso(head).or_else(|| common_log(head)).or_else(|| epoch(head))
}

fn iso(head: &str) -> Option<(Timestamp, bool)> {
    let found = ISO.captures(head)?;
    let part = |index| found.get(index).map_or("", |part| part.as_str());
    let zone = match part(6) {
        "" | "Z" | "UTC" | "GMT" => "Z".to_owned(),
        offset => colon(offset),
    };
    let fraction = if part(5).is_empty() { String::new() } else { format!(".{}", part(5)) };
    let text = format!("{}-{}-{}T{}{fraction}{zone}", part(1), part(2), part(3), part(4));
    Some((Timestamp::parse(&text).ok()?, !part(6).is_empty()))
}

fn common_log(head: &str) -> Option<(Timestamp, bool)> {
    let found = COMMON_LOG.captures(head)?;
    let part = |index| found.get(index).map_or("", |part| part.as_str());
    let month = MONTHS.iter().position(|month| *month == part(2))? + 1;
    let text = format!("{}-{month:02}-{}T{}{}", part(3), part(1), part(4), colon(part(5)));
    Some((Timestamp::parse(&text).ok()?, true))
}

fn epoch(head: &str) -> Option<(Timestamp, bool)> {
    let found = EPOCH.captures(head)?;
    let part = |index| found.get(index).map_or("", |part| part.as_str());
    let seconds: i64 = part(1).parse().ok()?;
    let fraction = format!("{:0<9}", format!("{}{}", part(2), part(3)));
    let nanos: i64 = fraction.get(..9)?.parse().ok()?;
    Some((Timestamp::from_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?), true))
}

/// `+0100` as `+01:00`.
fn colon(offset: &str) -> String {
    match offset.len() {
        5 => format!("{}:{}", &offset[..3], &offset[3..]),
        _ => offset.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_their_time_in_many_ways() {
        for (line, expected, has_zone) in [
            ("2026-11-25T10:00:00Z x", "2026-11-25T10:00:00Z", true),
            ("[2026-11-25 10:00:00,123] x", "2026-11-25T10:00:00.123Z", false),
            ("2026/11/25 10:00:00 [error] 7#7: x", "2026-11-25T10:00:00Z", false),
            ("2026-11-25 10:00:00.120 UTC [1] FATAL: x", "2026-11-25T10:00:00.12Z", true),
            ("2026-11-25T10:00:00.5+0130 x", "2026-11-25T08:30:00.5Z", true),
            (r#"1.2.3.4 - - [25/Nov/2026:10:00:00 +0200] "GET /""#, "2026-11-25T08:00:00Z", true),
            (r#"{"level":50,"time":1764064800123,"msg":"x"}"#, "2025-11-25T10:00:00.123Z", true),
            (r#"{"ts":1764064800.25,"msg":"x"}"#, "2025-11-25T10:00:00.25Z", true),
            (r#"time="2026-11-25T10:00:00+01:00" level=info"#, "2026-11-25T09:00:00Z", true),
        ] {
            let expected = Timestamp::parse(expected).unwrap();
            assert_eq!(time_of(line), Some((expected, has_zone)), "{line}");
        }
        for line in ["", "no time", "2026-13-45 10:00:00 x", "10:00:00 x", r#"{"count":1764064800123}"#] {
            assert_eq!(time_of(line), None, "{line}");
        }
    }

    #[test]
    fn times_are_found_or_taken_as_a_second_apart() {
        let seconds = |text: &str| -> (Times, Vec<u64>) {
            let read = Transcript::read(text);
            let first = read.lines.first().map_or(START, |line| line.at);
            (read.times, read.lines.iter().map(|line| line.at.since(first).as_secs()).collect())
        };
        assert_eq!(seconds("a\nb\r\nc\n"), (Times::Apart { told: 0, of: 3 }, vec![0, 1, 2]));
        assert_eq!(seconds(""), (Times::Apart { told: 0, of: 0 }, vec![]));
        let few = "2026-11-25T10:00:00Z up\nx\n2026-11-25T10:00:09Z y\nz\nz\n";
        assert_eq!(seconds(few), (Times::Apart { told: 2, of: 5 }, vec![0, 1, 2, 3, 4]));
        let trace = "2026-11-25T10:00:00Z panic\n  at x\n2026-11-25T10:00:07Z again\n";
        assert_eq!(seconds(trace), (Times::Told { zone_guessed: false }, vec![0, 0, 7]));
        let docker = "2026-11-25T10:00:00.000000001Z panic\n2026-11-25T10:00:09.000000001Z \n";
        assert_eq!(seconds(docker), (Times::Docker, vec![0, 9]));
        assert_eq!(Transcript::read(docker).lines[0].text, "panic");
        let logs = r#"{"at":"2026-11-25T10:00:00Z","container":"c","line":"a \"b\"","stream":"stdout"}"#;
        let read = Transcript::read(logs);
        assert_eq!((read.times, read.lines[0].text.as_str()), (Times::Arcane, "a \"b\""));
    }

    #[test]
    fn how_many_lines_tell_a_time_is_said_when_that_is_too_few() {
        let meaning = |text: &str| Transcript::read(text).times.meaning();
        assert_eq!(meaning("a\nb\n"), "the lines tell no times: taken as 1s apart");
        let some = format!("2026-11-25T10:00:00Z up\n{}", "x\n".repeat(9));
        assert_eq!(meaning(&some), "only 1 of 10 lines tell a time: all taken as 1s apart");
        assert_eq!(
            meaning(&some.repeat(200)),
            "only 100 of the first 1000 lines tell a time: all taken as 1s apart"
        );
    }

    #[test]
    fn a_hostile_file_is_bounded() {
        let long = "é".repeat(LINE);
        assert!(Transcript::read(&long).lines[0].text.len() <= LINE);
        let many = "\n".repeat(MOST_LINES + 5);
        let read = Transcript::read(&many);
        assert_eq!((read.lines.len(), read.left_out), (MOST_LINES, 5));
    }
}
