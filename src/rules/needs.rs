//! What a rule asks for besides its trigger, in words.

use super::case::{Actor, Played, Setting, Surroundings};
use super::rule::{Rule, Threshold};
use super::stage::{self, Stage};
use super::transcript::LogLine;
use crate::fleet::{Fact, Observation, Timestamp, duration};

impl Rule {
    /// What it asks for besides a line or event that matches, a phrase each; empty when the first match fires it.
    #[must_use]
    pub fn needs(&self) -> Vec<String> {
        let mut needs = Vec::new();
        let Threshold { count, within, distinct, lasts, holds, .. } = &self.threshold;
        if *count > 1 {
            let different = if distinct.is_some() { "different ones" } else { "of them" };
            needs.push(format!("{count} {different} within {}", duration::format(*within)));
        }
        needs.extend(lasts.or(*holds).map(|lasts| format!("for {}", duration::format(lasts))));
        needs.extend(self.require.phrases());
        let confirmations: Vec<String> = self.confirm.iter().map(ToString::to_string).collect();
        if !confirmations.is_empty() {
            needs.push(format!("confirmed by {}", confirmations.join(", or ")));
        }
        needs
    }
}

impl Setting {
    /// Lines of a log as observations of an app in this setting, after those that tell the setting.
    #[must_use]
    pub fn observations(&self, lines: &[LogLine]) -> Vec<Observation> {
        let start = lines.iter().map(|line| line.at).min().unwrap_or(Timestamp::EPOCH);
        let step = |line: &LogLine| Played {
            at: line.at.since(start),
            actor: Actor::default(),
            fact: Fact::Line { stream: self.stream, text: line.text.as_str().into() },
        };
        let script: Vec<Played> = lines.iter().map(step).collect();
        let surroundings = Surroundings::default();
        stage::observations(Stage { setting: self, surroundings: &surroundings, start }, &script)
    }
}
