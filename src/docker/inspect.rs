//! Containers as the engine describes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::made::{self, Made, WireMount, WirePorts};
use crate::fleet::{ContainerId, HealthState, Timestamp};

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without the slash that the API puts before it.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The id of its image: `sha256:…`.
    pub image_id: String,
    /// The image as it was named when the container was made.
    pub image: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What it does now.
    pub state: State,
    /// How often the engine's restart policy restarted it since it was last started by hand.
    pub restart_count: u64,
    /// What its `HEALTHCHECK` says.
    pub health: HealthState,
    /// What the last probe of its `HEALTHCHECK` wrote. The container controls this text.
    pub health_output: Option<String>,
    /// Its address in each network.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Ports of the host that lead to it.
    pub ports: Vec<PublishedPort>,
    /// Whether it has a terminal, and so one output stream.
    pub tty: bool,
    /// Whether the engine restarts it by itself.
    pub restarts: bool,
    /// Its memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// What it was made with.
    pub made: Made,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// In a word.
    pub status: Status,
    /// The exit code of its last run; 0 while it runs. Reset at each start.
    pub exit_code: i64,
    /// Whether the kernel killed a process of its last run for want of memory. Reset at each start.
    pub oom_killed: bool,
    /// Why the engine could not start it.
    pub error: Option<String>,
    /// Its first process, as the host numbers it, while it runs.
    pub pid: Option<u64>,
    /// When it last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
}

impl State {
    /// Whether its process runs: paused still counts, waiting to be restarted does not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }
}

/// What a container does, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// It exited, and the engine will start it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It exited.
    Exited,
    /// The engine failed to remove it.
    Dead,
    /// A word that is not known here.
    Other,
}

impl Status {
    fn parse(word: &str) -> Self {
        match word {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            _ => Self::Other,
        }
    }

    /// The engine's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Other => "unknown",
        }
    }
}

/// A port of the host that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The address that it listens on.
    pub host_ip: Option<IpAddr>,
    /// The port of the host.
    pub host_port: u16,
    /// The port of the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without the slash that the API puts before it.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The id of its image.
    pub image_id: String,
    /// The image as it was named when the container was made.
    pub image: String,
    /// When it was made, to the second.
    pub created: Timestamp,
    /// What it does now.
    pub status: Status,
    /// Ports of the host that lead to it.
    pub ports: Vec<PublishedPort>,
}

/// The engine writes "never" as the year 1.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).ok().filter(|time| *time > Timestamp::EPOCH)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    id: String,
    name: String,
    image: String,
    #[serde(default)]
    created: String,
    state: WireState,
    #[serde(default)]
    restart_count: u64,
    config: WireConfig,
    #[serde(default)]
    host_config: WireHostConfig,
    #[serde(default)]
    network_settings: WireNetworks,
    #[serde(default)]
    mounts: Option<Vec<WireMount>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireState {
    status: String,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: String,
    pid: u64,
    started_at: String,
    finished_at: String,
    health: Option<WireHealth>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireHealth {
    status: String,
    log: Option<Vec<WireProbe>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireProbe {
    output: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireConfig {
    image: String,
    labels: Option<BTreeMap<String, String>>,
    tty: bool,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireHostConfig {
    restart_policy: Option<WireRestart>,
    memory: u64,
    port_bindings: Option<WirePorts>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireRestart {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireNetworks {
    ports: Option<BTreeMap<String, Option<Vec<WireBinding>>>>,
    networks: Option<BTreeMap<String, WireEndpoint>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireBinding {
    host_ip: String,
    host_port: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireEndpoint {
    #[serde(rename = "IPAddress")]
    address: String,
}

impl From<Inspected> for Container {
    fn from(wire: Inspected) -> Self {
        let health = wire.state.health.unwrap_or_default();
        let restart = wire.host_config.restart_policy.unwrap_or_default();
        let networks = wire.network_settings.networks.unwrap_or_default();
        let made = Made {
            env: made::env(wire.config.env.unwrap_or_default()),
            command: wire.config.cmd.unwrap_or_default(),
            restart_policy: restart.name.clone(),
            publish: made::publish(wire.host_config.port_bindings.unwrap_or_default()),
            mounts: made::mounts(wire.mounts.unwrap_or_default()),
            networks: networks.keys().cloned().collect(),
        };
        Self {
            id: ContainerId(wire.id),
            name: bare(&wire.name),
            labels: wire.config.labels.unwrap_or_default(),
            image_id: wire.image,
            image: wire.config.image,
            created: time(&wire.created),
            state: State {
                status: Status::parse(&wire.state.status),
                exit_code: wire.state.exit_code,
                oom_killed: wire.state.oom_killed,
                error: Some(wire.state.error).filter(|text| !text.is_empty()),
                pid: Some(wire.state.pid).filter(|pid| *pid != 0),
                started_at: time(&wire.state.started_at),
                finished_at: time(&wire.state.finished_at),
            },
            restart_count: wire.restart_count,
            health: health_state(&health.status),
            health_output: health.log.and_then(|mut log| log.pop()).map(|probe| probe.output),
            addresses: addresses(networks),
            ports: bindings(wire.network_settings.ports.unwrap_or_default()),
            tty: wire.config.tty,
            restarts: !matches!(restart.name.as_str(), "" | "no"),
            memory_limit: Some(wire.host_config.memory).filter(|bytes| *bytes != 0),
            made,
        }
    }
}

fn bare(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

pub(super) fn health_state(word: &str) -> HealthState {
    match word {
        "starting" => HealthState::Starting,
        "healthy" => HealthState::Healthy,
        "unhealthy" => HealthState::Unhealthy,
        _ => HealthState::None,
    }
}

fn addresses(networks: BTreeMap<String, WireEndpoint>) -> BTreeMap<String, IpAddr> {
    let parsed =
        networks.into_iter().filter_map(|(name, endpoint)| Some((name, endpoint.address.parse().ok()?)));
    parsed.collect()
}

fn bindings(ports: BTreeMap<String, Option<Vec<WireBinding>>>) -> Vec<PublishedPort> {
    let mut published = Vec::new();
    for (port, bindings) in ports {
        let Some((container_port, protocol)) = port.split_once('/') else {
            continue;
        };
        let Ok(container_port) = container_port.parse() else {
            continue;
        };
        for binding in bindings.unwrap_or_default() {
            let Ok(host_port) = binding.host_port.parse() else {
                continue;
            };
            published.push(PublishedPort {
                host_ip: binding.host_ip.parse().ok(),
                host_port,
                container_port,
                protocol: protocol.to_owned(),
            });
        }
    }
    published
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    image: String,
    #[serde(rename = "ImageID", default)]
    image_id: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    ports: Option<Vec<ListedPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type", default)]
    protocol: String,
}

impl From<Listed> for ContainerSummary {
    fn from(wire: Listed) -> Self {
        // A container that others link to has names with two slashes too.
        let names = wire.names.unwrap_or_default();
        let own = names.iter().find(|name| !name[1.min(name.len())..].contains('/'));
        let ports = wire.ports.unwrap_or_default().into_iter().filter_map(|port| {
            Some(PublishedPort {
                host_ip: port.ip.and_then(|ip| ip.parse().ok()),
                host_port: port.public_port?,
                container_port: port.private_port,
                protocol: port.protocol,
            })
        });
        Self {
            id: ContainerId(wire.id),
            name: own.map(|name| bare(name)).unwrap_or_default(),
            labels: wire.labels.unwrap_or_default(),
            image_id: wire.image_id,
            image: wire.image,
            created: Timestamp::from_seconds(wire.created),
            status: Status::parse(&wire.state),
            ports: ports.collect(),
        }
    }
}
