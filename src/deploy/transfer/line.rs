//! The line: how packed bytes get into a host's engine.
//!
//! Engines from 23.0 on take zstd as it is. Older ones do not, so `zstd -d | docker load` runs on the host, or gzip is
//! sent where the host has no zstd. See `docs/transfer.md` for what each engine accepts and how we know.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::pack::Form;
use crate::deploy::error::Error;
use crate::deploy::remote::Remote;
use crate::docker::{self, EngineVersion, Loaded};
use crate::fleet::text::printable;
use crate::ssh::Exec;

/// A line that takes nothing for this long is dead, whatever its keepalive says.
const IDLE: Duration = Duration::from_secs(20);
/// How long the host's engine may unpack after the last byte.
const UNPACK: Duration = Duration::from_secs(600);
/// How long a command that takes no more input may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Chunks that wait for the engine's client.
const QUEUE: usize = 4;
/// How much of what the host says is shown, in characters.
const SAID: usize = 400;

/// How the bytes get into the host's engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Zstd straight into the API.
    ZstdApi,
    /// Zstd through `zstd -d | docker load`.
    ZstdShell,
    /// Gzip straight into the API.
    GzipApi,
}

impl Route {
    /// The one for a host.
    pub(super) async fn of(remote: &Remote) -> Result<Self, Error> {
        if takes_zstd(remote.engine.version()) {
            return Ok(Self::ZstdApi);
        }
        let found = remote.session.run("command -v zstd && command -v docker", b"").await?;
        Ok(if found.status.success() { Self::ZstdShell } else { Self::GzipApi })
    }

    pub(super) fn form(self) -> Form {
        match self {
            Self::ZstdApi | Self::ZstdShell => Form::Zstd,
            Self::GzipApi => Form::Gzip,
        }
    }
}

/// Whether an engine loads an image compressed with zstd. From Docker 23.0 on, in both image stores.
#[must_use]
pub fn takes_zstd(version: &EngineVersion) -> bool {
    version
        .version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 23)
}

/// Why a load failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The host's disk is full.
    Full(String),
    /// A layer that was left out is not there: it was removed since it was seen.
    Vanished(String),
    /// This machine's engine did not hand the image over.
    Source(String),
    /// Anything else.
    Other(String),
}

impl Failed {
    /// Sorts what a host said.
    fn said(words: &str) -> Self {
        let text = printable(words.trim(), SAID);
        if words.contains("no space left on device") || words.contains("No space left on device") {
            return Self::Full(text);
        }
        // The classic store opens the file of a layer that it does not have.
        if words.contains("no such file or directory") && words.contains("blobs/sha256/") {
            return Self::Vanished(text);
        }
        Self::Other(text)
    }
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(why) => write!(f, "its disk is full: {why}"),
            Self::Vanished(why) | Self::Source(why) | Self::Other(why) => write!(f, "{why}"),
        }
    }
}

/// One image that is being loaded. Dropped before its end it leaves nothing: what describes the image comes last, and
/// the engine never sees it.
pub(super) enum Load {
    Shell(Box<Exec>),
    Api(mpsc::Sender<io::Result<Bytes>>, AbortOnDropHandle<Result<Loaded, docker::Error>>),
}

impl Load {
    /// Opens the way into the host's engine.
    pub(super) async fn begin(remote: &Remote, route: Route) -> Result<Self, Failed> {
        if route == Route::ZstdShell {
            let exec = remote.session.exec("zstd -dc | docker load -q").await;
            return Ok(Self::Shell(Box::new(exec.map_err(|error| error.to_string())?)));
        }
        let (sender, chunks) = mpsc::channel(QUEUE);
        let body = futures_util::stream::unfold(chunks, |mut chunks: mpsc::Receiver<_>| async move {
            chunks.recv().await.map(|chunk| (chunk, chunks))
        });
        let engine = remote.engine.clone();
        let load = tokio::spawn(async move { engine.load_image(body).await });
        Ok(Self::Api(sender, AbortOnDropHandle::new(load)))
    }

    /// Gives it packed bytes.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Failed> {
        let late = |_| Failed::Other(format!("the line took nothing for {} s", IDLE.as_secs()));
        match self {
            Self::Shell(exec) => {
                let written = timeout(IDLE, exec.stdin.write_all(&bytes)).await.map_err(late)?;
                let Err(error) = written else { return Ok(()) };
                // What the far end said before it went matters more than that it went, and may still be on its way.
                let _ = timeout(LAST_WORDS, exec.wait()).await;
                let said = String::from_utf8_lossy(&exec.stderr()).into_owned();
                Err(if said.trim().is_empty() {
                    Failed::Other(error.to_string())
                } else {
                    Failed::said(&said)
                })
            }
            Self::Api(chunks, load) => match timeout(IDLE, chunks.send(Ok(bytes))).await.map_err(late)? {
                Ok(()) => Ok(()),
                Err(_) => Err(ended(load).await),
            },
        }
    }

    /// Ends it, and waits for the engine to unpack.
    pub(super) async fn finish(self) -> Result<(), Failed> {
        let late = |_| Failed::Other("its engine did not finish unpacking".to_owned());
        match self {
            Self::Shell(mut exec) => {
                // Waiting also ends the command's input.
                let status = timeout(UNPACK, exec.wait()).await.map_err(late)?;
                match status {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => {
                        let said = String::from_utf8_lossy(&exec.stderr()).into_owned();
                        Err(if said.trim().is_empty() {
                            Failed::Other(status.to_string())
                        } else {
                            Failed::said(&said)
                        })
                    }
                    Err(error) => Err(Failed::Other(error.to_string())),
                }
            }
            Self::Api(chunks, load) => {
                drop(chunks);
                match timeout(UNPACK, load).await.map_err(late)? {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(Failed::said(&error.to_string())),
                    Err(error) => Err(Failed::Other(error.to_string())),
                }
            }
        }
    }
}

/// Why the engine's client stopped taking bytes.
async fn ended(load: &mut AbortOnDropHandle<Result<Loaded, docker::Error>>) -> Failed {
    match load.await {
        Ok(Err(error)) => Failed::said(&error.to_string()),
        Ok(Ok(_)) => Failed::Other("its engine ended the load before it was whole".to_owned()),
        Err(error) => Failed::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_is_sorted() {
        let full = "Error processing tar file(exit status 1): write /app: no space left on device";
        let vanished =
            "open /var/lib/docker/tmp/docker-import-1/blobs/sha256/ab/layer.tar: no such file or directory";
        assert!(matches!(Failed::said(full), Failed::Full(_)));
        assert!(matches!(Failed::said(vanished), Failed::Vanished(_)));
        assert!(
            matches!(Failed::said("Cannot connect\x1b[2J"), Failed::Other(text) if !text.contains('\x1b'))
        );
    }
}
