//! The ways to an engine: connections to its socket, made when the HTTP client wants one.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;
use crate::ssh::{self, Session};

/// Where engines listen.
pub(super) const SOCKET: &str = "/var/run/docker.sock";
/// Prints nothing and copies between its standard streams and the engine's socket.
const DIAL_STDIO: &str = "docker system dial-stdio";
/// Connections through `dial-stdio`: each is a session of sshd, which allows 10 by default, and locks and commands
/// need some too.
const DIAL_LIMIT: usize = 6;
/// How many of those may be streams without an end; the rest is for requests.
pub(super) const DIAL_STREAMS: usize = DIAL_LIMIT - 1;

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Its socket, forwarded by sshd.
    Streamlocal,
    /// `docker system dial-stdio`, run by sshd.
    DialStdio {
        /// Why its socket could not be forwarded.
        because: String,
    },
    /// A socket of this machine.
    Local(PathBuf),
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streamlocal => write!(f, "{SOCKET}, forwarded by sshd"),
            Self::DialStdio { because } => write!(f, "`{DIAL_STDIO}`, because {because}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Finds out how the engine of a host can be reached. Asked once per connection to the host.
pub(super) async fn probe(session: &Session) -> Result<Transport, Error> {
    let because = match session.open_unix(SOCKET).await {
        Ok(_) => return Ok(Transport::Streamlocal),
        Err(ssh::Error::Channel { failure, .. }) => format!("sshd does not forward {SOCKET}: {failure}"),
        Err(error) => return Err(error.into()),
    };
    // The command tells what sshd does not: that the engine is down, or that the user may not use it.
    let ping = session.run(DIAL_STDIO, b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await?;
    if ping.stdout.starts_with(b"HTTP/1.") {
        return Ok(Transport::DialStdio { because });
    }
    let complaint = ping.complaint();
    let host = session.host().to_string();
    if complaint.to_ascii_lowercase().contains("permission denied") {
        return Err(Error::PermissionDenied { host, user: session.target().user.clone() });
    }
    let detail = complaint.lines().next().unwrap_or_default().to_owned();
    Err(Error::NoEngine { host, detail })
}

/// Makes connections to one engine.
#[derive(Clone)]
pub(super) enum Connector {
    Streamlocal(Session),
    DialStdio(Session, Arc<Semaphore>),
    Local(PathBuf),
}

impl Connector {
    pub(super) fn new(session: &Session, transport: &Transport) -> Self {
        match transport {
            Transport::Streamlocal => Self::Streamlocal(session.clone()),
            Transport::DialStdio { .. } => {
                Self::DialStdio(session.clone(), Arc::new(Semaphore::new(DIAL_LIMIT)))
            }
            Transport::Local(path) => Self::Local(path.clone()),
        }
    }

    async fn connect(self) -> Result<Pipe, Box<dyn std::error::Error + Send + Sync>> {
        let (stream, permit): (Box<dyn Duplex>, _) = match self {
            Self::Streamlocal(session) => (Box::new(session.open_unix(SOCKET).await?), None),
            Self::DialStdio(session, limit) => {
                let permit = limit.acquire_owned().await?;
                (Box::new(session.exec(DIAL_STDIO).await?.into_stream()), Some(permit))
            }
            Self::Local(path) => (Box::new(UnixStream::connect(path).await?), None),
        };
        Ok(Pipe { stream, _permit: permit })
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Pipe>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to an engine.
pub(super) struct Pipe {
    stream: Box<dyn Duplex>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
