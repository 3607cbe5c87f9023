//! A signal in the making: a rule has seen enough, and perhaps waits for a state change to confirm it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Seen;
use super::rule::{Proof, Rule};
use super::say;
use super::window::{EVIDENCE, Full, Process};
use crate::fleet::{AppName, Evidence, HostName, Rung, Signal, Subject, Timestamp};

/// Candidates that wait at the same time.
const WAITING: usize = 1000;

/// What a rule's hits are grouped by.
pub(super) type WindowKey = Vec<String>;

/// A signal in the making.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The rule, as an index into the set's rules.
    pub(super) rule: usize,
    pub(super) key: WindowKey,
    pub(super) host: HostName,
    pub(super) subject: Arc<Subject>,
    pub(super) process: Option<Process>,
    pub(super) full: Full,
    pub(super) at: Timestamp,
    /// Whether a state change that shows a fault is part of it.
    pub(super) fault: bool,
    /// Apps that showed it as a symptom of theirs.
    pub(super) dependents: Vec<AppName>,
}

impl Candidate {
    /// Whether a confirmation may be as far from it as `at`.
    fn is_near(&self, at: Timestamp, within: Duration) -> bool {
        at.since(self.at).max(self.at.since(at)) <= within
    }

    /// Whether it is about this container.
    fn is_of(&self, host: &HostName, subject: &Subject) -> bool {
        self.host == *host && self.subject.container == subject.container
    }

    /// With what confirmed it.
    pub(super) fn confirmed_by(mut self, seen: &Seen) -> Self {
        self.fault |= seen.confirms_fault();
        self.add(seen.at, seen.text.clone(), seen.live)
    }

    /// With one more piece of evidence.
    pub(super) fn add(mut self, at: Timestamp, text: String, live: bool) -> Self {
        let evidence = &mut self.full.evidence;
        evidence.push(Evidence { at, text });
        evidence.sort_by_key(|evidence| evidence.at);
        if evidence.len() > EVIDENCE {
            evidence.remove(0);
        }
        self.full.live &= live;
        self.at = self.at.max(at);
        self
    }

    /// The signal, with the ladder as it stands at this moment.
    pub(super) fn into_signal(self, rule: &Rule, ladder: Vec<Rung>) -> Signal {
        let mut captures = self.full.captures;
        captures.insert("count".to_owned(), self.full.count.to_string());
        captures.insert("repeats".to_owned(), self.full.repeats.to_string());
        Signal {
            at: self.at,
            rule: rule.name.clone(),
            class: rule.class,
            say: say::sentence(rule, &self.host, &self.subject, &captures),
            host: self.host,
            app: self.subject.app.clone(),
            release: self.subject.release.clone(),
            container: self.subject.container.clone(),
            captures,
            evidence: self.full.evidence,
            state_evidence: self.fault,
            live: self.full.live,
            ladder,
            verify: rule.verify.clone(),
            forbid: rule.forbid.clone(),
            novelty: Vec::new(),
            on_fail: rule.on_fail,
            dependents: self.dependents,
        }
    }
}

/// Candidates that wait for their confirmation.
#[derive(Debug, Clone, Default)]
pub(super) struct Unconfirmed {
    waiting: VecDeque<Candidate>,
    dropped: u64,
}

impl Unconfirmed {
    /// Keeps a candidate. Of one key only the newest waits: what confirms it is still to come.
    pub(super) fn keep(&mut self, mut candidate: Candidate) {
        let same = |other: &Candidate| other.rule == candidate.rule && other.key == candidate.key;
        if let Some(place) = self.waiting.iter().position(same)
            && let Some(earlier) = self.waiting.remove(place)
        {
            candidate.full.repeats += earlier.full.repeats;
        }
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(candidate);
    }

    /// Takes out one of this container that a proof of this kind, found at `at`, confirms.
    pub(super) fn take(
        &mut self,
        rules: &[Rule],
        (host, subject, at): (&HostName, &Subject, Timestamp),
        proves: impl Fn(&Proof) -> bool,
    ) -> Option<Candidate> {
        let place = self.waiting.iter().position(|waiting| {
            waiting.is_of(host, subject)
                && rules[waiting.rule]
                    .confirm
                    .iter()
                    .any(|one| waiting.is_near(at, one.within) && proves(&one.proof))
        })?;
        self.waiting.remove(place)
    }

    /// Takes over those of an earlier set of rules, of rules that are still the same.
    pub(super) fn renumber(&mut self, new: impl Fn(usize) -> Option<usize>) {
        self.waiting.retain_mut(|waiting| match new(waiting.rule) {
            Some(rule) => {
                waiting.rule = rule;
                true
            }
            None => false,
        });
    }

    /// Lets go of those of `host` (of all hosts when it is `None`) that have waited too long by `now`, `grace`
    /// included. Memory depends on it, but no decision does: those are taken by distance in time.
    pub(super) fn forget(
        &mut self,
        rules: &[Rule],
        host: Option<&HostName>,
        now: Timestamp,
        grace: Duration,
    ) {
        self.waiting.retain(|waiting| {
            let longest = rules[waiting.rule].confirm.iter().map(|one| one.within).max().unwrap_or_default();
            host.is_some_and(|host| *host != waiting.host) || now <= waiting.at + longest + grace
        });
    }

    /// How many had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
