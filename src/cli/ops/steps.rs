//! Shows the events of a change: a line per step for a person, a progress bar per host for the upload, or JSON.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::meter::Meter;
use crate::cli::ui::Ui;
use crate::deploy::Event;
use crate::fleet::HostName;
use crate::fleet::text::printable;

/// How much of a step's detail is shown, in characters.
const DETAIL: usize = 200;

/// Where events are shown; one for all hosts of a command, so that their lines and bars do not overwrite each other.
pub(super) struct Steps<'a> {
    ui: &'a Ui,
    json: bool,
    begun: Instant,
    screen: MultiProgress,
    meters: Mutex<HashMap<HostName, Meter>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(ui: &'a Ui, json: bool) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { ui, json, begun: Instant::now(), screen, meters: Mutex::default() }
    }

    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Sent { host, .. } => {
                let mut meters = self.meters();
                let meter = meters.entry(host.clone()).or_default();
                if !self.json {
                    meter.show(&self.screen, event);
                } else if meter.is_due() {
                    self.ui.json(event);
                }
            }
            Event::Done(done) => self.clear(&done.host),
            Event::Step { host, .. } | Event::Output { host, .. } | Event::LockWait { host, .. } => {
                self.clear(host);
                if self.json {
                    self.ui.json(event);
                } else {
                    self.note(&self.line(event));
                }
            }
        }
    }

    /// Lets something be written while no bar is in the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.screen.suspend(write)
    }

    /// A line about a host, as those of steps are.
    pub(super) fn say(&self, host: &HostName, text: &str) {
        self.note(&format!("{}  {text}", self.at(host)));
    }

    fn note(&self, line: &str) {
        self.aside(|| self.ui.note(line));
    }

    fn at(&self, host: &HostName) -> String {
        format!("{:7.1}s  {host}", self.begun.elapsed().as_secs_f64())
    }

    fn line(&self, event: &Event) -> String {
        match event {
            Event::Step { host, step, detail, .. } => {
                let line = format!("{}  {} {}", self.at(host), step.verb(), printable(detail, DETAIL));
                line.trim_end().to_owned()
            }
            Event::Output { host, from, line, .. } => {
                format!("{}  {} | {line}", self.at(host), from.as_str())
            }
            Event::LockWait { host, holder } => {
                format!("{}  waiting for the lock of {holder}", self.at(host))
            }
            Event::Sent { .. } | Event::Done(_) => String::new(),
        }
    }

    fn meters(&self) -> MutexGuard<'_, HashMap<HostName, Meter>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a host's progress bar away.
    pub(super) fn clear(&self, host: &HostName) {
        if let Some(mut meter) = self.meters().remove(host) {
            meter.clear();
        }
    }
}

/// Bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
