//! The engine: observations in, signals out. It holds everything that rules remember, within fixed bounds, and takes
//! every decision by the timestamps of the observations, so that a replay of a recording decides the same.

use std::sync::Arc;
use std::time::Duration;

use super::absence::Absence;
use super::bounded::Bounded;
use super::candidate::{Unconfirmed, WindowKey};
use super::clocks::Clocks;
use super::hit::Hit;
use super::hold::Hold;
use super::inhibition::Inhibitions;
use super::level::Level;
use super::memory::{Memory, Seen};
use super::precedence::Standing;
use super::progress::Progress;
use super::rule::Trigger;
use super::set::{LineMatch, RuleSet, Scratch};
use super::trace::{Note, Outcome};
use super::window::Window;
use crate::fleet::{
    ContainerId, Fact, Freshness, HostName, Observation, Role, Signal, Stream, Subject, Timestamp,
};

/// Keys remembered for each rule.
const KEYS: usize = 1000;
/// How much longer than its own time an unconfirmed signal is kept, since streams of one host arrive out of step.
const LATE: Duration = Duration::from_secs(60);
/// The same where the time is not the host's own: how far clocks may differ.
const SKEW: Duration = Duration::from_secs(3600);
/// Nothing is concluded from silence before so much more time has passed: what happened may still be on its way.
pub(super) const SETTLE: Duration = Duration::from_secs(2);
/// What is due by time alone is looked for no more often than this.
const LOOK: Duration = Duration::from_millis(100);

/// Runs observations through a set of rules.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) rules: Arc<RuleSet>,
    scratch: Scratch,
    pub(super) memory: Memory,
    pub(super) clocks: Clocks,
    /// For each rule, what it has seen.
    pub(super) states: Vec<State>,
    pub(super) unconfirmed: Unconfirmed,
    pub(super) inhibitions: Inhibitions,
    looked: Option<Timestamp>,
    /// What was forgotten for rules that are not there any more.
    pub(super) dropped_before: u64,
    pub(super) notes: Option<Vec<Note>>,
}

/// A container somewhere.
pub(super) type Whereabouts = (HostName, ContainerId);

/// What a rule has seen.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) windows: Bounded<WindowKey, Window>,
    /// State changes that must last, of a rule about those.
    pub(super) holds: Bounded<Whereabouts, Hold>,
    /// What was last read of a stat, of a rule about one.
    pub(super) levels: Bounded<Whereabouts, Level>,
    /// When the line last came, of a rule about its absence.
    pub(super) absences: Bounded<Whereabouts, Absence>,
    /// How far it has come, of a rule about a sequence.
    pub(super) sequences: Bounded<WindowKey, Progress>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            windows: Bounded::new(KEYS),
            holds: Bounded::new(KEYS),
            levels: Bounded::new(KEYS),
            absences: Bounded::new(KEYS),
            sequences: Bounded::new(KEYS),
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        let hits: u64 = self.sequences.iter().map(|(_, progress)| progress.dropped()).sum();
        self.windows.evicted()
            + self.holds.evicted()
            + self.levels.evicted()
            + self.absences.evicted()
            + self.sequences.evicted()
            + hits
    }
}

/// Where something happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'o> {
    pub(super) host: &'o HostName,
    pub(super) subject: &'o Arc<Subject>,
}

impl Scene<'_> {
    pub(super) fn whereabouts(&self) -> Whereabouts {
        (self.host.clone(), self.subject.container.clone())
    }
}

impl Engine {
    /// An engine that remembers nothing yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let states = rules.rules().iter().map(|_| State::new()).collect();
        Self {
            rules,
            scratch: Scratch::default(),
            memory: Memory::new(),
            clocks: Clocks::new(),
            states,
            unconfirmed: Unconfirmed::default(),
            inhibitions: Inhibitions::default(),
            looked: None,
            dropped_before: 0,
            notes: None,
        }
    }

    /// An engine that also notes why rules did or did not fire; see [`Engine::take_notes`].
    #[must_use]
    pub fn traced(rules: Arc<RuleSet>) -> Self {
        Self { notes: Some(Vec::new()), ..Self::new(rules) }
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What was noted since the last call; at most 10,000 notes are kept.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes in one observation; gives the signals it made.
    pub fn observe(&mut self, observation: &Observation) -> Vec<Signal> {
        self.memory.learn(observation);
        if self.clocks.learn(observation) {
            self.wait_anew(&observation.host, observation.at);
        }
        let host = Some(&observation.host);
        self.unconfirmed.forget(self.rules.rules(), host, observation.at, LATE);
        let Some(subject) = &observation.subject else {
            return Vec::new();
        };
        let scene = Scene { host: &observation.host, subject };
        let seen = Seen::of(observation).map(|seen| {
            let asked_for = self.memory.was_asked_for(&observation.host, subject, &seen);
            Seen { asked_for, ..seen }
        });
        let mut signals = Vec::new();
        if subject.role == Role::Live {
            self.judge_fact(scene, observation, seen.as_ref(), &mut signals);
        }
        if let Some(seen) = seen {
            self.memory.remember(&observation.host, subject, seen);
        }
        signals
    }

    /// Takes in one observation of a recording, at the time that it happened: what became due by then comes first.
    pub fn replay(&mut self, observation: &Observation) -> Vec<Signal> {
        let mut signals = self.advance(observation.at);
        signals.extend(self.observe(observation));
        signals
    }

    /// It is `now`, by the clock of whoever runs the engine. What has lasted long enough or not come for long enough by
    /// then fires; what waited in vain for its confirmation is let go.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Signal> {
        self.clocks.advance(now);
        if self.looked.is_some_and(|looked| now < looked + LOOK && looked < now + LOOK) {
            return Vec::new();
        }
        self.looked = Some(now);
        self.unconfirmed.forget(self.rules.rules(), None, now, SKEW);
        let mut due = self.absences_due();
        due.extend(self.holds_due());
        due.sort_by_key(|due| due.hit.at);
        let mut signals = Vec::new();
        for due in due {
            let scene = Scene { host: &due.host, subject: &due.subject };
            self.judge(due.rule, scene, &due.hit, &mut signals);
        }
        signals
    }

    /// The clock of `host` was set, and shows `at` now: what is waited for there by time alone begins anew.
    fn wait_anew(&mut self, host: &HostName, at: Timestamp) {
        self.memory.clock_set(host, at);
        self.inhibitions.clock_set(host, at);
        for state in &mut self.states {
            let absences = state.absences.iter_mut().filter(|((known, _), _)| known == host);
            absences.for_each(|(_, absence)| absence.begin_anew(at));
        }
        self.hold_anew(host, at);
    }

    /// When [`Engine::advance`] is to be called next, by the same clock, if nothing is observed before: until then nothing
    /// fires. `None` is never.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.absences_at().chain(self.holds_at());
        due.filter_map(|(host, at)| self.clocks.moment(host, at + SETTLE)).min()
    }

    /// The clock that [`Engine::advance`] goes by has jumped, or stood still: nothing is concluded from silence on a host
    /// until something is heard of it.
    pub fn doubt_clock(&mut self) {
        self.clocks.forget();
        self.looked = None;
    }

    /// The room to work in is made for one set of rules.
    pub(super) fn forget_scratch(&mut self) {
        self.dropped_before += self.scratch.counts.skipped;
        self.scratch = Scratch::default();
    }

    /// How much had to be forgotten to stay within the bounds.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let states: u64 = self.states.iter().map(State::dropped).sum();
        let skipped = self.scratch.counts.skipped;
        states + self.memory.evicted() + self.unconfirmed.dropped() + self.dropped_before + skipped
    }

    fn judge_fact(
        &mut self,
        scene: Scene<'_>,
        observation: &Observation,
        seen: Option<&Seen>,
        signals: &mut Vec<Signal>,
    ) {
        let live = observation.freshness == Freshness::Live;
        match (&observation.fact, seen) {
            (Fact::Line { stream, text }, _) => {
                self.judge_line(scene, observation.at, live, (*stream, text), signals);
            }
            (_, Some(seen)) => {
                self.confirm_by_event(scene, seen, signals);
                self.end_holds(scene, observation);
                self.judge_event(scene, seen, signals);
                self.judge_stats(scene, observation, signals);
            }
            (Fact::Stats { .. }, None) => {
                self.confirm_by_sample(scene, observation.at, live, signals);
                self.judge_stats(scene, observation, signals);
            }
            (Fact::State { .. }, None) => {
                self.end_holds(scene, observation);
                self.judge_stats(scene, observation, signals);
            }
            _ => {}
        }
        if matches!(observation.fact, Fact::State { .. } | Fact::Started | Fact::Log { .. } | Fact::Destroyed)
        {
            self.attend(scene, &observation.fact);
        }
    }

    fn judge_line(
        &mut self,
        scene: Scene<'_>,
        at: Timestamp,
        live: bool,
        (stream, text): (Stream, &str),
        signals: &mut Vec<Signal>,
    ) {
        let rules = Arc::clone(&self.rules);
        let admits =
            |number: usize| rules.rules()[number].scope.admits(scene.host, scene.subject, Some(stream));
        // Whoever traces wants to be told of rules that are out of scope as well.
        let traced = self.notes.is_some();
        let matches = rules.match_line(text, |number| traced || admits(number), &mut self.scratch);
        if matches.is_empty() {
            return;
        }
        let (parts, whole): (Vec<LineMatch>, Vec<LineMatch>) =
            matches.into_iter().partition(|found| found.step.is_some());
        // Causes come before their symptoms, which may be to be kept quiet.
        for found in parts.into_iter().filter(|found| admits(found.rule)) {
            let hit = Hit::of_line(at, text, found.captures, live);
            match &rules.rules()[found.rule].trigger {
                Trigger::Absent(_) => self.see_expected(found.rule, scene, at),
                _ => self.take_step((found.rule, found.step.unwrap_or(0)), scene, Some(stream), hit, signals),
            }
        }
        let admitted: Vec<usize> = whole.iter().map(|found| found.rule).filter(|&n| admits(n)).collect();
        for found in whole {
            let hit = Hit::of_line(at, text, found.captures, live);
            if !admitted.contains(&found.rule) {
                self.note(found.rule, &hit, Outcome::OutOfScope);
                continue;
            }
            match rules.standing(text, admitted.iter().copied(), found.rule) {
                Standing::Counts => self.judge(found.rule, scene, &hit, signals),
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
        self.take_event_steps(scene, seen, signals);
        for &number in &rules.by_trigger().event {
            let rule = &rules.rules()[number];
            let Trigger::Event(event) = &rule.trigger else { continue };
            if !event.on.matches(seen.kind, seen.exit_code) {
                continue;
            }
            let hit = Hit::of(seen);
            if !rule.scope.admits(scene.host, scene.subject, None) {
                self.note(number, &hit, Outcome::OutOfScope);
            } else if let Some(outcome) = self.explained(scene, seen, event) {
                self.note(number, &hit, outcome);
            } else if let Some(lasts) = rule.threshold.holds {
                self.begin_hold(number, scene, hit, lasts);
            } else {
                self.judge(number, scene, &hit, signals);
            }
        }
    }
}
