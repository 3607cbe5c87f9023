//! A host for tests, inside the test's own process: an SSH server behind an in-memory pipe.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session as ServerSession};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelStream};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::{Agent, Error, Session, Target};
use crate::fleet::HostName;

/// What the host does when asked.
#[derive(Debug, Clone)]
pub(crate) struct FakeHost {
    /// Where the engine's socket really is. `None`: nothing listens.
    pub(crate) engine: Option<PathBuf>,
    /// Whether sockets are forwarded.
    pub(crate) forwarding: bool,
    /// What `docker system dial-stdio` says instead of working.
    pub(crate) dial_complaint: Option<&'static str>,
    /// Commands at once.
    pub(crate) max_sessions: usize,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self { engine: None, forwarding: true, dial_complaint: None, max_sessions: 10 }
    }
}

/// A running fake host, and the wire to it.
pub(crate) struct Wire {
    pub(crate) target: Target,
    near: Option<DuplexStream>,
    fault: watch::Sender<Fault>,
    directory: PathBuf,
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A new directory for a test's files.
pub(crate) fn scratch() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("arcane-unit-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
}

pub(crate) fn write_key(path: &Path, key: &PrivateKey) {
    std::fs::write(path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
}

pub(crate) fn known_hosts_line(name: &str, key: &PrivateKey) -> String {
    format!("{name} {}\n", key.public_key().to_openssh().unwrap())
}

impl FakeHost {
    /// Starts it; its key is known and the operator's key is accepted.
    pub(crate) fn start(self) -> Wire {
        let directory = scratch();
        let host_key = new_key();
        let known_hosts = directory.join("known_hosts");
        std::fs::write(&known_hosts, known_hosts_line("[web1.example.com]:2201", &host_key)).unwrap();
        let identity = directory.join("id_ed25519");
        write_key(&identity, &new_key());
        let target = Target {
            host: HostName::parse("web1").unwrap(),
            user: "deploy".to_owned(),
            address: "web1.example.com".to_owned(),
            port: 2201,
            host_key_alias: None,
            known_hosts: vec![known_hosts],
            identities: vec![identity],
            identities_only: false,
            agent: Agent::None,
            jumps: Vec::new(),
        };
        let config = server::Config {
            keys: vec![host_key],
            auth_rejection_time: std::time::Duration::ZERO,
            ..server::Config::default()
        };
        let (near, middle) = tokio::io::duplex(1 << 16);
        let (other_middle, far) = tokio::io::duplex(1 << 16);
        let handler = Handler { host: Arc::new(self), running: Arc::default(), opened: Vec::new() };
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(Arc::new(config), far, handler).await {
                let _ = session.await;
            }
        });
        let (fault, faults) = watch::channel(Fault::None);
        tokio::spawn(carry(middle, other_middle, faults));
        Wire { target, near: Some(near), fault, directory }
    }

    /// Starts it and connects to it. The wire must outlive the session.
    pub(crate) async fn connect(self) -> (Wire, Session) {
        let mut wire = self.start();
        let session = wire.connect().await.unwrap();
        (wire, session)
    }
}

impl Wire {
    /// Connects, once.
    pub(crate) async fn connect(&mut self) -> Result<Session, Error> {
        let near = self.near.take().expect("a wire connects once");
        Session::over(&self.target, near, None).await
    }

    /// From now on the connection is gone.
    pub(crate) fn cut(&self) {
        self.fault.send_replace(Fault::Cut);
    }

    /// From now on nothing passes, and nothing is closed.
    pub(crate) fn freeze(&self) {
        self.fault.send_replace(Fault::Frozen);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Cut,
    Frozen,
}

/// The line between the two ends.
async fn carry(mut near: DuplexStream, mut far: DuplexStream, mut faults: watch::Receiver<Fault>) {
    let fault = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => Fault::None,
        Ok(fault) = faults.wait_for(|fault| *fault != Fault::None) => *fault,
    };
    if fault == Fault::Frozen {
        std::future::pending::<()>().await;
    }
}

struct Handler {
    host: Arc<FakeHost>,
    running: Arc<AtomicUsize>,
    opened: Vec<Channel<Msg>>,
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        _: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(if user == "deploy" { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut ServerSession,
    ) -> Result<(), russh::Error> {
        if !self.host.forwarding {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        let socket = self.host.engine.as_ref().filter(|_| path == "/var/run/docker.sock");
        let connected = match socket {
            Some(socket) => UnixStream::connect(socket).await.ok(),
            None => None,
        };
        let Some(mut socket) = connected else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut socket).await;
        });
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut ServerSession,
    ) -> Result<(), russh::Error> {
        if self.running.load(Ordering::SeqCst) >= self.host.max_sessions {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        } else {
            self.running.fetch_add(1, Ordering::SeqCst);
            self.opened.push(channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut ServerSession,
    ) -> Result<(), russh::Error> {
        let at = self.opened.iter().position(|channel| channel.id() == id).expect("it was opened");
        let channel = self.opened.swap_remove(at);
        let command = String::from_utf8_lossy(command).into_owned();
        session.channel_success(id)?;
        let (host, running) = (Arc::clone(&self.host), Arc::clone(&self.running));
        let handle = session.handle();
        tokio::spawn(async move {
            // Dropped last, for that closes the channel.
            let mut stream = channel.into_stream();
            let (code, complaint) = host.run(&command, &mut stream).await;
            if let Some(complaint) = complaint {
                let _ = handle.extended_data(id, 1, complaint.as_bytes()).await;
            }
            if let Some(code) = code {
                let _ = handle.exit_status_request(id, code).await;
            }
            let _ = handle.eof(id).await;
            running.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(())
    }
}

impl FakeHost {
    /// The few commands that this host knows: their exit code (`None`: it ends without saying how), and what they
    /// write to standard error.
    async fn run(
        &self,
        command: &str,
        stream: &mut ChannelStream<Msg>,
    ) -> (Option<u32>, Option<&'static str>) {
        if let Some(code) = command.strip_prefix("exit ") {
            return (code.parse().ok(), None);
        }
        match command {
            "docker system dial-stdio" => return self.dial(stream).await,
            "cat" => {
                let (mut reader, mut writer) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            }
            "flood" => while stream.write_all(&[b'x'; 4096]).await.is_ok() {},
            // Never reads: what is sent to it stays in the window.
            "hang" => std::future::pending().await,
            "vanish" => return (None, None),
            _ => return (Some(127), Some("command not found")),
        }
        (Some(0), None)
    }

    async fn dial(&self, stream: &mut ChannelStream<Msg>) -> (Option<u32>, Option<&'static str>) {
        let socket = match (&self.engine, self.dial_complaint) {
            (Some(engine), None) => UnixStream::connect(engine).await.ok(),
            _ => None,
        };
        let Some(mut socket) = socket else {
            return (Some(1), Some(self.dial_complaint.unwrap_or("Cannot connect to the Docker daemon")));
        };
        let _ = tokio::io::copy_bidirectional(stream, &mut socket).await;
        (Some(0), None)
    }
}
