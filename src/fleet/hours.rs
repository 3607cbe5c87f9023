//! The hours of a day in some time zone, `22:00-06:00 Europe/Berlin`: when nobody is to be woken. The time zones are those
//! that this program was built with, so that what was decided once is decided the same elsewhere.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::text::quoted;
use super::time::Timestamp;

/// Some hours of each day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    /// Minutes after midnight.
    from: u16,
    until: u16,
    zone: String,
}

/// A text that names no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietHoursError {
    /// It does not have the form of one.
    #[error("{} names no hours; write them like 22:00-06:00 Europe/Berlin", quoted(.0))]
    Form(String),
    /// Nobody knows the time zone.
    #[error("{} is no time zone; write it like Europe/Berlin or UTC", quoted(.0))]
    Zone(String),
}

impl QuietHours {
    /// Parses hours and a time zone.
    ///
    /// # Errors
    /// When the text has another form, names no hours at all, or a time zone that is not known.
    pub fn parse(text: &str) -> Result<Self, QuietHoursError> {
        let fail = || QuietHoursError::Form(text.to_owned());
        let (hours, zone) = text.split_once(' ').ok_or_else(fail)?;
        let (from, until) = hours.split_once('-').ok_or_else(fail)?;
        let (from, until) = (minutes(from).ok_or_else(fail)?, minutes(until).ok_or_else(fail)?);
        if from == until {
            return Err(fail());
        }
        let zone = zone.trim();
        time_zone(zone).ok_or_else(|| QuietHoursError::Zone(zone.to_owned()))?;
        Ok(Self { from, until, zone: zone.to_owned() })
    }

    /// When they are over, if they hold at this time.
    #[must_use]
    pub fn over_after(&self, at: Timestamp) -> Option<Timestamp> {
        let zone = time_zone(&self.zone)?;
        let local = zone.to_datetime(jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).ok()?);
        let now = u16::try_from(local.hour()).ok()? * 60 + u16::try_from(local.minute()).ok()?;
        let across_midnight = self.until < self.from;
        let holds = if across_midnight {
            now >= self.from || now < self.until
        } else {
            (self.from..self.until).contains(&now)
        };
        if !holds {
            return None;
        }
        let date = local.date();
        let date = if across_midnight && now >= self.from { date.tomorrow().ok()? } else { date };
        let (hour, minute) = (i8::try_from(self.until / 60).ok()?, i8::try_from(self.until % 60).ok()?);
        let end = zone.to_timestamp(date.at(hour, minute, 0, 0)).ok()?;
        i64::try_from(end.as_nanosecond()).ok().map(Timestamp::from_nanos)
    }
}

fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// Reads `22:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    if hour.len() > 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from, self.until);
        write!(f, "{:02}:{:02}-{:02}:{:02} {}", from / 60, from % 60, until / 60, until % 60, self.zone)
    }
}

impl TryFrom<String> for QuietHours {
    type Error = QuietHoursError;
    fn try_from(text: String) -> Result<Self, QuietHoursError> {
        Self::parse(&text)
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_hold_in_their_own_time_zone() {
        let night = QuietHours::parse("22:00-06:00 Europe/Berlin").unwrap();
        assert_eq!(night.to_string(), "22:00-06:00 Europe/Berlin");
        for (hours, at, end) in [
            (&night, "2026-11-25T20:59:59Z", None),
            (&night, "2026-11-25T21:00:00Z", Some("2026-11-26T05:00:00Z")),
            (&night, "2026-11-26T04:59:59Z", Some("2026-11-26T05:00:00Z")),
            (&night, "2026-11-26T05:00:00Z", None),
            // Summer time ends in this night, at 3:00: it is an hour longer.
            (&night, "2026-10-24T20:30:00Z", Some("2026-10-25T05:00:00Z")),
            (
                &QuietHours::parse("9:00-17:30 UTC").unwrap(),
                "2026-11-25T17:29:00Z",
                Some("2026-11-25T17:30:00Z"),
            ),
            (&QuietHours::parse("9:00-17:30 UTC").unwrap(), "2026-11-25T08:59:00Z", None),
        ] {
            let at = Timestamp::parse(at).unwrap();
            assert_eq!(hours.over_after(at), end.map(|end| Timestamp::parse(end).unwrap()), "{hours} {at}");
        }
    }

    #[test]
    fn what_names_no_hours_is_refused() {
        for text in [
            "",
            "22:00-06:00",
            "22-06 UTC",
            "22:00-22:00 UTC",
            "24:00-06:00 UTC",
            "22:0-06:00 UTC",
            "22:00 UTC",
        ] {
            assert!(matches!(QuietHours::parse(text), Err(QuietHoursError::Form(_))), "{text}");
        }
        assert!(matches!(QuietHours::parse("22:00-06:00 Europe/Atlantis"), Err(QuietHoursError::Zone(_))));
        assert!(matches!(QuietHours::parse("22:00-06:00 ../../etc/passwd"), Err(QuietHoursError::Zone(_))));
    }
}
