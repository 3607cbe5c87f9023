//! An engine: found, and agreed with on a version of the API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::{self, Connector, DIAL_STREAMS, Transport};
use super::error::Error;
use super::http::{Call, DEADLINE, Http};
use crate::fleet::Timestamp;
use crate::ssh::Session;

/// The newest API that is asked for: what we were written against (Docker 27). A newer engine still speaks it.
const NEWEST: Api = Api(1, 47);
/// The oldest that has all that we need.
const OLDEST: Api = Api(1, 40);
const OLDEST_TEXT: &str = "1.40";
/// A ping that takes longer is no answer.
const PING: Duration = Duration::from_secs(10);
/// The name of this machine's own engine in messages.
const LOCAL: &str = "local";

/// An engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) http: Http,
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    version: EngineVersion,
    /// Limits streams without an end where connections are scarce.
    streams: Option<Arc<Semaphore>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("host", &self.http.host())
            .field("version", &self.inner.version)
            .finish_non_exhaustive()
    }
}

/// Which engine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// Its version, for instance `27.3.1`.
    pub version: String,
    /// The newest API that it speaks, for instance `1.47`.
    pub api: String,
    /// The API that is spoken with it.
    pub negotiated: String,
    /// Its operating system, as images name it: `linux`.
    pub os: String,
    /// Its architecture, as images name it: `amd64`.
    pub architecture: String,
}

/// What an engine says about itself and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The storage driver: `overlay2`, or a snapshotter.
    pub storage_driver: String,
    /// Whether images are kept in containerd's store (the default of fresh installations from Docker 29 on).
    pub containerd_store: bool,
    /// Processors.
    pub cpus: u64,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// Where it keeps its data.
    pub root: PathBuf,
    /// Its clock.
    pub system_time: Option<Timestamp>,
    /// The operating system in words.
    pub operating_system: String,
    /// The architecture as the kernel names it: `x86_64`.
    pub architecture: String,
    /// Whether it is part of a swarm.
    pub swarm: bool,
}

impl Engine {
    /// The engine of a host, through its SSH connection.
    ///
    /// # Errors
    /// When the host has no engine, its user may not use it, or it is older than Docker 19.03.
    pub async fn over_ssh(session: &Session) -> Result<Self, Error> {
        let transport = connect::probe(session).await?;
        let connector = Connector::new(session, &transport);
        Self::negotiate(connector, session.host().as_str(), transport).await
    }

    /// This machine's engine: the Unix socket that `DOCKER_HOST` names, or `/var/run/docker.sock`.
    ///
    /// # Errors
    /// When `DOCKER_HOST` names something else, no engine answers, or it is older than Docker 19.03.
    pub async fn local() -> Result<Self, Error> {
        let path = match std::env::var("DOCKER_HOST") {
            Ok(value) if !value.is_empty() => socket_of(&value)?,
            _ => PathBuf::from(connect::SOCKET),
        };
        Self::at(&path).await
    }

    /// The engine behind a Unix socket of this machine.
    ///
    /// # Errors
    /// As [`Self::local`].
    pub async fn at(socket: &Path) -> Result<Self, Error> {
        Self::negotiate(Connector::Local(socket.to_owned()), LOCAL, Transport::Local(socket.to_owned())).await
    }

    async fn negotiate(connector: Connector, host: &str, transport: Transport) -> Result<Self, Error> {
        let http = Http::new(connector, host);
        let answer: Version = http.json(Call::get("/version", "ask for the version"), DEADLINE).await?;
        let malformed = || http.malformed("ask for the version", &"it has no API version");
        let theirs = Api::parse(&answer.api_version).ok_or_else(malformed)?;
        if theirs < OLDEST {
            return Err(Error::OldEngine {
                host: host.to_owned(),
                version: answer.version,
                api: answer.api_version,
                required: OLDEST_TEXT,
            });
        }
        // Should an engine have dropped the version that we know, its oldest is the nearest.
        let oldest = answer.min_api_version.as_deref().and_then(Api::parse).unwrap_or(OLDEST);
        let negotiated = theirs.min(NEWEST).max(oldest).to_string();
        let streams =
            matches!(transport, Transport::DialStdio { .. }).then(|| Arc::new(Semaphore::new(DIAL_STREAMS)));
        let version = EngineVersion {
            version: answer.version,
            api: answer.api_version,
            negotiated: negotiated.clone(),
            os: answer.os,
            architecture: answer.arch,
        };
        Ok(Self { http: http.versioned(&negotiated), inner: Arc::new(Inner { transport, version, streams }) })
    }

    /// The host's name, `local` for this machine's own engine.
    #[must_use]
    pub fn host(&self) -> &str {
        self.http.host()
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Which engine it is, as it said when it was connected to.
    #[must_use]
    pub fn version(&self) -> &EngineVersion {
        &self.inner.version
    }

    /// Whether it speaks at least this version of the API.
    pub(super) fn speaks(&self, major: u32, minor: u32) -> bool {
        Api::parse(&self.inner.version.negotiated).is_some_and(|api| api >= Api(major, minor))
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// When it does not, within 10 s.
    pub async fn ping(&self) -> Result<(), Error> {
        self.http.done(Call::get("/_ping", "ping the engine"), PING).await
    }

    /// What it says about itself and its host.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn info(&self) -> Result<EngineInfo, Error> {
        let info: Info = self.http.json(Call::get("/info", "ask about the engine"), DEADLINE).await?;
        Ok(info.into())
    }

    /// The right to hold a stream without an end open, where these are limited.
    pub(super) fn admit_stream(&self, what: &str) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let Some(streams) = &self.inner.streams else {
            return Ok(None);
        };
        Arc::clone(streams).try_acquire_owned().map(Some).map_err(|_| Error::Busy {
            host: self.host().to_owned(),
            what: what.to_owned(),
            limit: DIAL_STREAMS,
        })
    }
}

fn socket_of(docker_host: &str) -> Result<PathBuf, Error> {
    match docker_host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(Error::NotUnix { value: docker_host.to_owned() }),
    }
}

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Api(u32, u32);

impl Api {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(default)]
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Info {
    driver: String,
    driver_status: Option<Vec<Vec<String>>>,
    #[serde(rename = "NCPU")]
    cpus: u64,
    mem_total: u64,
    docker_root_dir: PathBuf,
    system_time: Option<String>,
    operating_system: String,
    architecture: String,
    swarm: Option<Swarm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Swarm {
    #[serde(default)]
    local_node_state: String,
}

impl From<Info> for EngineInfo {
    fn from(info: Info) -> Self {
        let status = info.driver_status.unwrap_or_default();
        Self {
            storage_driver: info.driver,
            containerd_store: status
                .iter()
                .flatten()
                .any(|word| word.starts_with("io.containerd.snapshotter")),
            cpus: info.cpus,
            memory: info.mem_total,
            root: info.docker_root_dir,
            system_time: info.system_time.and_then(|text| Timestamp::parse(&text).ok()),
            operating_system: info.operating_system,
            architecture: info.architecture,
            swarm: info.swarm.is_some_and(|swarm| swarm.local_node_state == "active"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unix_sockets() {
        assert_eq!(
            socket_of("unix:///run/user/1000/docker.sock").unwrap(),
            Path::new("/run/user/1000/docker.sock")
        );
        for value in
            ["tcp://127.0.0.1:2375", "ssh://web1", "/var/run/docker.sock", "unix://", "unix://relative"]
        {
            let error = socket_of(value).unwrap_err();
            assert!(error.to_string().contains("only unix:// is supported"), "{error}");
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(Api::parse("1.9").unwrap() < Api::parse("1.41").unwrap());
        assert_eq!(Api::parse("1.41").unwrap().min(NEWEST).to_string(), "1.41");
        assert_eq!(Api::parse("1.54").unwrap().min(NEWEST), NEWEST);
        assert!(Api::parse("nonsense").is_none());
    }

    #[test]
    fn the_image_store_is_recognised() {
        let info = |status: &str| -> EngineInfo {
            let text = format!(r#"{{"Driver":"overlayfs","DriverStatus":{status},"NCPU":2,"MemTotal":5}}"#);
            serde_json::from_str::<Info>(&text).unwrap().into()
        };
        assert!(info(r#"[["driver-type","io.containerd.snapshotter.v1"]]"#).containerd_store);
        assert!(!info(r#"[["Backing Filesystem","extfs"]]"#).containerd_store);
        assert!(!info("null").containerd_store);
    }
}
