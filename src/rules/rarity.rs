//! How rare a literal text is in logs: what the index goes by when it may choose.
//!
//! An estimate, learned from nothing: bytes are as rare as regex-syntax's table says, and words that programs write all
//! the time count next to nothing, however long they are. The bench of the rules says how good the choice is: the part
//! of the patterns that were tried and did match.

use regex_syntax::hir::literal::rank;

/// Words that most programs write all the time.
const COMMON: [&str; 88] = [
    "a",
    "access",
    "address",
    "after",
    "an",
    "and",
    "api",
    "app",
    "application",
    "at",
    "be",
    "by",
    "cannot",
    "client",
    "code",
    "com",
    "config",
    "connect",
    "connected",
    "connection",
    "could",
    "data",
    "database",
    "debug",
    "does",
    "error",
    "errors",
    "exception",
    "fail",
    "failed",
    "failure",
    "fatal",
    "file",
    "for",
    "found",
    "from",
    "get",
    "has",
    "host",
    "http",
    "https",
    "id",
    "in",
    "info",
    "invalid",
    "io",
    "is",
    "key",
    "level",
    "message",
    "missing",
    "msg",
    "name",
    "new",
    "no",
    "node",
    "not",
    "null",
    "of",
    "on",
    "open",
    "org",
    "out",
    "path",
    "port",
    "read",
    "received",
    "request",
    "required",
    "response",
    "server",
    "service",
    "set",
    "socket",
    "start",
    "started",
    "state",
    "status",
    "time",
    "timeout",
    "to",
    "type",
    "unable",
    "user",
    "value",
    "warn",
    "warning",
    "with",
];

/// What a common word counts.
const OF_COMMON: u32 = 6;

/// Higher is rarer.
pub(super) fn rarity(literal: &str) -> u32 {
    let mut sum = 0;
    let mut word = String::new();
    for letter in literal.chars().chain([' ']) {
        if letter.is_alphanumeric() {
            word.push(letter);
            continue;
        }
        sum +=
            of_word(&word) + u32::from(letter != ' ') * of_bytes(letter.encode_utf8(&mut [0; 4]).as_bytes());
        word.clear();
    }
    sum
}

/// The same of bytes, wherever they stand: what windows of a literal are compared by.
pub(super) fn of_bytes(bytes: &[u8]) -> u32 {
    bytes.iter().map(|&byte| 4 + u32::from(255 - rank(byte)) / 8).sum()
}

fn of_word(word: &str) -> u32 {
    if COMMON.binary_search(&word).is_ok() {
        return OF_COMMON;
    }
    of_bytes(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn rare_before_common() {
        for (rarer, commoner) in [
            ("deadlock", "connection"),
            ("could not resolve host", "could not connect"),
            ("eaddrinuse", "error"),
            ("emerg", "error"),
            ("deadlock", "error"),
            ("[errno 28]", "failed to open file"),
        ] {
            assert!(rarity(rarer) > rarity(commoner), "{rarer} {commoner}");
        }
    }
}
