//! A server that hangs up before it said who it is, mostly because too many connections came at once.
//!
//! sshd lets ten connections at a time prove who they are (`MaxStartups`); of those beyond it closes some, by lot,
//! without a word. Whoever opens connections to a whole fleet through one jump host meets that on a good day, and so do
//! two colleagues at once. It passes within moments, so it is tried again, each time a little later, and not by all at
//! the same moment.

use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
use std::time::Duration;

use super::error::Error;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(200);
/// How often it is tried again: 3 s altogether, on average.
const TRIES: u32 = 4;

/// The pauses between tries: from half to one and a half times their nominal length, at random.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    (0..TRIES).map(|number| {
        // The seed of a hash map is as good a chance as this needs.
        let chance = RandomState::new().hash_one(number) % 1_000;
        FIRST * 2_u32.pow(number) * (500 + u32::try_from(chance).unwrap_or(0)) / 1_000
    })
}

/// Whether the server closed the connection before both had agreed on how to speak.
pub(super) fn hung_up(error: &Error) -> bool {
    let Error::Handshake { source, .. } = error else { return false };
    match source {
        russh::Error::Disconnect | russh::Error::HUP => true,
        russh::Error::IO(error) => {
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_differ_and_end() {
        let some: Vec<Vec<Duration>> = (0..20).map(|_| pauses().collect()).collect();
        assert!(
            some.iter().any(|pauses| *pauses != some[0]),
            "all tries come at the same moments: {:?}",
            some[0]
        );
        for pauses in some {
            assert_eq!(pauses.len(), 4);
            for (pause, nominal) in pauses.iter().zip([200, 400, 800, 1_600]) {
                let nominal = Duration::from_millis(nominal);
                assert!(*pause >= nominal / 2 && *pause < nominal * 3 / 2, "{pause:?} of {nominal:?}");
            }
        }
    }
}
