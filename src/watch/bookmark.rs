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

/// The bookmark of a log.
#[derive(Debug)]
pub(super) struct Bookmark {
    places: Option<Places>,
    outlet: Outlet,
    container: ContainerId,
    due: Option<Instant>,
}

impl Bookmark {
    /// For the log of a container. Without places, nothing is kept.
    pub(super) const fn new(places: Option<Places>, outlet: Outlet, container: ContainerId) -> Self {
        Self { places, outlet, container, due: None }
    }

    /// Keeps the place if it is time.
    pub(super) fn look(&mut self, tail: &mut Tail) {
        if self.places.is_none() || !tail.has_moved() {
            self.due = None;
            return;
        }
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + EVERY);
        if due <= now {
            self.due = if self.keep(tail) { None } else { Some(now + SOON) };
        }
    }

    /// When to look.
    pub(super) const fn alarm(&self) -> Option<Instant> {
        self.due
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
