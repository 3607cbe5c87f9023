//! A rule, as it was read and found to be sound.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::event::{EventKind, EventPattern};
use super::log::LogPattern;
use super::require::Require;
use super::say::Template;
use super::scope::Scope;
use crate::fleet::{AppName, Class, Fact, HostName, Remedy, Rung, Stream, Verify};

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
    pub(super) count: usize,
    pub(super) within: Duration,
    pub(super) cooldown: Duration,
    pub(super) require: Require,
    /// State changes of which one must be seen near the trigger, when any are given.
    pub(super) confirm: Vec<Confirmation>,
    pub(super) heal: Vec<Rung>,
    pub(super) verify: Option<Verify>,
    pub(super) forbid: Vec<Remedy>,
    /// Counts only lines that no other rule knows.
    pub(super) fallback: bool,
    pub(super) cases: Vec<Case>,
    pub(super) place: Place,
}

impl Rule {
    /// `pack/id`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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
        let triggered = matches!(&self.trigger, Trigger::Event { on, .. } if on.shows_fault());
        let confirmed = !self.confirm.is_empty()
            && self.confirm.iter().all(|confirmation| confirmation.event.shows_fault());
        triggered || confirmed
    }
}

/// What makes a rule look up.
#[derive(Debug, Clone)]
pub(super) enum Trigger {
    Log(Box<LogPattern>),
    Event {
        on: EventPattern,
        /// Events that explain the trigger away when they came not longer before it than this.
        not_preceded_by: Vec<(EventKind, Duration)>,
    },
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

/// A state change that confirms a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Confirmation {
    pub(super) event: EventPattern,
    /// Not further from the trigger than this, before or after.
    pub(super) within: Duration,
}

/// Where something stands: the index of a source file of the set, and bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) span: Range<usize>,
}

/// A test that a rule carries.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) fires: usize,
    /// Each is played by itself and must fire as often.
    pub(super) scripts: Vec<Vec<Step>>,
    pub(super) setting: Setting,
    pub(super) captures: BTreeMap<String, String>,
    /// Other rules that may fire as well.
    pub(super) also: Vec<String>,
    pub(super) place: Place,
}

/// The world that a test, or a log file that is being explained, plays in.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The app that writes the lines.
    pub app: AppName,
    /// Its host.
    pub host: HostName,
    /// How long ago its release was deployed.
    pub deploy_age: Duration,
    /// How long the release before ran; `None` when there is none.
    pub previous: Option<Duration>,
    /// Since when its process runs.
    pub uptime: Duration,
    /// Where it writes the lines.
    pub stream: Stream,
}

/// Something that happens in a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) fact: Fact,
}
