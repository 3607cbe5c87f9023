//! Symptoms that are kept quiet because their cause is known. They are counted, and told with the next signal of theirs.

use std::time::Duration;

use super::candidate::Candidate;
use super::engine::Scene;
use super::hit::Hit;
use super::rule::{Extent, Rule};
use crate::fleet::{AppName, HostName, Signal, Timestamp};

/// Causes remembered at the same time.
const CAUSES: usize = 1000;

/// The causes that are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Inhibitions(Vec<Cause>);

#[derive(Debug, Clone)]
struct Cause {
    /// The rule, as an index into the set's rules.
    rule: usize,
    host: HostName,
    app: AppName,
    since: Timestamp,
    /// When it was last seen, and how long that holds.
    last: Timestamp,
    lasts: Duration,
    /// Whether it rests on state. What rests on text, which can be forged, does not silence what rests on state.
    founded: bool,
}

impl Cause {
    fn is_within(&self, extent: Extent, host: &HostName, app: &AppName) -> bool {
        match extent {
            Extent::Fleet => true,
            Extent::Host => self.host == *host,
            Extent::App => self.host == *host && self.app == *app,
        }
    }
}

impl Inhibitions {
    /// A cause has shown itself.
    pub(super) fn begin(&mut self, number: usize, rule: &Rule, signal: &Signal) {
        let Some(inhibit) = &rule.inhibit else { return };
        let again = |cause: &Cause| {
            cause.rule == number && cause.is_within(inhibit.extent, &signal.host, &signal.app)
        };
        // What rests on state stays in force, whatever a log says since.
        let holds = |cause: &Cause| cause.founded && signal.at <= cause.last + cause.lasts;
        if !signal.state_evidence && self.0.iter().any(|cause| again(cause) && holds(cause)) {
            return;
        }
        self.0.retain(|cause| !again(cause));
        if self.0.len() == CAUSES {
            self.0.remove(0);
        }
        self.0.push(Cause {
            rule: number,
            host: signal.host.clone(),
            app: signal.app.clone(),
            since: signal.at,
            last: signal.at,
            lasts: inhibit.lasts,
            founded: signal.state_evidence,
        });
    }

    /// A cause is still there: its rule would have fired again on this hit. Text does not renew what rests on state.
    pub(super) fn renew(&mut self, number: usize, rule: &Rule, scene: Scene<'_>, hit: &Hit) {
        let Some(inhibit) = &rule.inhibit else { return };
        let renewed = self.0.iter_mut().find(|cause| {
            cause.rule == number
                && cause.is_within(inhibit.extent, scene.host, &scene.subject.app)
                && (hit.fault || !cause.founded)
        });
        if let Some(cause) = renewed {
            cause.last = cause.last.max(hit.at);
        }
    }

    /// The host's clock was set, and shows `at` now: nothing is quiet for longer because of that.
    pub(super) fn clock_set(&mut self, host: &HostName, at: Timestamp) {
        for cause in self.0.iter_mut().filter(|cause| cause.host == *host) {
            (cause.since, cause.last) = (cause.since.min(at), cause.last.min(at));
        }
    }

    /// The rule that has found the cause of this, if one has.
    pub(super) fn cause_of(&self, rules: &[Rule], candidate: &Candidate) -> Option<usize> {
        let rule = &rules[candidate.rule];
        let explains = |cause: &&Cause| {
            let Some(inhibit) = &rules[cause.rule].inhibit else { return false };
            cause.rule != candidate.rule
                && cause.is_within(inhibit.extent, &candidate.host, &candidate.subject.app)
                && candidate.at + cause.lasts >= cause.since
                && candidate.at <= cause.last + cause.lasts
                && (cause.founded || !candidate.fault)
                && inhibit.what.iter().any(|one| one.includes(rule.name(), rule.class))
        };
        self.0.iter().find(explains).map(|cause| cause.rule)
    }

    /// Takes over those of an earlier set of rules, of rules that are still the same.
    pub(super) fn renumber(&mut self, new: impl Fn(usize) -> Option<usize>) {
        self.0.retain_mut(|cause| match new(cause.rule) {
            Some(rule) => {
                cause.rule = rule;
                true
            }
            None => false,
        });
    }
}
