//! What must be true at the moment for a hit to count: how young the release is, whether there is a proved one to go
//! back to, how long the process has run.

use std::fmt;
use std::time::Duration;

use super::memory::Circumstances;
use crate::fleet::duration;
use crate::fleet::text::quoted;

/// A comparison with a duration: `<15m`, `>=1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    operator: Operator,
    limit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Operator {
    /// Longer spellings first, so that `<=` is not read as `<`.
    const ALL: [(&'static str, Self); 4] =
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::More)];
}

impl Bound {
    /// Reads a comparison; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (operator, rest) = Operator::ALL
            .into_iter()
            .find_map(|(sign, operator)| text.strip_prefix(sign).map(|rest| (operator, rest)))
            .ok_or_else(|| format!("{} is not a comparison; write it like <15m or >=1h", quoted(text)))?;
        let limit = duration::parse(rest.trim()).map_err(|error| error.to_string())?;
        Ok(Self { operator, limit })
    }

    pub(super) fn holds(self, value: Duration) -> bool {
        match self.operator {
            Operator::Less => value < self.limit,
            Operator::AtMost => value <= self.limit,
            Operator::More => value > self.limit,
            Operator::AtLeast => value >= self.limit,
        }
    }

    /// The limit of a plain `<`, which is the only form a rung's `if` knows.
    pub(super) fn younger_than(self) -> Option<Duration> {
        (self.operator == Operator::Less).then_some(self.limit)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            Operator::ALL.iter().find(|(_, operator)| *operator == self.operator).map_or("", |(s, _)| s);
        write!(f, "{sign}{}", duration::format(self.limit))
    }
}

/// How good the release before must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PreviousBound {
    /// It ran as long as the app asks of a proved release.
    Proved,
    /// It ran at least this long.
    RanFor(Duration),
}

impl PreviousBound {
    /// Reads `proved` or `healthy>=10m`; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "proved" {
            return Ok(Self::Proved);
        }
        let bound = text
            .strip_prefix("healthy>=")
            .ok_or_else(|| format!("{} is not known here; write proved or healthy>=10m", quoted(text)))?;
        duration::parse(bound).map(Self::RanFor).map_err(|error| error.to_string())
    }
}

impl fmt::Display for PreviousBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved => f.write_str("a previous release that is proved"),
            Self::RanFor(needed) => {
                write!(f, "a previous release that ran at least {}", duration::format(*needed))
            }
        }
    }
}

/// Everything a rule requires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Require {
    pub(super) deploy_age: Option<Bound>,
    pub(super) previous: Option<PreviousBound>,
    pub(super) uptime: Option<Bound>,
}

impl Require {
    /// What does not hold, in words; `None` when everything does. What is not known does not hold.
    pub(super) fn unmet(&self, now: &Circumstances) -> Option<String> {
        let ages = [("deploy_age", self.deploy_age, now.deploy_age), ("uptime", self.uptime, now.uptime)];
        for (name, bound, value) in ages {
            match (bound, value) {
                (Some(bound), None) => {
                    return Some(format!("{name} {bound} is required, but it is not known"));
                }
                (Some(bound), Some(value)) if !bound.holds(value) => {
                    return Some(format!("{name} {bound} is required, but it is {}", duration::brief(value)));
                }
                _ => {}
            }
        }
        self.previous.and_then(|bound| previous_unmet(bound, now))
    }
}

fn previous_unmet(bound: PreviousBound, now: &Circumstances) -> Option<String> {
    let Some(previous) = &now.previous else {
        return Some("a previous release is required, but none is known".to_owned());
    };
    let (needed, ran) = match bound {
        PreviousBound::Proved => (previous.prove, previous.ran_for),
        PreviousBound::RanFor(needed) => (needed, previous.ran_for),
    };
    (ran < needed).then(|| {
        format!(
            "the previous release must have run {}, but it ran {}",
            duration::brief(needed),
            duration::brief(ran)
        )
    })
}
