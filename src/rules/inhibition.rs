//! Symptoms that are kept quiet because their cause is known. They are counted, and told with the next signal of theirs.

use std::time::Duration;

use super::candidate::Candidate;
use super::rule::Rule;
use crate::fleet::{HostName, Signal, Timestamp};

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
    since: Timestamp,
    /// When it was last seen, and how long that holds.
    last: Timestamp,
    lasts: Duration,
    /// Whether it rests on state. What rests on text, which can be forged, does not silence what rests on state.
    founded: bool,
}

impl Inhibitions {
    /// A cause has shown itself.
    pub(super) fn begin(&mut self, number: usize, rule: &Rule, signal: &Signal) {
        let Some(inhibit) = &rule.inhibit else { return };
        self.0.retain(|cause| cause.rule != number || cause.host != signal.host);
        if self.0.len() == CAUSES {
            self.0.remove(0);
        }
        self.0.push(Cause {
            rule: number,
            host: signal.host.clone(),
            since: signal.at,
            last: signal.at,
            lasts: inhibit.lasts,
            founded: signal.state_evidence,
        });
    }

    /// A cause is still there: its rule would have fired again.
    pub(super) fn renew(&mut self, number: usize, rule: &Rule, host: &HostName, at: Timestamp) {
        if rule.inhibit.is_some()
            && let Some(cause) = self.0.iter_mut().find(|cause| cause.rule == number && cause.host == *host)
        {
            cause.last = cause.last.max(at);
        }
    }

    /// The rule that has found the cause of this, if one has.
    pub(super) fn cause_of(&self, rules: &[Rule], candidate: &Candidate) -> Option<usize> {
        let rule = &rules[candidate.rule];
        let explains = |cause: &&Cause| {
            let Some(inhibit) = &rules[cause.rule].inhibit else { return false };
            cause.rule != candidate.rule
                && (inhibit.everywhere || cause.host == candidate.host)
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
