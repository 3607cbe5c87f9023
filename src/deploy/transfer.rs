//! Brings an image to a host: read from the local engine, compressed on all cores, through the SSH connection, into
//! the host's engine. No registry anywhere, nothing written on the way.
//!
//! Engines from 23.0 on take zstd as it is. Older ones do not, so `zstd -d | docker load` runs on the host, or gzip is
//! sent where the host has no zstd. See `docs/transfer.md` for what each engine accepts and how we know.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::error::Error;
use super::event::{Event, Report};
use super::remote::Remote;
use crate::docker::{Engine, EngineVersion, Image};

/// A line that takes nothing for this long is dead, whatever its keepalive says.
const IDLE: Duration = Duration::from_secs(20);
/// How long the host's engine may unpack after the last byte.
const UNPACK: Duration = Duration::from_secs(600);
/// Fast enough for any line; higher levels cost more time than they save above 100 Mbit/s.
const ZSTD_LEVEL: i32 = 3;
/// Chunks waiting on either side of the compressor: enough to keep both busy, few enough to keep memory flat.
const QUEUE: usize = 16;
/// How often progress is told where the engine's client does the sending.
const TELL: Duration = Duration::from_millis(200);

/// What went over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transferred {
    /// Compressed bytes.
    pub bytes: u64,
    /// Layers sent.
    pub layers_sent: usize,
    /// Layers that the host had.
    pub layers_skipped: usize,
}

/// How the bytes get into the host's engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Zstd straight into the API.
    ZstdApi,
    /// Zstd through `zstd -d | docker load`.
    ZstdShell,
    /// Gzip straight into the API.
    GzipApi,
}

/// Makes sure that the host has the image. An image that is already there is not sent again.
///
/// # Errors
/// [`Error::Transfer`] when the line or either engine fails. Nothing that runs is touched.
pub async fn ensure(
    local: &Engine,
    remote: &Remote,
    image: &Image,
    report: Report<'_>,
) -> Result<Transferred, Error> {
    let layers = image.layers.len();
    if has(remote, image).await? {
        return Ok(Transferred { bytes: 0, layers_sent: 0, layers_skipped: layers });
    }
    let fail = |why: String| Error::Transfer { host: remote.name().clone(), why };
    let route = route(remote).await?;
    let export = local.export_image(&image.id).await.map_err(|error| fail(error.to_string()))?;
    let progress = Progress::default();
    let chunks = compress(export.map(|chunk| chunk.map_err(|error| error.to_string())), route, &progress);
    let tell = |sent| {
        let bytes_read = progress.read.load(Ordering::Relaxed);
        report(Event::Sent {
            host: remote.name().clone(),
            bytes_sent: sent,
            bytes_read,
            bytes_total: image.size,
        });
    };
    let bytes = match route {
        Route::ZstdShell => through_shell(remote, chunks, &tell).await,
        Route::ZstdApi | Route::GzipApi => through_api(remote, chunks, &progress, &tell).await,
    }
    .map_err(fail)?;
    tell(bytes);
    if !has(remote, image).await? {
        return Err(fail("its engine took it without an error, but does not have it".to_owned()));
    }
    Ok(Transferred { bytes, layers_sent: layers, layers_skipped: 0 })
}

async fn has(remote: &Remote, image: &Image) -> Result<bool, Error> {
    let found = remote.engine.image(&image.id).await?;
    Ok(found.is_some())
}

async fn route(remote: &Remote) -> Result<Route, Error> {
    if takes_zstd(remote.engine.version()) {
        return Ok(Route::ZstdApi);
    }
    let found = remote.session.run("command -v zstd && command -v docker", b"").await?;
    Ok(if found.status.success() { Route::ZstdShell } else { Route::GzipApi })
}

/// Byte counts, shared with the compressor's thread.
#[derive(Debug, Clone, Default)]
struct Progress {
    read: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
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

type Chunk = Result<Bytes, String>;

/// Compresses on a thread of its own. A failure of the source travels in band, so that a stream that ends early can
/// never look complete.
fn compress(
    export: impl Stream<Item = Chunk> + Send + 'static,
    route: Route,
    progress: &Progress,
) -> mpsc::Receiver<Chunk> {
    let (raw_in, mut raw_out) = mpsc::channel::<Chunk>(QUEUE);
    let (packed_in, packed_out) = mpsc::channel::<Chunk>(QUEUE);
    tokio::spawn(async move {
        let mut export = std::pin::pin!(export);
        while let Some(chunk) = export.next().await {
            if raw_in.send(chunk).await.is_err() {
                return;
            }
        }
    });
    let progress = progress.clone();
    tokio::task::spawn_blocking(move || {
        let sink = Sink { chunks: packed_in.clone(), sent: progress.sent.clone() };
        let packed = Compressor::new(route, sink).and_then(|mut compressor| {
            while let Some(chunk) = raw_out.blocking_recv() {
                let chunk = chunk.map_err(io::Error::other)?;
                progress.read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                compressor.write_all(&chunk)?;
            }
            compressor.finish()
        });
        if let Err(error) = packed {
            // The receiver may be gone, which is why it failed: then nobody is left to tell.
            let _ = packed_in.blocking_send(Err(error.to_string()));
        }
    });
    packed_out
}

enum Compressor {
    Zstd(zstd::Encoder<'static, Sink>),
    Gzip(flate2::write::GzEncoder<Sink>),
}

impl Compressor {
    fn new(route: Route, sink: Sink) -> io::Result<Self> {
        if route == Route::GzipApi {
            return Ok(Self::Gzip(flate2::write::GzEncoder::new(sink, flate2::Compression::fast())));
        }
        let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        encoder.multithread(u32::try_from(cores).unwrap_or(1))?;
        Ok(Self::Zstd(encoder))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.finish()?.flush(),
            Self::Gzip(encoder) => encoder.finish()?.flush(),
        }
    }
}

/// Where the compressor writes: a bounded queue, so that a slow line slows the whole pipe down.
struct Sink {
    chunks: mpsc::Sender<Chunk>,
    sent: Arc<AtomicU64>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.chunks.blocking_send(Ok(chunk)).map_err(|_| io::Error::other("the line is gone"))?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn through_shell(
    remote: &Remote,
    mut chunks: mpsc::Receiver<Chunk>,
    tell: &(dyn Fn(u64) + Sync),
) -> Result<u64, String> {
    let mut exec =
        remote.session.exec("zstd -dc | docker load -q").await.map_err(|error| error.to_string())?;
    let mut sent = 0;
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk?;
        let written = timeout(IDLE, exec.stdin.write_all(&chunk)).await;
        match written.map_err(|_| format!("the line took nothing for {} s", IDLE.as_secs()))? {
            Ok(()) => sent += chunk.len() as u64,
            Err(error) => {
                return Err(why_ended(&String::from_utf8_lossy(&exec.stderr()), &error.to_string()));
            }
        }
        tell(sent);
    }
    // Waiting also ends the command's input.
    let status =
        timeout(UNPACK, exec.wait()).await.map_err(|_| "its engine did not finish unpacking".to_owned())?;
    match status {
        Ok(status) if status.success() => Ok(sent),
        Ok(status) => Err(why_ended(&String::from_utf8_lossy(&exec.stderr()), &status.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

/// What the far end said before it went matters more than that it went.
fn why_ended(said: &str, otherwise: &str) -> String {
    let said = crate::fleet::text::printable(said.trim(), 400);
    if said.is_empty() { otherwise.to_owned() } else { said }
}

async fn through_api(
    remote: &Remote,
    chunks: mpsc::Receiver<Chunk>,
    progress: &Progress,
    tell: &(dyn Fn(u64) + Sync),
) -> Result<u64, String> {
    let body = futures_util::stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|chunk| (chunk.map_err(io::Error::other), chunks))
    });
    let mut load = std::pin::pin!(remote.engine.load_image(body));
    let mut tick = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            loaded = &mut load => {
                loaded.map_err(|error| error.to_string())?;
                return Ok(progress.sent.load(Ordering::Relaxed));
            }
            _ = tick.tick() => tell(progress.sent.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    async fn packed(source: Vec<Chunk>, route: Route) -> Result<Vec<u8>, String> {
        let mut chunks = compress(futures_util::stream::iter(source), route, &Progress::default());
        let mut out = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            out.extend_from_slice(&chunk?);
        }
        Ok(out)
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let image: Vec<u8> = (0..3_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let source = || image.chunks(65_536).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let zstd = packed(source(), Route::ZstdShell).await.unwrap();
        assert!(zstd.len() < image.len() / 2);
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), image);
        let gzip = packed(source(), Route::GzipApi).await.unwrap();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, image);
    }

    #[tokio::test]
    async fn a_source_that_breaks_off_never_looks_complete() {
        for route in [Route::ZstdApi, Route::GzipApi] {
            let source = vec![Ok(Bytes::from_static(b"half an image")), Err("engine gone".to_owned())];
            assert_eq!(packed(source, route).await, Err("engine gone".to_owned()));
        }
    }
}
