//! A signal in the making: a rule has seen enough, and perhaps waits for a state change to confirm it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Seen;
use super::rule::Rule;
use super::say;
use super::window::{EVIDENCE, Full, Process};
use crate::fleet::{Evidence, HostName, Signal, Subject, Timestamp};

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
    pub(super) process: Process,
    pub(super) full: Full,
    pub(super) at: Timestamp,
    /// Whether a state change that shows a fault is part of it.
    pub(super) fault: bool,
}

impl Candidate {
    /// Whether this state change of this container confirms it.
    fn is_confirmed_by(&self, rule: &Rule, (host, subject, seen): (&HostName, &Subject, &Seen)) -> bool {
        let apart = seen.at.since(self.at).max(self.at.since(seen.at));
        self.host == *host
            && self.subject.container == subject.container
            && rule.confirm.iter().any(|confirmation| {
                apart <= confirmation.within && confirmation.event.matches(seen.kind, seen.exit_code)
            })
    }

    /// With what confirmed it.
    pub(super) fn confirmed_by(mut self, seen: &Seen) -> Self {
        let evidence = &mut self.full.evidence;
        evidence.push(Evidence { at: seen.at, text: seen.text.clone() });
        evidence.sort_by_key(|evidence| evidence.at);
        if evidence.len() > EVIDENCE {
            evidence.remove(0);
        }
        self.full.live &= seen.live;
        self.fault |= seen.kind.shows_fault();
        self.at = self.at.max(seen.at);
        self
    }

    /// The signal.
    pub(super) fn into_signal(self, rule: &Rule) -> Signal {
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
            ladder: rule.heal.clone(),
            verify: rule.verify.clone(),
            forbid: rule.forbid.clone(),
            novelty: Vec::new(),
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

    /// Takes out one that this state change confirms.
    pub(super) fn take(&mut self, rules: &[Rule], change: (&HostName, &Subject, &Seen)) -> Option<Candidate> {
        let place =
            self.waiting.iter().position(|waiting| waiting.is_confirmed_by(&rules[waiting.rule], change))?;
        self.waiting.remove(place)
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
