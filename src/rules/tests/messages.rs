//! What an author is told about a rule that is not right.

use super::super::RuleSet;
use super::world::file;

/// The problems of a file with one rule.
fn problems(rule: &str) -> Vec<String> {
    match RuleSet::load(&file(rule)) {
        Ok(rules) => rules.lint().iter().map(ToString::to_string).collect(),
        Err(error) => error.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_problem_looks_like_a_compilers() {
    let files = vec![(
        "core.toml".to_owned(),
        "pack = \"core\"\nschema = 1\n\n[[rule]]\nid = \"x\"\non = { event = \"die\" }\nclas = \"app_crash\"\n".to_owned(),
    )];
    let error = RuleSet::load(&files).unwrap_err();
    let expected = "\
core.toml:5:6: rule `x` has no `class`
  5 | id = \"x\"
    |      ^^^
core.toml:7:1: unknown key `clas` in rule `x`
  7 | clas = \"app_crash\"
    | ^^^^ did you mean `class`?";
    assert_eq!(error.to_string(), format!("2 problems in the rules:\n{expected}"));
}

/// Each rule has a problem that contains the text.
fn check(cases: &[(&str, &str)]) {
    for (rule, expected) in cases {
        let problems = problems(rule);
        let found = problems.iter().any(|problem| problem.contains(expected));
        assert!(found, "no {expected:?} for\n{rule}\n{}", problems.join("\n"));
    }
}

/// The same, for what is added to a sound rule.
fn check_added(cases: &[(&str, &str)]) {
    for (added, expected) in cases {
        check(&[(&format!("on = {{ event = \"die\" }}\n{added}"), expected)]);
    }
}

#[test]
fn triggers_are_checked() {
    check(&[
        ("", "rule `r` has no trigger: write one of `log`, `on`, `stat`, `absent`, `rule`, `sequence`"),
        ("on = { evnt = \"die\" }", "unknown key `evnt` in `on` of rule `r`"),
        ("on = { event = \"dye\" }", "`dye` is not an event"),
        ("on = { event = \"die|ooom\" }", "did you mean `oom`?"),
        ("on = { event = \"oom\", exit_code = \"1\" }", "`exit_code` belongs to the event `die`"),
        (
            "on = { event = \"die\", exit_code = 137 }",
            "`exit_code` of `on` of rule `r` is a string, not integer",
        ),
        ("on = { event = \"die\", exit_code = \"!\" }", "`!` lists no exit codes"),
        ("on = { event = \"die\", not_preceded_by = \"kill\" }", "`kill` needs an event and a time"),
        ("on = 5", "`on` of rule `r` is a table, not integer"),
        ("on = \"dye\"", "`dye` is not an event"),
        ("on = { event = \"die\" }\nlog = { any = ['x'] }", "has `log` and `on`; a rule has one trigger"),
        ("log = {}", "asks for nothing"),
        ("log = { not = ['x'] }", "asks for nothing"),
        ("log = { any = [''] }", "empty pattern"),
        ("log = { any = [7] }", "`any` of `log` of rule `r` is a list of strings, not integer"),
        ("log = { any = ['re:('] }", "this regex is not valid: unclosed group"),
        ("log = { any = ['re:.*'] }", "matches the empty line"),
        ("log = { any = ['re:a(?=b)'] }", "look-around"),
        ("log = { any = ['re:x\\w{400}'] }", "when compiled"),
        ("log = { json = { level = 'a||b' } }", "has an empty alternative"),
        ("sequence = []\nlog = { any = ['abc'] }", "has `log` and `sequence`; a rule has one trigger"),
    ]);
}

#[test]
fn patterns_have_samples() {
    check(&[
        ("log = { any = ['re:(?<app>xyz)'] }", "captures `app`, a name that has a meaning already"),
        ("log = { any = ['re:a(?<v>bc)', 'def'] }\nsay = \"{v}\"", "write `{v?}`"),
        (
            "log = { any = ['boom', 're:\\d\\d'] }",
            "the pattern `re:\\d\\d` is tried on every line, at up to 2 steps for each byte of it",
        ),
        ("log = { any = ['ok'] }", "the pattern `ok` is tried on every line, at up to 2 steps"),
        ("log = { all = ['re:[a-z]{200}'] }", "rule `r` is tried on every line, at up to 200 steps"),
        ("log = { fields = { code = '5' } }", "is tried on every line, and the fields of each are read"),
        (
            "log = { any = ['abc', 'def'] }\ntest = [{ fires = 1, line = 'abc' }]",
            "no test shows a line for the pattern `def`",
        ),
    ]);
}

#[test]
fn guards_are_checked() {
    check_added(&[
        ("scope = { imge = \"x\" }", "did you mean `image`?"),
        ("scope = { role = [] }", "names nothing"),
        ("scope = { app = [] }", "names nothing"),
        ("scope = { stream = \"err\" }", "`err` is not a stream"),
        ("count = 0", "`count` of rule `r` lies within 1 and 1000"),
        ("count = 2", "has a `count` but no `within`"),
        ("within = \"5m\"", "has `within` but no `count`"),
        ("count = 2\nwithin = \"5\"", "`5` is not a duration"),
        ("cooldown = \"8d\"", "is longer than 7d"),
        ("by = [\"pod\"]", "`pod` is nothing to group by"),
        ("require = { deploy_age = \"15m\" }", "`15m` is not a comparison"),
        ("require = { deploy_aeg = \"<15m\" }", "did you mean `deploy_age`?"),
        ("require = { previous_release = \"good\" }", "write proved or healthy>=10m"),
        ("confirm = { any = [] }", "needs `any` with at least one event"),
        ("heal = [{ do = \"restat\" }]", "did you mean `restart`?"),
        ("heal = []", "could mean two things"),
    ]);
}

#[test]
fn remedies_and_tests_are_checked() {
    check_added(&[
        ("heal = [{ do = \"rollback\", per = \"1 h\" }]", "or release"),
        ("heal = [{ do = \"rollback\", backoff = \"10m..1m\" }]", "is not a backoff"),
        ("heal = [{ do = \"rollback\", quiet_hours = \"22-6\" }]", "names no hours"),
        ("heal = [{ do = \"rollback\", quiet_hours = \"22:00-06:00 Mars\" }]", "no time zone"),
        ("heal = [{ do = \"wait\", quiet_hours = \"22:00-06:00 UTC\" }]", "what changes a server"),
        ("heal = [{ do = \"rollback\", then = \"pray\" }]", "cannot follow"),
        ("on_fail = \"panic\"", "choose from escalate, freeze+escalate"),
        ("verify = { running = \"1m\", deadline = \"2m\", health = \"sick\" }", "proves nothing"),
        ("heal = [{ do = \"rollback\", if = {} }]", "asks for nothing"),
        ("forbid = [\"redeploy\"]\nheal = [{ do = \"redeploy\" }]", "the rule's own `forbid`"),
        ("verify = { running = \"2m\", deadline = \"1m\" }", "could never be verified"),
        ("say = \"{ap}\"", "did you mean `{app}`?"),
        ("say = \"{app\"", "a `{` without its `}`"),
        ("test = [{ fires = 1 }]", "has nothing to play"),
        ("test = [{ events = [\"0s oom\"] }]", "has no `fires`"),
        ("test = [{ fires = 1, events = [\"oom\"] }]", "needs a time first"),
        ("test = [{ fires = 1, events = [\"0s boom\"] }]", "`boom` is not an event"),
        ("test = [{ fires = 0, also = [\"t/q\"], events = [\"0s oom\"] }]", "`also` names `t/q`"),
        ("test = [{ fires = 0, events = [\"0s oom\"] }]", "has no test in which it fires"),
        ("test = [{ fires = 1, events = [\"0s die exit=1\"] }]", "in which it must not fire"),
    ]);
}

#[test]
fn what_would_be_unsafe_is_refused() {
    let auto = r#"heal = [{ do = "restart", mode = "auto" }]"#;
    for (rule, expected) in [
        ("log = { any = ['boom'] }", Some("no state evidence")),
        ("log = { any = ['boom'] }\nconfirm = { any = [{ event = \"start\" }] }", Some("no state evidence")),
        (
            "log = { any = ['boom'] }\nconfirm = { any = [{ event = \"die\" }, { event = \"stop\" }] }",
            Some("no state evidence"),
        ),
        ("on = { event = \"stop\" }", Some("no state evidence")),
        ("on = { event = \"die\" }", Some("would take an operator's stop for a crash")),
        ("on = { event = \"die\", not_preceded_by = \"oom:5s\" }", Some("an operator's stop")),
        ("on = { event = \"die\", not_preceded_by = \"kill:9s\" }", Some("an operator's stop")),
        (
            "log = { any = ['boom'] }\nconfirm = { any = [{ event = \"die\", within = \"6m\" }] }",
            Some("so far apart"),
        ),
        (
            "log = { any = ['boom'] }\nconfirm = { any = [{ stat = \"restart_count >= 1\" }] }",
            Some("no state evidence"),
        ),
        ("on = { event = \"die\", not_preceded_by = \"kill:15s\" }", None),
        ("log = { any = ['boom'] }\nconfirm = { any = [{ event = \"die\" }] }", None),
        ("on = { event = \"oom\" }", None),
    ] {
        let refused = RuleSet::load(&file(&format!("{rule}\n{auto}"))).err().map(|error| error.to_string());
        match (&refused, expected) {
            (Some(text), Some(expected)) => assert!(text.contains(expected), "{rule}: {text}"),
            (refused, expected) => assert_eq!(refused.as_deref(), expected, "{rule}"),
        }
    }
    let wait =
        RuleSet::load(&file("log = { any = ['boom'] }\nheal = [{ do = \"escalate\", mode = \"auto\" }]"));
    assert!(wait.is_ok(), "calling a human changes no server");
}

#[test]
fn a_restart_is_refused_where_it_cannot_help() {
    for class in
        ["bad_config", "schema_mismatch", "broken_image", "tls_failure", "auth_failure", "data_corruption"]
    {
        let mut files = file("on = { event = \"die\" }\nheal = [{ do = \"restart\", mode = \"suggest\" }]");
        files[0].1 = files[0].1.replace("app_crash", class);
        let error = RuleSet::load(&files).unwrap_err().to_string();
        assert!(error.contains(&format!("a restart cannot help against {class}")), "{error}");
    }
}

#[test]
fn two_rules_cannot_share_a_name() {
    let one = file("on = { event = \"die\" }");
    let two = vec![one[0].clone(), ("u.toml".to_owned(), one[0].1.clone())];
    let error = RuleSet::load(&two).unwrap_err().to_string();
    assert!(error.contains("u.toml:5:6: rule `t/r` is there already, at t.toml:5"), "{error}");
}

#[test]
fn headers_are_checked() {
    for (text, expected) in [
        ("schema = 1", "the file has no `pack`"),
        ("pack = \"t\"", "the file has no `schema`"),
        ("pack = \"t\"\nschema = 2", "this version reads schema 1"),
        ("pack = \"T/x\"\nschema = 1", "is no pack"),
        ("pack = \"t\"\nschema = 1\n[rules]", "did you mean `rule`?"),
        ("pack = \"t\"\nschema = 1\nrule = 5", "`rule` of the file is a list of tables, not integer"),
        ("pack = ", "not valid TOML"),
    ] {
        let error = RuleSet::load(&[("t.toml".to_owned(), text.to_owned())]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
