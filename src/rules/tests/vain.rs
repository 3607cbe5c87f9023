//! Patterns that are there in vain.

use super::super::RuleSet;
use super::world::file;

/// What lint says of a rule, but for its tests.
fn told(rule: &str) -> String {
    let rules = RuleSet::load(&file(rule)).unwrap_or_else(|error| panic!("{error}"));
    let problems = rules.lint();
    let told = problems.iter().map(|problem| problem.message.clone());
    told.filter(|message| !message.contains("no test")).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_can_never_match_is_told() {
    for (log, expected) in [
        (r"any = ['re:boom^bang']", "never matches: `^` stands behind"),
        (r"any = ['re:boom$bang']", "`$` before its end"),
        (r"any = ['re:(?:one^a|two$d)x']", "`^` stands behind"),
        (r"any = ['re:boom[a&&b]']", "no character is in one of its classes"),
        (r"json = { a = 'x' }, fields = { b = 'y' }", "both JSON and logfmt"),
        (
            r"any = ['connection refused'], not = ['Refused']",
            "every match of `connection refused` is left out",
        ),
        (r"any = ['re:pool (?:is empty|was empty)'], not = ['pool']", "is left out by `not`: `pool`"),
    ] {
        let told = told(&format!("log = {{ {log} }}"));
        assert!(told.contains(expected), "{log}: {told}");
    }
    for log in [
        r"any = ['re:^boom$']",
        r"any = ['re:boom\n^bang']",
        r"any = ['re:boom\s*^bang']",
        r"any = ['re:(?:^|x)boom(?:y|$)']",
        r"any = ['re:boom$\nbang']",
        r"any = ['connection refused'], not = ['refused by client']",
    ] {
        assert_eq!(told(&format!("log = {{ {log} }}")), "", "{log}");
    }
}

#[test]
fn what_adds_nothing_is_told_once() {
    for (any, expected) in [
        (
            "['too many clients', 'Too Many Clients already']",
            "`Too Many Clients already` adds nothing: `too many clients`",
        ),
        ("['slots are reserved', 'SLOTS are reserved']", "`SLOTS are reserved` adds nothing"),
        ("['pool is empty', 're:the pool is empty again: \\d+']", "adds nothing: `pool is empty`"),
    ] {
        let told = told(&format!("log = {{ any = {any} }}"));
        assert!(told.contains(expected), "{any}: {told}");
        assert_eq!(told.matches("adds nothing").count(), 1, "{told}");
    }
    for any in [
        "['pool is empty', 're:pool is empty: (?P<who>\\w+)']",
        "['too many clients', 'too many connections']",
    ] {
        assert_eq!(told(&format!("log = {{ any = {any} }}")), "", "{any}");
    }
}

#[test]
fn what_every_log_has_is_told() {
    assert!(told("log = { any = ['ERROR'] }").contains("almost every log"));
    assert!(told("log = { any = ['[error] '] }").contains("almost every log"));
    assert_eq!(told("log = { any = ['error'] }\ncount = 100\nwithin = '1m'"), "");
    assert_eq!(told("log = { any = ['error'] }\nfallback = true"), "");
    assert_eq!(told("log = { any = ['disk quota'], all = ['error'] }"), "");
}

#[test]
fn a_rule_that_matches_everybodys_samples_is_told() {
    let mut text = "pack = \"t\"\nschema = 1\n".to_owned();
    for (number, class) in
        ["hang", "overload", "disk_full", "tls_failure", "bad_config", "auth_failure"].iter().enumerate()
    {
        text.push_str(&format!(
            "[[rule]]\nid = \"r{number}\"\nclass = \"{class}\"\nlog = {{ any = [\"number {number} is lost\"] }}\n\
             test = [{{ fires = 1, also = [\"lost\"], line = \"number {number} is lost\" }}, {{ fires = 0, line = \"fine\" }}]\n"
        ));
    }
    text.push_str("[[rule]]\nid = \"lost\"\nclass = \"app_crash\"\nlog = { any = [\"is lost\"] }\ntest = [{ fires = 1, line = \"it is lost\" }, { fires = 0, line = \"fine\" }]\n");
    let told = |text: &str| {
        let rules = RuleSet::load(&[("t.toml".to_owned(), text.to_owned())]).unwrap();
        rules.lint().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&text), ["rule `lost` counts sample lines of 6 rules about something else"]);
    assert!(
        told(&text.replace("any = [\"is lost\"] }", "any = [\"is lost\"] }\nfallback = true")).is_empty()
    );
}
