//! Why a rule did not fire on what was observed: the first condition that failed, where it came nearest.

use std::sync::Arc;

use super::engine::Engine;
use super::event::EventKind;
use super::inspect::{Condition, Inspection, Verdict};
use super::near::{Beginnings, Near};
use super::pattern::Pattern;
use super::rule::{EventTrigger, Rule, Trigger};
use super::set::RuleSet;
use super::trace::{Note, Outcome};
use crate::fleet::{Fact, Observation, Timestamp, duration};

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct WhyNot {
    /// How often the rule fired.
    pub fired: usize,
    /// Lines and events that were observed.
    pub lines: usize,
    /// See [`Self::lines`].
    pub events: usize,
    /// How often its trigger matched.
    pub matched: usize,
    /// What kept it from firing, where it came nearest; `None` when it fired.
    pub obstacle: Option<Obstacle>,
}

/// What kept a rule from firing.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// There were no lines, and it needs some.
    NoLines,
    /// No line has anything of what it looks for.
    NothingAlike {
        /// The first condition, as an example of what is missing.
        missing: Verdict,
    },
    /// This line came nearest.
    Line {
        /// The observation, as an index.
        at: usize,
        /// The line, condition by condition.
        inspection: Inspection,
        /// The condition that failed.
        broken: Verdict,
        /// How near it came to that.
        near: Option<Near>,
    },
    /// None of the events that it looks for was observed.
    NoEvent {
        /// What it looks for.
        wanted: Vec<EventKind>,
        /// Such events with another exit code: the observations, as indices, and their codes.
        other_codes: Vec<(usize, i64)>,
    },
    /// Nothing was observed of what it waits for, which is neither a line nor an event alone.
    Nothing {
        /// What it waits for, in words.
        wanted: String,
    },
    /// Its trigger matched, and this is how far it got.
    Judged {
        /// The observation that got furthest, as an index.
        at: usize,
        /// When.
        when: Timestamp,
        /// The line or event.
        text: String,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Says why a rule, given as an index into the set's rules, did not fire on these observations.
#[must_use]
pub fn why_not(rules: &Arc<RuleSet>, rule: usize, observations: &[Observation]) -> WhyNot {
    let mut engine = Engine::traced(Arc::clone(rules));
    let mut notes: Vec<(usize, Note)> = Vec::new();
    for (index, observation) in observations.iter().enumerate() {
        engine.replay(observation);
        let own = engine.take_notes().into_iter().filter(|note| note.rule == rule);
        notes.extend(own.map(|note| (index, note)));
    }
    let fired = notes.iter().filter(|(_, note)| note.outcome == Outcome::Fired).count();
    let is_line = |seen: &&Observation| matches!(seen.fact, Fact::Line { .. });
    let mut answer = WhyNot {
        fired,
        lines: observations.iter().filter(is_line).count(),
        events: observations.iter().filter(|seen| EventKind::of(&seen.fact).is_some()).count(),
        matched: notes.len(),
        obstacle: None,
    };
    if fired == 0 {
        let furthest = notes.into_iter().max_by_key(|(index, note)| (progress(&note.outcome), *index));
        answer.obstacle = Some(match furthest {
            Some((at, note)) => {
                Obstacle::Judged { at, when: note.at, text: note.text, outcome: note.outcome }
            }
            None => unmatched(&rules.rules()[rule], observations),
        });
    }
    answer
}

/// How far a hit got: the stations in the order in which the engine asks.
fn progress(outcome: &Outcome) -> (u8, usize) {
    match outcome {
        Outcome::OutOfScope => (0, 0),
        Outcome::Suppressed { .. } | Outcome::GaveWay { .. } | Outcome::Explained { .. } => (1, 0),
        Outcome::Step { step, .. } => (2, *step),
        Outcome::Unmet(_) => (3, 0),
        Outcome::Counted { have, .. } => (4, *have),
        Outcome::Lasting { .. } => (5, 0),
        Outcome::Quiet => (6, 0),
        Outcome::Unconfirmed => (7, 0),
        Outcome::Inhibited { .. } => (8, 0),
        Outcome::Fired => (9, 0),
    }
}

/// Why a rule's trigger never matched.
fn unmatched(rule: &Rule, observations: &[Observation]) -> Obstacle {
    match &rule.trigger {
        Trigger::Log(_) => unmatched_line(rule, observations),
        Trigger::Event(EventTrigger { on, .. }) => {
            let code = |(index, seen): (usize, &Observation)| match seen.fact {
                Fact::Died { exit_code } if on.kinds.contains(&EventKind::Die) => Some((index, exit_code)),
                _ => None,
            };
            let other_codes = observations.iter().enumerate().filter_map(code).collect();
            Obstacle::NoEvent { wanted: on.kinds.clone(), other_codes }
        }
        Trigger::Stat(bound) => Obstacle::Nothing { wanted: bound.to_string() },
        Trigger::Absent(absent) => {
            let lasts = duration::format(absent.lasts);
            Obstacle::Nothing { wanted: format!("{lasts} without its line, while everything is heard") }
        }
        Trigger::Signal(_) => Obstacle::Nothing { wanted: "a signal of another rule".to_owned() },
        Trigger::Sequence(steps) => {
            Obstacle::Nothing { wanted: format!("any of the {} steps of its sequence", steps.len()) }
        }
    }
}

fn unmatched_line(rule: &Rule, observations: &[Observation]) -> Obstacle {
    let inspect = |(index, seen): (usize, &Observation)| match &seen.fact {
        Fact::Line { text, .. } => Some((index, rule.inspect(text)?)),
        _ => None,
    };
    let beginnings = Yardstick::of(rule);
    let mut missing = None;
    let mut best: Option<Nearest> = None;
    for (at, inspection) in observations.iter().enumerate().filter_map(inspect) {
        if missing.is_none() {
            missing = inspection.broken().cloned();
        }
        let held = inspection.held();
        if best.as_ref().is_some_and(|best| best.held > held) {
            continue;
        }
        let near = beginnings.near(&inspection);
        let likeness = near.as_ref().map_or(0, |(_, near)| near.likeness());
        // Of lines that came equally near the first is told.
        if best.as_ref().is_none_or(|best| (held, likeness) > (best.held, best.likeness)) {
            best = Some(Nearest { at, held, likeness, inspection, near });
        }
    }
    let Some(missing) = missing else {
        return Obstacle::NoLines;
    };
    match best {
        Some(Nearest { at, inspection, near: Some((broken, near)), .. }) => {
            Obstacle::Line { at, inspection, broken, near: Some(near) }
        }
        Some(Nearest { at, held: 1.., inspection, .. }) => {
            let broken = inspection.broken().cloned().unwrap_or(missing);
            Obstacle::Line { at, inspection, broken, near: None }
        }
        _ => Obstacle::NothingAlike { missing },
    }
}

/// The line that came nearest so far.
struct Nearest {
    at: usize,
    held: usize,
    likeness: usize,
    inspection: Inspection,
    near: Option<(Verdict, Near)>,
}

/// The beginnings of all patterns of a rule that a line must have.
struct Yardstick {
    any: Vec<Beginnings>,
    all: Vec<Beginnings>,
}

impl Yardstick {
    fn of(rule: &Rule) -> Self {
        let all_of = |patterns: &[Pattern]| patterns.iter().map(Beginnings::of).collect();
        match &rule.trigger {
            Trigger::Log(log) => Self { any: all_of(log.any.patterns()), all: all_of(&log.all) },
            _ => Self { any: Vec::new(), all: Vec::new() },
        }
    }

    /// How near a line came to the condition that it breaks; of `any`, to the pattern that it came nearest to.
    fn near(&self, inspection: &Inspection) -> Option<(Verdict, Near)> {
        let broken = inspection.broken()?;
        let measure = |verdict: &Verdict| {
            let beginnings = match verdict.condition {
                Condition::Any(number, _) => self.any.get(number - 1),
                Condition::All(number, _) => self.all.get(number - 1),
                _ => None,
            };
            Some((verdict.clone(), beginnings?.near(&inspection.line)?))
        };
        if !matches!(broken.condition, Condition::Any(..)) {
            return measure(broken);
        }
        let any =
            inspection.verdicts.iter().filter(|verdict| matches!(verdict.condition, Condition::Any(..)));
        any.filter_map(measure).max_by_key(|(_, near)| near.likeness())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::{AppName, HostName, Stream};
    use crate::rules::{Setting, Transcript};

    fn ask(rule: &str, log: &str) -> WhyNot {
        let text = format!("pack = \"t\"\nschema = 1\n[[rule]]\nid = \"r\"\nclass = \"overload\"\n{rule}\n");
        let rules = Arc::new(RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap());
        let setting = Setting {
            app: AppName::parse("shop").unwrap(),
            host: HostName::parse("web1").unwrap(),
            deploy_age: Duration::from_secs(86_400),
            previous: None,
            uptime: Duration::from_secs(86_400),
            stream: Stream::Stdout,
            profile: crate::fleet::Profile::default(),
        };
        why_not(&rules, 0, &setting.observations(&Transcript::read(log).lines))
    }

    #[test]
    fn a_rule_that_got_far_is_judged_by_where_it_stopped() {
        let limit = "log = { any = [\"limit\"] }";
        for (rule, log, why) in [
            ("count = 3\nwithin = \"1m\"", "limit\nlimit\nx", "counted: 2 of 3 within 1m"),
            ("scope = { app = \"bank\" }", "limit", "outside the rule's scope"),
            ("require = { deploy_age = \"<1h\" }", "limit", "deploy_age <1h is required, but it is 24h"),
            ("confirm = { any = [{ event = \"die\" }] }", "limit", "no event confirms it so far"),
        ] {
            let answer = ask(&format!("{limit}\n{rule}"), log);
            match &answer.obstacle {
                Some(Obstacle::Judged { outcome, .. }) => assert_eq!(outcome.to_string(), why),
                other => panic!("{rule}: {other:?}"),
            }
        }
        let fired = ask(limit, "x\nlimit\nlimit");
        assert_eq!((fired.fired, fired.matched, fired.lines, fired.obstacle), (1, 2, 3, None));
    }

    #[test]
    fn a_rule_that_never_matched_is_judged_by_the_line_that_came_nearest() {
        let line = |rule: &str, log: &str| match ask(rule, log).obstacle {
            Some(Obstacle::Line { inspection, broken, near, .. }) => {
                (inspection.line, broken.condition, near.is_some())
            }
            other => panic!("{rule} on {log}: {other:?}"),
        };
        let rule = "log = { any = [\"refused\", \"pool is empty\"], not = [\"client\"] }";
        let found = line(rule, "x\nrefused by client\npool is full");
        assert_eq!(found, ("refused by client".to_owned(), Condition::Not(1, 1), false));
        let found = line(rule, "x\npool is full\npool");
        assert_eq!(found, ("pool is full".to_owned(), Condition::Any(2, 2), true));
        let found = line(
            "log = { json = { level = \"error|fatal\", msg = \"re:pool\" } }",
            "{\"level\":\"info\",\"msg\":\"pool\"}\n{\"level\":\"info\",\"msg\":\"x\"}",
        );
        assert_eq!(found.1, Condition::Json("level".to_owned()));
    }

    #[test]
    fn nothing_alike_is_said_to_be_so() {
        let rule = "log = { any = [\"refused\"] }";
        assert!(matches!(ask(rule, "all is well").obstacle, Some(Obstacle::NothingAlike { .. })));
        assert_eq!(ask(rule, "").obstacle, Some(Obstacle::NoLines));
        let on_die = "on = { event = \"die\", exit_code = \"1\" }";
        let wanted = vec![EventKind::Die];
        assert_eq!(ask(on_die, "x").obstacle, Some(Obstacle::NoEvent { wanted, other_codes: Vec::new() }));
    }
}
