//! A point in time: nanoseconds since the Unix epoch, as Docker stamps its log lines and events.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an RFC 3339 time", super::text::quoted(.0))]
pub struct TimestampError(pub String);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Time passed from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339, with up to nine digits of a second.
    ///
    /// # Errors
    /// When the text is no RFC 3339 time or lies outside the years 1678 to 2262.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let fail = || TimestampError(text.to_owned());
        let parsed: jiff::Timestamp = text.parse().map_err(|_| fail())?;
        i64::try_from(parsed.as_nanosecond()).map(Self).map_err(|_| fail())
    }

    /// As the Engine API's `since` and `until` parameters want it: `seconds.nanoseconds`.
    #[must_use]
    pub fn as_engine_parameter(self) -> String {
        format!("{}.{:09}", self.as_seconds(), self.0.rem_euclid(1_000_000_000))
    }

    /// The clock time in UTC, `18:42:03.120`: enough for a timeline that a person reads.
    #[must_use]
    pub fn clock_time(self) -> String {
        let millis = self.0.div_euclid(1_000_000).rem_euclid(86_400_000);
        let (seconds, millis) = (millis / 1000, millis % 1000);
        format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "@{}", self.as_engine_parameter()),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_nine_digits_survive() {
        let stamp = Timestamp::parse("2026-11-25T18:42:03.120000001Z").unwrap();
        assert_eq!(stamp.as_nanos() % 1_000_000_000, 120_000_001);
        assert_eq!(stamp.to_string(), "2026-11-25T18:42:03.120000001Z");
        assert_eq!(Timestamp::parse(&stamp.to_string()).unwrap(), stamp);
        assert_eq!(stamp.clock_time(), "18:42:03.120");
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn arithmetic_saturates() {
        let early = Timestamp::from_seconds(1);
        assert_eq!(early.since(Timestamp::from_seconds(5)), Duration::ZERO);
        assert_eq!((early + Duration::from_millis(1500)).as_engine_parameter(), "2.500000000");
        assert_eq!((Timestamp::EPOCH - Duration::from_millis(1)).as_engine_parameter(), "-1.999000000");
        assert_eq!(Timestamp::from_nanos(i64::MAX) + Duration::MAX, Timestamp::from_nanos(i64::MAX));
    }
}
