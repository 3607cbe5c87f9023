//! What a container uses, as rules ask for it: `mem_pct >= 95`.

use std::fmt;

use super::compare::Operator;
use crate::fleet::text::quoted;

/// A number that is known of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stat {
    /// Memory in use, in percent of its limit; not known of a container without one.
    MemoryPercent,
    /// Memory in use, in bytes.
    MemoryBytes,
    /// Hundredths of a core.
    CpuPercent,
    /// How often the engine restarted it by itself.
    RestartCount,
}

impl Stat {
    /// Their words in rule files.
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("mem_pct", Self::MemoryPercent),
        ("mem_bytes", Self::MemoryBytes),
        ("cpu_pct", Self::CpuPercent),
        ("restart_count", Self::RestartCount),
    ];

    /// The stat that `word` names.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, stat)| stat)
    }

    /// Whether it takes samples to know it; the others are told by the engine anyway.
    pub(super) fn needs_samples(self) -> bool {
        self != Self::RestartCount
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::WORDS.iter().find(|(_, stat)| stat == self).map_or("", |(word, _)| word))
    }
}

/// A stat compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StatBound {
    pub(super) stat: Stat,
    operator: Operator,
    limit: f64,
}

impl StatBound {
    /// Reads `mem_pct >= 95`; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| format!("{} compares nothing; write it like mem_pct >= 95", quoted(text)))?;
        let (word, comparison) = text.split_at(at);
        let (operator, limit) = Operator::split(comparison)
            .ok_or_else(|| format!("{} compares nothing; write it like mem_pct >= 95", quoted(text)))?;
        let limit = limit.parse().map_err(|_| format!("{} is not a number", quoted(limit)))?;
        Self::new(word.trim(), operator, limit)
    }

    /// From its parts; the error is a sentence for the rule's author.
    pub(super) fn new(word: &str, operator: Operator, limit: f64) -> Result<Self, String> {
        let stat = Stat::from_word(word).ok_or_else(|| {
            let known = Stat::WORDS.map(|(word, _)| word).join(", ");
            format!("{} is no stat; choose from {known}", quoted(word))
        })?;
        if !limit.is_finite() {
            return Err(format!("{limit} is no limit of {stat}"));
        }
        Ok(Self { stat, operator, limit })
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        self.operator.holds(&value, &self.limit)
    }
}

impl fmt::Display for StatBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.stat, self.operator, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let bound = StatBound::parse("mem_pct >= 95").unwrap();
        assert_eq!(bound.to_string(), "mem_pct >= 95");
        assert!(bound.holds(95.0) && !bound.holds(94.9) && !bound.holds(f64::NAN));
        assert!(StatBound::parse("restart_count>3").unwrap().holds(4.0));
        for text in [
            "",
            "mem_pct",
            "mem_pct 95",
            "mem_pct = 95",
            "mem >= 95",
            "mem_pct >= x",
            "cpu_pct > inf",
            ">= 1",
        ] {
            assert!(StatBound::parse(text).is_err(), "{text}");
        }
    }
}
