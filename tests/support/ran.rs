//! A program that has run, and what a test may say about it. Every failure shows all of its output.

use std::fmt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

pub(crate) struct Ran {
    pub(crate) what: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
        Self {
            what,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It exited with 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert!(self.status.success(), "this failed:\n{self}");
        self
    }

    /// It exited with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(self.status.code() == Some(code), "this should have exited with {code}:\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout should contain {text:?}:\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr should contain {text:?}:\n{self}");
        self
    }

    /// For secrets: on neither stream.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "no output may contain {text:?}");
        self
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}):\n{self}"))
    }

    /// Stdout as one JSON document per line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{line:?} is not JSON ({error}):\n{self}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Stdout without the white space around it.
    pub(crate) fn text(&self) -> &str {
        self.stdout.trim()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, status, stdout, stderr } = self;
        write!(f, "$ {what}\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Ask until the answer is there, or fail saying what was awaited. Real hosts take their time.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < within, "still not after {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
