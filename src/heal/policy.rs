//! Who decides and what counts as healed: the small questions where a rule, an app's owner and this process each
//! have a say.

use std::time::Duration;

use crate::fleet::{HealPolicy, Mode, Verify};

/// A deadline leaves at least this much room beyond the time that the app must run quietly.
const SLACK: Duration = Duration::from_secs(60);

/// The mode that holds for a rung: the most careful of what the rule, the owner and this process allow.
pub(super) fn effective(rung: Mode, policy: &HealPolicy, ceiling: Mode) -> Mode {
    rung.min(policy.mode).min(ceiling)
}

/// What "healed" means. An owner who set `verify` knows the app best and wins; else the rule, which knows the
/// symptom; else the default. (A policy always has a value: one that differs from the default was set.) The deadline
/// is the rule's, moved out where it would leave no room.
pub(super) fn verify(policy: &HealPolicy, rule: Option<&Verify>) -> Verify {
    let default = HealPolicy::default().verify;
    let running = match rule {
        Some(rule) if policy.verify == default => rule.running,
        _ => policy.verify,
    };
    let room = running.saturating_add(running).max(running.saturating_add(SLACK));
    let deadline = rule.map_or(room, |rule| rule.deadline.max(running.saturating_add(SLACK)));
    Verify {
        running,
        deadline,
        health: rule.is_some_and(|rule| rule.health),
        quiet: rule.map(|rule| rule.quiet).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_most_careful_mode_wins() {
        let policy = |mode| HealPolicy { mode, ..HealPolicy::default() };
        for (rung, owner, ceiling, expected) in [
            (Mode::Auto, Mode::Auto, Mode::Auto, Mode::Auto),
            (Mode::Suggest, Mode::Auto, Mode::Auto, Mode::Suggest),
            (Mode::Auto, Mode::Off, Mode::Auto, Mode::Off),
            (Mode::Auto, Mode::Auto, Mode::Suggest, Mode::Suggest),
            (Mode::Auto, Mode::Approve, Mode::Auto, Mode::Approve),
        ] {
            assert_eq!(effective(rung, &policy(owner), ceiling), expected);
        }
    }

    #[test]
    fn the_owner_knows_best_then_the_rule() {
        let check = |owner: u64, rule: Option<(u64, u64)>, expected: (u64, u64)| {
            let policy = HealPolicy { verify: seconds(owner), ..HealPolicy::default() };
            let rule = rule.map(|(running, deadline)| Verify {
                running: seconds(running),
                deadline: seconds(deadline),
                health: false,
                quiet: crate::fleet::Symptom::Own,
            });
            let verify = verify(&policy, rule.as_ref());
            assert_eq!((verify.running, verify.deadline), (seconds(expected.0), seconds(expected.1)));
        };
        check(60, None, (60, 120));
        check(60, Some((10, 300)), (10, 300));
        check(5, Some((10, 300)), (5, 300));
        check(600, Some((10, 300)), (600, 660));
        check(600, None, (600, 1200));
    }
}
