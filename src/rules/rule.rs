//! A rule, as it was read and found to be sound.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::case::Case;
use super::compare::Bound;
use super::event::{EventKind, EventPattern};
use super::log::LogPattern;
use super::require::Require;
use super::say::Template;
use super::scope::{Glob, Scope};
use super::stat::{Stat, StatBound};
use crate::fleet::{Class, OnFail, Remedy, Rung, Verify, duration};

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) say: Template,
    pub(super) scope: Scope,
    pub(super) trigger: Trigger,
    pub(super) by: Vec<Key>,
    pub(super) threshold: Threshold,
    pub(super) cooldown: Duration,
    pub(super) require: Require,
    /// Of these one must be seen near the trigger, when any are given.
    pub(super) confirm: Vec<Confirmation>,
    /// The symptoms that are quiet while this is known to be their cause.
    pub(super) inhibit: Option<Inhibit>,
    pub(super) heal: Vec<Rung>,
    /// What each rung asks for.
    pub(super) conditions: Vec<Require>,
    /// Whether what is healed is where a sequence began, and not where it ended.
    pub(super) heals_cause: bool,
    pub(super) on_fail: OnFail,
    pub(super) verify: Option<Verify>,
    pub(super) forbid: Vec<Remedy>,
    /// Counts only lines that no other rule knows.
    pub(super) fallback: bool,
    pub(super) cases: Vec<Case>,
    /// Of everything that it is made of but its tests: rules with the same name and digest are the same rule.
    pub(super) digest: u64,
    pub(super) place: Place,
}

impl Rule {
    /// `pack/id`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pack that it belongs to.
    pub(super) fn pack(&self) -> &str {
        self.name.split_once('/').map_or("", |(pack, _)| pack)
    }

    /// What it says is wrong.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// What it tries, in order.
    #[must_use]
    pub fn ladder(&self) -> &[Rung] {
        &self.heal
    }

    /// Remedies never to use for what it finds.
    #[must_use]
    pub fn forbidden(&self) -> &[Remedy] {
        &self.forbid
    }

    /// Whether it counts only lines that no other rule knows.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.fallback
    }

    /// Whether lines that it matches are explained by it, and count for no other rule.
    #[must_use]
    pub fn is_suppressor(&self) -> bool {
        self.class == Class::Benign && self.reads_logs()
    }

    /// How many tests it carries.
    #[must_use]
    pub fn test_count(&self) -> usize {
        self.cases.len()
    }

    /// Whether log lines make it fire; if not, events do.
    #[must_use]
    pub fn reads_logs(&self) -> bool {
        matches!(self.trigger, Trigger::Log(_))
    }

    /// Whether firing rests on a state change that shows a fault, not on log text alone.
    #[must_use]
    pub fn has_state_evidence(&self) -> bool {
        let shows_fault =
            |step: &Step| matches!(&step.on, StepTrigger::Event(event) if event.on.shows_fault());
        let triggered = match &self.trigger {
            Trigger::Event(event) => event.on.shows_fault(),
            Trigger::Stat(bound) => bound.stat == Stat::RestartCount,
            // What is healed must itself have shown the fault.
            Trigger::Sequence(steps) if self.heals_cause => steps.first().is_some_and(shows_fault),
            Trigger::Sequence(steps) => steps.last().is_some_and(shows_fault),
            Trigger::Log(_) | Trigger::Absent(_) | Trigger::Signal(_) => false,
        };
        triggered || (!self.confirm.is_empty() && self.confirm.iter().all(Confirmation::shows_fault))
    }

    /// Whether it takes samples of memory and processor to judge by it.
    pub(super) fn needs_samples(&self) -> bool {
        let triggered = matches!(&self.trigger, Trigger::Stat(bound) if bound.stat.needs_samples());
        let confirmed = self
            .confirm
            .iter()
            .any(|one| matches!(&one.proof, Proof::Stat(bound) if bound.stat.needs_samples()));
        triggered
            || confirmed
            || self.require.needs_samples()
            || self.conditions.iter().any(Require::needs_samples)
    }
}

/// What makes a rule look up.
#[derive(Debug, Clone)]
pub(super) enum Trigger {
    Log(Box<LogPattern>),
    Event(EventTrigger),
    Stat(StatBound),
    Absent(Box<Absent>),
    /// Another rule's signal.
    Signal(Vec<Chosen>),
    /// One thing after another.
    Sequence(Vec<Step>),
}

/// State changes that nothing explains.
#[derive(Debug, Clone)]
pub(super) struct EventTrigger {
    pub(super) on: EventPattern,
    /// Events that explain the trigger away when they came not longer before it than this.
    pub(super) not_preceded_by: Vec<(EventKind, Duration)>,
}

impl EventTrigger {
    /// Whether such a state change ends what this one began.
    pub(super) fn is_ended_by(&self, kind: EventKind) -> bool {
        self.on.kinds.iter().any(|one| one.ended_by().contains(&kind))
    }
}

/// A line that should have come.
#[derive(Debug, Clone)]
pub(super) struct Absent {
    pub(super) log: LogPattern,
    /// It has not come for this long.
    pub(super) lasts: Duration,
    /// How long the process must have run by then.
    pub(super) uptime: Option<Bound>,
}

/// A step of a sequence.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) on: StepTrigger,
    pub(super) scope: Scope,
    /// Of so many different apps.
    pub(super) apps: usize,
}

/// What a step looks for.
#[derive(Debug, Clone)]
pub(super) enum StepTrigger {
    Log(Box<LogPattern>),
    Event(EventTrigger),
}

/// Rules, chosen by what they are called or by what they say is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chosen {
    Class(Class),
    /// A glob over `pack/id`.
    Named(Glob),
}

impl Chosen {
    pub(super) fn includes(&self, name: &str, class: Class) -> bool {
        match self {
            Self::Class(wanted) => *wanted == class,
            Self::Named(glob) => glob.matches(name),
        }
    }
}

/// The symptoms that are quiet while their cause is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inhibit {
    pub(super) what: Vec<Chosen>,
    /// For so long after the cause was last seen.
    pub(super) lasts: Duration,
    pub(super) extent: Extent,
}

/// How far from its cause a symptom is kept quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Of the same app on the same host.
    App,
    /// On the same host.
    Host,
    /// Everywhere.
    Fleet,
}

/// How many hits it takes, in which time, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Threshold {
    pub(super) count: usize,
    pub(super) within: Duration,
    /// Count the different values of this only.
    pub(super) distinct: Option<Key>,
    /// There must be enough lines for this long.
    pub(super) lasts: Option<Duration>,
    /// A state must hold, or a stat be beyond its limit, for this long before it counts at all.
    pub(super) holds: Option<Duration>,
    /// It is over when it has not held for this long.
    pub(super) clear: Option<Duration>,
}

/// Part of what hits are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Host,
    App,
    Container,
    Capture(String),
}

impl Key {
    /// The words other than names of captures.
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("host", Self::Host), ("app", Self::App), ("container", Self::Container)];
}

/// Something that confirms a trigger.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Confirmation {
    pub(super) proof: Proof,
    /// Not further from the trigger than this, before or after.
    pub(super) within: Duration,
}

/// What confirms.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Proof {
    Event(EventPattern),
    Stat(StatBound),
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = duration::format(self.within);
        match &self.proof {
            Proof::Event(event) => write!(f, "{} within {within}", event.words()),
            Proof::Stat(bound) => write!(f, "{bound} within {within}"),
        }
    }
}

impl Confirmation {
    /// Whether it shows that something is wrong now. What a container uses does not, nor how often it was ever restarted.
    fn shows_fault(&self) -> bool {
        matches!(&self.proof, Proof::Event(event) if event.shows_fault())
    }
}

/// A rule that another of the same name has replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replaced {
    pub(super) name: String,
    pub(super) was: Place,
    pub(super) by: Place,
    /// Nothing stands in its place.
    pub(super) off: bool,
}

/// Where something stands: the index of a source file of the set, and bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) span: Range<usize>,
}
