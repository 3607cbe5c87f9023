//! Shows the events of a change: a line per step for a person, a progress bar for the upload, or JSON.

use std::sync::Mutex;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::ui::Ui;
use crate::deploy::Event;
use crate::fleet::text::printable;

/// How much of a step's detail is shown, in characters.
const DETAIL: usize = 200;

/// Where events are shown.
pub(super) struct Steps<'a> {
    ui: &'a Ui,
    json: bool,
    begun: Instant,
    bar: Mutex<Option<ProgressBar>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(ui: &'a Ui, json: bool) -> Self {
        Self { ui, json, begun: Instant::now(), bar: Mutex::new(None) }
    }

    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Sent { bytes_sent, bytes_read, bytes_total, .. } => {
                self.progress(*bytes_sent, *bytes_read, *bytes_total)
            }
            Event::Done(_) => self.clear(),
            Event::Step { .. } | Event::Output { .. } | Event::LockWait { .. } => {
                self.clear();
                if self.json {
                    self.ui.json(event);
                } else {
                    self.ui.note(&self.line(event));
                }
            }
        }
    }

    fn line(&self, event: &Event) -> String {
        let at = self.begun.elapsed().as_secs_f64();
        match event {
            Event::Step { host, step, detail, .. } => {
                format!("{at:7.1}s  {host}  {} {}", step.verb(), printable(detail, DETAIL))
            }
            Event::Output { host, from, line, .. } => {
                format!("{at:7.1}s  {host}  {} | {line}", from.as_str())
            }
            Event::LockWait { host, holder } => {
                format!("{at:7.1}s  {host}  waiting for the lock of {holder}")
            }
            Event::Sent { .. } | Event::Done(_) => String::new(),
        }
    }

    /// The bar goes to standard error when that is a terminal, and nowhere otherwise.
    fn progress(&self, sent: u64, read: u64, total: u64) {
        if self.json {
            return;
        }
        let mut bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("          {bar:30} {percent}%  {msg}  {elapsed}");
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(read.min(total));
        bar.set_message(format!("{} sent", bytes(sent)));
    }

    /// Takes the progress bar away.
    pub(super) fn clear(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

/// Bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
