//! How a rollout goes. Pure: it is told how it ended on each host, and says what comes next.
//!
//! A stage begins when every host of the one before has the release. When a host fails, nothing new is begun and those
//! under way are waited for; then, if it was all or nothing, the hosts that were switched get back what they ran.

use super::stages::Stage;
use crate::fleet::{Host, HostName};

/// What a failure means for the other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing: what is to be done is done everywhere it can be.
    GoOn,
    /// No further host is begun.
    Stop,
    /// No further host is begun, and those already changed are changed back.
    GiveBack,
}

/// How it stands with one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not begun.
    Waiting,
    /// Being changed.
    UnderWay,
    /// It was changed.
    Changed,
    /// It had what was to be changed already.
    Unchanged,
    /// It failed, and runs what it ran before as far as that is in our power.
    Failed,
    /// Being changed back.
    GoingBack,
    /// It was changed and changed back.
    Returned,
    /// It was changed, at least in part, and could not be changed back.
    Stuck,
}

/// How an errand ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did what was wanted.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// It failed, and runs what it ran before.
    Failed,
    /// It failed, and does not run what it ran before.
    Stuck,
}

/// Something to do on one host, by its place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Change it.
    Change(usize),
    /// Change it back.
    GiveBack(usize),
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This can begin now.
    Begin(Errand),
    /// Nothing can begin before something that is under way ends.
    Wait,
    /// All is over.
    Over,
}

/// One host's part in it.
#[derive(Debug, Clone)]
struct Place {
    host: Host,
    stage: usize,
    standing: Standing,
}

/// A rollout on its way.
#[derive(Debug, Clone)]
pub struct Course {
    places: Vec<Place>,
    stages: Vec<Stage>,
    at_once: usize,
    on_failure: OnFailure,
    interrupted: bool,
}

impl Course {
    /// At its beginning. At most `at_once` hosts are worked on at the same time, whatever the stages say.
    #[must_use]
    pub fn new(stages: Vec<Stage>, at_once: usize, on_failure: OnFailure) -> Self {
        let place = |stage, host: &Host| Place { host: host.clone(), stage, standing: Standing::Waiting };
        let places = stages
            .iter()
            .enumerate()
            .flat_map(|(number, stage)| stage.hosts.iter().map(move |host| place(number, host)))
            .collect();
        Self { places, stages, at_once: at_once.max(1), on_failure, interrupted: false }
    }

    /// The hosts in their order, each with its stage and how it stands.
    pub fn hosts(&self) -> impl Iterator<Item = (&Host, &Stage, Standing)> {
        self.places.iter().filter_map(|place| {
            self.stages.get(place.stage).map(|stage| (&place.host, stage, place.standing))
        })
    }

    /// The host at a place in the order.
    #[must_use]
    pub fn host(&self, place: usize) -> Option<&Host> {
        self.places.get(place).map(|place| &place.host)
    }

    /// Takes note of a host that is known to fail before it is begun.
    pub fn refuse(&mut self, host: &HostName) {
        for place in self.places.iter_mut().filter(|place| place.host.name == *host) {
            place.standing = Standing::Failed;
        }
    }

    /// From now on no host is begun.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Says what comes next; what it says to begin counts as begun.
    pub fn advance(&mut self) -> Next {
        let busy = self.count(|standing| matches!(standing, Standing::UnderWay | Standing::GoingBack));
        let next = if self.halted() {
            // Only when nothing is under way any more is it known who has to go back.
            let back = (self.on_failure == OnFailure::GiveBack
                && self.count(|standing| standing == Standing::UnderWay) == 0)
                .then(|| self.places.iter().position(|place| place.standing == Standing::Changed));
            back.flatten().map(Errand::GiveBack)
        } else {
            self.next_waiting().map(Errand::Change)
        };
        match next {
            Some(errand) if busy < self.at_once => {
                match errand {
                    Errand::Change(place) => self.set(place, Standing::UnderWay),
                    Errand::GiveBack(place) => self.set(place, Standing::GoingBack),
                }
                Next::Begin(errand)
            }
            None if busy == 0 => Next::Over,
            _ => Next::Wait,
        }
    }

    /// Takes note of how an errand ended.
    pub fn ended(&mut self, errand: Errand, ended: Ended) {
        match (errand, ended) {
            (Errand::Change(place), Ended::Done) => self.set(place, Standing::Changed),
            (Errand::Change(place), Ended::Unchanged) => self.set(place, Standing::Unchanged),
            (Errand::Change(place), Ended::Failed) => self.set(place, Standing::Failed),
            (Errand::GiveBack(place), Ended::Done | Ended::Unchanged) => self.set(place, Standing::Returned),
            (Errand::Change(place), Ended::Stuck)
            | (Errand::GiveBack(place), Ended::Failed | Ended::Stuck) => {
                self.set(place, Standing::Stuck);
            }
        }
    }

    /// The first host that was not begun, if its stage may begin: all before it have ended.
    fn next_waiting(&self) -> Option<usize> {
        let next = self.places.iter().position(|place| place.standing == Standing::Waiting)?;
        let stage = self.places.get(next)?.stage;
        let ready = self.places.iter().filter(|place| place.stage < stage);
        ready.map(|place| place.standing).all(|standing| standing != Standing::UnderWay).then_some(next)
    }

    fn halted(&self) -> bool {
        let failed = self.count(|standing| matches!(standing, Standing::Failed | Standing::Stuck)) > 0;
        self.interrupted || failed && self.on_failure != OnFailure::GoOn
    }

    fn count(&self, is_it: impl Fn(Standing) -> bool) -> usize {
        self.places.iter().filter(|place| is_it(place.standing)).count()
    }

    fn set(&mut self, place: usize, standing: Standing) {
        if let Some(place) = self.places.get_mut(place) {
            place.standing = standing;
        }
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
