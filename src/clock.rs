//! The only place that reads this machine's clock. Pure rooms take the time as an argument instead.

use std::time::SystemTime;

use crate::fleet::Timestamp;

/// Now, by this machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}
