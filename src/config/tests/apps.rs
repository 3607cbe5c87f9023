//! arcane.toml as it should be, and what is asked of it.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::fleet::{
    App, BlueGreen, EnvironmentName, HealPolicy, HealthCheck, Hook, Hooks, MemoryLimit, Mode, Place, Probe,
    Remedy, SecretForm, Source, Strategy,
};

#[test]
fn a_whole_file_fills_in_every_field() {
    let text = r#"
[app.shop]
build        = "web"
strategy     = "smart-swap"
to           = ["web1", "production"]
ports        = [8001]
port         = 8080
health       = { http = "/healthz?deep=1", within = "20s" }
env          = { LOG_LEVEL = "info", WORKERS = 4, DEBUG = false }
command      = ["serve", "it's"]
volumes      = ["data:/var/lib/x", "/srv/x:/x:ro"]
memory       = "64m"
network      = "backend"
stop_timeout = "30s"
prove        = "5m"
keep         = 5
release         = ["bin/migrate", "up it's"]
release_within  = "20m"
release_volumes = true
migrates        = true
bake            = "30s"
hooks.before = "make check"
hooks.after  = { run = "systemctl reload 'x y'", on = "host", within = "5s" }
[app.shop.heal]
mode     = "auto"
remedies = ["restart"]
verify   = "90s"
[app.shop.environment.staging]
env = { LOG_LEVEL = "debug", EXTRA = "1" }
to  = ["stage1"]
[app.shop.environment.production]
"#;
    let project = Project::parse(Path::new("/srv/project/arcane.toml"), text.as_bytes()).unwrap();
    let app = project.app("shop", None).unwrap();
    assert_eq!(app.source, Source::Build("/srv/project/web".into()));
    assert_eq!(app.to.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["web1", "production"]);
    assert_eq!((app.publish, app.port), (Some(8001), Some(8080)));
    assert_eq!(app.health.to_string(), "http /healthz?deep=1 within 20s");
    let env: Vec<String> = app.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["DEBUG=false", "LOG_LEVEL=info", "WORKERS=4"]);
    assert_eq!(app.command, Some(vec!["serve".to_owned(), "it's".to_owned()]));
    assert_eq!(app.volumes.len(), 2);
    assert!(app.volumes[1].read_only);
    assert_eq!(app.memory, Some(MemoryLimit(64 << 20)));
    assert_eq!(app.network.as_deref(), Some("backend"));
    assert_eq!(app.stop_timeout, Duration::from_secs(30));
    assert_eq!(app.prove, Duration::from_secs(300));
    assert_eq!(app.keep, 5);
    let heal =
        HealPolicy { mode: Mode::Auto, remedies: vec![Remedy::Restart], verify: Duration::from_secs(90) };
    assert_eq!(app.heal, heal);
    let release = app.release.as_ref().unwrap();
    assert_eq!(release.command, ["bin/migrate", "up it's"]);
    assert_eq!((release.within, release.volumes), (Duration::from_secs(1200), true));
    assert_eq!((app.migrates, app.bake), (true, Duration::from_secs(30)));
    let before = Hook {
        run: "make check".to_owned(),
        on: Place::Here("/srv/project".into()),
        within: Hook::DEFAULT_WITHIN,
    };
    let after =
        Hook { run: "systemctl reload 'x y'".to_owned(), on: Place::Host, within: Duration::from_secs(5) };
    assert_eq!(app.hooks, Hooks { before: Some(before), after: Some(after) });
    assert_eq!(project.warnings, []);

    let staging = project.app("shop", Some(&EnvironmentName::parse("staging").unwrap())).unwrap();
    let env: Vec<String> = staging.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["DEBUG=false", "EXTRA=1", "LOG_LEVEL=debug", "WORKERS=4"]);
    assert_eq!(staging.to.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["stage1"]);
    assert_eq!(staging.health, app.health);
    let production = project.app("shop", Some(&EnvironmentName::parse("production").unwrap())).unwrap();
    assert_eq!(production, app);
}

#[test]
fn a_short_file_gets_the_defaults() {
    let project = project("[app.shop]\nbuild = '.'\n").unwrap();
    assert_eq!(project.only_app().unwrap().as_str(), "shop");
    let app = project.app("shop", None).unwrap();
    assert_eq!(app.source, Source::Build(".".into()));
    assert_eq!(app.health, HealthCheck::stays_up(Duration::from_secs(5)));
    assert_eq!(
        (app.keep, app.prove, app.stop_timeout),
        (App::DEFAULT_KEEP, App::DEFAULT_PROVE, App::DEFAULT_STOP_TIMEOUT)
    );
    assert_eq!(app.heal, HealPolicy::default());
    assert!(app.to.is_empty() && app.env.is_empty() && app.volumes.is_empty());
}

#[test]
fn every_probe_can_be_declared() {
    let command = Probe::Command(vec!["pg_isready".to_owned()]);
    for (health, probe, within) in [
        ("{ http = '/' }", Probe::Http("/".to_owned()), 30),
        ("{ tcp = true, within = '1m' }", Probe::Tcp, 60),
        ("{ docker = true }", Probe::Docker, 30),
        ("{ command = ['pg_isready'] }", command, 30),
        ("{ stays_up = '7s' }", Probe::StaysUp(Duration::from_secs(7)), 7),
    ] {
        let project = project(&format!("[app.a]\nimage = 'a'\nport = 1\nhealth = {health}")).unwrap();
        let within = Duration::from_secs(within);
        assert_eq!(project.app("a", None).unwrap().health, HealthCheck { probe, within }, "{health}");
    }
}

#[test]
fn unknown_apps_and_environments_are_errors_that_list_what_there_is() {
    let project =
        project("[app.shop]\nimage = 'a'\n[app.shop.environment.staging]\n[app.api]\nimage = 'b'").unwrap();
    let check = |error: Error, message: &str, hint: &str| {
        assert_eq!((error.to_string(), error.hint()), (message.to_owned(), Some(hint.to_owned())));
    };
    let environment = |name| EnvironmentName::parse(name).unwrap();
    let error = project.app("shpo", None).unwrap_err();
    check(error, "arcane.toml has no app `shpo`", "did you mean `shop`? choose from api, shop");
    let error = project.app("shop", Some(&environment("stagin"))).unwrap_err();
    check(error, "app `shop` has no environment `stagin`", "did you mean `staging`? choose from staging");
    let error = project.app("api", Some(&environment("staging"))).unwrap_err();
    check(error, "app `api` has no environment `staging`", "there is no environment at all");
    check(project.only_app().unwrap_err(), "arcane.toml has several apps", "name one of api, shop");
}

#[test]
fn targets_are_checked_against_the_fleet() {
    let fleet = fleet(FLEET).unwrap();
    let text = "[app.a]\nimage = 'a'\nto = ['web1', 'prodution']\nport = 1\nports = [80]\n\
                [app.a.environment.staging]\nto = ['stage2']\n\
                [app.b]\nimage = 'b'\nto = ['production']\nport = 1\nports = [80]\n\
                [app.c]\nimage = 'c'\nto = ['stage1']\nport = 1\nports = [80]\n";
    let error = project(text).unwrap().check_targets(&fleet).unwrap_err().to_string();
    let expected = "\
arcane.toml:3:15: fleet.toml has no host or group `prodution`
  3 | to = ['web1', 'prodution']
    |               ^^^^^^^^^^^ did you mean `production`?
arcane.toml:7:7: fleet.toml has no host or group `stage2`
  7 | to = ['stage2']
    |       ^^^^^^^^ did you mean `stage1`?
arcane.toml:12:10: apps `a` and `b` both publish host port 80
  12 | ports = [80]
     |          ^^ here
   5 | ports = [80]
     |          ^^ and here";
    assert_eq!(error, expected);
    // The same port on different hosts is nobody's mistake.
    let text = "[app.a]\nimage = 'a'\nto = ['web1']\nport = 1\nports = [80]\n\
                [app.b]\nimage = 'b'\nto = ['staging', 'web2']\nport = 1\nports = [80]\n";
    project(text).unwrap().check_targets(&fleet).unwrap();
}

#[test]
fn variables_that_look_like_secrets_are_warned_of() {
    let project = project(
        "[app.shop]\nimage = 'a'\n[app.shop.env]\nDB_PASSWORD = 'x'\nA_TOKEN = ''\nKEY_FILE = '/run/key'\n\
         [app.shop.environment.staging]\nenv = { API_KEY = 'y' }\n",
    )
    .unwrap();
    let warnings: Vec<String> = project.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "arcane.toml:4:1: `DB_PASSWORD` looks like a secret
  4 | DB_PASSWORD = 'x'
    | ^^^^^^^^^^^ Docker stores `env` on the server's disk and shows it in `docker inspect`",
        "arcane.toml:8:9: `API_KEY` looks like a secret
  8 | env = { API_KEY = 'y' }
    |         ^^^^^^^ Docker stores `env` on the server's disk and shows it in `docker inspect`",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn blue_green_has_two_slots_and_a_site() {
    let text = "[app.shop]\nimage = 'a'\nstrategy = 'blue-green'\nport = 80\nports = [8001, 8002]\ndomain = 'a.com'\n";
    let app = project(text).unwrap().app("shop", None).unwrap();
    let own = app.blue_green.unwrap();
    assert_eq!((app.strategy, app.publish), (Strategy::BlueGreen, None));
    assert_eq!(
        (own.ports, own.domain.as_str(), own.drain),
        ([8001, 8002], "a.com", BlueGreen::DEFAULT_DRAIN)
    );
    let both = project(&format!("{text}drain = '0s'\nvolumes = ['data:/x', 'logs:/y:ro']\n")).unwrap();
    assert_eq!(both.app("shop", None).unwrap().blue_green.unwrap().drain, Duration::ZERO);
    assert!(
        both.warnings[0].to_string().contains("both slots of `shop` write to `data`"),
        "{:?}",
        both.warnings
    );
    assert_eq!(project(&format!("{text}volumes = ['data:/x:ro']\n")).unwrap().warnings, []);
}

#[test]
fn a_release_command_is_a_list_or_plain_words() {
    let app = |lines: &str| {
        let text = format!("[app.shop]\nimage = 'shop:1'\n{lines}");
        project(&text).unwrap().app("shop", None).unwrap()
    };
    assert_eq!(
        app("release = ' bin/migrate  --to latest '").release.unwrap().command,
        ["bin/migrate", "--to", "latest"]
    );
    assert_eq!(app("release = ['sh', '-c', 'a | b']").release.unwrap().command, ["sh", "-c", "a | b"]);
    let plain = app("");
    assert_eq!(
        (plain.release, plain.migrates, plain.bake, plain.hooks),
        (None, false, Duration::ZERO, Hooks::default())
    );
}

#[test]
fn an_environment_of_the_vault_need_not_be_described() {
    let text = "[app.shop]\nimage = 'a'\nsecrets = ['TOKEN']\nsecret_files = ['KEY']\nenv = { A = '1' }\n\
                [app.shop.environment.staging]\nenv = { A = '2' }\n[app.plain]\nimage = 'b'\n";
    let project = project(text).unwrap();
    let of = |environment: &str| Some(EnvironmentName::parse(environment).unwrap());
    let shop = project.app("shop", of("production").as_ref()).unwrap();
    let forms: Vec<_> = shop.secrets.iter().map(|(name, secret)| (name.as_str(), secret.form)).collect();
    assert_eq!(forms, [("KEY", SecretForm::File), ("TOKEN", SecretForm::Variable)]);
    assert_eq!(shop.env.values().next().unwrap(), "1");
    assert_eq!(project.app("shop", of("staging").as_ref()).unwrap().env.values().next().unwrap(), "2");
    assert!(project.app("plain", of("production").as_ref()).is_err());
}
