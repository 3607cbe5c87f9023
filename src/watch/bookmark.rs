//! When the place in a log is kept.

use std::time::Duration;

use tokio::time::Instant;

use super::outlet::Outlet;
use super::places::Places;
use super::tail::Tail;
use crate::fleet::ContainerId;

/// A place that has changed is kept after this …
const EVERY: Duration = Duration::from_secs(4);
/// … and if just then something is held back, soon after.
const SOON: Duration = Duration::from_millis(100);
/// A log that never pauses holds something back at every moment. After this it has to let go: a long line, or a trace, is
/// told in two parts then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bookmark of a log.
#[derive(Debug)]
pub(super) struct Bookmark {
    places: Option<Places>,
    outlet: Outlet,
    container: ContainerId,
    /// When a place is to be kept.
    due: Option<Instant>,
    /// When to try again, after it could not be.
    again: Option<Instant>,
    /// Whether the log let go of what it held back, and that is not told yet.
    has_let_go: bool,
}

impl Bookmark {
    /// For the log of a container. Without places, nothing is kept.
    pub(super) const fn new(places: Option<Places>, outlet: Outlet, container: ContainerId) -> Self {
        Self { places, outlet, container, due: None, again: None, has_let_go: false }
    }

    /// Keeps the place if it is time.
    pub(super) fn look(&mut self, tail: &mut Tail) {
        if self.places.is_none() || !tail.has_moved() {
            return self.rest();
        }
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + EVERY);
        let is_time = self.again.unwrap_or(due) <= now;
        if !is_time && !self.has_let_go {
            return;
        }
        if self.keep(tail) {
            return self.rest();
        }
        // Once all of it is told and there still is no place, it holds back what it cannot let go.
        self.has_let_go &= !tail.is_told();
        if is_time {
            self.again = Some(now + SOON);
            if now >= due + PATIENCE && !self.has_let_go {
                tail.let_go();
                self.has_let_go = true;
            }
        }
    }

    const fn rest(&mut self) {
        (self.due, self.again, self.has_let_go) = (None, None, false);
    }

    /// When to look.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.again.or(self.due)
    }

    /// Keeps the place, if it has changed and nothing that was read is still to be told.
    pub(super) fn keep(&self, tail: &mut Tail) -> bool {
        let Some(places) = &self.places else { return false };
        let Some(body) = tail.place() else { return false };
        places.put(self.outlet.host(), &self.container, Some(body), self.outlet.told());
        true
    }

    /// The container is gone, and with it its log.
    pub(super) fn remove(&mut self) {
        if let Some(places) = self.places.take() {
            places.put(self.outlet.host(), &self.container, None, self.outlet.told());
        }
    }
}
