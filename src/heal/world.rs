//! What is known of the fleet: which hosts answer, and each app on each of them.

use std::collections::BTreeMap;

use crate::fleet::{AppName, HostName};

use super::place::Place;

/// The fleet as the observations have shown it.
#[derive(Debug, Default)]
pub(super) struct World {
    hosts: BTreeMap<HostName, View>,
    places: usize,
}

#[derive(Debug, Default)]
struct View {
    unreachable: Option<String>,
    apps: BTreeMap<AppName, Place>,
}

impl World {
    /// What is known of an app on a host.
    pub(super) fn place(&self, host: &HostName, app: &AppName) -> Option<&Place> {
        self.hosts.get(host)?.apps.get(app)
    }

    /// The same, to add to; made when it is new, unless `limit` places are known already.
    pub(super) fn place_mut(&mut self, host: &HostName, app: &AppName, limit: usize) -> Option<&mut Place> {
        if self.place(host, app).is_none() {
            if self.places >= limit {
                return None;
            }
            self.places += 1;
            let view = self.hosts.entry(host.clone()).or_default();
            view.apps.insert(app.clone(), Place::default());
        }
        self.hosts.get_mut(host)?.apps.get_mut(app)
    }

    /// Why a host cannot be reached, if it cannot.
    pub(super) fn unreachable(&self, host: &HostName) -> Option<&str> {
        self.hosts.get(host)?.unreachable.as_deref()
    }

    /// Notes that a host cannot be reached. What ran on it is unknown from now on, not down.
    pub(super) fn lose(&mut self, host: &HostName, reason: String) {
        let view = self.hosts.entry(host.clone()).or_default();
        view.unreachable = Some(reason);
        view.apps.values_mut().for_each(Place::lose_sight);
    }

    /// Notes that a host answers.
    pub(super) fn find(&mut self, host: &HostName) {
        self.hosts.entry(host.clone()).or_default().unreachable = None;
    }
}
