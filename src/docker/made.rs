//! What a container was made with, and what of it can be changed while it is there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What a container was made with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// Its environment variables, those of its image included.
    pub env: BTreeMap<String, String>,
    /// Its command, that of its image when it has none of its own.
    pub command: Vec<String>,
    /// What the engine does when it exits: `unless-stopped`.
    pub restart_policy: String,
    /// Ports of the host that lead to one of its own whenever it runs: `(host, container)`.
    pub publish: BTreeSet<(u16, u16)>,
    /// What is mounted into it, by the path in the container.
    pub mounts: BTreeMap<String, Mounted>,
    /// The networks that it is in.
    pub networks: BTreeSet<String>,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The name of the volume, or the path on the host.
    pub source: String,
    /// Whether it may only be read.
    pub read_only: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct WireMount {
    r#type: String,
    name: String,
    source: String,
    destination: String,
    #[serde(rename = "RW")]
    writable: bool,
}

/// The ports that a container declares, as the engine writes them: `"80/tcp": [{"HostPort": "8001"}]`.
pub(super) type WirePorts = BTreeMap<String, Option<Vec<WirePort>>>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct WirePort {
    host_port: String,
}

pub(super) fn env(lines: Vec<String>) -> BTreeMap<String, String> {
    let pair = |line: String| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    lines.into_iter().filter_map(pair).collect()
}

pub(super) fn publish(ports: WirePorts) -> BTreeSet<(u16, u16)> {
    let mut publish = BTreeSet::new();
    for (port, bindings) in ports {
        let own = port.split('/').next().and_then(|port| port.parse().ok());
        let hosts = bindings.into_iter().flatten().filter_map(|binding| binding.host_port.parse().ok());
        publish.extend(hosts.filter_map(|host| Some((host, own?))));
    }
    publish
}

pub(super) fn mounts(mounts: Vec<WireMount>) -> BTreeMap<String, Mounted> {
    let mounted = |mount: WireMount| {
        let source = if mount.r#type == "volume" { mount.name } else { mount.source };
        (mount.destination, Mounted { source, read_only: !mount.writable })
    };
    mounts.into_iter().map(mounted).collect()
}
