//! The time stamp that the engine puts before every log message.
//!
//! Docker writes a fixed form, `2006-01-02T15:04:05.000000000Z` and a space, and at a hundred thousand lines a second
//! the general parser would be felt: so there is a fast path for exactly that, and the general parser for the rest.

use crate::fleet::Timestamp;

/// Length of Docker's fixed form.
const FIXED: usize = 30;
/// Length of the longest other form: with an offset in place of the `Z`.
const LONGEST: usize = 35;
/// What each position of the fixed form must hold; `d` is a digit.
const SHAPE: &[u8; FIXED] = b"dddd-dd-ddTdd:dd:dd.dddddddddZ";

/// Takes the stamp off a message: when it was read by the engine, and how many bytes stamp and space take. `None`
/// when the message has none, which is how the engine's own complaints look.
pub(super) fn take(message: &[u8]) -> Option<(Timestamp, usize)> {
    if let Some(stamp) = message.first_chunk::<FIXED>()
        && message.get(FIXED) == Some(&b' ')
        && let Some(at) = fixed(stamp)
    {
        return Some((at, FIXED + 1));
    }
    let end = message.iter().take(LONGEST + 1).position(|&byte| byte == b' ')?;
    let text = std::str::from_utf8(message.get(..end)?).ok()?;
    Some((Timestamp::parse(text).ok()?, end + 1))
}

fn fixed(stamp: &[u8; FIXED]) -> Option<Timestamp> {
    let fits = stamp.iter().zip(SHAPE).all(|(&byte, &kind)| match kind {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = stamp.get(from..to).unwrap_or_default();
        digits.iter().fold(0_i64, |sum, byte| sum * 10 + i64::from(byte - b'0'))
    };
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    // Outside the years that fit, a leap second, a day that does not exist: for the general parser to judge.
    let plain = (1970..2262).contains(&year)
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !plain {
        let text = std::str::from_utf8(stamp).ok()?;
        return Timestamp::parse(text).ok();
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_nanos(seconds * 1_000_000_000 + number(20, 29)))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day comes
/// last and the months before it have a fixed rhythm of 153 days in five.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_forms_and_garbage() {
        let at = |text: &str| Some(Timestamp::parse(text).unwrap());
        for (message, expected, length) in [
            ("2026-11-25T18:42:03.120000001Z hello", at("2026-11-25T18:42:03.120000001Z"), 31),
            ("2024-02-29T00:00:00.000000000Z ", at("2024-02-29T00:00:00Z"), 31),
            ("2026-12-31T23:59:59.999999999Z \n", at("2026-12-31T23:59:59.999999999Z"), 31),
            ("2026-11-25T18:42:03.120000001+02:00 x", at("2026-11-25T16:42:03.120000001Z"), 36),
            ("2026-11-25T18:42:03Z x", at("2026-11-25T18:42:03Z"), 21),
            ("2023-02-30T00:00:00.000000000Z x", None, 0),
            ("2026-13-25T18:42:03.120000001Z x", None, 0),
            ("2026-11-25T18:42:03.120000001Z", None, 0),
            ("9999-11-25T18:42:03.120000001Z x", None, 0),
            ("Error grabbing logs: unexpected EOF", None, 0),
            ("", None, 0),
            ("2026-11-25T18:42:03.12000000\u{e9}Z x", None, 0),
        ] {
            let expected = expected.map(|at| (at, length));
            assert_eq!(take(message.as_bytes()), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_path_agrees_with_the_general_parser(nanos in 0..i64::MAX) {
            let at = Timestamp::from_nanos(nanos);
            let second = Timestamp::from_seconds(at.as_seconds()).to_string();
            let stamp = format!("{}.{:09}Z", second.trim_end_matches('Z'), nanos % 1_000_000_000);
            prop_assert_eq!(take(format!("{stamp} x").as_bytes()), Some((at, 31)));
        }

        #[test]
        fn garbage_is_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = take(&bytes);
        }
    }
}
