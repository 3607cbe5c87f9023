//! Story: somebody types, or a file holds, a name that was made to do harm. It goes nowhere, and the answer says why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::TestEnv;

const HOSTILE: [&str; 6] = ["a'b", "$(id)", "a\nb", "größe", "-oProxyCommand=id", "a b"];

fn env() -> TestEnv {
    TestEnv::new()
        .write("arcane.toml", "[app.shop]\nimage = \"shop:1\"\n")
        .write("fleet.toml", "[host.web1]\nssh = \"root@127.0.0.1:1\"\n")
}

#[test]
fn hostile_arguments_are_refused_before_anything_is_reached() {
    let long = "a".repeat(300);
    for name in HOSTILE.into_iter().chain([long.as_str()]) {
        let env = env();
        // `=` keeps a leading dash from being read as an option.
        for arguments in [
            vec!["push".to_owned(), "--".to_owned(), name.to_owned()],
            vec!["push".to_owned(), format!("--env={name}")],
            vec!["push".to_owned(), format!("--to={name}")],
            vec!["rollback".to_owned(), "shop".to_owned(), format!("--release={name}")],
            vec!["logs".to_owned(), "--".to_owned(), name.to_owned()],
            vec!["doctor".to_owned(), "--".to_owned(), name.to_owned()],
            vec!["unlock".to_owned(), "--".to_owned(), name.to_owned()],
            vec!["approve".to_owned(), "--".to_owned(), name.to_owned()],
        ] {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ran = env.run(&words).exits(2);
            assert!(ran.stderr.len() < 2_000, "a hostile name floods the error: {ran}");
        }
    }
}

#[test]
fn hostile_files_are_refused_with_the_place_and_the_reason() {
    for name in HOSTILE {
        let quoted = serde_json::to_string(name).unwrap();
        let app = format!("[app.{quoted}]\nimage = \"shop:1\"\n");
        env()
            .write("arcane.toml", &app)
            .run(&["config", "check"])
            .exits(2)
            .complains("arcane.toml:1:")
            .complains("app name");
        let image = format!("[app.shop]\nimage = {quoted}\n");
        env()
            .write("arcane.toml", &image)
            .run(&["config", "check"])
            .exits(2)
            .complains("arcane.toml:2:")
            .complains("image");
        let variable = format!("[app.shop]\nimage = \"shop:1\"\nenv = {{ {quoted} = \"x\" }}\n");
        env()
            .write("arcane.toml", &variable)
            .run(&["config", "check"])
            .exits(2)
            .complains("arcane.toml:3:")
            .complains("variable");
        let host = format!("[host.{quoted}]\nssh = \"root@127.0.0.1\"\n");
        env()
            .write("fleet.toml", &host)
            .run(&["config", "check"])
            .exits(2)
            .complains("fleet.toml:1:")
            .complains("host name");
        let address = format!("[host.web1]\nssh = {quoted}\n");
        let ran = env().write("fleet.toml", &address).run(&["doctor", "web1"]);
        assert_ne!(ran.status.code(), Some(0), "{ran}");
        assert!(!ran.stderr.contains("uid="), "something ran: {ran}");
    }
}

#[test]
fn what_does_not_exist_is_an_error_and_never_nothing() {
    let env = env();
    env.run(&["push", "--env", "stagign"]).exits(2).complains("stagign");
    env.run(&["push", "shpo"]).exits(2).complains("did you mean `shop`?");
    env.run(&["status", "--to", "wbe1"]).exits(2).complains("did you mean `web1`?");
    env.run(&["status", "--to", ""]).exits(2);
    env.run(&["doctor", "nowhere"]).exits(2).complains("web1");
}
