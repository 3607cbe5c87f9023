//! Files on this disk: read within a bound, replaced whole or not at all, changed by one arcane at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::error::{Error, Result, shown};

/// What the name of an unfinished file ends with. Nothing secret is ever in one: it is sealed before it is written.
const UNFINISHED: &str = ".arcane-tmp";
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.to_owned(), source }
}

/// The bytes of a file; `None` when there is none.
pub(super) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(failed("read", path)(source)),
    };
    let size = file.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(usize::MAX));
    let mut bytes = Vec::with_capacity(size.min(limit) + 1);
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() > limit {
        return Err(Error::TooLarge { what: shown(path), limit });
    }
    Ok(Some(bytes))
}

/// Puts a file in the place of whatever is there: after a power cut it is the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let unfinished = write_beside(path, bytes, mode)?;
    fs::rename(&unfinished, path).map_err(|source| {
        let _ = fs::remove_file(&unfinished);
        failed("write", path)(source)
    })?;
    sync_directory(path);
    Ok(())
}

/// Makes a file, unless there is one.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let unfinished = write_beside(path, bytes, mode)?;
    let linked = fs::hard_link(&unfinished, path);
    let _ = fs::remove_file(&unfinished);
    match linked {
        Ok(()) => {
            sync_directory(path);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Error::IdentityExists { path: path.to_owned() })
        }
        Err(source) => Err(failed("write", path)(source)),
    }
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}{UNFINISHED}", std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    match written {
        Ok(()) => Ok(unfinished),
        Err(source) => {
            let _ = fs::remove_file(&unfinished);
            Err(failed("write", path)(source))
        }
    }
}

/// Best effort: a file system that cannot do it has other promises.
fn sync_directory(path: &Path) {
    if let Some(directory) = path.parent().and_then(|parent| File::open(parent).ok()) {
        let _ = directory.sync_all();
    }
}

/// Removes a file; one that is not there is as good as removed.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a directory, and those above it, that only its owner may enter.
pub(super) fn private_directory(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

/// Makes a directory, and those above it.
pub(super) fn directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(failed("make", path))
}

/// The names in a directory, without those of unfinished files; none when there is no directory.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("read", path)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("read", path))?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(UNFINISHED) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The right to change what is in a directory. The kernel takes it back when we end, however we end.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    /// Waits up to `patience` for whoever has it, then clears away what a killed holder left unfinished.
    pub(super) fn take(directory: &Path, patience: Duration) -> Result<Self> {
        let file = File::open(directory).map_err(failed("read", directory))?;
        let mut waited = Duration::ZERO;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if waited < patience => {
                    std::thread::sleep(LOOK_AGAIN);
                    waited += LOOK_AGAIN;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy { path: directory.to_owned() }),
                Err(error) => return Err(failed("lock", directory)(error.into())),
            }
        }
        let places = [directory.to_owned(), directory.join("team")];
        for entry in places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self(file))
    }
}
