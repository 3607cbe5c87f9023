//! Rules to match by: those that come with Arcane, and as many again in their style as make a number.

use std::fmt::Write as _;
use std::sync::Arc;

use arcane::rules::RuleSet;

use crate::random::Random;

/// How many rules are measured with.
pub(crate) const RULES: usize = 500;
/// Patterns of a generated rule.
const PATTERNS: u64 = 6;

const THINGS: [&str; 24] = [
    "replica",
    "shard",
    "broker",
    "consumer group",
    "partition",
    "segment",
    "checkpoint",
    "tablespace",
    "upstream",
    "listener",
    "worker pool",
    "scheduler",
    "session store",
    "keyspace",
    "bucket",
    "manifest",
    "snapshot",
    "journal",
    "certificate",
    "resolver",
    "gateway",
    "tenant",
    "lease",
    "quorum",
];
const TROUBLES: [&str; 20] = [
    "is lagging behind",
    "was evicted",
    "refused the handshake",
    "exceeded its quota",
    "is read-only",
    "lost its leader",
    "cannot be mounted",
    "has expired",
    "is corrupt",
    "timed out",
    "was not found",
    "is out of sync",
    "ran out of memory",
    "rejected the credentials",
    "is fenced off",
    "has too many open cursors",
    "dropped the connection",
    "failed to elect",
    "cannot allocate",
    "was truncated",
];
const VERBS: [&str; 10] =
    ["open", "lock", "flush", "rotate", "replay", "commit", "resolve", "attach", "decode", "renew"];

/// The built-in rules and generated ones, so many in all.
pub(crate) fn files() -> Vec<(String, String)> {
    let mut files = RuleSet::builtin_files();
    let builtin = RuleSet::builtin().rules().len();
    files.push(("generated.toml".to_owned(), generated(RULES.saturating_sub(builtin))));
    files
}

pub(crate) fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::load(&files()).unwrap_or_else(|error| panic!("{error}")))
}

fn generated(count: usize) -> String {
    let mut random = Random::default();
    let mut text = "pack = \"generated\"\nschema = 1\n".to_owned();
    for number in 0..count {
        let any: Vec<String> = (0..PATTERNS).map(|_| format!("'{}'", pattern(&mut random))).collect();
        write!(
            text,
            "[[rule]]\nid = \"r{number}\"\nclass = \"app_crash\"\nlog = {{ any = [{}] }}\nheal = [{{ do = \"escalate\" }}]\n",
            any.join(", ")
        )
        .unwrap();
    }
    text
}

fn pattern(random: &mut Random) -> String {
    let (thing, trouble, verb) = (random.pick(&THINGS), random.pick(&TROUBLES), random.pick(&VERBS));
    let code = random.below(9000) + 1000;
    let camel: String = thing.split(' ').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    match random.below(8) {
        0 => format!("{thing} {trouble}: {code}"),
        1 => format!("re:\\b{}{}(?:Exception|Error)\\b.{{0,20}}{code}", camel, verb.to_uppercase()),
        2 => format!("re:(?i)(?:failed|unable) to {verb} (?:the )?{thing} (?<name>[\\w-]+)"),
        3 => format!("re:\\b(?:ERR|WRN)-{code}\\b"),
        4 => format!("re:{thing} \\S+ {trouble}"),
        5 => format!("{} [{code}] {trouble}", thing.to_uppercase()),
        6 => format!("re:(?i)\\berror\\b.*\\b{thing}\\b.*{verb} failed \\({code}\\)"),
        _ => format!("re:{verb}\\(\\) of {thing} \"[^\"]*\" {trouble}"),
    }
}

/// The patterns of `any` and `all` of all log rules, each as a regular expression: what one would put into an engine of
/// regular expressions.
pub(crate) fn expressions() -> Vec<String> {
    let mut expressions = Vec::new();
    for (_, text) in files() {
        let table: toml::Table = text.parse().unwrap();
        let rules = table["rule"].as_array().unwrap();
        for log in rules.iter().filter_map(|rule| rule.get("log")) {
            for part in ["any", "all"] {
                match log.get(part) {
                    Some(toml::Value::String(one)) => expressions.push(expression(one)),
                    Some(toml::Value::Array(all)) => {
                        expressions.extend(all.iter().map(|one| expression(one.as_str().unwrap())));
                    }
                    _ => {}
                }
            }
        }
    }
    expressions
}

fn expression(pattern: &str) -> String {
    match pattern.strip_prefix("re:") {
        Some(expression) => format!("(?m:{expression})"),
        None => format!("(?i:{})", regex::escape(pattern)),
    }
}
