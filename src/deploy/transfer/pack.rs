//! Packs a layer: hashes it, compresses it on all cores, puts it into a spool.
//!
//! What is packed is a row of independent blocks, each a whole zstd frame or gzip member: any number of them in a row
//! is a valid stream, so blocks can be made side by side, each at a level of its own, and a file's tar header can be
//! put before a layer whose length is known only once it is packed. The level follows the line: where packed bytes
//! pile up before it, there is time to compress better; where the line waits, there is not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use super::spool::Spool;

/// What becomes one frame: large enough to compress well, small enough for several at once.
const BLOCK: usize = 4 << 20;
/// The level at which nothing is known of the line yet.
const FIRST_LEVEL: i32 = 3;
/// The highest level for a line that takes so many bytes a second. On a fast one what piles up is waiting for the
/// host, or for this machine's own cores, and better compression would make both wait longer.
const HIGHEST_LEVEL: [(u64, i32); 3] = [(20_000_000, 3), (5_000_000, 6), (0, 9)];
/// This many packed bytes before the line are enough to keep it busy.
const COMFORT: u64 = 4 << 20;

/// How layers are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Zstd,
    Gzip,
}

impl Form {
    /// One self-contained block.
    pub(super) fn block(self, plain: &[u8], level: i32) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.include_checksum(true)?;
                compressor.compress(plain)
            }
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain)?;
                encoder.finish()
            }
        }
    }
}

/// How far the packing is ahead of the line, shared by both.
#[derive(Debug)]
pub(super) struct Pace {
    packed: AtomicU64,
    sent: AtomicU64,
    /// Microseconds that the line took for that.
    took: AtomicU64,
    level: AtomicI32,
    /// The line is idle for a reason of its own.
    rests: AtomicBool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            packed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            took: AtomicU64::new(0),
            level: AtomicI32::new(FIRST_LEVEL),
            rests: AtomicBool::new(false),
        }
    }
}

impl Pace {
    /// The line has taken these bytes, in this time.
    pub(super) fn sent(&self, bytes: u64, took: Duration) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.took.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Bytes a second that the line takes while it is given any.
    fn rate(&self) -> u64 {
        self.total().saturating_mul(1_000_000) / self.took.load(Ordering::Relaxed).max(1)
    }

    /// The line is idle because the host unpacks, or goes on: what piles up meanwhile says nothing of its speed.
    pub(super) fn rests(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    /// All bytes that the line has taken.
    pub(super) fn total(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The level for the next block, after one that was packed into so many bytes.
    fn next_level(&self, packed: u64) -> i32 {
        let ahead = (self.packed.fetch_add(packed, Ordering::Relaxed) + packed).saturating_sub(self.total());
        let level = self.level.load(Ordering::Relaxed);
        // Before the line has taken anything, what lies before it says nothing of its speed.
        let next = match ahead {
            _ if self.total() == 0 || self.rests.load(Ordering::Relaxed) => level,
            0..COMFORT => level - 1,
            ahead if ahead > 3 * COMFORT => level + 1,
            _ => level,
        };
        let rate = self.rate();
        let highest =
            HIGHEST_LEVEL.iter().find(|(from, _)| rate >= *from).map_or(FIRST_LEVEL, |(_, level)| *level);
        let next = next.clamp(1, highest);
        self.level.store(next, Ordering::Relaxed);
        next
    }
}

/// Packs a layer into a spool to its end. Returns its digest, `sha256:…`, and its length, unpacked.
///
/// # Errors
/// When the source fails, or the spool's disk is full.
pub(super) async fn pack<S>(
    chunks: S,
    spool: &Spool,
    form: Form,
    pace: &Pace,
) -> Result<(String, u64), String>
where
    S: Stream<Item = Result<Bytes, String>>,
{
    let mut chunks = std::pin::pin!(chunks);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut pending: VecDeque<(u64, JoinHandle<io::Result<Vec<u8>>>)> = VecDeque::new();
    let mut hasher = Some(Sha256::new());
    let (mut block, mut size, mut level) = (BytesMut::new(), 0_u64, pace.level.load(Ordering::Relaxed));
    loop {
        let chunk = chunks.next().await.transpose()?;
        let ended = chunk.is_none();
        if let Some(chunk) = chunk {
            size += chunk.len() as u64;
            block.extend_from_slice(&chunk);
        }
        if block.len() >= BLOCK || (ended && !block.is_empty()) {
            let plain = block.split().freeze();
            let hashed = plain.clone();
            let length = plain.len() as u64;
            pending.push_back((length, spawn_blocking(move || form.block(&plain, level))));
            let mut state = hasher.take().unwrap_or_default();
            let next = spawn_blocking(move || {
                state.update(&hashed);
                state
            });
            hasher = Some(next.await.map_err(|error| error.to_string())?);
        }
        while pending.len() >= cores || (ended && !pending.is_empty()) {
            let Some((length, next)) = pending.pop_front() else { break };
            let packed = next.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            level = pace.next_level(packed.len() as u64);
            spool.append(packed.into(), length).await.map_err(|error| cannot_spool(&error))?;
        }
        if ended {
            return Ok((digest(&hasher.unwrap_or_default().finalize()), size));
        }
    }
}

/// Why this machine cannot hold what waits for the line.
pub(super) fn cannot_spool(error: &io::Error) -> String {
    let directory = std::env::temp_dir();
    format!("this machine cannot hold what waits to be sent in {}: {error}", directory.display())
}

/// A digest as engines write it.
pub(super) fn digest(hash: &[u8]) -> String {
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The digest of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    digest(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    async fn packed(
        source: Vec<Result<Bytes, String>>,
        form: Form,
    ) -> Result<(Vec<u8>, String, u64), String> {
        let spool = Spool::new(None).unwrap();
        let (digest, size) = pack(futures_util::stream::iter(source), &spool, form, &Pace::default()).await?;
        spool.end(size);
        let mut all = Vec::new();
        while let Some(bytes) = spool.read(all.len() as u64).await.unwrap() {
            all.extend_from_slice(&bytes);
        }
        Ok((all, digest, size))
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let layer: Vec<u8> = (0..3_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let source = || layer.chunks(65_536).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let (zstd, digest, size) = packed(source(), Form::Zstd).await.unwrap();
        assert!(zstd.len() < layer.len() / 2);
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), layer);
        assert_eq!((digest, size), (digest_of(&layer), layer.len() as u64));
        let (gzip, ..) = packed(source(), Form::Gzip).await.unwrap();
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&gzip[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, layer);
    }

    #[tokio::test]
    async fn a_source_that_breaks_off_never_looks_complete() {
        let source = vec![Ok(Bytes::from_static(b"half a layer")), Err("engine gone".to_owned())];
        assert_eq!(packed(source, Form::Zstd).await, Err("engine gone".to_owned()));
    }

    #[test]
    fn the_level_follows_the_line() {
        let second = Duration::from_secs(1);
        let levels = |pace: &Pace, packed: u64| (0..10).map(|_| pace.next_level(packed)).collect::<Vec<_>>();
        let slow = Pace::default();
        assert_eq!(slow.next_level(100 << 20), FIRST_LEVEL, "nothing is known of a line that took nothing");
        slow.sent(1 << 20, second);
        assert_eq!(levels(&slow, 1 << 20).last(), Some(&9), "there is time to compress");
        slow.rests(true);
        assert_eq!(levels(&slow, 1 << 20).last(), Some(&9), "a host that unpacks tells nothing");
        slow.rests(false);
        slow.sent(119 << 20, 119 * second);
        assert_eq!(levels(&slow, 0).last(), Some(&1), "the line waits");
        let fast = Pace::default();
        fast.sent(100 << 20, second);
        assert_eq!(levels(&fast, 100 << 20).last(), Some(&FIRST_LEVEL), "what piles up is not for the line");
    }
}
