//! A fleet that this process pretends to be: for each host a real SSH server on a port of its own, with an engine behind
//! it that only keeps a list. More hosts than a machine could run for real, and each can be counted and broken.
//!
//! Commands run for real, in this machine's shell, with a deploy lock for each host: what holds the lock is the script
//! that runs in the field.

// Every test file compiles this for itself and uses a part of it.
#![allow(dead_code)]

mod engine;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use engine::Engine;
pub(crate) use engine::Fault;

use crate::support::TestEnv;

/// Something that goes up and down, and remembers how high it was.
#[derive(Debug, Default)]
pub(crate) struct Tide {
    now: AtomicUsize,
    highest: AtomicUsize,
}

impl Tide {
    fn rise(self: &Arc<Self>) -> Raised {
        self.highest.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Raised(Arc::clone(self))
    }

    /// The highest it was since this was last asked.
    pub(crate) fn highest(&self) -> usize {
        self.highest.swap(0, Ordering::SeqCst)
    }
}

/// Falls again when it is dropped.
struct Raised(Arc<Tide>);

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct SimulatedHost {
    name: String,
    port: u16,
    engine: Arc<Engine>,
    listening: JoinHandle<()>,
}

pub(crate) struct SimulatedFleet {
    runtime: Runtime,
    hosts: Vec<SimulatedHost>,
    key: PrivateKey,
    directory: PathBuf,
    /// Connections that have not proved yet who they are, over all hosts.
    pub(crate) connecting: Arc<Tide>,
    /// Hosts whose deploy lock is held.
    pub(crate) locked: Arc<Tide>,
}

impl SimulatedFleet {
    /// Hosts `h01`, `h02`, …
    pub(crate) fn start(count: usize) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("arcane-fleet-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let (connecting, locked) = (Arc::<Tide>::default(), Arc::<Tide>::default());
        let config = Arc::new(server::Config {
            keys: vec![key.clone()],
            auth_rejection_time: std::time::Duration::ZERO,
            ..server::Config::default()
        });
        let host = |number: usize| {
            let name = format!("h{number:02}");
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let port = listener.local_addr().unwrap().port();
            let engine = Arc::new(Engine::new());
            let (config, connecting) = (Arc::clone(&config), Arc::clone(&connecting));
            let handler = Handler {
                engine: Arc::clone(&engine),
                lock: directory.join(&name).to_string_lossy().into_owned(),
                locked: Arc::clone(&locked),
                connecting: None,
                opened: Vec::new(),
            };
            let listening = runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let handler = Handler { connecting: Some(connecting.rise()), ..handler.anew() };
                    let config = Arc::clone(&config);
                    tokio::spawn(async move {
                        if let Ok(session) = server::run_stream(config, stream, handler).await {
                            let _ = session.await;
                        }
                    });
                }
            });
            SimulatedHost { name, port, engine, listening }
        };
        let hosts = (1..=count).map(host).collect();
        Self { runtime, hosts, key, directory, connecting, locked }
    }

    /// A user who knows them all, as the group `all`.
    pub(crate) fn env(&self) -> TestEnv {
        use std::fmt::Write as _;
        let (mut fleet, mut known) = (String::new(), String::new());
        let public = self.key.public_key().to_openssh().unwrap();
        for SimulatedHost { name, port, .. } in &self.hosts {
            write!(fleet, "[host.{name}]\nssh = \"deploy@127.0.0.1:{port}\"\n").unwrap();
            writeln!(known, "[127.0.0.1]:{port} {public}").unwrap();
        }
        let names: Vec<_> = self.hosts.iter().map(|host| format!("\"{}\"", host.name)).collect();
        write!(fleet, "[group]\nall = [{}]\n", names.join(", ")).unwrap();
        // The servers let everybody in who has a key; their own will do.
        let private = self.key.to_openssh(LineEnding::LF).unwrap();
        let env = TestEnv::new()
            .write("fleet.toml", &fleet)
            .write("~/.ssh/known_hosts", &known)
            .write("~/.ssh/id_ed25519", &private);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(env.path("~/.ssh/id_ed25519"), mode).unwrap();
        env
    }

    /// Nothing listens on the host's port any more.
    pub(crate) fn down(&self, number: usize) {
        self.hosts[number - 1].listening.abort();
    }

    pub(crate) fn breaks(&self, number: usize, fault: Fault) {
        self.hosts[number - 1].engine.breaks(fault);
    }

    /// Lets every container of the host have written these lines.
    pub(crate) fn writes(&self, number: usize, lines: &[String]) {
        self.hosts[number - 1].engine.writes(lines);
    }

    /// The names of a host's containers, with a star at those that run.
    pub(crate) fn containers(&self, number: usize) -> Vec<String> {
        self.hosts[number - 1].engine.names()
    }
}

impl Drop for SimulatedFleet {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

struct Handler {
    engine: Arc<Engine>,
    /// What stands for /var/lock/arcane.deploy.
    lock: String,
    locked: Arc<Tide>,
    connecting: Option<Raised>,
    opened: Vec<Channel<Msg>>,
}

impl Handler {
    /// For another connection to the same host.
    fn anew(&self) -> Self {
        let (engine, lock, locked) = (Arc::clone(&self.engine), self.lock.clone(), Arc::clone(&self.locked));
        Self { engine, lock, locked, connecting: None, opened: Vec::new() }
    }
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        self.connecting = None;
        Ok(Auth::Accept)
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move { engine.serve(channel.into_stream()).await });
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.opened.push(channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let at = self.opened.iter().position(|channel| channel.id() == id).expect("it was opened");
        let channel = self.opened.swap_remove(at);
        let command = String::from_utf8_lossy(command).replace("/var/lock/arcane.deploy", &self.lock);
        // The script that holds the lock is the only one that needs a number.
        let raised = command.contains("locked $n").then(|| self.locked.rise());
        session.channel_success(id)?;
        let handle = session.handle();
        tokio::spawn(async move {
            let mut shell = tokio::process::Command::new("sh")
                .args(["-c", &command])
                // What a script asks of an engine is not meant for this machine's.
                .env("DOCKER_HOST", "unix:///nowhere")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let (mut stdin, mut stdout) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
            let (mut reader, mut writer) = tokio::io::split(channel.into_stream());
            // Dropped at its end, which is the end of the command's input.
            let feeding = tokio::spawn(async move {
                let _ = tokio::io::copy(&mut reader, &mut stdin).await;
            });
            let _ = tokio::io::copy(&mut stdout, &mut writer).await;
            let status = shell.wait().await.unwrap();
            drop(raised);
            let _ = handle.exit_status_request(id, status.code().unwrap_or(255).unsigned_abs()).await;
            let _ = handle.eof(id).await;
            let _ = handle.close(id).await;
            feeding.abort();
        });
        Ok(())
    }
}
