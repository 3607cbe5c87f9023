//! From a hit to a signal: what every trigger goes through, whether it is a line, an event or a silence.

use std::sync::Arc;

use super::candidate::{Candidate, WindowKey};
use super::engine::{Engine, Scene};
use super::hit::{Hit, shown_line};
use super::memory::Seen;
use super::rule::{EventTrigger, Key, Proof, Rule, Trigger};
use super::trace::{NOTES, Note, Outcome};
use super::window::{Counted, EVIDENCE, Process};
use crate::fleet::{Rung, Signal, Timestamp};

impl Engine {
    /// From a hit within scope to a signal, when it is one too many.
    pub(super) fn judge(&mut self, number: usize, scene: Scene<'_>, hit: &Hit, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        let rule = &rules.rules()[number];
        let circumstances = self.memory.circumstances(scene.host, scene.subject, hit.at);
        if let Some(unmet) = rule.require.unmet(&circumstances) {
            self.note(number, hit, Outcome::Unmet(unmet));
            return;
        }
        let value = rule.threshold.distinct.as_ref().map(|key| part(key, scene, hit));
        if value.as_ref().is_some_and(Option::is_none) {
            self.note(
                number,
                hit,
                Outcome::Unmet("it lacks the value of which different ones are counted".to_owned()),
            );
            return;
        }
        let value = value.flatten();
        let key = window_key(rule, scene, hit);
        let process = self.process(rule, scene);
        let window = self.states[number].windows.entry(&key);
        let full = match window.count(hit, process.as_ref(), &rule.threshold, value.as_deref()) {
            Counted::Have(have) => {
                let (need, within) = (rule.threshold.count, rule.threshold.within);
                self.note(number, hit, Outcome::Counted { have, need, within });
                return;
            }
            Counted::Lasting(lasted) => {
                let need = rule.threshold.lasts.unwrap_or_default();
                self.note(number, hit, Outcome::Lasting { lasted, need });
                return;
            }
            Counted::Quiet => {
                self.inhibitions.renew(number, rule, scene, hit);
                self.note(number, hit, Outcome::Quiet);
                return;
            }
            Counted::Full(full) => full,
        };
        let mut candidate = Candidate {
            rule: number,
            key,
            host: scene.host.clone(),
            subject: Arc::clone(scene.subject),
            process,
            at: hit.at,
            fault: full.fault,
            full,
            dependents: hit.dependents.clone(),
        };
        candidate.full.evidence.splice(0..0, hit.behind.iter().cloned());
        candidate.full.evidence.truncate(EVIDENCE);
        if rule.confirm.is_empty() {
            self.fire(candidate, hit, signals);
        } else if let Some(candidate) = self.confirmed(rule, scene, candidate) {
            self.fire(candidate, hit, signals);
        } else {
            self.note(number, hit, Outcome::Unconfirmed);
        }
    }

    /// The candidate with what confirms it, when that was seen already; else it waits.
    fn confirmed(&mut self, rule: &Rule, scene: Scene<'_>, candidate: Candidate) -> Option<Candidate> {
        for confirmation in &rule.confirm {
            match &confirmation.proof {
                Proof::Event(event) => {
                    let wanted = (event, confirmation.within);
                    let near = self.memory.near(scene.host, scene.subject, candidate.at, wanted);
                    if let Some(seen) = near.cloned() {
                        return Some(candidate.confirmed_by(&seen));
                    }
                }
                Proof::Stat(bound) => {
                    let now = self.memory.circumstances(scene.host, scene.subject, candidate.at);
                    if let Some((at, value)) = now.stat_within(bound.stat, confirmation.within)
                        && bound.holds(value)
                    {
                        return Some(candidate.add(at, format!("{} is {value:.0}", bound.stat), true));
                    }
                }
            }
        }
        self.unconfirmed.keep(candidate);
        None
    }

    /// Fires what has waited for this state change.
    pub(super) fn confirm_by_event(&mut self, scene: Scene<'_>, seen: &Seen, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        let found = (scene.host, &**scene.subject, seen.at);
        let proves = |proof: &Proof| matches!(proof, Proof::Event(event) if seen.confirms(event));
        while let Some(candidate) = self.unconfirmed.take(rules.rules(), found, proves) {
            self.fire(candidate.confirmed_by(seen), &Hit::of(seen), signals);
        }
    }

    /// Fires what has waited for such a sample.
    pub(super) fn confirm_by_sample(
        &mut self,
        scene: Scene<'_>,
        at: Timestamp,
        live: bool,
        signals: &mut Vec<Signal>,
    ) {
        let rules = Arc::clone(&self.rules);
        loop {
            let now = self.memory.circumstances(scene.host, scene.subject, at);
            let proves = |proof: &Proof| match proof {
                Proof::Stat(bound) => now.stat(bound.stat).is_some_and(|value| bound.holds(value)),
                Proof::Event(_) => false,
            };
            let found = (scene.host, &**scene.subject, at);
            let Some(candidate) = self.unconfirmed.take(rules.rules(), found, proves) else {
                return;
            };
            let text = "a sample confirms it".to_owned();
            let hit = Hit::new(at, text.clone(), live);
            self.fire(candidate.add(at, text, live), &hit, signals);
        }
    }

    /// Makes a signal, unless a cause that is known keeps it quiet; and what waits for signals looks up.
    fn fire(&mut self, candidate: Candidate, hit: &Hit, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        let number = candidate.rule;
        let rule = &rules.rules()[number];
        let window = self.states[number].windows.entry(&candidate.key);
        if let Some(cause) = self.inhibitions.cause_of(rules.rules(), &candidate) {
            window.hush(&candidate.full);
            let by = rules.rules()[cause].name.clone();
            self.note(number, hit, Outcome::Inhibited { by });
            return;
        }
        window.quieten(candidate.at, rule, candidate.process.clone());
        self.note(number, hit, Outcome::Fired);
        let host = candidate.host.clone();
        let subject = Arc::clone(&candidate.subject);
        let ladder = self.ladder(rule, &candidate);
        let signal = candidate.into_signal(rule, ladder);
        self.inhibitions.begin(number, rule, &signal);
        signals.push(signal.clone());
        self.judge_signal(Scene { host: &host, subject: &subject }, &signal, signals);
    }

    /// The rule's ladder, with what does not hold now of what its rungs ask for.
    fn ladder(&self, rule: &Rule, candidate: &Candidate) -> Vec<Rung> {
        let now = self.memory.circumstances(&candidate.host, &candidate.subject, candidate.at);
        let rungs = rule.heal.iter().zip(&rule.conditions);
        rungs.map(|(rung, condition)| Rung { unmet: condition.unmet(&now), ..rung.clone() }).collect()
    }

    /// Lets the rules look up that wait for signals. They never wait for each other in a circle.
    fn judge_signal(&mut self, scene: Scene<'_>, signal: &Signal, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        for &number in &rules.by_trigger().signal {
            let rule = &rules.rules()[number];
            let Trigger::Signal(chosen) = &rule.trigger else { continue };
            if !chosen.iter().any(|one| one.includes(&signal.rule, signal.class)) {
                continue;
            }
            let text = shown_line(&format!("{}: {}", signal.rule, signal.say));
            let hit = Hit {
                captures: vec![("trigger".to_owned(), signal.rule.clone())],
                fault: signal.state_evidence,
                ..Hit::new(signal.at, text, signal.live)
            };
            if rule.scope.admits(scene.host, scene.subject, None) {
                self.judge(number, scene, &hit, signals);
            } else {
                self.note(number, &hit, Outcome::OutOfScope);
            }
        }
    }

    /// The earlier event that explains a state change away, if there is one.
    pub(super) fn explained(&self, scene: Scene<'_>, seen: &Seen, event: &EventTrigger) -> Option<Outcome> {
        let by = event
            .not_preceded_by
            .iter()
            .find_map(|one| self.memory.preceded_by(scene.host, scene.subject, seen, *one))?;
        Some(Outcome::Explained { by: by.text.clone(), ago: seen.at.since(by.at) })
    }

    /// The process that a hit is of, for rules that tell one from another.
    fn process(&self, rule: &Rule, scene: Scene<'_>) -> Option<Process> {
        tells_releases_apart(rule).then(|| Process {
            container: scene.subject.container.clone(),
            deliberate_starts: self.memory.deliberate_starts(scene.host, scene.subject),
        })
    }

    pub(super) fn note(&mut self, rule: usize, hit: &Hit, outcome: Outcome) {
        if let Some(notes) = &mut self.notes
            && notes.len() < NOTES
        {
            notes.push(Note { at: hit.at, rule, text: hit.text.clone(), outcome });
        }
    }
}

/// Whether hits of different releases and containers say nothing of each other: so it is wherever apps are told apart.
fn tells_releases_apart(rule: &Rule) -> bool {
    rule.by.iter().any(|key| matches!(key, Key::App | Key::Container))
}

/// One of the things that hits are told apart by.
fn part(key: &Key, scene: Scene<'_>, hit: &Hit) -> Option<String> {
    Some(match key {
        Key::Host => scene.host.to_string(),
        Key::App => scene.subject.app.to_string(),
        Key::Container => scene.subject.container.to_string(),
        Key::Capture(name) => hit.capture(name)?.to_owned(),
    })
}

/// What hits are grouped by. Those of two releases are never mixed: what the old one did says nothing of the new.
pub(super) fn window_key(rule: &Rule, scene: Scene<'_>, hit: &Hit) -> WindowKey {
    let mut key: WindowKey = rule.by.iter().map(|one| part(one, scene, hit).unwrap_or_default()).collect();
    if tells_releases_apart(rule) {
        key.push(scene.subject.release.to_string());
    }
    key
}
