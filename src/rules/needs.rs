//! What a rule asks for besides its trigger, in words.

use super::rule::Rule;
use super::transcript::LogLine;
use super::trial;
use super::{Setting, rule::Step};
use crate::fleet::{Fact, Observation, Timestamp, duration};

impl Rule {
    /// What it asks for besides a line or event that matches, a phrase each; empty when the first match fires it.
    #[must_use]
    pub fn needs(&self) -> Vec<String> {
        let mut needs = Vec::new();
        if self.count > 1 {
            needs.push(format!("{} of them within {}", self.count, duration::format(self.within)));
        }
        let ages = [("deploy_age", self.require.deploy_age), ("uptime", self.require.uptime)];
        needs.extend(ages.iter().filter_map(|(name, bound)| bound.map(|bound| format!("{name} {bound}"))));
        needs.extend(self.require.previous.map(|bound| bound.to_string()));
        let confirmations = self.confirm.iter().map(|confirmation| {
            let kinds: Vec<&str> = confirmation.event.kinds.iter().map(|kind| kind.as_str()).collect();
            format!("{} within {}", kinds.join(" or "), duration::format(confirmation.within))
        });
        let confirmations: Vec<String> = confirmations.collect();
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
        let step = |line: &LogLine| Step {
            at: line.at.since(start),
            fact: Fact::Line { stream: self.stream, text: line.text.as_str().into() },
        };
        let script: Vec<Step> = lines.iter().map(step).collect();
        trial::observations(self, start, &script)
    }
}
