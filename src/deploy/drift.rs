//! Drift: where the live container is not what its record says it is, because somebody changed it by hand. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::labels::{Record, image_fits};
use super::secrets;
use crate::docker::{Container, Status};

/// The restart policy of every container that we make.
const RESTART_POLICY: &str = "unless-stopped";
/// The network of a container that names none.
const DEFAULT_NETWORK: &str = "bridge";

/// One thing that is not as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Which: `state`, `memory`, `env.LOG_LEVEL`, `volumes./data`.
    pub what: String,
    /// What the record says; `None` when it says nothing of the kind.
    pub recorded: Option<String>,
    /// What is there; `None` when nothing of the kind is.
    pub actual: Option<String>,
}

fn drift(what: impl Into<String>, recorded: Option<String>, actual: Option<String>) -> Drift {
    Drift { what: what.into(), recorded, actual }
}

/// What is not as recorded of a live container. Only for one that no change is busy with, and none was cut off at.
#[must_use]
pub fn drifts(record: &Record, container: &Container) -> Vec<Drift> {
    let (app, made) = (&record.app, &container.made);
    let mut drifts = Vec::new();
    let mut compare = |what: &str, recorded: Option<String>, actual: Option<String>| {
        if recorded != actual {
            drifts.push(drift(what, recorded, actual));
        }
    };
    // One that crashes is started again by the engine: it is another's business to say so.
    let state = match container.state.status {
        Status::Running | Status::Restarting => "running",
        other => other.as_str(),
    };
    if secrets::are_gone(record, container) {
        let recorded = Some("in the host's memory".to_owned());
        compare("secrets", recorded, Some("gone, for it was rebooted".to_owned()));
    } else {
        compare("state", Some("running".to_owned()), Some(state.to_owned()));
    }
    if !image_fits(record, &container.labels, &container.image_id) {
        compare("image", Some(record.image.clone()), Some(format!("another: {}", container.image)));
    }
    compare("restart", Some(RESTART_POLICY.to_owned()), Some(made.restart_policy.clone()));
    let bytes = |bytes| format!("{bytes} bytes");
    compare("memory", app.memory.map(|limit| bytes(limit.0)), container.memory_limit.map(bytes));
    let words = |words: &Vec<String>| serde_json::to_string(words).ok();
    if let Some(command) = &app.command {
        compare("command", words(command), words(&made.command));
    }
    let published = record.host_port().zip(app.port).into_iter().collect::<BTreeSet<_>>();
    compare("ports", ports(&published), ports(&made.publish));
    for (name, value) in &app.env {
        compare(&format!("env.{name}"), Some(value.clone()), made.env.get(name.as_str()).cloned());
    }
    volumes(record, container, &mut compare);
    let network = app.network.as_deref().unwrap_or(DEFAULT_NETWORK);
    let networks = made.networks.iter().cloned().collect::<Vec<_>>().join(", ");
    compare("network", Some(network.to_owned()), Some(networks).filter(|networks| !networks.is_empty()));
    drifts
}

fn ports(ports: &BTreeSet<(u16, u16)>) -> Option<String> {
    let texts: Vec<_> = ports.iter().map(|(host, own)| format!("{host} to {own}")).collect();
    if texts.is_empty() { None } else { Some(texts.join(", ")) }
}

fn volumes(
    record: &Record,
    container: &Container,
    compare: &mut impl FnMut(&str, Option<String>, Option<String>),
) {
    let text = |source: &str, read_only| format!("{source}{}", if read_only { ", read only" } else { "" });
    let mounts = &container.made.mounts;
    for volume in &record.app.volumes {
        let mounted = mounts.get(&volume.target).map(|it| text(&it.source, it.read_only));
        let recorded = text(&volume.source, volume.read_only);
        compare(&format!("volumes.{}", volume.target), Some(recorded), mounted);
    }
    let secret = |target: &str, source: &str| {
        !record.app.secrets.is_empty() && secrets::is_ours(record, target, source)
    };
    for (target, mounted) in mounts.iter().filter(|(target, mounted)| !secret(target, &mounted.source)) {
        // An image may declare volumes, for which the engine makes up names.
        let anonymous =
            mounted.source.len() == 64 && mounted.source.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !anonymous && record.app.volumes.iter().all(|volume| volume.target != *target) {
            let actual = text(&mounted.source, mounted.read_only);
            compare(&format!("volumes.{target}"), None, Some(actual));
        }
    }
}

/// That nothing has the app's name, though releases of it are kept.
#[must_use]
pub fn nothing_live(name: &str, renamed: Option<&str>) -> Drift {
    drift("container", Some(name.to_owned()), renamed.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::labels::spec_digest;
    use crate::deploy::sample::{app, found};
    use crate::docker::{Made, Mounted, State};
    use crate::fleet::{App, HealthState, MemoryLimit, VariableName, Volume};

    /// A record, and the container that a push makes of it.
    fn as_pushed() -> (Record, Container) {
        let app = App {
            memory: Some(MemoryLimit(64 << 20)),
            env: [(VariableName::parse("A").unwrap(), "1".to_owned())].into(),
            command: Some(vec!["serve".to_owned()]),
            volumes: vec![Volume { source: "data".to_owned(), target: "/data".to_owned(), read_only: false }],
            ..app("shop")
        };
        let record = Record { spec: spec_digest(&app, "sha256:1"), app, ..found("shop", 1, true).record };
        let mounted = |source: &str| Mounted { source: source.to_owned(), read_only: false };
        let container = Container {
            id: found("shop", 1, true).id,
            name: "shop".to_owned(),
            labels: record.to_labels(),
            image_id: "sha256:1".to_owned(),
            image: "arcane/shop:1".to_owned(),
            created: None,
            state: State {
                status: Status::Running,
                exit_code: 0,
                oom_killed: false,
                error: None,
                pid: None,
                started_at: None,
                finished_at: None,
            },
            restart_count: 0,
            health: HealthState::None,
            health_output: None,
            addresses: Default::default(),
            ports: Vec::new(),
            tty: false,
            restarts: true,
            memory_limit: Some(64 << 20),
            made: Made {
                env: [("A", "1"), ("PATH", "/bin")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
                command: vec!["serve".to_owned()],
                restart_policy: RESTART_POLICY.to_owned(),
                publish: [(8000, 8080)].into(),
                mounts: [("/data", mounted("data")), ("/cache", mounted(&"a1".repeat(32)))]
                    .map(|(to, it)| (to.to_owned(), it))
                    .into(),
                networks: [DEFAULT_NETWORK.to_owned()].into(),
            },
        };
        (record, container)
    }

    #[track_caller]
    fn check(edit: impl FnOnce(&mut Record, &mut Container), expected: &[&str]) {
        let (mut record, mut container) = as_pushed();
        edit(&mut record, &mut container);
        let text = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
        let found: Vec<_> = drifts(&record, &container)
            .into_iter()
            .map(|it| format!("{}: {} -> {}", it.what, text(it.recorded), text(it.actual)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_push_made_has_not_drifted() {
        check(|_, _| {}, &[]);
        check(|_, container| container.state.status = Status::Restarting, &[]);
    }

    #[test]
    fn each_change_by_hand_is_named() {
        check(|_, it| it.state.status = Status::Exited, &["state: running -> exited"]);
        check(|_, it| it.state.status = Status::Paused, &["state: running -> paused"]);
        check(|_, it| it.image_id = "sha256:2".to_owned(), &["image: shop:1 -> another: arcane/shop:1"]);
        check(|_, it| it.made.restart_policy = "no".to_owned(), &["restart: unless-stopped -> no"]);
        check(|_, it| it.memory_limit = None, &["memory: 67108864 bytes -> -"]);
        check(|_, it| it.made.command.push("-v".to_owned()), &["command: [\"serve\"] -> [\"serve\",\"-v\"]"]);
        check(|_, it| it.made.publish.clear(), &["ports: 8000 to 8080 -> -"]);
        check(|_, it| drop(it.made.env.insert("A".to_owned(), "2".to_owned())), &["env.A: 1 -> 2"]);
        check(|_, it| it.made.env.clear(), &["env.A: 1 -> -"]);
        check(|_, it| it.made.networks.clear(), &["network: bridge -> -"]);
        check(|_, it| it.made.networks.extend(["back".to_owned()]), &["network: bridge -> back, bridge"]);
        let etc = || Mounted { source: "/etc".to_owned(), read_only: true };
        check(
            |_, it| drop(it.made.mounts.insert("/x".to_owned(), etc())),
            &["volumes./x: - -> /etc, read only"],
        );
        check(
            |_, it| drop(it.made.mounts.insert("/data".to_owned(), etc())),
            &["volumes./data: data -> /etc, read only"],
        );
    }

    #[test]
    fn settings_of_a_newer_arcane_are_no_drift() {
        check(
            |record, container| {
                let settings = container.labels["arcane.settings"].replacen('{', "{\"colour\":\"red\",", 1);
                let value: serde_json::Value = serde_json::from_str(&settings).unwrap();
                record.spec = super::super::labels::digest(value, "sha256:1");
                container.labels.insert("arcane.settings".to_owned(), settings);
            },
            &[],
        );
    }
}
