//! Events as rules name them: `die`, `oom`, `health:unhealthy` …, and the exit codes they ask for.

use std::fmt;
use std::ops::RangeInclusive;

use crate::fleet::{Fact, HealthState};

/// A kind of state change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "EventKind::as_str gives each its word, docs/rules.md its meaning")]
pub enum EventKind {
    Die,
    OutOfMemory,
    Start,
    Stop,
    Kill,
    Destroy,
    Pause,
    Unpause,
    Healthy,
    Unhealthy,
    SecretsGone,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Die,
        Self::OutOfMemory,
        Self::Start,
        Self::Stop,
        Self::Kill,
        Self::Destroy,
        Self::Pause,
        Self::Unpause,
        Self::Healthy,
        Self::Unhealthy,
        Self::SecretsGone,
    ];

    /// The word in a rule file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Die => "die",
            Self::OutOfMemory => "oom",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Destroy => "destroy",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Healthy => "health:healthy",
            Self::Unhealthy => "health:unhealthy",
            Self::SecretsGone => "secrets-gone",
        }
    }

    /// The kind that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind of a fact, when it is a state change at all.
    #[must_use]
    pub const fn of(fact: &Fact) -> Option<Self> {
        Some(match fact {
            Fact::Died { .. } => Self::Die,
            Fact::OutOfMemory => Self::OutOfMemory,
            Fact::Started => Self::Start,
            Fact::Stopped => Self::Stop,
            Fact::Killed { .. } => Self::Kill,
            Fact::Destroyed => Self::Destroy,
            Fact::Paused => Self::Pause,
            Fact::Unpaused => Self::Unpause,
            Fact::Health { state: HealthState::Healthy } => Self::Healthy,
            Fact::Health { state: HealthState::Unhealthy } => Self::Unhealthy,
            Fact::SecretsGone => Self::SecretsGone,
            _ => return None,
        })
    }

    /// The state changes that end what this one began; none when it is over as soon as it happened.
    #[must_use]
    pub const fn ended_by(self) -> &'static [Self] {
        match self {
            Self::Die | Self::Stop | Self::SecretsGone => &[Self::Start, Self::Destroy],
            Self::Start => &[Self::Die, Self::Destroy],
            Self::Pause => &[Self::Unpause, Self::Die, Self::Destroy],
            Self::Healthy => &[Self::Unhealthy, Self::Start, Self::Die, Self::Destroy],
            Self::Unhealthy => &[Self::Healthy, Self::Start, Self::Die, Self::Destroy],
            Self::OutOfMemory | Self::Kill | Self::Destroy | Self::Unpause => &[],
        }
    }

    /// The state changes that a look at a container tells of.
    #[must_use]
    pub(super) fn shown_by(started: bool, running: bool, health: HealthState) -> Vec<Self> {
        let healthy = matches!(health, HealthState::Healthy | HealthState::None);
        let shown = [
            (started, Self::Start),
            (!running, Self::Die),
            (healthy, Self::Healthy),
            (health == HealthState::Unhealthy, Self::Unhealthy),
        ];
        shown.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect()
    }

    /// Whether it shows by itself that something is wrong. A start or an operator's stop is a state change too, but
    /// no reason to act unattended.
    #[must_use]
    pub const fn shows_fault(self) -> bool {
        matches!(self, Self::Die | Self::OutOfMemory | Self::Unhealthy | Self::SecretsGone)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Exit codes as a rule lists them: `137`, `1-125,139`, or `!0,143` for all but these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitCodes {
    ranges: Vec<RangeInclusive<i64>>,
    negated: bool,
}

/// A text that lists no exit codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} lists no exit codes; write them like 137, 1-125,139 or !0,143", crate::fleet::text::quoted(.0))]
pub struct ExitCodesError(String);

impl ExitCodes {
    /// Parses a list.
    ///
    /// # Errors
    /// When a part is no number or range within 0 to 255, or nothing is listed.
    pub fn parse(text: &str) -> Result<Self, ExitCodesError> {
        let fail = || ExitCodesError(text.to_owned());
        let (list, negated) = text.strip_prefix('!').map_or((text, false), |list| (list, true));
        let ranges = list
            .split(',')
            .map(|part| {
                let (low, high) = part.split_once('-').unwrap_or((part, part));
                let low: u8 = low.trim().parse().ok()?;
                let high: u8 = high.trim().parse().ok()?;
                (low <= high).then(|| i64::from(low)..=i64::from(high))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(fail)?;
        Ok(Self { ranges, negated })
    }

    /// Whether `code` is among them.
    #[must_use]
    pub fn contain(&self, code: i64) -> bool {
        self.ranges.iter().any(|range| range.contains(&code)) != self.negated
    }
}

/// What kind of event, and with which exit code when it is a `die`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventPattern {
    pub(super) kinds: Vec<EventKind>,
    pub(super) exit_code: Option<ExitCodes>,
}

impl EventPattern {
    pub(super) fn matches(&self, kind: EventKind, exit_code: Option<i64>) -> bool {
        let code_fits = match (&self.exit_code, exit_code) {
            (Some(codes), Some(code)) => codes.contain(code),
            _ => true,
        };
        code_fits && self.kinds.contains(&kind)
    }

    /// Its kinds, in words.
    pub(super) fn words(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        kinds.join(" or ")
    }

    /// Whether whatever matches shows a fault.
    pub(super) fn shows_fault(&self) -> bool {
        self.kinds.iter().all(|kind| kind.shows_fault())
    }
}

/// The event in words, for evidence: `die exit=101`.
pub(super) fn describe(fact: &Fact) -> String {
    match fact {
        Fact::Died { exit_code } => format!("die exit={exit_code}"),
        Fact::Killed { signal } => format!("kill sig={signal}"),
        other => EventKind::of(other).map_or("state", EventKind::as_str).replace(':', " "),
    }
}

/// The exit code of a fact that has one.
pub(super) const fn exit_code(fact: &Fact) -> Option<i64> {
    match fact {
        Fact::Died { exit_code } => Some(*exit_code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        for (text, inside, outside) in [
            ("137", &[137][..], &[0, 1, 136][..]),
            ("!0,143", &[1, 137, 255], &[0, 143]),
            ("1-125,139", &[1, 125, 139], &[0, 126, 138]),
            ("!0, 126-127", &[1, 128], &[0, 126, 127]),
        ] {
            let codes = ExitCodes::parse(text).unwrap();
            assert!(inside.iter().all(|&code| codes.contain(code)), "{text}");
            assert!(!outside.iter().any(|&code| codes.contain(code)), "{text}");
        }
        for text in ["", "!", "1-", "-1", "256", "5-1", "0,,1", "a"] {
            assert!(ExitCodes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_word_names_its_kind() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(kind));
        }
    }
}
