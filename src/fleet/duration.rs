//! Durations as people write them: `5s`, `250ms`, `2m`, `1m30s`, `1h`, `7d`.

use std::time::Duration;

use super::text::quoted;

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a duration; write it like 5s, 250ms, 2m, 1m30s or 7d", quoted(.0))]
pub struct DurationError(pub String);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration. A bare number is refused: its unit would be a guess.
///
/// # Errors
/// When the text is not a sequence of whole numbers with a unit, or does not fit.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let fail = || DurationError(text.to_owned());
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let number: u64 = rest[..digits].parse().map_err(|_| fail())?;
        let unit = &rest[digits..digits + letters];
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fail)?;
        total = number.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(fail)?;
        rest = &rest[digits + letters..];
    }
    if text.is_empty() { Err(fail()) } else { Ok(Duration::from_millis(total)) }
}

/// Writes a duration as [`parse`] reads it, down to milliseconds.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (name, millis) in UNITS {
        if rest / millis > 0 {
            out.push_str(&format!("{}{name}", rest / millis));
            rest %= millis;
        }
    }
    out
}

/// Writes a duration the way a person wants to read it: one unit, one decimal where it helps (`0.4s`, `12s`, `3m`).
#[must_use]
pub fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 9.95 => format!("{s:.1}s"),
        s if s < 120.0 => format!("{s:.0}s"),
        s if s < 7200.0 => format!("{:.0}m", s / 60.0),
        s if s < 172_800.0 => format!("{:.0}h", s / 3600.0),
        s => format!("{:.0}d", s / 86_400.0),
    }
}

/// Serde for a [`Duration`] written as text; use with `#[serde(with = "…")]`.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes it as [`super::format`] does.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*duration))
    }

    /// Reads it as [`super::parse`] does.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_durations() {
        for (text, millis) in
            [("5s", 5000), ("250ms", 250), ("1m30s", 90_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
            assert_eq!(format(Duration::from_millis(millis)), text);
        }
        for text in
            ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "99999999999999999999s", "184467440737095516d", "5µs"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brief_has_one_unit() {
        assert_eq!(brief(Duration::from_millis(420)), "0.4s");
        assert_eq!(brief(Duration::from_secs(12)), "12s");
        assert_eq!(brief(Duration::from_secs(180)), "3m");
    }
}
