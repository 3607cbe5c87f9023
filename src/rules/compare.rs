//! Comparisons with a limit, as rules write them: `<15m`, `>= 95`.

use std::fmt;
use std::time::Duration;

use crate::fleet::duration;
use crate::fleet::text::quoted;

/// How a value is compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Operator {
    /// Longer spellings first, so that `<=` is not read as `<`.
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::More)];

    /// The operator that a text begins with, and the rest.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|(sign, operator)| {
            text.trim_start().strip_prefix(sign).map(|rest| (operator, rest.trim()))
        })
    }

    pub(super) fn holds<T: PartialOrd>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::More => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::ALL.iter().find(|(_, operator)| operator == self).map_or("", |(sign, _)| sign))
    }
}

/// A comparison with a duration: `<15m`, `>=1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) operator: Operator,
    limit: Duration,
}

impl Bound {
    /// Reads a comparison; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (operator, rest) = Operator::split(text)
            .ok_or_else(|| format!("{} is not a comparison; write it like <15m or >=1h", quoted(text)))?;
        let limit = duration::parse(rest).map_err(|error| error.to_string())?;
        Ok(Self { operator, limit })
    }

    pub(super) fn holds(self, value: Duration) -> bool {
        self.operator.holds(&value, &self.limit)
    }

    pub(super) fn limit(self) -> Duration {
        self.limit
    }

    /// The limit of a plain `<`, which the supervisor asks once more when it acts.
    pub(super) fn younger_than(self) -> Option<Duration> {
        (self.operator == Operator::Less).then_some(self.limit)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.operator, duration::format(self.limit))
    }
}

/// A comparison with a whole number: `>3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CountBound {
    operator: Operator,
    limit: u64,
}

impl CountBound {
    /// Reads a comparison; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fail = || format!("{} is not a comparison; write it like >3 or <=10", quoted(text));
        let (operator, rest) = Operator::split(text).ok_or_else(fail)?;
        Ok(Self { operator, limit: rest.parse().map_err(|_| fail())? })
    }

    pub(super) fn holds(self, value: u64) -> bool {
        self.operator.holds(&value, &self.limit)
    }
}

impl fmt::Display for CountBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.operator, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        let minute = Duration::from_secs(60);
        for (text, less, equal, more) in [
            ("<1m", true, false, false),
            ("<= 1m", true, true, false),
            (">1m", false, false, true),
            (" >=1m", false, true, true),
        ] {
            let bound = Bound::parse(text).unwrap();
            let at = |value| bound.holds(value);
            assert_eq!((at(minute / 2), at(minute), at(minute * 2)), (less, equal, more), "{text}");
        }
        assert_eq!(Bound::parse(">= 1m").unwrap().to_string(), ">=1m");
        for text in ["1m", "=1m", "<", "<1", "< >1m", ""] {
            assert!(Bound::parse(text).is_err(), "{text}");
        }
        assert!(CountBound::parse(">3").unwrap().holds(4) && !CountBound::parse(">3").unwrap().holds(3));
        for text in [">", ">-1", ">1.5", "3"] {
            assert!(CountBound::parse(text).is_err(), "{text}");
        }
    }
}
