//! A packed layer on its way, in a file without a name: whoever makes it is not held up by the line, and whoever
//! sends it can follow the end while it is still being made.
//!
//! The file is unlinked as soon as it is open, so nothing of it outlives this process, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// How much is read at once.
const READ: usize = 256 << 10;

/// A layer that is being packed, or is.
#[derive(Debug, Clone)]
pub(super) struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Packed bytes in the file.
    written: u64,
    /// What these are unpacked.
    unpacked: u64,
    /// Bytes of the unpacked layer, once that is known.
    size: Option<u64>,
    /// Nothing more comes.
    ended: bool,
}

impl Spool {
    /// An empty one; `size` is that of the unpacked layer, where it is known beforehand.
    pub(super) fn new(size: Option<u64>) -> io::Result<Self> {
        let file = nameless(&std::env::temp_dir())?;
        let state = watch::Sender::new(State { size, ..State::default() });
        Ok(Self(Arc::new(Inner { file, state })))
    }

    /// Adds packed bytes, and says how many they are unpacked.
    pub(super) async fn append(&self, packed: Bytes, unpacked: u64) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        let at = inner.state.borrow().written;
        let length = packed.len() as u64;
        spawn_blocking(move || inner.file.write_all_at(&packed, at)).await.map_err(io::Error::other)??;
        self.0.state.send_modify(|state| {
            state.written += length;
            state.unpacked += unpacked;
        });
        Ok(())
    }

    /// About how many bytes the first `packed` ones are unpacked.
    pub(super) fn unpacked(&self, packed: u64) -> u64 {
        let state = *self.0.state.borrow();
        let share = u128::from(state.unpacked) * u128::from(packed) / u128::from(state.written.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Says that all of it is there, and how large the layer is.
    pub(super) fn end(&self, size: u64) {
        self.0.state.send_modify(|state| {
            state.size = Some(size);
            state.ended = true;
        });
    }

    /// How large the unpacked layer is; waits until that is known.
    pub(super) async fn size(&self) -> u64 {
        let mut state = self.0.state.subscribe();
        // The sender lives as long as `self`.
        let known = state.wait_for(|state| state.size.is_some()).await;
        known.ok().and_then(|state| state.size).unwrap_or_default()
    }

    /// The packed bytes from `at` on, as many as there are at hand; waits for some, and is `None` at the end.
    pub(super) async fn read(&self, at: u64) -> io::Result<Option<Bytes>> {
        let mut state = self.0.state.subscribe();
        let now = match state.wait_for(|state| state.written > at || state.ended).await {
            Ok(state) => *state,
            Err(_) => return Ok(None),
        };
        let left = usize::try_from(now.written.saturating_sub(at)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let inner = Arc::clone(&self.0);
        let read = spawn_blocking(move || {
            let mut bytes = vec![0; left.min(READ)];
            inner.file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
        });
        read.await.map_err(io::Error::other)?.map(Some)
    }
}

/// A new file that only this process can reach.
fn nameless(directory: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let salt = crate::clock::now().as_nanos();
    let name = format!("arcane-{}-{salt:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = directory.join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_reader_follows_a_writer_to_the_end() {
        let spool = Spool::new(None).unwrap();
        let reader = spool.clone();
        let all = tokio::spawn(async move {
            let mut all = Vec::new();
            while let Some(bytes) = reader.read(all.len() as u64).await.unwrap() {
                all.extend_from_slice(&bytes);
            }
            (all, reader.size().await)
        });
        for part in ["one ", "two ", "three"] {
            spool.append(Bytes::from(part), 2 * part.len() as u64).await.unwrap();
            assert_eq!(spool.unpacked(4), 8);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        spool.end(99);
        assert_eq!(all.await.unwrap(), (b"one two three".to_vec(), 99));
    }

    #[test]
    fn nothing_of_it_has_a_name() {
        let directory = std::env::temp_dir().join(format!("arcane-spool-test-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let file = nameless(&directory).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir(&directory).unwrap();
    }
}
