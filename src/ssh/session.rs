//! A session: one authenticated connection to one host, shared by everything that talks to it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::{Channel, ChannelMsg, Preferred, cipher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::auth;
use super::client::Client;
use super::error::{ChannelFailure, Error};
use super::exec::{Exec, Output};
use super::known_hosts::KnownKeys;
use super::retry;
use super::stream::{self, ByteStream};
use super::target::Target;
use super::transport::{self, Stalling};
use crate::fleet::HostName;

/// TCP connection, key exchange and host key.
const CONNECT: Duration = Duration::from_secs(10);
/// Proving who we are: an agent may ask its owner, or a token for a touch.
const AUTHENTICATE: Duration = Duration::from_secs(30);
/// Opening a channel, or starting a command in it.
const OPEN: Duration = Duration::from_secs(10);
/// A silent host is asked this often whether it is still there …
const KEEPALIVE: Duration = Duration::from_secs(5);
/// … and given up after this many questions without an answer: 20 s after its last sign of life.
const KEEPALIVE_MAX: usize = 3;
/// A write that makes no progress for this long has lost its peer.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// The time a command of [`Session::run`] has.
const RUN: Duration = Duration::from_secs(30);
/// The output that [`Session::run`] keeps.
const RUN_LIMIT: usize = 1 << 20;
/// Bytes that a host may send ahead on a channel. At 100 ms of delay this still carries 40 MB/s.
const WINDOW: u32 = 4 << 20;

/// The library's own ciphers, but AES-GCM first: with the processor's help it moved images twice as fast as
/// ChaCha20, which is for processors without that help.
const CIPHERS: [cipher::Name; 5] = [
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// A connection to a host. Cheap to clone; the connection ends with [`Self::disconnect`] or when the last clone and
/// the last stream are gone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    target: Arc<Target>,
    handle: Handle<Client>,
    ended: watch::Receiver<Option<String>>,
    /// The connection that this one runs through.
    via: Option<Session>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("host", &self.0.target.host).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, through the target's jump hosts, checks the host's key against known_hosts, and logs in. A server that
    /// hangs up at once is tried again for some seconds: it may have too many visitors.
    ///
    /// # Errors
    /// When the host cannot be reached within 10 s per hop, when its key is unknown, changed or revoked, or when it
    /// accepts none of the operator's keys.
    pub async fn connect(target: &Target) -> Result<Self, Error> {
        let mut via: Option<Self> = None;
        for hop in &target.jumps {
            via = Some(Self::insist(hop, via).await?);
        }
        Self::insist(target, via).await
    }

    async fn insist(target: &Target, via: Option<Self>) -> Result<Self, Error> {
        let mut pauses = retry::pauses();
        loop {
            let error = match Self::hop(target, via.clone()).await {
                Err(error) if retry::hung_up(&error) => error,
                result => return result,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tracing::debug!(%error, "the server hung up; it is tried again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn hop(target: &Target, via: Option<Self>) -> Result<Self, Error> {
        let late = || Error::Deadline {
            host: target.host.clone(),
            what: format!("connecting to {}", target.endpoint()),
            after: CONNECT,
        };
        match via {
            None => {
                let dial =
                    tokio::time::timeout(CONNECT, transport::dial(target)).await.map_err(|_| late())?;
                let stream = dial.map_err(|source| Error::Connect {
                    host: target.host.clone(),
                    address: target.endpoint(),
                    source,
                })?;
                Self::over(target, Stalling::new(stream, WRITE_STALL), None).await
            }
            Some(via) => {
                let stream = via.open_tcp(&target.address, target.port).await?;
                Self::over(target, stream, Some(via)).await
            }
        }
    }

    /// Speaks SSH over a stream that leads to the target's sshd.
    pub(crate) async fn over<S>(target: &Target, stream: S, via: Option<Self>) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let known = KnownKeys::read(&target.known_hosts_name(), &target.known_hosts)
            .map_err(|(path, source)| Error::KnownHosts { host: target.host.clone(), path, source })?;
        let config = Arc::new(configuration(&known));
        let target = Arc::new(target.clone());
        let (sender, ended) = watch::channel(None);
        let client = Client::new(known, Arc::clone(&target), sender);
        let mut handle = tokio::time::timeout(CONNECT, client::connect_stream(config, stream, client))
            .await
            .map_err(|_| deadline(&target.host, "the SSH handshake", CONNECT))?
            .map_err(|failure| failure.on(&target))?;
        tokio::time::timeout(AUTHENTICATE, auth::authenticate(&mut handle, &target))
            .await
            .map_err(|_| deadline(&target.host, "logging in", AUTHENTICATE))??;
        Ok(Self(Arc::new(Inner { target, handle, ended, via })))
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.0.target.host
    }

    /// Where and as whom it is connected.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// Connects to a Unix socket of the host.
    ///
    /// # Errors
    /// When the server forbids it ([`ChannelFailure::Prohibited`]), when nothing answers on the socket or the
    /// user may not connect to it ([`ChannelFailure::ConnectFailed`]), or when the connection is lost.
    pub async fn open_unix(&self, path: &str) -> Result<ByteStream, Error> {
        let (session, path) = (self.clone(), path.to_owned());
        let what = format!("the socket {path}");
        self.open(what, async move { session.0.handle.channel_open_direct_streamlocal(path).await }).await
    }

    /// Connects to a TCP port as seen from the host.
    ///
    /// # Errors
    /// As [`Self::open_unix`].
    pub async fn open_tcp(&self, address: &str, port: u16) -> Result<ByteStream, Error> {
        let (session, address) = (self.clone(), address.to_owned());
        let what = format!("a connection to {address} port {port}");
        let open = async move {
            session.0.handle.channel_open_direct_tcpip(address, u32::from(port), "127.0.0.1", 0).await
        };
        self.open(what, open).await
    }

    /// Starts a command, given to the user's login shell. Values go into it through [`super::quote`] only.
    ///
    /// # Errors
    /// When the server refuses the session (`MaxSessions`) or the command, or when the connection is lost.
    pub async fn exec(&self, command: &str) -> Result<Exec, Error> {
        let (session, command) = (self.clone(), command.to_owned());
        let start = async move {
            let mut channel = session.0.handle.channel_open_session().await?;
            channel.exec(true, command).await?;
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => break Ok(channel),
                    Some(ChannelMsg::Failure) => break Err(russh::Error::RequestDenied),
                    Some(_) => {}
                    None => break Err(russh::Error::Disconnect),
                }
            }
        };
        match self.channel("a command".to_owned(), start).await {
            Ok(parts) => Ok(Exec::new(self.host().clone(), parts)),
            // There is nothing to connect to here: it is how sshd says that `MaxSessions` is reached.
            Err(Error::Channel { host, what, failure: ChannelFailure::ConnectFailed }) => {
                Err(Error::Channel { host, what, failure: ChannelFailure::NoRoom })
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a command to its end, within 30 s: feeds it `stdin`, keeps up to 1 MiB of its output.
    ///
    /// # Errors
    /// As [`Self::exec`], and when it takes or writes too much. A command that fails is no error.
    pub async fn run(&self, command: &str, stdin: &[u8]) -> Result<Output, Error> {
        self.run_within(command, stdin, RUN).await
    }

    /// As [`Self::run`], with a deadline of the caller's choice.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub async fn run_within(&self, command: &str, stdin: &[u8], limit: Duration) -> Result<Output, Error> {
        let work = async { self.exec(command).await?.complete(stdin, RUN_LIMIT).await };
        tokio::time::timeout(limit, work).await.map_err(|_| deadline(self.host(), "a command", limit))?
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.handle.is_closed()
    }

    /// Waits until the connection has ended, and says why.
    pub async fn closed(&self) -> String {
        let mut ended = self.0.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the connection was closed".to_owned(),
        }
    }

    /// Ends the connection. Streams that are still open break off.
    pub async fn disconnect(&self) {
        // The only way to fail is that it has ended already.
        let bye = self.0.handle.disconnect(russh::Disconnect::ByApplication, "", "en");
        let _ = tokio::time::timeout(OPEN, bye).await;
        if let Some(via) = &self.0.via {
            Box::pin(via.disconnect()).await;
        }
    }

    async fn open<F>(&self, what: String, open: F) -> Result<ByteStream, Error>
    where
        F: Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
    {
        let (reader, writer, _) = self.channel(what, open).await?;
        Ok(ByteStream::join(reader, writer))
    }

    /// Waits for a channel within the deadline. The opening runs in a task of its own, so that a channel which comes
    /// too late is closed again instead of being forgotten open.
    async fn channel<F>(&self, what: String, open: F) -> Result<Parts, Error>
    where
        F: Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
    {
        if self.is_closed() {
            return Err(self.lost());
        }
        let keep = self.clone();
        let opening = tokio::spawn(async move { open.await.map(|channel| stream::open(channel, keep)) });
        match tokio::time::timeout(OPEN, opening).await {
            Err(_) => Err(deadline(self.host(), &format!("opening {what}"), OPEN)),
            Ok(Err(_)) => Err(self.lost()),
            Ok(Ok(Ok(parts))) => Ok(parts),
            Ok(Ok(Err(error))) => Err(self.refused(what, error)),
        }
    }

    fn refused(&self, what: String, error: russh::Error) -> Error {
        let failure = match error {
            russh::Error::ChannelOpenFailure(failure) => failure.into(),
            russh::Error::RequestDenied => ChannelFailure::Prohibited,
            _ => return self.lost(),
        };
        Error::Channel { host: self.host().clone(), what, failure }
    }

    fn lost(&self) -> Error {
        let reason = self.0.ended.borrow().clone().unwrap_or_else(|| "the connection was closed".to_owned());
        Error::Lost { host: self.host().clone(), reason }
    }
}

type Parts = (stream::Reader, stream::Writer, Arc<stream::State>);

fn deadline(host: &HostName, what: &str, after: Duration) -> Error {
    Error::Deadline { host: host.clone(), what: what.to_owned(), after }
}

fn configuration(known: &KnownKeys) -> client::Config {
    let defaults = Preferred::DEFAULT;
    client::Config {
        window_size: WINDOW,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVE_MAX,
        preferred: Preferred {
            key: Cow::Owned(known.prefer(&defaults.key)),
            cipher: Cow::Borrowed(&CIPHERS),
            ..defaults
        },
        ..client::Config::default()
    }
}
