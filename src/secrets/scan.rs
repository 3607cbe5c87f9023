//! Secrets in the open: the vault's own values first, in the forms in which they end up in files, then the few kinds of
//! token that nothing else looks like.
//!
//! One automaton goes over a text once. What it finds is a prefix or a value; a token counts only with the alphabet and the
//! length of its kind, so that prose about tokens is none. A line that says `arcane:allow` is left alone.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};

use super::forms::{self, varied};
use super::value::Value;
use crate::fleet::{EnvironmentName, VariableName};

/// By how much of a form the automaton knows it; the rest is compared.
const HEAD: usize = 64;
const ALLOWED: &str = "arcane:allow";

/// A kind of token: how it begins, and what follows.
struct Kind {
    called: &'static str,
    prefix: &'static str,
    follows: fn(u8) -> bool,
    least: usize,
    most: usize,
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const fn kind(
    called: &'static str,
    prefix: &'static str,
    follows: fn(u8) -> bool,
    least: usize,
    most: usize,
) -> Kind {
    Kind { called, prefix, follows, least, most }
}

const KINDS: &[Kind] = &[
    kind("an AWS access key", "AKIA", upper, 16, 16),
    kind("a temporary AWS access key", "ASIA", upper, 16, 16),
    kind("an age identity", "AGE-SECRET-KEY-1", upper, 58, 58),
    kind("a GitHub token", "ghp_", word, 36, 251),
    kind("a GitHub token", "gho_", word, 36, 251),
    kind("a GitHub token", "ghs_", word, 36, 251),
    kind("a GitHub token", "ghu_", word, 36, 251),
    kind("a GitHub token", "github_pat_", dashed, 82, 82),
    kind("a GitLab token", "glpat-", dashed, 20, 64),
    kind("a Slack token", "xoxb-", dashed, 24, 200),
    kind("a Slack token", "xoxp-", dashed, 24, 200),
    kind("a Stripe key", "sk_live_", word, 24, 200),
    kind("a Stripe key", "rk_live_", word, 24, 200),
    kind("a Google API key", "AIza", dashed, 35, 35),
    kind("an npm token", "npm_", word, 36, 36),
    kind("a PyPI token", "pypi-AgEIcHlwaS5vcmc", dashed, 50, 400),
    kind("a Docker token", "dckr_pat_", dashed, 27, 27),
];

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "PRIVATE KEY-----";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A value of the vault.
    Known(EnvironmentName, VariableName),
    /// A token of this kind.
    Token(&'static str),
}

/// Something found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The line, counted from 1.
    pub line: usize,
    /// What it is.
    pub found: Found,
}

/// Looks for secrets.
pub struct Scanner {
    automaton: AhoCorasick,
    known: Vec<Known>,
}

/// A form of a value.
struct Known {
    environment: EnvironmentName,
    name: VariableName,
    /// What comes behind its head.
    rest: forms::Form,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scanner({} forms)", self.known.len())
    }
}

impl Scanner {
    /// Looks for these values, and for tokens. `None` when there are more than an automaton can hold.
    #[must_use]
    pub fn new<'v>(
        values: impl Iterator<Item = (&'v EnvironmentName, &'v VariableName, &'v Value)>,
    ) -> Option<Self> {
        let mut patterns: Vec<Vec<u8>> = KINDS.iter().map(|kind| kind.prefix.as_bytes().to_vec()).collect();
        patterns.push(PEM_BEGIN.as_bytes().to_vec());
        let mut known = Vec::new();
        for (environment, name, value) in values {
            for form in forms::of(value.expose()) {
                let (head, rest) = form.split_at(form.len().min(HEAD));
                patterns.push(head.to_vec());
                let rest = rest.to_vec().into();
                known.push(Known { environment: environment.clone(), name: name.clone(), rest });
            }
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&patterns).ok()?;
        Some(Self { automaton, known })
    }

    /// What is in a text, by line; each thing once a line.
    #[must_use]
    pub fn scan(&self, text: &[u8]) -> Vec<Hit> {
        let mut lines = Lines::new(text);
        let mut hits = BTreeSet::new();
        for found in self.automaton.find_overlapping_iter(text) {
            if let Some(what) = self.judge(text, found.pattern().as_usize(), found.start(), found.end()) {
                hits.insert((lines.number(found.start()), what));
            }
        }
        hits.retain(|(line, _)| !lines.allowed(*line));
        hits.into_iter().map(|(line, found)| Hit { line, found }).collect()
    }

    fn judge(&self, text: &[u8], pattern: usize, start: usize, end: usize) -> Option<Found> {
        let before = start.checked_sub(1).and_then(|at| text.get(at)).copied();
        let rest = text.get(end..).unwrap_or_default();
        if let Some(kind) = KINDS.get(pattern) {
            let length = rest.iter().take(kind.most + 1).take_while(|byte| (kind.follows)(**byte)).count();
            let fits = (kind.least..=kind.most).contains(&length);
            // In the middle of a longer word it is no token, and one letter over and over is an example.
            let alone = !before.is_some_and(|byte| word(byte) || byte == b'_');
            return (fits && alone && varied(rest.get(..length)?)).then_some(Found::Token(kind.called));
        }
        if pattern == KINDS.len() {
            return private_key(rest).then_some(Found::Token("a private key"));
        }
        let known = self.known.get(pattern - KINDS.len() - 1)?;
        rest.starts_with(&known.rest).then(|| Found::Known(known.environment.clone(), known.name.clone()))
    }
}

/// Whether the heading of a private key goes on here, with a key's body below it.
fn private_key(rest: &[u8]) -> bool {
    let heading = rest.get(..rest.len().min(40)).unwrap_or_default();
    let heading = String::from_utf8_lossy(heading);
    let Some(at) = heading.find(PEM_END).filter(|at| !heading.get(..*at).unwrap_or_default().contains('\n'))
    else {
        return false;
    };
    let body = rest.get(at + PEM_END.len()..).unwrap_or_default();
    // In a source file the newline may be written out.
    let body = body.strip_prefix(b"\\n").unwrap_or(body);
    let body = body.get(..body.len().min(200)).unwrap_or_default().trim_ascii_start();
    let body = body.iter().take(32);
    body.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')).count() == 32
}

/// The lines of a text. Where they begin is looked up once, and only when something was found, and of each line once
/// whether it says that it is meant: a text of nothing but hits takes no longer than another.
struct Lines<'t> {
    text: &'t [u8],
    starts: Vec<usize>,
    allowed: BTreeMap<usize, bool>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self { text, starts: Vec::new(), allowed: BTreeMap::new() }
    }

    /// The line of a place, counted from 1.
    fn number(&mut self, at: usize) -> usize {
        if self.starts.is_empty() {
            let newlines = self.text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            self.starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        }
        self.starts.partition_point(|start| *start <= at)
    }

    fn allowed(&mut self, line: usize) -> bool {
        let (text, starts) = (self.text, &self.starts);
        *self.allowed.entry(line).or_insert_with(|| {
            let from = starts.get(line - 1).copied().unwrap_or_default();
            let to = starts.get(line).copied().unwrap_or(text.len());
            let line = text.get(from..to).unwrap_or_default();
            line.len() < 100_000 && String::from_utf8_lossy(line).contains(ALLOWED)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(value: &str) -> (EnvironmentName, VariableName, Scanner) {
        let (environment, name) =
            (EnvironmentName::parse("production").unwrap(), VariableName::parse("A").unwrap());
        let scanner = Scanner::new([(&environment, &name, &Value::from(value))].into_iter()).unwrap();
        (environment, name, scanner)
    }

    #[test]
    fn a_value_of_the_vault_is_found_in_the_forms_it_takes() {
        let (environment, name, scanner) = scanner("p&ss \"w0rd\"\n");
        let known = Found::Known(environment, name);
        for text in [
            "x\nkey = p&ss \"w0rd\"\n",
            "x\n{\"a\":\"p&ss \\\"w0rd\\\"\"}",
            "x\nhttps://u:p%26ss%20%22w0rd%22@host/",
            "x\nAuthorization: cCZzcyAidzByZCIK",
        ] {
            assert_eq!(scanner.scan(text.as_bytes()), [Hit { line: 2, found: known.clone() }], "{text}");
        }
        assert_eq!(scanner.scan(b"p&ss w0rd"), []);
        assert_eq!(scanner.scan("key = p&ss \"w0rd\" # arcane:allow".as_bytes()), []);
    }

    #[test]
    fn values_that_are_in_every_text_are_not_looked_for() {
        for value in ["", "short", "true", "aaaaaaaaaaaa", "0000000000"] {
            assert_eq!(scanner(value).2.scan(b"short true aaaaaaaaaaaaaa 0000000000000"), [], "{value}");
        }
    }

    #[test]
    fn tokens_are_told_from_talk_about_tokens() {
        let scanner = scanner("").2;
        // Put together here, so that no file of ours holds one.
        let body = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let upper = body.to_ascii_uppercase();
        let pem = "-----BEGIN ";
        let found = |text: &str| scanner.scan(text.as_bytes()).into_iter().next().map(|hit| hit.found);
        for (text, called) in [
            (format!("id={}{}", "AKIA", &upper[..16]), "an AWS access key"),
            (format!("'{}{}'", "ghp_", &body[..36]), "a GitHub token"),
            (format!("{}{}", "AGE-SECRET-KEY-1", &upper[..58]), "an age identity"),
            (format!("{}{}", "sk_live_", &body[..24]), "a Stripe key"),
            (format!("{pem}RSA PRIVATE KEY-----\n{body}"), "a private key"),
            (format!("\"{pem}PRIVATE KEY-----\\n{body}\""), "a private key"),
        ] {
            assert_eq!(found(&text), Some(Found::Token(called)), "{text}");
        }
        for text in [
            format!("{}{}", "AKIA", "EXAMPLE"),
            format!("{}{}", "AKIA", "X".repeat(16)),
            format!("S{}{}", "AKIA", &upper[..16]),
            format!("{}{}x", "AKIA", &upper[..17]),
            "ghp_ begins a token".to_owned(),
            "AGE-SECRET-KEY-1QQQ".to_owned(),
            format!("{pem}OPENSSH PRIVATE KEY-----\n…\n"),
            format!("{pem}CERTIFICATE-----\n{body}"),
        ] {
            assert_eq!(found(&text), None, "{text}");
        }
    }

    #[test]
    fn a_text_of_nothing_but_hits_takes_no_longer_than_its_bytes() {
        let (environment, name, scanner) = scanner("sentinel value");
        let known = Found::Known(environment, name);
        let started = std::time::Instant::now();
        let lines = scanner.scan("sentinel value\n".repeat(200_000).as_bytes());
        assert_eq!((lines.len(), &lines[199_999]), (200_000, &Hit { line: 200_000, found: known.clone() }));
        let one = scanner.scan("sentinel value ".repeat(200_000).as_bytes());
        assert_eq!(one, [Hit { line: 1, found: known }]);
        // Each hit compared with each other one, or each line looked for from the start, takes minutes.
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(60), "{took:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let text = [b"-----BEGIN ghp_".to_vec(), bytes].concat();
            let _ = scanner("sentinel value").2.scan(&text);
        }
    }
}
