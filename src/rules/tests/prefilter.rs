//! The index never changes what matches: beside it stands a judge that knows nothing of it, and tries every pattern of
//! every rule on every line, by plain regular expressions.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::super::expression::ascii_boundaries;
use super::super::log::LogPattern;
use super::super::pattern::Pattern;
use super::super::rule::Trigger;
use super::super::structured::Structured;
use super::super::{LineMatch, RuleSet, Scanner, ansi};
use super::hostile::{BUILTIN, SAMPLES, any_line};
use super::world::file;

/// A pattern as a regular expression, compiled by itself.
fn plain(pattern: &Pattern) -> Regex {
    let expression = match pattern {
        // Literals are found in either case of ASCII letters only.
        Pattern::Literal(literal) => literal.text().chars().map(either_case).collect(),
        Pattern::Regex(regex) => ascii_boundaries(regex.as_str()),
    };
    RegexBuilder::new(&expression).multi_line(true).build().unwrap()
}

fn either_case(letter: char) -> String {
    if letter.is_ascii_alphabetic() {
        format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase())
    } else {
        regex::escape(&letter.to_string())
    }
}

/// The text patterns of every log rule.
type Judge = Vec<(usize, LogPattern, [Vec<Regex>; 3])>;

fn judge(rules: &RuleSet) -> Judge {
    let rules = rules.rules().iter().enumerate();
    rules
        .filter_map(|(number, rule)| match &rule.trigger {
            Trigger::Log(log) => {
                let all = |patterns: &[Pattern]| patterns.iter().map(plain).collect();
                let texts = [all(log.any.patterns()), all(&log.all), all(log.not.patterns())];
                Some((number, log.as_ref().clone(), texts))
            }
            _ => None,
        })
        .collect()
}

/// The rules that match a line, the slow way. Fields are asked of the pattern itself, which the index has no part in.
fn slowly(judge: &Judge, line: &str) -> Vec<LineMatch> {
    let mut room = String::new();
    let line = ansi::strip(line, &mut room);
    let matches = |(rule, log, [any, all, not]): &(usize, LogPattern, [Vec<Regex>; 3])| {
        let hit = |patterns: &[Regex]| patterns.iter().any(|one| one.is_match(line));
        let texts = (any.is_empty() || hit(any)) && all.iter().all(|one| one.is_match(line)) && !hit(not);
        let found = log.matches(&Structured::of(line), None::<std::ops::Range<usize>>);
        if log.json.is_empty() && log.fields.is_empty() {
            assert_eq!(found.is_some(), texts, "{line:?} and rule {rule}");
        }
        found.map(|found| LineMatch {
            rule: *rule,
            captures: found.captures,
            alternative: found.alternative,
            step: None,
        })
    };
    judge.iter().filter_map(matches).collect()
}

fn check(rules: &Arc<RuleSet>, judge: &Judge, line: &str) {
    let found = Scanner::new(Arc::clone(rules)).matches(line);
    assert_eq!(found, slowly(judge, line), "{line:?}");
}

static JUDGE: LazyLock<Judge> = LazyLock::new(|| judge(&BUILTIN));

/// One sample in so many is judged the slow way.
const SHARE: usize = 10;

#[test]
fn samples_of_the_built_in_rules() {
    let mut scanner = Scanner::new(Arc::clone(&BUILTIN));
    // All of them take minutes without optimisation; each run of the tests takes others.
    let first = std::process::id() as usize % SHARE;
    for sample in SAMPLES.iter().skip(first).step_by(SHARE) {
        assert_eq!(scanner.matches(sample), slowly(&JUDGE, sample), "{sample}");
        let shouted = sample.to_uppercase().replace('K', "\u{212a}").replace('S', "\u{17f}");
        assert_eq!(scanner.matches(&shouted), slowly(&JUDGE, &shouted), "{shouted}");
    }
}

#[test]
fn long_and_many_lines() {
    let filler = "x ".repeat(32 << 10);
    for sample in SAMPLES.iter().skip(SAMPLES.len() / 2).take(1) {
        let end = filler.len() - sample.len();
        for line in [
            format!("{sample}{}", &filler[..end]),
            format!("{}{sample}", &filler[..end]),
            format!("first line\n{sample}\n\tat last.line(X.java:1)"),
        ] {
            check(&BUILTIN, &JUDGE, &line);
        }
    }
}

#[test]
fn letters_that_fold_to_ascii_ones() {
    let rule = "log = { any = ['disk', 're:(?i)task', 're:Kelvin \u{212a}', 're:(?i)\\bmas[ks]'] }";
    let rules = Arc::new(RuleSet::load(&file(rule)).unwrap());
    let judge = judge(&rules);
    for (line, expected) in [
        ("di\u{17f}k", None),
        ("DISK", Some(0)),
        ("ta\u{17f}\u{212a}", Some(1)),
        ("Kelvin \u{212a}", Some(2)),
        ("Kelvin K", None),
        ("ma\u{17f}\u{212a}", Some(3)),
        ("größe of the disk", Some(0)),
    ] {
        let found = Scanner::new(Arc::clone(&rules)).matches(line);
        assert_eq!(found.first().and_then(|found| found.alternative), expected, "{line}");
        check(&rules, &judge, line);
    }
}

#[test]
fn members_are_found_however_they_are_written() {
    for (pattern, line, expected) in [
        ("json = { code = '500' }", r#"{"code":500}"#, true),
        ("json = { code = '500' }", r#"{"code":5e2}"#, false),
        ("json = { code = '500.0' }", r#"{"code":5e2}"#, true),
        ("json = { code = 're:50{2}' }", r#"{"code":5e2}"#, true),
        ("json = { list = 're:out,of,space' }", r#"{"list":["out"]}"#, false),
        ("json = { list = 're:1,2,3' }", r#"{"list":[1, 2, 3]}"#, true),
        ("json = { msg = 're:(?i)task lost' }", r#"{"msg":"ta\u017f\u212a lo\u0073t"}"#, true),
        ("json = { msg = 're:no room' }", r#"{"msg":"no\u0020room"}"#, true),
        ("json = { err = 're:dead.lock' }", r#"{"err":{"b":"dead", "a":"lock"}}"#, false),
        ("fields = { msg = 're:deadlock' }", r#"msg="dead\lock""#, false),
        ("fields = { msg = 're:dead.lock' }", r#"msg="dead\lock""#, true),
        ("fields = { code = '5' }", "code=5", true),
    ] {
        let rules = Arc::new(RuleSet::load(&file(&format!("log = {{ {pattern} }}"))).unwrap());
        assert_eq!(Scanner::new(Arc::clone(&rules)).matches(line).len(), usize::from(expected), "{line}");
        check(&rules, &judge(&rules), line);
    }
}

/// Words that patterns and lines are both made of, so that they meet.
const WORDS: [&str; 14] =
    ["disk", "task", "\u{212a}", "\u{17f}", "S", "eof", "out of", "=", ":", "\"", "0", "größe", " ", "err"];

fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 1..6).prop_map(|words| words.concat())
}

fn any_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => any_text().prop_map(|text| regex::escape(&text)),
        1 => prop::sample::select(vec![r"\d+", r"\w", ".", "[ks]", "(?i:k)", r"\b", "^", "$", r"[^:]"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), prop::sample::select(vec!["?", "+", "*", "{2}", "{1,3}"]))
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
            inner.clone().prop_map(|part| format!("(?i:{part})")),
            inner.prop_map(|part| format!("(?<v>{part})").replace("(?<v>(?<v>", "(?:(?<v>")),
        ]
    })
}

/// A pattern as it may stand in a rule file, in TOML's quotes.
fn any_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        any_text().prop_filter("not blank", |text| !text.trim().is_empty()),
        any_expression().prop_map(|expression| format!("re:{expression}")),
    ]
    .prop_filter("sound", |text| Pattern::parse(text).is_ok())
    .prop_map(|text| Value::from(text).to_string())
}

fn any_trigger() -> impl Strategy<Value = String> {
    let patterns = || prop::collection::vec(any_pattern(), 0..4);
    let field = || prop::option::of(any_pattern());
    (patterns(), patterns(), patterns(), field(), field()).prop_map(|(any, all, not, json, field)| {
        let list = |name: &str, patterns: &[String]| format!("{name} = [{}], ", patterns.join(", "));
        let table = |name: &str, pattern: Option<String>| {
            pattern.map_or_else(String::new, |pattern| format!("{name} = {{ msg = {pattern} }}, "))
        };
        let all = list("all", &all[..all.len().min(2)]);
        let text = format!("{}{all}{}", list("any", &any), list("not", &not[..not.len().min(1)]));
        format!("log = {{ {text}{}{} }}", table("json", json), table("fields", field)).replace(",  }", " }")
    })
}

fn any_generated_line() -> impl Strategy<Value = String> {
    let cased = any_text().prop_map(|text| text.to_uppercase());
    let text = || prop::collection::vec(any_text(), 0..5).prop_map(|texts| texts.join("\n"));
    prop_oneof![
        4 => text(),
        1 => cased,
        1 => text().prop_map(|text| format!("{{\"msg\":{}}}", Value::from(text))),
        1 => text().prop_map(|text| format!("msg=\"{text}\"")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn built_in_rules_on_any_line(line in any_line()) {
        check(&BUILTIN, &JUDGE, &line);
    }

    #[test]
    fn any_rule_on_any_line(
        trigger in any_trigger(), lines in prop::collection::vec(any_generated_line(), 1..20),
    ) {
        // What is refused when it is loaded matches nothing.
        if let Ok(rules) = RuleSet::load(&file(&trigger)) {
            let rules = Arc::new(rules);
            let judge = judge(&rules);
            for line in &lines {
                check(&rules, &judge, line);
            }
        }
    }
}
