//! How much of a group is changed at once: a share of it (`25%`), or a number of hosts (`3`).

use std::fmt;
use std::str::FromStr;

use super::text::quoted;

/// The size of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Of a group's hosts, from 1 to 100 percent.
    Percent(u8),
    /// So many hosts; at least one.
    Hosts(usize),
}

/// A text that is no size of a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no size of a batch; write a share like 25%, from 1% to 100%, or a number of hosts like 3", quoted(.0))]
pub struct BatchError(pub String);

impl Batch {
    /// The share that is taken when nothing is said: a quarter.
    pub const DEFAULT: Self = Self::Percent(25);

    /// How many hosts that is of a group of `size`. A share is rounded down, so that never more of a group than was
    /// said is without an answer at once; but it is one host at least, or nothing would ever get done.
    #[must_use]
    pub fn of(self, size: usize) -> usize {
        let hosts = match self {
            Self::Percent(percent) => size.saturating_mul(usize::from(percent)) / 100,
            Self::Hosts(hosts) => hosts,
        };
        hosts.max(1)
    }
}

impl FromStr for Batch {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Self, BatchError> {
        let fail = || BatchError(text.to_owned());
        let (digits, is_share) = match text.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        // `parse` would take a sign, too.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(fail());
        }
        if is_share {
            let percent = digits.parse().ok().filter(|percent| (1..=100).contains(percent));
            return percent.map(Self::Percent).ok_or_else(fail);
        }
        digits.parse().ok().filter(|hosts| *hosts > 0).map(Self::Hosts).ok_or_else(fail)
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Hosts(hosts) => write!(f, "{hosts}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_or_a_number_and_nothing_else() {
        for (text, batch) in [
            ("1%", Batch::Percent(1)),
            ("25%", Batch::Percent(25)),
            ("100%", Batch::Percent(100)),
            ("1", Batch::Hosts(1)),
            ("300", Batch::Hosts(300)),
        ] {
            assert_eq!(text.parse(), Ok(batch));
            assert_eq!(batch.to_string(), text);
        }
        for text in ["", "%", "0", "0%", "101%", "-1", "+3", "3 ", "2.5%", "all", "99999999999999999999999"] {
            assert_eq!(text.parse::<Batch>(), Err(BatchError(text.to_owned())));
        }
    }

    #[test]
    fn a_share_is_never_more_than_was_said_but_one_host_at_least() {
        for (batch, size, hosts) in [
            (Batch::DEFAULT, 1, 1),
            (Batch::DEFAULT, 4, 1),
            (Batch::DEFAULT, 7, 1),
            (Batch::DEFAULT, 8, 2),
            (Batch::DEFAULT, 50, 12),
            (Batch::Percent(100), 50, 50),
            (Batch::Hosts(3), 2, 3),
        ] {
            assert_eq!(batch.of(size), hosts, "{batch} of {size}");
        }
    }
}
