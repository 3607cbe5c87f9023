//! The deploy lock, lent to an arcane that a hook of ours starts. Without this a hook that calls arcane would wait for
//! its own push, which waits for the hook.
//!
//! The lock is not handed over: the variable names the host and the fencing number of the holder, and whoever borrows
//! it makes sure before each change that this very holder still has it.

use std::fmt;

use crate::fleet::HostName;

/// The variable that carries it: `web1:17`.
pub const VARIABLE: &str = "ARCANE_LOCK";

/// A lock that somebody above us holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// Of which host.
    pub host: HostName,
    /// The fencing number of its holder.
    pub number: u64,
}

impl Lent {
    /// The lock that this process was lent, if it was.
    #[must_use]
    pub fn to_us() -> Option<Self> {
        Self::parse(&std::env::var(VARIABLE).ok()?)
    }

    /// What is not understood lends nothing: then the lock is held by somebody else, as it is said to be.
    fn parse(text: &str) -> Option<Self> {
        let (host, number) = text.rsplit_once(':')?;
        Some(Self { host: HostName::parse(host).ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_lent_is_believed() {
        let lent = Lent { host: HostName::parse("web1").unwrap(), number: 17 };
        assert_eq!(Lent::parse(&lent.to_string()), Some(lent));
        for text in ["", "web1", "web1:", ":17", "web1:-1", "web1:x", "we b1:17", "web1:99999999999999999999"]
        {
            assert_eq!(Lent::parse(text), None, "{text}");
        }
    }
}
