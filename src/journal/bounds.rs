//! How much is kept. What is written down comes from servers, logs and people, so all of it is cut to a size.

/// A sentence, a name, a line of a log, in bytes.
pub(super) const TEXT: usize = 4096;
/// Evidence of one incident, in pieces; the newest.
pub(super) const EVIDENCE: usize = 100;
/// Proposals of one incident; the best.
pub(super) const PROPOSALS: usize = 20;
/// Actions of one incident; the newest.
pub(super) const ACTIONS: usize = 200;
/// Incidents that are over; the newest.
pub(super) const INCIDENTS: i64 = 10_000;
/// Releases; the newest.
pub(super) const RELEASES: i64 = 10_000;
/// Decisions; the newest.
pub(super) const DECISIONS: i64 = 10_000;
/// Apps whose logs are known; the newest.
pub(super) const LOGS: i64 = 1_000;
/// Places in logs; the newest.
pub(super) const PLACES: i64 = 20_000;
/// One of them, in bytes.
pub(super) const PLACE: usize = 128 << 10;
/// Hosts of one supervisor.
pub(super) const HOSTS: usize = 10_000;
/// Rows that one question is answered with, however many are asked for.
pub(super) const ROWS: usize = 100_000;

/// `text`, cut to at most [`TEXT`] bytes at a character.
pub(super) fn clip(text: &str) -> &str {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A limit on rows as SQLite wants it.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit.min(ROWS)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(clip("größe"), "größe");
        let long = format!("{}ä{}", "a".repeat(TEXT - 1), "b".repeat(10));
        assert_eq!(clip(&long), "a".repeat(TEXT - 1));
    }
}
