//! Explaining a log: which rules know a line, by which of its words, and what became of that.

use std::sync::Arc;

use super::engine::Engine;
use super::inspect::Inspection;
use super::set::{RuleSet, Scanner};
use super::trace::{Note, Outcome};
use crate::fleet::{Fact, Observation, Signal};

/// Runs observations through rules and keeps the reasons.
#[derive(Debug)]
pub struct Explainer {
    rules: Arc<RuleSet>,
    scanner: Scanner,
    engine: Engine,
}

/// What one observation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The rules that know the line or event, in the order of the set.
    pub matches: Vec<Match>,
    /// The rules that fired.
    pub signals: Vec<Signal>,
}

/// A rule that knows a line or event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The rule, as an index into [`RuleSet::rules`].
    pub rule: usize,
    /// The line, condition by condition; `None` for an event.
    pub inspection: Option<Inspection>,
    /// What its patterns captured.
    pub captures: Vec<(String, String)>,
    /// What became of it; empty when it was never judged, as lines of containers that are not live.
    pub outcomes: Vec<Outcome>,
}

impl Explainer {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let scanner = Scanner::new(Arc::clone(&rules));
        let engine = Engine::traced(Arc::clone(&rules));
        Self { rules, scanner, engine }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Takes in one observation and says what it came to.
    pub fn explain(&mut self, observation: &Observation) -> Explained {
        let signals = self.engine.replay(observation);
        let notes = self.engine.take_notes();
        let mut matches = match &observation.fact {
            Fact::Line { text, .. } => self.of_line(text),
            _ => Vec::new(),
        };
        for Note { rule, outcome, .. } in notes {
            match matches.iter_mut().find(|known| known.rule == rule) {
                Some(known) => known.outcomes.push(outcome),
                None => {
                    let outcomes = vec![outcome];
                    matches.push(Match { rule, inspection: None, captures: Vec::new(), outcomes });
                }
            }
        }
        matches.sort_by_key(|found| found.rule);
        Explained { matches, signals }
    }

    fn of_line(&mut self, text: &str) -> Vec<Match> {
        let found = self.scanner.matches(text);
        let explain = |found: super::set::LineMatch| Match {
            inspection: self.rules.rules()[found.rule].inspect(text),
            rule: found.rule,
            captures: found.captures,
            outcomes: Vec::new(),
        };
        found.into_iter().map(explain).collect()
    }
}
