//! What a push would change about an app: the settings of the live release against those of the next, each by the name
//! that it has in arcane.toml. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::fleet::{App, SecretForm, duration};

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which: `memory`, `env.LOG_LEVEL`, `volumes./data`.
    pub what: String,
    /// What it is; `None` when it is not set.
    pub old: Option<String>,
    /// What it will be; `None` when it is not set any more.
    pub new: Option<String>,
}

/// The settings that differ, in the order of their names.
#[must_use]
pub fn differences(old: &App, new: &App) -> Vec<Difference> {
    let (old, new) = (settings(old), settings(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differs
        .map(|what| Difference {
            what: what.clone(),
            old: old.get(what).cloned(),
            new: new.get(what).cloned(),
        })
        .collect()
}

/// Everything about an app that its container or its way in depends on, as text.
fn settings(app: &App) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| {
        settings.extend(value.map(|value| (name.to_owned(), value)));
    };
    let words = |words: &Vec<String>| serde_json::to_string(words).unwrap_or_default();
    set("strategy", Some(app.strategy.to_string()));
    set("port", app.port.map(|port| port.to_string()));
    set("ports", app.publish.map(|port| port.to_string()));
    if let Some(slots) = &app.blue_green {
        set("ports", Some(slots.ports.map(|port| port.to_string()).join(", ")));
        set("domain", Some(slots.domain.to_string()));
        set("drain", Some(duration::format(slots.drain)));
    }
    set("health", Some(app.health.to_string()));
    set("role", app.role.as_ref().map(ToString::to_string));
    set("command", app.command.as_ref().map(words));
    set("memory", app.memory.map(|limit| format!("{} bytes", limit.0)));
    set("network", app.network.clone());
    set("stop_timeout", Some(duration::format(app.stop_timeout)));
    set("prove", Some(duration::format(app.prove)));
    set("keep", Some(app.keep.to_string()));
    set("bake", Some(duration::format(app.bake)));
    set("migrates", Some(app.migrates.to_string()));
    if let Some(release) = &app.release {
        set("release", Some(words(&release.command)));
        set("release_within", Some(duration::format(release.within)));
        set("release_volumes", Some(release.volumes.to_string()));
    }
    let remedies: Vec<_> = app.heal.remedies.iter().map(|remedy| remedy.as_str()).collect();
    set("heal.mode", Some(app.heal.mode.as_str().to_owned()));
    set("heal.remedies", Some(remedies.join(", ")));
    set("heal.verify", Some(duration::format(app.heal.verify)));
    for (name, secret) in &app.secrets {
        let form = if secret.form == SecretForm::File { "file, " } else { "" };
        let version = secret.version.as_ref().map(ToString::to_string);
        set(&format!("secrets.{name}"), Some(format!("{form}{}", version.unwrap_or_default())));
    }
    for (name, value) in &app.env {
        set(&format!("env.{name}"), Some(value.clone()));
    }
    for volume in &app.volumes {
        let mode = if volume.read_only { ", read only" } else { "" };
        set(&format!("volumes.{}", volume.target), Some(format!("{}{mode}", volume.source)));
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deploy::sample::app;
    use crate::fleet::{MemoryLimit, ReleaseCommand, VariableName, Volume};

    #[test]
    fn every_setting_that_differs_is_named_with_both_values() {
        let old = App { memory: Some(MemoryLimit(64 << 20)), publish: Some(8000), ..app("shop") };
        assert_eq!(differences(&old, &old), []);
        let variable = |name: &str| VariableName::parse(name).unwrap();
        let volume =
            |source: &str| Volume { source: source.to_owned(), target: "/data".to_owned(), read_only: false };
        let old = App {
            env: [(variable("A"), "1".to_owned()), (variable("B"), "2".to_owned())].into(),
            volumes: vec![volume("data")],
            ..old
        };
        let new = App {
            env: [(variable("A"), "it's\u{1b}".to_owned()), (variable("C"), String::new())].into(),
            volumes: vec![Volume { read_only: true, ..volume("data") }],
            memory: None,
            publish: Some(8001),
            command: Some(vec!["serve".to_owned(), "a b".to_owned()]),
            keep: 5,
            bake: Duration::from_secs(30),
            release: Some(ReleaseCommand {
                command: vec!["m".to_owned()],
                within: Duration::from_secs(300),
                volumes: false,
            }),
            migrates: true,
            ..old.clone()
        };
        let named: Vec<_> = differences(&old, &new)
            .into_iter()
            .map(|it| {
                format!("{}: {} -> {}", it.what, it.old.unwrap_or("-".into()), it.new.unwrap_or("-".into()))
            })
            .collect();
        let expected = [
            "bake: 0s -> 30s",
            "command: - -> [\"serve\",\"a b\"]",
            "env.A: 1 -> it's\u{1b}",
            "env.B: 2 -> -",
            "env.C: - -> ",
            "keep: 3 -> 5",
            "memory: 67108864 bytes -> -",
            "migrates: false -> true",
            "ports: 8000 -> 8001",
            "release: - -> [\"m\"]",
            "release_volumes: - -> false",
            "release_within: - -> 5m",
            "volumes./data: data -> data, read only",
        ];
        assert_eq!(named, expected);
    }
}
