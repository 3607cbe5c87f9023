//! Shows the events of a change: a line per step for a person, a progress bar for the upload, or JSON.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::meter::Meter;
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
    meter: Mutex<Meter>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(ui: &'a Ui, json: bool) -> Self {
        Self { ui, json, begun: Instant::now(), meter: Mutex::default() }
    }

    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Sent { .. } if self.json => {
                if lock(&self.meter).is_due() {
                    self.ui.json(event);
                }
            }
            Event::Sent { .. } => lock(&self.meter).show(event),
            Event::Done(_) => self.clear(),
            Event::Step { .. } | Event::LockWait { .. } => {
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
            Event::LockWait { host, holder } => {
                format!("{at:7.1}s  {host}  waiting for the lock of {holder}")
            }
            Event::Sent { .. } | Event::Done(_) => String::new(),
        }
    }

    /// Takes the progress bar away.
    pub(super) fn clear(&self) {
        lock(&self.meter).clear();
    }
}

fn lock(meter: &Mutex<Meter>) -> MutexGuard<'_, Meter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
