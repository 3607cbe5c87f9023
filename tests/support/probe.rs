//! Requests at a constant rate while something else happens: did anybody notice?

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::lab::app_program;

/// Running until [`Probe::stop`], or dropped.
pub(crate) struct Probe {
    child: Child,
    first_line: String,
}

impl Probe {
    /// Returns after the first answer or failure, so that what follows is observed from its beginning.
    pub(crate) fn start(url: &str, rate: u32) -> Self {
        let mut child = Command::new(app_program())
            .args(["probe", url, "--rate", &rate.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test app runs");
        let mut first_line = String::new();
        // One byte of buffer: nothing after this line may get lost with the reader.
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::with_capacity(1, stdout).read_line(&mut first_line).expect("the prober writes UTF-8");
        Self { child, first_line }
    }

    /// The changes it saw, and in the last line the summary: `answered`, `failed`, `longest_gap_ms`, `versions`, `failures`.
    pub(crate) fn stop(mut self) -> Vec<Value> {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid is small")).expect("nor is it 0");
        kill_process(pid, Signal::TERM).expect("the prober runs");
        let mut text = std::mem::take(&mut self.first_line);
        self.child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it writes UTF-8");
        self.child.wait().expect("it ends");
        text.lines().map(|line| serde_json::from_str(line).expect("it writes JSON")).collect()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Already gone after stop().
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
