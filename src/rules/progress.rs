//! One thing after another: what each step of a sequence has seen, and when all of them are there in their order. Streams
//! arrive out of step, so a step is remembered even when the one before it has not been seen yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::engine::{Engine, Scene};
use super::hit::Hit;
use super::judge::window_key;
use super::memory::Seen;
use super::rule::{Rule, Step, StepTrigger, Trigger};
use super::trace::Outcome;
use crate::fleet::{AppName, Evidence, HostName, Signal, Stream, Subject};

/// Hits kept for each step.
const HITS: usize = 64;

/// How far a sequence has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// For each step, oldest first.
    steps: Vec<VecDeque<StepHit>>,
    dropped: u64,
}

/// Something that a step was looking for.
#[derive(Debug, Clone)]
struct StepHit {
    host: HostName,
    subject: Arc<Subject>,
    hit: Hit,
}

impl Progress {
    /// How many hits had to make room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn add(&mut self, step: usize, hit: StepHit, of: usize, within: Duration) {
        self.steps.resize_with(of, VecDeque::new);
        let newest = self.steps.iter().filter_map(|hits| hits.back()).map(|known| known.hit.at).max();
        if newest.is_some_and(|newest| hit.hit.at + within < newest) {
            // The host's clock was set back.
            self.steps.iter_mut().for_each(VecDeque::clear);
        }
        let oldest = newest.unwrap_or(hit.hit.at).max(hit.hit.at) - within;
        for hits in &mut self.steps {
            hits.retain(|known| known.hit.at >= oldest);
        }
        let hits = &mut self.steps[step];
        // Of one app at most the newest few count for anything: a flood of one must not push out the others.
        let same = |known: &&StepHit| known.host == hit.host && known.subject.app == hit.subject.app;
        if hits.iter().filter(same).count() >= 4
            && let Some(place) = hits.iter().rposition(|known| same(&known))
        {
            hits.remove(place);
        } else if hits.len() == HITS {
            hits.pop_front();
            self.dropped += 1;
        }
        let place = hits.partition_point(|known| known.hit.at <= hit.hit.at);
        hits.insert(place, hit);
    }

    /// The hits that make a whole of it, in order: the first is the cause.
    fn whole(&self, steps: &[Step], within: Duration) -> Option<Vec<StepHit>> {
        self.steps.first()?.iter().find_map(|cause| {
            let mut chosen = vec![cause.clone()];
            let mut from = cause.hit.at;
            let until = cause.hit.at + within;
            for (number, (step, hits)) in steps.iter().zip(&self.steps).enumerate() {
                let mut apps: Vec<&AppName> = Vec::new();
                if number == 0 {
                    apps.push(&cause.subject.app);
                }
                for known in hits.iter().filter(|known| known.hit.at >= from && known.hit.at <= until) {
                    if apps.len() >= step.apps {
                        break;
                    }
                    if !apps.contains(&&known.subject.app) {
                        apps.push(&known.subject.app);
                        chosen.push(known.clone());
                    }
                }
                if apps.len() < step.apps {
                    return None;
                }
                from = chosen.iter().map(|known| known.hit.at).max().unwrap_or(from);
            }
            Some(chosen)
        })
    }
}

impl Engine {
    /// Takes a line or event as a step of a sequence.
    pub(super) fn take_step(
        &mut self,
        (number, step): (usize, usize),
        scene: Scene<'_>,
        stream: Option<Stream>,
        hit: Hit,
        signals: &mut Vec<Signal>,
    ) {
        let rules = Arc::clone(&self.rules);
        let rule = &rules.rules()[number];
        let Trigger::Sequence(steps) = &rule.trigger else { return };
        if !steps[step].scope.admits(scene.host, scene.subject, stream) {
            self.note(number, &hit, Outcome::OutOfScope);
            return;
        }
        let within = rule.threshold.within;
        let key = window_key(rule, scene, &hit);
        let progress = self.states[number].sequences.entry(&key);
        let found =
            StepHit { host: scene.host.clone(), subject: Arc::clone(scene.subject), hit: hit.clone() };
        progress.add(step, found, steps.len(), within);
        match progress.whole(steps, within) {
            Some(whole) => {
                self.states[number].sequences.remove(&key);
                self.complete(number, rule, &whole, signals);
            }
            None => self.note(number, &hit, Outcome::Step { step: step + 1, of: steps.len() }),
        }
    }

    fn complete(&mut self, number: usize, rule: &Rule, whole: &[StepHit], signals: &mut Vec<Signal>) {
        let (Some(cause), Some(last)) = (whole.first(), whole.iter().max_by_key(|one| one.hit.at)) else {
            return;
        };
        let about = if rule.heals_cause { cause } else { last };
        let shown = |one: &StepHit| Evidence {
            at: one.hit.at,
            text: format!("{}: {}", one.subject.app, one.hit.text),
        };
        let mut dependents: Vec<AppName> = Vec::new();
        for one in whole.iter().filter(|one| one.subject.app != cause.subject.app) {
            if !dependents.contains(&one.subject.app) {
                dependents.push(one.subject.app.clone());
            }
        }
        let names: Vec<&str> = dependents.iter().map(AppName::as_str).collect();
        let mut captures: Vec<(String, String)> =
            whole.iter().flat_map(|one| one.hit.captures.iter().cloned()).collect();
        captures.push(("cause".to_owned(), cause.subject.app.to_string()));
        captures.push(("symptoms".to_owned(), names.join(", ")));
        let mut behind: Vec<Evidence> =
            whole.iter().filter(|one| !std::ptr::eq(*one, last)).map(shown).collect();
        behind.sort_by_key(|evidence| evidence.at);
        let hit = Hit {
            captures,
            behind,
            dependents,
            fault: about.hit.fault,
            ..Hit::new(last.hit.at, shown(last).text, whole.iter().all(|one| one.hit.live))
        };
        self.judge(number, Scene { host: &about.host, subject: &about.subject }, &hit, signals);
    }

    /// Takes a state change as a step of the sequences that look for it.
    pub(super) fn take_event_steps(&mut self, scene: Scene<'_>, seen: &Seen, signals: &mut Vec<Signal>) {
        let rules = Arc::clone(&self.rules);
        for &number in &rules.by_trigger().sequence {
            let rule = &rules.rules()[number];
            let Trigger::Sequence(steps) = &rule.trigger else { continue };
            if !rule.scope.admits(scene.host, scene.subject, None) {
                continue;
            }
            for (step, one) in steps.iter().enumerate() {
                let StepTrigger::Event(event) = &one.on else { continue };
                if !event.on.matches(seen.kind, seen.exit_code) {
                    continue;
                }
                match self.explained(scene, seen, event) {
                    Some(outcome) => self.note(number, &Hit::of(seen), outcome),
                    None => self.take_step((number, step), scene, None, Hit::of(seen), signals),
                }
            }
        }
    }
}
