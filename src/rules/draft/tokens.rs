//! The parts of a log line: words, and what varies from line to line.

use std::sync::LazyLock;

use regex::Regex;

/// What a part of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words and what stands between them.
    Text,
    Url,
    Quoted,
    Time,
    Id,
    Place,
    Peer,
    Path,
    Email,
    Keyed,
    Number,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'l> {
    pub(super) kind: Kind,
    pub(super) text: &'l str,
}

/// The kinds that are told by a pattern, in the order of its groups.
const KINDS: [Kind; 10] = [
    Kind::Url,
    Kind::Quoted,
    Kind::Time,
    Kind::Id,
    Kind::Place,
    Kind::Peer,
    Kind::Path,
    Kind::Email,
    Kind::Keyed,
    Kind::Number,
];

static VARIES: LazyLock<Regex> = LazyLock::new(|| {
    let groups = [
        r#"\b[a-z][a-z0-9+.-]*://[^\s'"<>)\]]+"#,
        r#""[^"]*"|\B'[^']*'\B|`[^`]*`"#,
        r"\b\d{4}[-/]\d{2}[-/]\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2})\b)?)?|\b(?:\d{1,2}[ /](?:MONTH)(?:[ /]\d{4})?|(?:MONTH) +\d{1,2})(?:[ :]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?: [+-]\d{4}\b)?)?\b|\b\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\b",
        r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{12,64}\b",
        r"\b[\w./-]+\.(?:go|rs|py|js|mjs|ts|java|kt|rb|php|c|cc|cpp|cs|ex):\d+(?::\d+)?\b",
        r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-fA-F:]+:[0-9a-fA-F:]+\](?::\d+)?|\b[A-Za-z][A-Za-z0-9.-]*:\d{2,5}\b",
        r"\B/[\w.@+-]+(?:/[\w.@+-]+)*/?",
        r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b",
        r#"\b[A-Za-z_][\w.-]*=[^\s,;"'\])}]+"#,
        r"\b\d+(?:[.,]\d+)*",
    ];
    let months = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec";
    let joined: Vec<String> =
        groups.iter().map(|group| format!("({})", group.replace("MONTH", months))).collect();
    Regex::new(&joined.join("|")).expect("a constant pattern is valid: a test uses it")
});

/// Cuts a line into its parts. Together they are the line.
pub(super) fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    for found in VARIES.captures_iter(line) {
        let (Some(whole), Some(kind)) = (found.get(0), kind(&found)) else {
            continue;
        };
        if whole.start() > at {
            tokens.push(Token { kind: Kind::Text, text: &line[at..whole.start()] });
        }
        tokens.push(Token { kind, text: whole.as_str() });
        at = whole.end();
    }
    if at < line.len() {
        tokens.push(Token { kind: Kind::Text, text: &line[at..] });
    }
    tokens
}

fn kind(found: &regex::Captures<'_>) -> Option<Kind> {
    KINDS.into_iter().enumerate().find(|(index, _)| found.get(index + 1).is_some()).map(|(_, kind)| kind)
}

/// The words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_vary() {
        let cut = |line: &str| -> Vec<String> {
            let tokens = tokens(line);
            assert_eq!(tokens.iter().map(|token| token.text).collect::<String>(), line);
            let varies = tokens.into_iter().filter(|token| token.kind != Kind::Text);
            varies.map(|token| format!("{:?} {}", token.kind, token.text)).collect()
        };
        for (line, expected) in [
            ("can't read user's file", &[][..]),
            ("open '/a b' failed: /var/x.db", &["Quoted '/a b'", "Path /var/x.db"]),
            (
                "dial tcp 10.0.0.2:5432 via db:5432 or [::1]:80",
                &["Peer 10.0.0.2:5432", "Peer db:5432", "Peer [::1]:80"],
            ),
            ("GET https://x.y/z?a=1 by a@b.c", &["Url https://x.y/z?a=1", "Email a@b.c"]),
            ("2026-11-25 10:00:00,1 x509 v2 12.5ms", &["Time 2026-11-25 10:00:00,1", "Number 12.5"]),
            ("1:M 31 Aug 2022 12:59:50.096 # x", &["Number 1", "Time 31 Aug 2022 12:59:50.096"]),
            (
                "Nov 25 10:00:00 db kernel: x [25/Nov/2026:10:00:00 +0000]",
                &["Time Nov 25 10:00:00", "Time 25/Nov/2026:10:00:00 +0000"],
            ),
            ("main.go:12: id=7f user 00deadbeef00", &["Place main.go:12", "Keyed id=7f", "Id 00deadbeef00"]),
        ] {
            assert_eq!(cut(line), expected, "{line}");
        }
    }
}
