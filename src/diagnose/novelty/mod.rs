//! Which lines of an app were never seen before its release.
//!
//! Lines are sorted into templates as they come, by a fixed-size variant of Drain (He et al., "Drain: An Online Log Parsing
//! Approach with Fixed Depth Tree", ICWS 2017): of every app the [`Templates`] that its log consists of, and of every template
//! whether an earlier release wrote it, and how often at most. When a release takes over, all that is known becomes "before".
//!
//! Whoever can make an app log a string can make up templates. So all is bounded, what was used least makes room, and when too
//! much has to make room nothing new is learnt for a while: a flood of inventions cannot push out what the app really says.
//! Nothing is acted on because of it.

mod app;
mod templates;
mod tokens;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fleet::{AppName, Fact, Novelty, Observation, ReleaseId, Role, Timestamp};
use app::App;

/// Apps that are remembered; a newer one makes the one room that was heard of least recently.
const APPS: usize = 500;

/// What every app's log consists of.
#[derive(Debug, Default)]
pub struct Novelties {
    apps: BTreeMap<AppName, App>,
}

/// What is remembered of one app, to be kept over a restart of ours.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Remembered(app::Kept);

impl Novelties {
    /// Takes in an observation: lines of live containers, and what is deployed.
    pub fn observe(&mut self, observation: &Observation) {
        let Some(subject) = observation.subject.as_deref().filter(|subject| subject.role == Role::Live)
        else {
            return;
        };
        if let Fact::Line { text, .. } = &observation.fact {
            if !self.apps.contains_key(&subject.app) {
                self.make_room();
                self.apps.insert(subject.app.clone(), App::default());
            }
            if let Some(app) = self.apps.get_mut(&subject.app) {
                app.line(&subject.release, observation.at, text);
            }
        }
    }

    /// What is new in `release` of an app, what looks most like trouble first. Empty when the releases before it were not
    /// watched for long enough to say so.
    #[must_use]
    pub fn report(&self, app: &AppName, release: &ReleaseId) -> Vec<Novelty> {
        self.apps.get(app).map_or_else(Vec::new, |app| app.report(release))
    }

    /// The apps about which something was learnt since the last call, and what is known of each.
    pub fn take_changed(&mut self) -> Vec<(AppName, Remembered)> {
        let changed = self
            .apps
            .iter_mut()
            .filter_map(|(name, app)| app.take_changed().then(|| (name.clone(), Remembered(app.keep()))));
        changed.collect()
    }

    /// Recalls what was known of an app. What is already known stays.
    pub fn recall(&mut self, app: AppName, remembered: Remembered) {
        if self.apps.len() < APPS {
            self.apps.entry(app).or_insert_with(|| App::from_kept(remembered.0));
        }
    }

    fn make_room(&mut self) {
        if self.apps.len() < APPS {
            return;
        }
        let oldest: Option<(Timestamp, AppName)> =
            self.apps.iter().map(|(name, app)| (app.heard_at(), name.clone())).min();
        if let Some((_, name)) = oldest {
            self.apps.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests;
