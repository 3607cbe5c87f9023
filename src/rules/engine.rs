//! The engine: observations in, signals out. It holds everything that rules remember, within fixed bounds, and takes
//! every decision by the timestamps of the observations, so that a replay of a recording decides the same.

use std::sync::Arc;
use std::time::Duration;

use super::bounded::Bounded;
use super::candidate::{Candidate, Unconfirmed, WindowKey};
use super::hit::{Hit, shown_capture, shown_line};
use super::memory::{Memory, Seen};
use super::precedence::{self, Standing};
use super::rule::{Key, Rule, Trigger};
use super::set::{RuleSet, Scratch};
use super::trace::{NOTES, Note, Outcome};
use super::window::{Counted, Process, Window};
use crate::fleet::{Fact, Freshness, HostName, Observation, Role, Signal, Stream, Subject, Timestamp};

/// Keys remembered for each rule.
const KEYS: usize = 1000;
/// How much longer than its own time an unconfirmed signal is kept, since streams of one host arrive out of step.
const LATE: Duration = Duration::from_secs(60);
/// The same where the time is not the host's own: how far clocks may differ.
const SKEW: Duration = Duration::from_secs(3600);

/// Runs observations through a set of rules.
#[derive(Debug, Clone)]
pub struct Engine {
    rules: Arc<RuleSet>,
    scratch: Scratch,
    memory: Memory,
    /// For each rule, what it has seen.
    windows: Vec<Bounded<WindowKey, Window>>,
    unconfirmed: Unconfirmed,
    notes: Option<Vec<Note>>,
}

/// Where a hit happened.
#[derive(Clone, Copy)]
struct Scene<'o> {
    host: &'o HostName,
    subject: &'o Arc<Subject>,
}

impl Engine {
    /// An engine that remembers nothing yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let windows = rules.rules().iter().map(|_| Bounded::new(KEYS)).collect();
        Self {
            rules,
            scratch: Scratch::default(),
            memory: Memory::new(),
            windows,
            unconfirmed: Unconfirmed::default(),
            notes: None,
        }
    }

    /// An engine that also notes why rules did or did not fire; see [`Engine::take_notes`].
    #[must_use]
    pub fn traced(rules: Arc<RuleSet>) -> Self {
        Self { notes: Some(Vec::new()), ..Self::new(rules) }
    }

    /// What was noted since the last call; at most 10,000 notes are kept.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes in one observation; gives the signals it made.
    pub fn observe(&mut self, observation: &Observation) -> Vec<Signal> {
        self.memory.learn(observation);
        let host = Some(&observation.host);
        self.unconfirmed.forget(self.rules.rules(), host, observation.at, LATE);
        let Some(subject) = &observation.subject else {
            return Vec::new();
        };
        let scene = Scene { host: &observation.host, subject };
        let seen = Seen::of(observation);
        let mut signals = Vec::new();
        if subject.role == Role::Live {
            match (&observation.fact, &seen) {
                (Fact::Line { stream, text }, _) => {
                    self.judge_line(scene, observation, *stream, text, &mut signals);
                }
                (_, Some(seen)) => {
                    self.confirm(scene, seen, &mut signals);
                    self.judge_event(scene, seen, &mut signals);
                }
                _ => {}
            }
        }
        if let Some(seen) = seen {
            self.memory.remember(&observation.host, subject, seen);
        }
        signals
    }

    /// Time has passed without observations. What waited in vain for its confirmation is let go.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Signal> {
        self.unconfirmed.forget(self.rules.rules(), None, now, SKEW);
        Vec::new()
    }

    /// How much had to be forgotten to stay within the bounds.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let windows: u64 = self.windows.iter().map(Bounded::evicted).sum();
        windows + self.memory.evicted() + self.unconfirmed.dropped()
    }

    fn judge_line(
        &mut self,
        scene: Scene<'_>,
        observation: &Observation,
        stream: Stream,
        text: &str,
        signals: &mut Vec<Signal>,
    ) {
        let rules = Arc::clone(&self.rules);
        let admits =
            |number: usize| rules.rules()[number].scope.admits(scene.host, &scene.subject.app, Some(stream));
        // Whoever traces wants to be told of rules that are out of scope as well.
        let traced = self.notes.is_some();
        let matches = rules.match_line(text, |number| traced || admits(number), &mut self.scratch);
        let admitted: Vec<usize> = matches.iter().map(|found| found.rule).filter(|&n| admits(n)).collect();
        for found in matches {
            let rule = &rules.rules()[found.rule];
            let hit = Hit {
                at: observation.at,
                text: shown_line(text),
                captures: found
                    .captures
                    .into_iter()
                    .map(|(name, value)| (name, shown_capture(&value)))
                    .collect(),
                live: observation.freshness == Freshness::Live,
                fault: false,
            };
            if !admitted.contains(&found.rule) {
                self.note(found.rule, &hit, Outcome::OutOfScope);
                continue;
            }
            match precedence::standing(rules.rules(), admitted.iter().copied(), found.rule) {
                Standing::Counts => signals.extend(self.judge(found.rule, rule, scene, &hit)),
                Standing::Suppressed(by) => {
                    let by = rules.rules()[by].name.clone();
                    self.note(found.rule, &hit, Outcome::Suppressed { by });
                }
                Standing::GivesWay(to) => {
                    let to = rules.rules()[to].name.clone();
                    self.note(found.rule, &hit, Outcome::GaveWay { to });
                }
            }
        }
    }

    fn judge_event(&mut self, scene: Scene<'_>, seen: &Seen, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        for &number in rules.event_rules() {
            let rule = &rules.rules()[number];
            let Trigger::Event { on, not_preceded_by } = &rule.trigger else {
                continue;
            };
            if !on.matches(seen.kind, seen.exit_code) {
                continue;
            }
            let hit = Hit {
                at: seen.at,
                text: seen.text.clone(),
                captures: seen
                    .exit_code
                    .map(|code| ("exit_code".to_owned(), code.to_string()))
                    .into_iter()
                    .collect(),
                live: seen.live,
                fault: seen.kind.shows_fault(),
            };
            let explained = not_preceded_by
                .iter()
                .find_map(|event| self.memory.preceded_by(scene.host, scene.subject, seen, *event));
            if !rule.scope.admits(scene.host, &scene.subject.app, None) {
                self.note(number, &hit, Outcome::OutOfScope);
            } else if let Some(by) = explained {
                let outcome = Outcome::Explained { by: by.text.clone(), ago: seen.at.since(by.at) };
                self.note(number, &hit, outcome);
            } else {
                signals.extend(self.judge(number, rule, scene, &hit));
            }
        }
    }

    /// From a hit within scope to a signal, when it is one too many.
    fn judge(&mut self, number: usize, rule: &Rule, scene: Scene<'_>, hit: &Hit) -> Option<Signal> {
        let circumstances = self.memory.circumstances(scene.host, scene.subject, hit.at);
        if let Some(unmet) = rule.require.unmet(&circumstances) {
            self.note(number, hit, Outcome::Unmet(unmet));
            return None;
        }
        let key = window_key(rule, scene, hit);
        let process = self.process(scene);
        let counted = self.windows[number].entry(&key).count(hit, &process, rule.count, rule.within);
        let full = match counted {
            Counted::Have(have) => {
                self.note(number, hit, Outcome::Counted { have, need: rule.count, within: rule.within });
                return None;
            }
            Counted::Quiet => {
                self.note(number, hit, Outcome::Quiet);
                return None;
            }
            Counted::Full(full) => full,
        };
        let candidate = Candidate {
            rule: number,
            key,
            host: scene.host.clone(),
            subject: Arc::clone(scene.subject),
            process,
            full,
            at: hit.at,
            fault: hit.fault,
        };
        if rule.confirm.is_empty() {
            self.note(number, hit, Outcome::Fired);
            return Some(self.fire(candidate));
        }
        let near = rule.confirm.iter().find_map(|confirmation| {
            let wanted = (&confirmation.event, confirmation.within);
            self.memory.near(scene.host, scene.subject, hit.at, wanted)
        });
        if let Some(seen) = near.cloned() {
            self.note(number, hit, Outcome::Fired);
            return Some(self.fire(candidate.confirmed_by(&seen)));
        }
        self.note(number, hit, Outcome::Unconfirmed);
        self.unconfirmed.keep(candidate);
        None
    }

    /// Fires what has waited for this state change.
    fn confirm(&mut self, scene: Scene<'_>, seen: &Seen, signals: &mut Vec<Signal>) {
        let change = (scene.host, scene.subject.as_ref(), seen);
        while let Some(candidate) = self.unconfirmed.take(self.rules.rules(), change) {
            self.record(Note {
                at: seen.at,
                rule: candidate.rule,
                text: seen.text.clone(),
                outcome: Outcome::Fired,
            });
            signals.push(self.fire(candidate.confirmed_by(seen)));
        }
    }

    fn fire(&mut self, candidate: Candidate) -> Signal {
        let rule = &self.rules.rules()[candidate.rule];
        let window = self.windows[candidate.rule].entry(&candidate.key);
        window.quieten(candidate.at, rule.cooldown, candidate.process.clone());
        candidate.into_signal(rule)
    }

    fn process(&self, scene: Scene<'_>) -> Process {
        Process {
            container: scene.subject.container.clone(),
            deliberate_starts: self.memory.deliberate_starts(scene.host, scene.subject),
        }
    }

    fn note(&mut self, rule: usize, hit: &Hit, outcome: Outcome) {
        if self.notes.is_some() {
            self.record(Note { at: hit.at, rule, text: hit.text.clone(), outcome });
        }
    }

    fn record(&mut self, note: Note) {
        if let Some(notes) = &mut self.notes
            && notes.len() < NOTES
        {
            notes.push(note);
        }
    }
}

/// What hits are grouped by. Those of two releases are never mixed: what the old one did says nothing of the new.
fn window_key(rule: &Rule, scene: Scene<'_>, hit: &Hit) -> WindowKey {
    let part = |key: &Key| match key {
        Key::Host => scene.host.to_string(),
        Key::App => scene.subject.app.to_string(),
        Key::Container => scene.subject.container.to_string(),
        Key::Capture(name) => hit.capture(name).unwrap_or_default().to_owned(),
    };
    let mut key: WindowKey = rule.by.iter().map(part).collect();
    key.push(scene.subject.release.to_string());
    key
}
