//! What must be true at the moment for a hit to count, or for a rung to be tried: how young the release is, whether there
//! is a proved one to go back to, what the container has been through and what it uses.

use std::fmt;
use std::time::Duration;

use super::compare::{Bound, CountBound};
use super::event::{EventPattern, ExitCodes};
use super::history::Circumstances;
use super::stat::StatBound;
use crate::fleet::text::quoted;
use crate::fleet::{HealthState, duration};

/// How good the release before must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PreviousBound {
    /// It ran as long as the app asks of a proved release.
    Proved,
    /// It ran at least this long.
    RanFor(Duration),
}

impl PreviousBound {
    /// Reads `proved` or `healthy>=10m`; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "proved" {
            return Ok(Self::Proved);
        }
        let bound = text
            .strip_prefix("healthy>=")
            .ok_or_else(|| format!("{} is not known here; write proved or healthy>=10m", quoted(text)))?;
        duration::parse(bound).map(Self::RanFor).map_err(|error| error.to_string())
    }
}

impl fmt::Display for PreviousBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved => f.write_str("a previous release that is proved"),
            Self::RanFor(needed) => {
                write!(f, "a previous release that ran at least {}", duration::format(*needed))
            }
        }
    }
}

/// Everything a rule requires.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Require {
    pub(super) deploy_age: Option<Bound>,
    pub(super) previous: Option<PreviousBound>,
    pub(super) uptime: Option<Bound>,
    /// Such an event came not longer before than this.
    pub(super) event: Option<(EventPattern, Duration)>,
    /// The process ended with one of these the last time that it ended.
    pub(super) exit_code: Option<ExitCodes>,
    /// What its health check says is one of these, when any are given.
    pub(super) health: Vec<HealthState>,
    pub(super) restart_count: Option<CountBound>,
    pub(super) stats: Vec<StatBound>,
}

impl Require {
    /// What does not hold, in words; `None` when everything does. What is not known does not hold.
    pub(super) fn unmet(&self, now: &Circumstances<'_>) -> Option<String> {
        let ages = [("deploy_age", self.deploy_age, now.deploy_age), ("uptime", self.uptime, now.uptime())];
        let ages = ages.into_iter().find_map(|(name, bound, value)| age_unmet(name, bound?, value));
        ages.or_else(|| self.previous.and_then(|bound| previous_unmet(bound, now)))
            .or_else(|| self.event_unmet(now))
            .or_else(|| self.state_unmet(now))
            .or_else(|| self.stats.iter().find_map(|bound| stat_unmet(bound, now)))
    }

    fn event_unmet(&self, now: &Circumstances<'_>) -> Option<String> {
        let (pattern, within) = self.event.as_ref()?;
        if now.event_within(pattern, *within) {
            return None;
        }
        Some(format!(
            "{} within {} is required, and none was seen",
            pattern.words(),
            duration::format(*within)
        ))
    }

    fn state_unmet(&self, now: &Circumstances<'_>) -> Option<String> {
        if let Some(codes) = &self.exit_code {
            match now.exit_code() {
                None => return Some("an exit code is required, and none is known".to_owned()),
                Some(code) if !codes.contain(code) => {
                    return Some(format!("another exit code is required, and the last was {code}"));
                }
                Some(_) => {}
            }
        }
        if !self.health.is_empty() {
            match now.health() {
                None => return Some("its health is required, and is not known".to_owned()),
                Some(health) if !self.health.contains(&health) => {
                    let found = format!("{health:?}").to_lowercase();
                    return Some(format!("another health is required, and it is {found}"));
                }
                Some(_) => {}
            }
        }
        let bound = self.restart_count?;
        match now.restart_count() {
            None => Some(format!("restart_count {bound} is required, but it is not known")),
            Some(count) if !bound.holds(count) => {
                Some(format!("restart_count {bound} is required, but it is {count}"))
            }
            Some(_) => None,
        }
    }

    /// What is required, a phrase each.
    pub(super) fn phrases(&self) -> Vec<String> {
        let ages = [("deploy_age", self.deploy_age), ("uptime", self.uptime)];
        let ages = ages.iter().filter_map(|(name, bound)| Some(format!("{name} {}", (*bound)?)));
        let mut phrases: Vec<String> = ages.collect();
        phrases.extend(self.previous.map(|bound| bound.to_string()));
        phrases.extend(self.event.as_ref().map(|(pattern, within)| {
            format!("{} within {} before", pattern.words(), duration::format(*within))
        }));
        phrases.extend(self.exit_code.as_ref().map(|_| "a certain exit code".to_owned()));
        if !self.health.is_empty() {
            let words: Vec<String> =
                self.health.iter().map(|one| format!("{one:?}").to_lowercase()).collect();
            phrases.push(format!("health {}", words.join(" or ")));
        }
        phrases.extend(self.restart_count.map(|bound| format!("restart_count {bound}")));
        phrases.extend(self.stats.iter().map(ToString::to_string));
        phrases
    }

    /// Whether it takes samples to tell.
    pub(super) fn needs_samples(&self) -> bool {
        self.stats.iter().any(|bound| bound.stat.needs_samples())
    }
}

fn age_unmet(name: &str, bound: Bound, value: Option<Duration>) -> Option<String> {
    match value {
        None => Some(format!("{name} {bound} is required, but it is not known")),
        Some(value) if !bound.holds(value) => {
            Some(format!("{name} {bound} is required, but it is {}", duration::brief(value)))
        }
        Some(_) => None,
    }
}

fn stat_unmet(bound: &StatBound, now: &Circumstances<'_>) -> Option<String> {
    match now.stat(bound.stat) {
        None => Some(format!("{bound} is required, but it is not known")),
        Some(value) if !bound.holds(value) => Some(format!("{bound} is required, but it is {value:.0}")),
        Some(_) => None,
    }
}

fn previous_unmet(bound: PreviousBound, now: &Circumstances<'_>) -> Option<String> {
    let Some(previous) = &now.previous else {
        return Some("a previous release is required, but none is known".to_owned());
    };
    let (needed, ran) = match bound {
        PreviousBound::Proved => (previous.prove, previous.ran_for),
        PreviousBound::RanFor(needed) => (needed, previous.ran_for),
    };
    (ran < needed).then(|| {
        format!(
            "the previous release must have run {}, but it ran {}",
            duration::brief(needed),
            duration::brief(ran)
        )
    })
}
