//! Wrong values, hostile names, and bytes that are neither.

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Lines of an app, and what is said of them; nothing for a line that is right.
const LINES: &[(&str, &str)] = &[
    ("port = '80'", "`port` must be a whole number from 1 to 65535, not text"),
    ("port = 0", "`port` must be a whole number from 1 to 65535"),
    ("port = 65536", "`port` must be a whole number from 1 to 65535"),
    ("port = 99999999999999999999", "`port` must be a whole number from 1 to 65535"),
    ("ports = 80", "`ports` must be a list of one host port, like [8001], not a whole number"),
    ("ports = []", "`ports` has 0 entries instead of one"),
    ("port = 1\nports = [0]", "an entry of `ports` must be a whole number from 1 to 65535"),
    ("keep = 101", "`keep` must be a whole number from 0 to 100"),
    ("keep = -1", "`keep` must be a whole number from 0 to 100"),
    ("keep = 1.5", "`keep` must be a whole number from 0 to 100, not a fraction"),
    ("to = 'web1'", "`to` must be a list of hosts and groups, like [\"web1\"], not text"),
    ("to = [1]", "an entry of `to` must be text in quotes, not a whole number"),
    ("to = ['a', 'a']", "`a` is named twice"),
    ("command = 'serve'", "`command` must be a list, like [\"serve\", \"--port\", \"8080\"], not text"),
    ("command = []", "`command` is empty"),
    ("command = ['a\\u0000']", ""),
    ("command = [\"a\\u0000\"]", "an entry of `command` holds a NUL, which no argument can"),
    ("stop_timeout = 10", "`stop_timeout` must be a duration in quotes, like \"20s\", not a whole number"),
    ("stop_timeout = '10'", "`10` is not a duration; write it like 5s, 250ms, 2m, 1m30s or 7d"),
    ("stop_timeout = '2h'", "`stop_timeout` must be from 1s to 1h"),
    ("prove = '0s'", "`prove` must be from 100ms to 30d"),
    ("release = ''", "`release` is empty"),
    ("release = 'a && b'", "`release` holds `&`, and no shell takes it apart"),
    ("release = 7", "`release` must be a list, like [\"serve\", \"--port\", \"8080\"], not a whole number"),
    ("release_within = '5m'", "`release_within` is about a release command, and there is none"),
    ("release = 'm'\nrelease_within = '0s'", "`release_within` must be from 1s to 1d"),
    ("release = 'm'\nrelease_volumes = true", "`release_volumes` without `volumes`"),
    ("migrates = 'yes'", "`migrates` must be true or false, not text"),
    ("bake = '2h'", "`bake` must be from 0s to 1h"),
    ("hooks = 'make'", "`hooks` must be a table, not text"),
    ("hooks = { before = ' ' }", "`before` is empty"),
    ("hooks = { before = { on = 'host' } }", "`before` needs `run`"),
    ("hooks = { after = { run = 'a', on = 'moon' } }", "`moon` is not a place"),
    ("hooks = { after = { run = 'a', within = '2h' } }", "`within` must be from 1s to 1h"),
    ("heal = { verify = '2d' }", "`verify` must be from 100ms to 1d"),
    ("heal = 'auto'", "`heal` must be a table, not text"),
    ("health = 'http'", "`health` must be a table, not text"),
    ("health = {}", "`health` needs a probe"),
    ("health = { docker = false }", "`docker` can only be true"),
    ("health = { docker = 1 }", "`docker` must be true, not a whole number"),
    ("port = 1\nhealth = { http = 'x' }", "path `x` does not start with /"),
    (
        "port = 1\nhealth = { http = \"/a\\r\\nX: y\" }",
        "path `/a\\r\\nX: y` has characters that a URL cannot hold unescaped",
    ),
    ("memory = 64", "`memory` must be text in quotes, not a whole number"),
    ("memory = '1k'", "`1k` is less than the 6m that Docker needs for a container"),
    ("env = { A = 1.5 }", "`A` must be text, a whole number, true or false, not a fraction"),
    ("env = { A = \"\\u0000\" }", "`A` holds a NUL, which no variable can"),
    ("env = { A = 99999999999999999999 }", "`A` is too large a number"),
    (
        "network = '-x'",
        "`-x` is not the name of a Docker network; use up to 128 of a-z, A-Z, 0-9, ., _ and -, starting with a letter or digit",
    ),
    ("volumes = ['aa:/b', 'cc:/b']", "two volumes have the target `/b`"),
    ("build = ''", "an app has either `build` or `image`"),
    ("port = 1\nport = 2", "duplicate key"),
    ("port = ", "string values must be quoted, expected literal string"),
];

#[test]
fn values_of_the_wrong_kind_or_size_say_what_is_wanted() {
    for (line, expected) in LINES {
        let error = project(&format!("[app.shop]\nimage = 'shop:1'\n{line}"));
        match error {
            Err(Error::Invalid(problems)) => assert_eq!(&problems[0].message, expected, "{line}"),
            // A literal string has no escapes: this one is a backslash and digits, and fine.
            Ok(_) => assert_eq!(*expected, "", "{line}"),
            Err(error) => panic!("{line}: {error}"),
        }
    }
}

#[test]
fn hostile_names_are_refused_where_they_stand() {
    check(
        "[app.\"a'b\"]\nimage = '$(id)'\n[app.\"x\\ny\"]\nimage = 'a'\n[app.a]\nimage = 'a'\nenv = { 'A B' = '' }\nto = ['-o']\n",
        r#"
arcane.toml:1:6: app name `a'b` has `'` at character 2; use up to 40 of a-z, 0-9 and -, starting and ending with a letter or digit
  1 | [app."a'b"]
    |      ^^^^^
arcane.toml:2:9: image `$(id)` has `$` at character 1; write it like shop:1.4, registry.example.com/team/shop:1.4 or shop@sha256:…
  2 | image = '$(id)'
    |         ^^^^^^^
arcane.toml:3:6: app name `x\ny` has `\n` at character 2; use up to 40 of a-z, 0-9 and -, starting and ending with a letter or digit
  3 | [app."x\ny"]
    |      ^^^^^^
arcane.toml:7:9: variable name `A B` has ` ` at character 2; use up to 128 of A-Z, a-z, 0-9 and _, not starting with a digit
  7 | env = { 'A B' = '' }
    |         ^^^^^
arcane.toml:8:7: host name `-o` has `-` at character 1; use up to 63 of a-z, A-Z, 0-9, ., _ and -, starting with a letter or digit
  8 | to = ['-o']
    |       ^^^^"#,
    );
    for name in ["größe", &"a".repeat(300), "a\u{202e}b", "$(id)", "`id`", "../x"] {
        let Err(Error::Invalid(problems)) = project(&format!("[app.'{name}']\nimage = 'a'")) else {
            panic!("{name} was accepted");
        };
        assert_eq!((problems[0].line, problems[0].column), (1, 6));
        let shown = problems[0].to_string();
        assert!(shown.starts_with("arcane.toml:1:6: app name `"), "{shown}");
        assert!(shown.chars().count() < 500 && !shown.contains('\u{202e}'), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Project::parse(Path::new("a"), &bytes).map_err(|error| error.to_string());
        let _ = Fleet::parse(Path::new("f"), &bytes).map_err(|error| error.to_string());
    }

    /// Whatever a person can type in the middle of a good file gives a file or problems that can be shown.
    #[test]
    fn a_good_file_with_anything_in_it_never_panics(
        at in 0_usize..200,
        cut in 0_usize..30,
        middle in r#"[\[\]{}'"=.,a-z0-9 \n\t\\\x00-\x1fäß\u{202e}-]{0,20}"#,
    ) {
        let good = "[app.shop]\nbuild = '.'\nport = 80\nports = [80]\nhealth = { http = '/', within = '20s' }\n\
                    env = { A = 'b' }\n[app.shop.heal]\nmode = 'auto'\n[app.shop.environment.staging]\nto = ['web1']\n";
        let (at, end) = (at.min(good.len()), (at + cut).min(good.len()));
        let text = format!("{}{middle}{}", &good[..at], &good[end..]);
        if let Err(error) = project(&text) {
            let shown = error.to_string();
            prop_assert!(shown.starts_with("arcane.toml:"), "{}", shown);
            prop_assert!(!shown.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{:?}", shown);
        }
    }
}
