//! Problems, rendered.

use super::*;

#[test]
fn unknown_keys_are_named_at_every_level_with_the_likely_one() {
    check(
        "[app.shop]\nbuild = \".\"\nport = 8080\n\n\n\nhelth = { http = \"/healthz\" }\n",
        r#"
arcane.toml:7:1: unknown key `helth` in [app.shop]
  7 | helth = { http = "/healthz" }
    | ^^^^^ did you mean `health`?"#,
    );
    check(
        "[apps.shop]\nimage = 'shop:1'\n",
        "
arcane.toml:1:2: unknown key `apps` at the top level
  1 | [apps.shop]
    |  ^^^^ did you mean `app`?",
    );
    check_app(
        "health = { htp = '/' }\n[app.shop.heal]\nmod = 'auto'\n[app.shop.environment.staging]\nent = {}\nx = 1",
        "
3:12: unknown key `htp` in [app.shop.health]
  3 | health = { htp = '/' }
    |            ^^^ did you mean `http`?
5:1: unknown key `mod` in [app.shop.heal]
  5 | mod = 'auto'
    | ^^^ did you mean `mode`?
7:1: unknown key `ent` in [app.shop.environment.staging]
  7 | ent = {}
    | ^^^ did you mean `env`?
8:1: unknown key `x` in [app.shop.environment.staging]
  8 | x = 1
    | ^ choose from env, to",
    );
    check_fleet(
        "[host.web1]\nsh = 'a'\n[groups]\n",
        "
fleet.toml:1:7: host `web1` has no address
  1 | [host.web1]
    |       ^^^^ add `ssh = \"user@address\"`, or an alias of ~/.ssh/config
fleet.toml:2:1: unknown key `sh` in [host.web1]
  2 | sh = 'a'
    | ^^ did you mean `ssh`?
fleet.toml:3:2: unknown key `groups` at the top level
  3 | [groups]
    |  ^^^^^^ did you mean `group`?",
    );
}

#[test]
fn unknown_words_are_named_with_the_likely_one() {
    check_app(
        "strategy = 'smartswap'\n[app.shop.heal]\nmode = 'autoo'\nremedies = ['restrat', 'reboot', 'rollback', 'rollback']",
        "
3:12: `smartswap` is not a strategy
  3 | strategy = 'smartswap'
    |            ^^^^^^^^^^^ did you mean `smart-swap`?
5:8: `autoo` is not a mode
  5 | mode = 'autoo'
    |        ^^^^^^^ did you mean `auto`?
6:13: `restrat` is not a remedy
  6 | remedies = ['restrat', 'reboot', 'rollback', 'rollback']
    |             ^^^^^^^^^ did you mean `restart`?
6:24: `reboot` is not a remedy
  6 | remedies = ['restrat', 'reboot', 'rollback', 'rollback']
    |                        ^^^^^^^^ choose from restart, rollback, redeploy, reinject, wait, escalate
6:46: `rollback` is named twice
  6 | remedies = ['restrat', 'reboot', 'rollback', 'rollback']
    |                                              ^^^^^^^^^^",
    );
}

#[test]
fn what_this_version_lacks_is_refused_with_the_reason() {
    check_app(
        "strategy = 'swarm'\nport = 80\nports = [1, 2]\ndomain = 'x'\ndockerfile = 'D'",
        "
3:12: strategy `swarm` is not in this version
  3 | strategy = 'swarm'
    |            ^^^^^^^ this version has smart-swap and blue-green
5:9: `ports` has 2 entries instead of one
  5 | ports = [1, 2]
    |         ^^^^^^ smart-swap publishes one host port; two are for `strategy = \"blue-green\"`
6:1: `domain` belongs to blue-green
  6 | domain = 'x'
    | ^^^^^^ add `strategy = \"blue-green\"`, or leave this out
7:1: `dockerfile` is not in this version
  7 | dockerfile = 'D'
    | ^^^^^^^^^^ the file in `build` must be called Dockerfile",
    );
}

#[test]
fn what_blue_green_needs_is_asked_for_at_its_place() {
    check_app(
        "strategy = 'blue-gren'",
        "
3:12: `blue-gren` is not a strategy
  3 | strategy = 'blue-gren'
    |            ^^^^^^^^^^^ did you mean `blue-green`?",
    );
    check(
        "[app.shop]\nimage = 'a'\nstrategy = 'blue-green'\nnetwork = 'host'",
        "
arcane.toml:1:6: blue-green needs `ports`
  1 | [app.shop]
    |      ^^^^ add two free ports of the host, for instance `ports = [8001, 8002]`
arcane.toml:1:6: blue-green needs `domain`
  1 | [app.shop]
    |      ^^^^ add the site's address in the Caddyfile, for instance `domain = \"shop.example.com\"`",
    );
    check_app(
        "strategy = 'blue-green'\nports = [8001]\nport = 80\ndomain = 'a.com/x'\ndrain = '2h'",
        "
4:9: `ports` has 1 entry instead of two
  4 | ports = [8001]
    |         ^^^^^^ blue-green has two slots, like [8001, 8002]
6:10: `a.com/x` is not the address of a site: it has a path; write it like shop.example.com, http://shop.internal or :8080
  6 | domain = 'a.com/x'
    |          ^^^^^^^^^
7:9: `drain` must be from 0s to 1h
  7 | drain = '2h'
    |         ^^^^",
    );
    check_app(
        "strategy = 'blue-green'\nports = [8001, 8001]\ndomain = 'a.com'\nport = 80\nnetwork = 'none'",
        "
4:16: both slots have the same port
  4 | ports = [8001, 8001]
    |                ^^^^ take another one",
    );
    check(
        "[app.a]\nimage = 'a'\nport = 80\nports = [8002]\n[app.b]\nimage = 'b'\nport = 80\nstrategy = 'blue-green'\n\
         domain = 'b.com'\nports = [8001, 8002]",
        "
arcane.toml:10:16: apps `a` and `b` both publish host port 8002
  10 | ports = [8001, 8002]
     |                ^^^^ here
   4 | ports = [8002]
     |          ^^^^ and here",
    );
}

#[test]
fn what_contradicts_itself_is_shown_from_both_sides() {
    check(
        "[app.shop]\nbuild = '.'\nimage = 'a'",
        "
arcane.toml:3:1: an app has either `build` or `image`
  3 | image = 'a'
    | ^^^^^ choose between this
  2 | build = '.'
    | ^^^^^ and this",
    );
    check(
        "[app.shop]",
        "
arcane.toml:1:6: app `shop` has no image
  1 | [app.shop]
    |      ^^^^ add `build = \".\"` or `image = \"NAME:TAG\"`",
    );
    check_app(
        "port = 1\n[app.shop.health]\nhttp = '/x'\ntcp = true",
        "
6:1: `health` has more than one probe
  6 | tcp = true
    | ^^^ choose between this
  5 | http = '/x'
    | ^^^^ and this",
    );
    check(
        "[app.b]\nimage = 'b'\nport = 80\nports = [80]\n\n\n\n[app.a]\nimage = 'a'\nport = 80\nports = [80]",
        "
arcane.toml:11:10: apps `b` and `a` both publish host port 80
  11 | ports = [80]
     |          ^^ here
   4 | ports = [80]
     |          ^^ and here",
    );
    check_app(
        "health = { http = '/', within = '1s' }\nports = [80]",
        "
3:12: `http` needs the app's own port
  3 | health = { http = '/', within = '1s' }
    |            ^^^^ add `port`, for instance `port = 8080`
4:1: `ports` needs the app's own port
  4 | ports = [80]
    | ^^^^^ add `port`, for instance `port = 8080`",
    );
    check_app(
        "health = { stays_up = '5s', within = '3s' }\nnetwork = 'host'\nport = 1\nports = [1]",
        "
3:29: `stays_up` is its own deadline
  3 | health = { stays_up = '5s', within = '3s' }
    |                             ^^^^^^ leave this out
4:11: Docker publishes no port on the network `host`
  4 | network = 'host'
    |           ^^^^^^ leave out `ports`, or this",
    );
}

#[test]
fn a_broken_file_is_shown_where_it_breaks() {
    check(
        "[app.a\nimage = 'a'",
        "
arcane.toml:1:7: unclosed table, expected `]`
  1 | [app.a
    |       ^",
    );
    check(
        "",
        "
arcane.toml:1:1: no app is described
  1 |
    | ^ add a section like [app.shop]",
    );
    check(
        "[host.web1]\nssh = 'a'",
        "
arcane.toml:1:2: `host` belongs in fleet.toml
  1 | [host.web1]
    |  ^^^^ arcane.toml has apps only",
    );
    let many: String = (0..30).map(|n| format!("x{n} = 1\n")).collect();
    let error = project(&many).unwrap_err().to_string();
    assert!(error.ends_with("\n… and 10 more problems"), "{error}");
}

#[test]
fn secrets_that_cannot_be_are_refused_where_they_stand() {
    check_app(
        "secrets = ['A', 'b-c', 'A']\nsecret_files = ['A', 'KEY']\nvolumes = ['data:/run/secrets']\nenv = { KEY = 'x' }",
        "
1:6: `KEY` of `shop` is both a secret and in `env`
  1 | [app.shop]
    |      ^^^^ choose one
1:6: `shop` mounts a volume at /run/secrets, where its secrets are
  1 | [app.shop]
    |      ^^^^ mount it elsewhere
3:17: variable name `b-c` has `-` at character 2; use up to 128 of A-Z, a-z, 0-9 and _, not starting with a digit
  3 | secrets = ['A', 'b-c', 'A']
    |                 ^^^^^
3:24: `A` is named twice
  3 | secrets = ['A', 'b-c', 'A']
    |                        ^^^ `secrets` are files, too: those of `secret_files` are nothing else
4:17: `A` is named twice
  4 | secret_files = ['A', 'KEY']
    |                 ^^^ `secrets` are files, too: those of `secret_files` are nothing else",
    );
}

#[test]
fn no_volume_lies_where_secrets_do() {
    for (target, is_refused) in [
        ("/run/secrets", true),
        ("/run/secrets/x", true),
        ("/run//secrets/", true),
        ("/var/run/secrets", true),
        ("/run/arcane/y", true),
        ("/run", false),
        ("/run/secretsauce", false),
        ("/var/secrets", false),
    ] {
        let text = format!("[app.shop]\nimage = 'a'\nsecrets = ['A']\nvolumes = ['data:{target}']\n");
        assert_eq!(project(&text).is_err(), is_refused, "{target}");
    }
}
