//! Story: what a host runs and what is recorded of it. A plan names each difference, status each change by hand, and a
//! rollback brings back everything that a release was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use support::{Lab, LabHost, Ran, TestEnv, image};

fn shop(image: &str, more: &str) -> String {
    format!(
        "[app.shop]\nimage = \"{image}\"\nports = [8000]\nport = 8080\nstop_timeout = \"1s\"\n\
         health = {{ http = \"/healthz\", within = \"10s\" }}\n{more}\n"
    )
}

fn answer(host: &LabHost) -> String {
    Ran::of(std::process::Command::new("curl").args(["-s", "--max-time", "2", &host.app_url(8000)]))
        .text()
        .to_owned()
}

fn inspect(host: &LabHost, format: &str) -> String {
    host.docker(&["inspect", "-f", format, "shop"]).succeeds().text().to_owned()
}

fn app(env: &TestEnv) -> Value {
    let mut status = env.run(&["status", "--json"]).succeeds().json();
    status["hosts"][0]["apps"][0].take()
}

#[test]
fn a_plan_names_every_difference_and_touches_nothing() {
    let host = Lab::host();
    image("plan-story:1", &[("VERSION", "one")]);
    image("plan-story:2", &[("VERSION", "two")]);
    let env = TestEnv::new().fleet(&[&host]);
    let env = env.write(
        "arcane.toml",
        &shop("plan-story:1", "env = { LEVEL = \"info\", OLD = \"1\" }\nmemory = \"64m\""),
    );
    env.run(&["push"]).succeeds();
    let before = host.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}}"]).succeeds().text().to_owned();
    let next = "env = { LEVEL = \"it's \\u001b[31mred\", NEW = \"\" }\ncommand = [\"--delay-ms\", \"1\"]\n\
                volumes = [\"data:/data\"]\nrelease = \"--exit-after 0\"\nmigrates = true\nbake = \"1s\"\n\
                hooks.after = \"echo done\"\n";
    let env = env.write("arcane.toml", &shop("plan-story:2", next));
    let plan = env.run(&["push", "--plan", "--json"]).succeeds().json();
    let changes: Vec<_> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["what"] != "image")
        .map(|change| (change["what"].as_str().unwrap(), change["old"].clone(), change["new"].clone()))
        .collect();
    let expected = [
        ("bake", json!("0s"), json!("1s")),
        ("command", Value::Null, json!("[\"--delay-ms\",\"1\"]")),
        ("env.LEVEL", json!("info"), json!("it's \u{1b}[31mred")),
        ("env.NEW", Value::Null, json!("")),
        ("env.OLD", json!("1"), Value::Null),
        ("memory", json!("67108864 bytes"), Value::Null),
        ("migrates", json!(false), json!(true)),
        ("release", Value::Null, json!("[\"--exit-after\",\"0\"]")),
        ("release_volumes", Value::Null, json!("false")),
        ("release_within", Value::Null, json!("5m")),
        ("volumes./data", Value::Null, json!("data")),
    ];
    let expected = expected.map(|(what, old, new)| match what {
        "migrates" => (what, json!("false"), json!("true")),
        _ => (what, old, new),
    });
    assert_eq!(changes, expected);
    assert!(plan["changes"][0]["old"].as_str().unwrap().starts_with("plan-story:1 ("), "{plan}");
    assert_eq!(plan["runs"][1]["run"], "echo done");
    let ran = env.run(&["push", "--plan"]).succeeds();
    ran.says(r"env.LEVEL: `info` -> `it's \u{1b}[31mred`")
        .says("no rollback across this release")
        .never_says("\u{1b}");
    let after = host.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}}"]).succeeds().text().to_owned();
    assert_eq!((before, answer(&host).as_str()), (after, "one"));

    // What is pushed is then what is recorded.
    env.run(&["push"]).succeeds();
    assert_eq!(app(&env)["drift"], json!([]));
    env.run(&["status", "--check"]).succeeds();
    assert_eq!(env.run(&["push", "--plan", "--json"]).succeeds().json()["changes"], json!([]));
}

#[test]
fn what_was_changed_by_hand_is_told() {
    let host = Lab::host();
    image("drift-story:1", &[("VERSION", "one")]);
    let env = TestEnv::new().fleet(&[&host]);
    let env = env.write(
        "arcane.toml",
        &shop("drift-story:1", "memory = \"64m\"\nenv.A = \"1\"\nvolumes = [\"dd:/data\"]"),
    );
    env.run(&["push"]).succeeds();
    env.run(&["status", "--check"]).succeeds();
    let drift = |env: &TestEnv| -> Vec<String> {
        let app = app(env);
        let text = |it: &Value| it.as_str().unwrap_or("-").to_owned();
        let line = |it: &Value| {
            format!("{}: {} -> {}", text(&it["what"]), text(&it["recorded"]), text(&it["actual"]))
        };
        app["drift"].as_array().unwrap().iter().map(line).collect()
    };
    host.docker(&["update", "--memory", "32m", "--memory-swap", "32m", "--restart", "no", "shop"]).succeeds();
    host.docker(&["network", "create", "side"]).succeeds();
    host.docker(&["network", "connect", "side", "shop"]).succeeds();
    let expected = [
        "restart: unless-stopped -> no",
        "memory: 67108864 bytes -> 33554432 bytes",
        "network: bridge -> bridge, side",
    ];
    assert_eq!(drift(&env), expected);
    env.run(&["status", "--check"])
        .exits(5)
        .complains("shop on")
        .complains("memory is 33554432 bytes")
        .complains("--force");
    env.run(&["status"]).succeeds();
    env.run(&["push", "--force"]).succeeds();
    assert_eq!(drift(&env), Vec::<String>::new(), "a push makes it what it should be");

    host.docker(&["stop", "shop"]).succeeds();
    assert_eq!(drift(&env), ["state: running -> exited"]);
    host.docker(&["start", "shop"]).succeeds();
    // Made anew by hand, with our labels but another environment and image.
    let labels = inspect(&host, "{{range $k, $v := .Config.Labels}}{{printf \"%s=%s\\n\" $k $v}}{{end}}");
    host.docker(&["rm", "-f", "shop"]).succeeds();
    let mut args =
        vec!["run", "-d", "--name", "shop", "--restart", "unless-stopped", "-p", "8000:8080", "-e", "A=2"];
    args.extend(["--memory", "64m", "-v", "ee:/data"]);
    args.extend(
        labels.lines().filter(|label| label.starts_with("arcane.")).flat_map(|label| ["--label", label]),
    );
    let tag = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "arcane/shop"]).succeeds();
    args.push(tag.text().lines().next().unwrap());
    host.docker(&args).succeeds();
    assert_eq!(drift(&env), ["env.A: 1 -> 2", "volumes./data: dd -> ee"]);
    // With a release before it that looks like a switch that was cut off; without one it is a change by hand.
    host.docker(&["rename", "shop", "mine"]).succeeds();
    assert_eq!(app(&env)["next"], format!("arcane rollback shop --to {}", host.name()));
    host.docker(&["rm", "shop_old"]).succeeds();
    assert_eq!(drift(&env), ["container: shop -> mine"]);
    env.run(&["status", "--check"]).exits(5).complains("container is mine");
}

/// Goes back, after a plan that touched nothing and said how.
#[track_caller]
fn back_as_planned(env: &TestEnv, host: &LabHost, release: &[&str], how: &str) {
    let all = || host.docker(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"]).succeeds().stdout;
    let before = all();
    let plan = env.run(&[&["rollback", "--plan", "--json"], release].concat()).succeeds().json();
    assert_eq!((all(), &plan["how"]), (before, &how.into()), "{plan}");
    let lines = env.run(&[&["rollback", "--json"], release].concat()).succeeds().json_lines();
    let done = lines.last().unwrap();
    assert_eq!((&done["release"], &done["before"]), (&plan["release"], &plan["live"]["release"]));
    let steps: Vec<_> =
        lines.iter().filter(|it| it["event"] == "step").map(|it| it["step"].clone()).collect();
    // These two are not told: whoever goes back is in a hurry.
    let planned: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| *it != "look" && *it != "lock")
        .cloned()
        .collect();
    assert_eq!(steps, planned);
}

#[test]
fn a_rollback_brings_back_the_whole_release_even_when_its_container_was_removed() {
    let host = Lab::host();
    image("back-story:1", &[("VERSION", "one")]);
    image("back-story:2", &[("VERSION", "two")]);
    let env = TestEnv::new().fleet(&[&host]);
    let whole = "memory = \"64m\"\nenv = { A = \"it's $1\" }\nvolumes = [\"dd:/data:ro\"]\ncommand = [\"--delay-ms\", \"1\"]";
    let env = env.write("arcane.toml", &shop("back-story:1", whole));
    env.run(&["push"]).succeeds();
    let format = "{{.Image}} {{.Config.Env}} {{.Config.Cmd}} {{.HostConfig.Memory}} {{.HostConfig.Mounts}} {{.HostConfig.PortBindings}}";
    let (first, before) = (app(&env)["release"].clone(), inspect(&host, format));
    let env = env.write("arcane.toml", &shop("back-story:2", ""));
    env.run(&["push"]).succeeds();
    back_as_planned(&env, &host, &[], "start");
    assert_eq!((inspect(&host, format), answer(&host).as_str()), (before.clone(), "one"));
    let second = env.run(&["releases", "--json"]).succeeds().json()[1]["release"].clone();
    back_as_planned(&env, &host, &["--release", second.as_str().unwrap()], "start");
    assert_eq!(answer(&host), "two");

    // Somebody tidies up: every stopped container is gone.
    host.docker(&["container", "prune", "-f"]).succeeds();
    let ran = env.run(&["releases"]).succeeds().says("kept as an image");
    assert!(ran.stdout.contains(first.as_str().unwrap()), "{ran}");
    env.run(&["prune"]).succeeds().says("Nothing to remove");
    back_as_planned(&env, &host, &[], "make");
    assert_eq!((app(&env)["release"].clone(), answer(&host).as_str()), (first.clone(), "one"));
    assert_eq!(inspect(&host, format), before);
    assert_eq!(app(&env)["drift"], json!([]));
    env.run(&["rollback", "--release", second.as_str().unwrap()]).succeeds();

    // With the image gone too, there is nothing to make it of.
    host.docker(&["container", "prune", "-f"]).succeeds();
    host.docker(&["rmi", &format!("arcane/shop:{}", first.as_str().unwrap())]).succeeds();
    env.run(&["rollback"]).exits(1).complains("keeps no release of shop");
    assert_eq!(answer(&host), "two");
}
