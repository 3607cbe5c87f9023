//! Shows the events of a change: a line per step for a person, a progress bar per host for the upload, or JSON.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

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
    bars: Mutex<HashMap<HostName, ProgressBar>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(ui: &'a Ui, json: bool) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { ui, json, begun: Instant::now(), screen, bars: Mutex::default() }
    }

    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Sent { host, bytes_sent, bytes_read, bytes_total } => {
                self.progress(host, *bytes_sent, *bytes_read, *bytes_total)
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
                format!("{}  {} {}", self.at(host), step.verb(), printable(detail, DETAIL))
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

    /// The bar goes to standard error when that is a terminal, and nowhere otherwise.
    fn progress(&self, host: &HostName, sent: u64, read: u64, total: u64) {
        if self.json {
            return;
        }
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(host.clone()).or_insert_with(|| {
            let style =
                ProgressStyle::with_template("          {prefix}  {bar:30} {percent}%  {msg}  {elapsed}");
            let bar = ProgressBar::new(total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_prefix(host.to_string());
            self.screen.add(bar)
        });
        bar.set_position(read.min(total));
        bar.set_message(format!("{} sent", bytes(sent)));
    }

    /// Takes a host's progress bar away.
    pub(super) fn clear(&self, host: &HostName) {
        let bar = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }
}

/// Bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
