//! What a container uses, over time: when it has been too much for long enough, and when that is over.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{Engine, Scene};
use super::history::SAMPLE_HOLDS;
use super::hit::Hit;
use super::rule::{Threshold, Trigger};
use super::stat::Stat;
use super::trace::Outcome;
use crate::fleet::{Fact, Freshness, Observation, Signal, Timestamp};

/// How a stat stands to its limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Level {
    /// Since when every sample was beyond the limit.
    beyond_since: Option<Timestamp>,
    /// Since when every sample was within it.
    within_since: Option<Timestamp>,
    last: Option<Timestamp>,
    /// It was told, and is not over.
    told: bool,
}

/// What a sample means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Nothing new.
    Nothing,
    /// It is beyond the limit, but only for so long.
    Lasting(Duration),
    /// It has been beyond the limit for long enough.
    Begun,
}

impl Level {
    fn read(&mut self, at: Timestamp, beyond: bool, threshold: &Threshold) -> Reading {
        // What was missed may have been anything.
        if self.last.is_some_and(|last| at < last || at.since(last) > SAMPLE_HOLDS) {
            (self.beyond_since, self.within_since) = (None, None);
        }
        self.last = Some(at);
        if !beyond {
            self.beyond_since = None;
            let since = *self.within_since.get_or_insert(at);
            self.told &= at.since(since) < threshold.clear.unwrap_or_default();
            return Reading::Nothing;
        }
        self.within_since = None;
        let lasted = at.since(*self.beyond_since.get_or_insert(at));
        if self.told {
            Reading::Nothing
        } else if lasted < threshold.holds.unwrap_or_default() {
            Reading::Lasting(lasted)
        } else {
            self.told = true;
            Reading::Begun
        }
    }
}

impl Engine {
    /// Judges what a container uses, after a sample or a look at it.
    pub(super) fn judge_stats(
        &mut self,
        scene: Scene<'_>,
        observation: &Observation,
        signals: &mut Vec<Signal>,
    ) {
        let rules = Arc::clone(&self.rules);
        let sampled = match observation.fact {
            Fact::Stats { .. } => true,
            Fact::State { .. } | Fact::Started => false,
            _ => return,
        };
        for &number in &rules.by_trigger().stat {
            let rule = &rules.rules()[number];
            let Trigger::Stat(bound) = &rule.trigger else { continue };
            if bound.stat.needs_samples() != sampled || !rule.scope.admits(scene.host, scene.subject, None) {
                continue;
            }
            let now = self.memory.circumstances(scene.host, scene.subject, observation.at);
            let Some(value) = now.stat(bound.stat) else { continue };
            let level = self.states[number].levels.entry(&scene.whereabouts());
            // What was there at the first look may be long past.
            let seen_growing = level.last.is_some();
            let reading = level.read(observation.at, bound.holds(value), &rule.threshold);
            let shown = format!("{value:.0}");
            let live = observation.freshness == Freshness::Live;
            let hit = Hit {
                captures: vec![("value".to_owned(), shown.clone()), (bound.stat.to_string(), shown.clone())],
                fault: bound.stat == Stat::RestartCount && seen_growing,
                ..Hit::new(observation.at, format!("{} is {shown}", bound.stat), live)
            };
            match reading {
                Reading::Nothing => {}
                Reading::Lasting(lasted) => {
                    let need = rule.threshold.holds.unwrap_or_default();
                    self.note(number, &hit, Outcome::Lasting { lasted, need });
                }
                Reading::Begun => self.judge(number, scene, &hit, signals),
            }
        }
    }
}
