//! The engine: observations in, signals out. It holds everything that rules remember, within fixed bounds, and takes
//! every decision by the timestamps of the observations, so that a replay of a recording decides the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::bounded::Bounded;
use super::hit::{Hit, shown_capture, shown_line};
use super::index::Scratch;
use super::memory::{Memory, Seen};
use super::rule::{Key, Rule, Trigger};
use super::set::RuleSet;
use super::trace::{NOTES, Note, Outcome};
use super::window::{Counted, EVIDENCE, Full, Process, Window};
use crate::fleet::{
    Evidence, Fact, Freshness, HostName, Observation, Role, Signal, Stream, Subject, Timestamp,
};

/// Keys remembered for each rule.
const KEYS: usize = 1000;
/// Signals that wait for a state change to confirm them.
const WAITING: usize = 1000;
/// How much longer than its own time an unconfirmed signal is kept, since streams of one host arrive out of step.
const LATE: Duration = Duration::from_secs(60);
/// The same where the time is not the host's own: how far clocks may differ.
const SKEW: Duration = Duration::from_secs(3600);

type WindowKey = Vec<String>;

/// Runs observations through a set of rules.
#[derive(Debug, Clone)]
pub struct Engine {
    rules: Arc<RuleSet>,
    scratch: Scratch,
    memory: Memory,
    /// For each rule, what it has seen.
    windows: Vec<Bounded<WindowKey, Window>>,
    waiting: VecDeque<Waiting>,
    dropped: u64,
    notes: Option<Vec<Note>>,
}

/// A signal that a state change must confirm.
#[derive(Debug, Clone)]
struct Waiting {
    rule: usize,
    key: WindowKey,
    host: HostName,
    subject: Arc<Subject>,
    process: Process,
    full: Full,
    at: Timestamp,
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
            waiting: VecDeque::new(),
            dropped: 0,
            notes: None,
        }
    }

    /// An engine that also notes why rules did or did not fire; see [`Engine::take_notes`].
    #[must_use]
    pub fn traced(rules: Arc<RuleSet>) -> Self {
        Self {
            notes: Some(Vec::new()),
            ..Self::new(rules)
        }
    }

    /// What was noted since the last call; at most 10,000 notes are kept.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes in one observation; gives the signals it made.
    pub fn observe(&mut self, observation: &Observation) -> Vec<Signal> {
        self.memory.learn(observation);
        self.forget_unconfirmed(|waiting, within| {
            waiting.host == observation.host && observation.at > waiting.at + within + LATE
        });
        let Some(subject) = &observation.subject else {
            return Vec::new();
        };
        let scene = Scene {
            host: &observation.host,
            subject,
        };
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
        self.forget_unconfirmed(|waiting, within| now > waiting.at + within + SKEW);
        Vec::new()
    }

    /// How much had to be forgotten to stay within the bounds.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let windows: u64 = self.windows.iter().map(Bounded::evicted).sum();
        windows + self.memory.evicted() + self.dropped
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
        for found in rules.match_line(text, &mut self.scratch) {
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
            if rule.scope.admits(scene.host, &scene.subject.app, Some(stream)) {
                signals.extend(self.judge(found.rule, rule, scene, &hit));
            } else {
                self.note(found.rule, &hit, Outcome::OutOfScope);
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
                let outcome = Outcome::Explained {
                    by: by.text.clone(),
                    ago: seen.at.since(by.at),
                };
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
        let counted = self.windows[number]
            .entry(&key)
            .count(hit, &process, rule.count, rule.within);
        let full = match counted {
            Counted::Have(have) => {
                self.note(
                    number,
                    hit,
                    Outcome::Counted {
                        have,
                        need: rule.count,
                        within: rule.within,
                    },
                );
                return None;
            }
            Counted::Quiet => {
                self.note(number, hit, Outcome::Quiet);
                return None;
            }
            Counted::Full(full) => full,
        };
        let waiting = Waiting {
            rule: number,
            key,
            host: scene.host.clone(),
            subject: Arc::clone(scene.subject),
            process,
            full,
            at: hit.at,
        };
        if rule.confirm.is_empty() {
            self.note(number, hit, Outcome::Fired);
            return Some(self.fire(waiting, hit.at, hit.fault));
        }
        let confirmed = rule.confirm.iter().find_map(|confirmation| {
            let wanted = (&confirmation.event, confirmation.within);
            self.memory
                .near(scene.host, scene.subject, hit.at, wanted)
                .cloned()
        });
        if let Some(seen) = confirmed {
            self.note(number, hit, Outcome::Fired);
            return Some(self.fire_confirmed(waiting, &seen, hit.fault));
        }
        self.note(number, hit, Outcome::Unconfirmed);
        self.wait(waiting);
        None
    }

    /// Keeps a signal until it is confirmed. Of one key only the newest waits: what confirms it comes after it.
    fn wait(&mut self, mut waiting: Waiting) {
        let same = |other: &Waiting| other.rule == waiting.rule && other.key == waiting.key;
        if let Some(place) = self.waiting.iter().position(same)
            && let Some(earlier) = self.waiting.remove(place)
        {
            waiting.full.repeats += earlier.full.repeats;
        }
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(waiting);
    }

    /// Lets go of signals that this state change confirms.
    fn confirm(&mut self, scene: Scene<'_>, seen: &Seen, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        let confirmed = |waiting: &Waiting| {
            let apart = seen.at.since(waiting.at).max(waiting.at.since(seen.at));
            let fits = rules.rules()[waiting.rule].confirm.iter().any(|confirmation| {
                confirmation.event.matches(seen.kind, seen.exit_code) && apart <= confirmation.within
            });
            fits && waiting.host == *scene.host && waiting.subject.container == scene.subject.container
        };
        while let Some(place) = self.waiting.iter().position(confirmed) {
            let Some(waiting) = self.waiting.remove(place) else {
                break;
            };
            if let Some(notes) = &mut self.notes
                && notes.len() < NOTES
            {
                let (at, rule, text) = (seen.at, waiting.rule, seen.text.clone());
                notes.push(Note {
                    at,
                    rule,
                    text,
                    outcome: Outcome::Fired,
                });
            }
            let fault =
                matches!(&rules.rules()[waiting.rule].trigger, Trigger::Event { on, .. } if on.shows_fault());
            signals.push(self.fire_confirmed(waiting, seen, fault));
        }
    }

    fn fire_confirmed(&mut self, mut waiting: Waiting, seen: &Seen, fault: bool) -> Signal {
        let at = waiting.at.max(seen.at);
        let evidence = &mut waiting.full.evidence;
        evidence.push(Evidence {
            at: seen.at,
            text: seen.text.clone(),
        });
        evidence.sort_by_key(|evidence| evidence.at);
        if evidence.len() > EVIDENCE {
            evidence.remove(0);
        }
        waiting.full.live &= seen.live;
        self.fire(waiting, at, fault || seen.kind.shows_fault())
    }

    fn fire(&mut self, waiting: Waiting, at: Timestamp, fault: bool) -> Signal {
        let Waiting {
            rule: number,
            key,
            host,
            subject,
            process,
            full,
            ..
        } = waiting;
        let rules = Arc::clone(&self.rules);
        let rule = &rules.rules()[number];
        self.windows[number]
            .entry(&key)
            .quieten(at, rule.cooldown, process);
        let mut captures = full.captures;
        captures.insert("count".to_owned(), full.count.to_string());
        captures.insert("repeats".to_owned(), full.repeats.to_string());
        Signal {
            at,
            rule: rule.name.clone(),
            class: rule.class,
            say: sentence(rule, &host, &subject, &captures),
            host,
            app: subject.app.clone(),
            release: subject.release.clone(),
            container: subject.container.clone(),
            captures,
            evidence: full.evidence,
            state_evidence: fault,
            live: full.live,
            ladder: rule.heal.clone(),
            verify: rule.verify.clone(),
            forbid: rule.forbid.clone(),
        }
    }

    /// Lets go of what waited longer than it takes; only memory depends on it, never a decision.
    fn forget_unconfirmed(&mut self, is_late: impl Fn(&Waiting, Duration) -> bool) {
        let rules = &self.rules;
        self.waiting.retain(|waiting| {
            let longest = rules.rules()[waiting.rule]
                .confirm
                .iter()
                .map(|one| one.within)
                .max();
            !is_late(waiting, longest.unwrap_or_default())
        });
    }

    fn process(&self, scene: Scene<'_>) -> Process {
        Process {
            container: scene.subject.container.clone(),
            deliberate_starts: self.memory.deliberate_starts(scene.host, scene.subject),
        }
    }

    fn note(&mut self, rule: usize, hit: &Hit, outcome: Outcome) {
        if let Some(notes) = &mut self.notes
            && notes.len() < NOTES
        {
            notes.push(Note {
                at: hit.at,
                rule,
                text: hit.text.clone(),
                outcome,
            });
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

/// The rule's sentence, filled in. Repeats that were kept quiet are told even when the sentence does not ask.
fn sentence(rule: &Rule, host: &HostName, subject: &Subject, captures: &BTreeMap<String, String>) -> String {
    let mut values: BTreeMap<&str, String> = captures
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    values.insert("app", subject.app.to_string());
    values.insert("host", host.to_string());
    values.insert("release", subject.release.to_string());
    values.insert("container", subject.container.short().to_owned());
    values.insert("rule", rule.name.clone());
    let mut say = rule.say.fill(&values);
    let repeats = values.get("repeats").map_or("0", String::as_str);
    if repeats != "0" && !rule.say.captures().any(|(name, _)| name == "repeats") {
        say.push_str(&format!(" ({repeats} more since the last time)"));
    }
    say
}
