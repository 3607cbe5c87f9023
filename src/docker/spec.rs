//! What a new container is to be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::container::seconds;
use crate::fleet::MemoryLimit;

/// A new container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// The image: a reference or an id that the engine has.
    pub image: String,
    /// Environment variables. The engine writes them to disk and shows them: never secrets.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Ports of the host that lead to it.
    pub publish: Vec<Publish>,
    /// Volumes, directories and memory file systems.
    pub mounts: Vec<Mount>,
    /// Its memory limit. Swap is not allowed on top, so that the limit is what it says.
    pub memory: Option<MemoryLimit>,
    /// A network to join instead of the default bridge.
    pub network: Option<Network>,
    /// What the engine does when it exits.
    pub restart: RestartPolicy,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Option<Duration>,
    /// Whether a small init runs as its first process, to reap orphans.
    pub init: Option<bool>,
    /// Whether it gets a terminal, and so one output stream.
    pub tty: bool,
    /// Replaces the command of the image's `HEALTHCHECK`, whose times stay.
    pub healthcheck: Option<Vec<String>>,
    /// For a helper of ours: root, with a standard input and without a log.
    pub privilege: Option<Privilege>,
}

/// What a helper of ours may do beyond what a container may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Nothing: it is root inside, and no more.
    Root,
    /// Mount file systems, where the host sees them too.
    Mount,
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The address to listen on; every address when `None`.
    pub host_ip: Option<IpAddr>,
    /// The port of the host.
    pub host_port: u16,
    /// The port of the container.
    pub container_port: u16,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Where in the container: an absolute path.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A named volume; made if it does not exist.
    Volume(String),
    /// A directory or file of the host, which must exist.
    Bind(String),
    /// The same, and what is mounted below it on either side is there on the other.
    Shared(String),
    /// Memory, of this size in bytes at most.
    Tmpfs(Option<u64>),
}

/// A network to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Names that other containers of the network know it by, besides its own.
    pub aliases: Vec<String>,
}

/// What the engine does when a container exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Starts it again, after a reboot too, unless somebody stopped it.
    UnlessStopped,
    /// Starts it again when it failed, at most this often.
    OnFailure(u32),
}

impl ContainerSpec {
    /// As the API wants it.
    pub(super) fn to_json(&self) -> Value {
        let mut body = json!({
            "Image": self.image,
            "Env": self.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            "Labels": self.labels,
            "Tty": self.tty,
            "HostConfig": {
                "Mounts": self.mounts.iter().map(Mount::to_json).collect::<Vec<_>>(),
                "RestartPolicy": self.restart.to_json(),
            },
        });
        let mut set = |key: &str, value: Value| body[key] = value;
        if let Some(entrypoint) = &self.entrypoint {
            set("Entrypoint", json!(entrypoint));
        }
        if let Some(command) = &self.command {
            set("Cmd", json!(command));
        }
        if let Some(timeout) = self.stop_timeout {
            set("StopTimeout", json!(seconds(timeout)));
        }
        if let Some(test) = &self.healthcheck {
            set("Healthcheck", json!({ "Test": test }));
        }
        if let Some(privilege) = self.privilege {
            privilege.add(&mut body);
        }
        self.add_ports(&mut body);
        self.add_host_config(&mut body["HostConfig"]);
        if let Some(network) = &self.network {
            body["NetworkingConfig"] =
                json!({ "EndpointsConfig": { &network.name: { "Aliases": network.aliases } } });
        }
        body
    }

    fn add_ports(&self, body: &mut Value) {
        for publish in &self.publish {
            let port = format!("{}/tcp", publish.container_port);
            body["ExposedPorts"][&port] = json!({});
            let binding = json!({
                "HostIp": publish.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                "HostPort": publish.host_port.to_string(),
            });
            match &mut body["HostConfig"]["PortBindings"][&port] {
                Value::Array(bindings) => bindings.push(binding),
                empty => *empty = json!([binding]),
            }
        }
    }

    fn add_host_config(&self, host: &mut Value) {
        if let Some(MemoryLimit(bytes)) = self.memory {
            host["Memory"] = json!(bytes);
            host["MemorySwap"] = json!(bytes);
        }
        if let Some(network) = &self.network {
            host["NetworkMode"] = json!(network.name);
        }
        if let Some(init) = self.init {
            host["Init"] = json!(init);
        }
    }
}

impl Mount {
    fn to_json(&self) -> Value {
        let (kind, source) = match &self.kind {
            MountKind::Volume(name) => ("volume", name.as_str()),
            MountKind::Bind(path) | MountKind::Shared(path) => ("bind", path.as_str()),
            MountKind::Tmpfs(_) => ("tmpfs", ""),
        };
        let mut mount = json!({ "Type": kind, "Target": self.target, "ReadOnly": self.read_only });
        match &self.kind {
            MountKind::Tmpfs(Some(bytes)) => mount["TmpfsOptions"] = json!({ "SizeBytes": bytes }),
            MountKind::Tmpfs(None) => {}
            MountKind::Shared(_) => {
                mount["Source"] = json!(source);
                mount["BindOptions"] = json!({ "Propagation": "rshared" });
            }
            _ => mount["Source"] = json!(source),
        }
        mount
    }
}

impl Privilege {
    fn add(self, body: &mut Value) {
        for (key, value) in [
            ("User", json!("0:0")),
            ("WorkingDir", json!("/")),
            ("OpenStdin", json!(true)),
            ("StdinOnce", json!(true)),
            ("AttachStdin", json!(true)),
            ("Healthcheck", json!({ "Test": ["NONE"] })),
        ] {
            body[key] = value;
        }
        let host = &mut body["HostConfig"];
        host["LogConfig"] = json!({ "Type": "none" });
        host["NetworkMode"] = json!("none");
        // Root inside is to be root of the host, whose directories it works in.
        host["UsernsMode"] = json!("host");
        if self == Self::Mount {
            host["CapAdd"] = json!(["SYS_ADMIN"]);
            host["SecurityOpt"] = json!(["apparmor=unconfined"]);
        }
    }
}

impl RestartPolicy {
    fn to_json(self) -> Value {
        match self {
            Self::No => json!({ "Name": "no" }),
            Self::UnlessStopped => json!({ "Name": "unless-stopped" }),
            Self::OnFailure(times) => json!({ "Name": "on-failure", "MaximumRetryCount": times }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_spec_becomes_a_request() {
        let spec = ContainerSpec {
            image: "shop:1.4".to_owned(),
            env: BTreeMap::from([("LOG".to_owned(), "a=b c".to_owned())]),
            labels: BTreeMap::from([("arcane.app".to_owned(), "shop".to_owned())]),
            command: Some(vec!["serve".to_owned()]),
            publish: vec![
                Publish { host_ip: Some([127, 0, 0, 1].into()), host_port: 8001, container_port: 80 },
                Publish { host_ip: None, host_port: 8002, container_port: 80 },
            ],
            mounts: vec![Mount {
                kind: MountKind::Volume("data".to_owned()),
                target: "/data".to_owned(),
                read_only: true,
            }],
            memory: Some(MemoryLimit(64 << 20)),
            network: Some(Network { name: "back".to_owned(), aliases: vec!["shop".to_owned()] }),
            restart: RestartPolicy::UnlessStopped,
            stop_timeout: Some(Duration::from_millis(6500)),
            init: Some(true),
            ..ContainerSpec::default()
        };
        let expected = json!({
            "Image": "shop:1.4", "Env": ["LOG=a=b c"], "Labels": { "arcane.app": "shop" }, "Cmd": ["serve"], "Tty": false,
            "StopTimeout": 7, "ExposedPorts": { "80/tcp": {} },
            "HostConfig": {
                "Mounts": [{ "Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": true }],
                "RestartPolicy": { "Name": "unless-stopped" },
                "PortBindings": { "80/tcp": [
                    { "HostIp": "127.0.0.1", "HostPort": "8001" }, { "HostIp": "", "HostPort": "8002" },
                ] },
                "Memory": 67_108_864, "MemorySwap": 67_108_864, "NetworkMode": "back", "Init": true,
            },
            "NetworkingConfig": { "EndpointsConfig": { "back": { "Aliases": ["shop"] } } },
        });
        assert_eq!(spec.to_json(), expected);
    }

    #[test]
    fn what_is_not_said_is_left_to_the_image() {
        let body = ContainerSpec { image: "shop".to_owned(), ..ContainerSpec::default() }.to_json();
        for key in ["Cmd", "Entrypoint", "ExposedPorts", "StopTimeout", "NetworkingConfig"] {
            assert!(body.get(key).is_none(), "{key}");
        }
    }
}
