//! Other rules, the same memory: what a rule has seen is kept when its definition is the same as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::{Engine, State};
use super::set::RuleSet;

impl Engine {
    /// Goes by other rules from now on. A rule that is defined as before, whatever its tests are and wherever it stands,
    /// keeps its windows, its quiet times and what waits to be confirmed; all others begin anew.
    pub fn reload(&mut self, rules: Arc<RuleSet>) {
        let before: BTreeMap<(&str, u64), usize> = self
            .rules
            .rules()
            .iter()
            .enumerate()
            .map(|(number, rule)| ((rule.name(), rule.digest), number))
            .collect();
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, rule) in rules.rules().iter().enumerate() {
            if let Some(&old) = before.get(&(rule.name(), rule.digest)) {
                moved.insert(old, number);
            }
        }
        let mut states: Vec<State> = rules.rules().iter().map(|_| State::new()).collect();
        for (old, state) in std::mem::take(&mut self.states).into_iter().enumerate() {
            match moved.get(&old) {
                Some(&new) => states[new] = state,
                None => self.dropped_before += state.dropped(),
            }
        }
        let new = |old: usize| moved.get(&old).copied();
        self.unconfirmed.renumber(new);
        self.inhibitions.renumber(new);
        self.states = states;
        self.rules = rules;
        self.forget_scratch();
    }
}
