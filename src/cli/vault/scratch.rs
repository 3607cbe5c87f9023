//! A file that never touches a disk: in a directory of its own on a RAM file system, overwritten and removed when it is
//! done with, together with whatever an editor put beside it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "arcane-edit-";

/// The directory with the file in it. Dropping it wipes both.
pub(super) struct Scratch {
    directory: PathBuf,
    file: PathBuf,
}

impl Scratch {
    /// Writes `text` to a new file of this name; `None` when this machine has no RAM file system that we know of.
    pub(super) fn new(name: &str, text: &[u8]) -> io::Result<Option<Self>> {
        let Some(root) = memory() else {
            return Ok(None);
        };
        wipe_those_left(&root);
        let directory = root.join(format!("{PREFIX}{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&directory)?;
        let scratch = Self { file: directory.join(name), directory };
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch.file)?.write_all(text)?;
        Ok(Some(scratch))
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        wipe(&self.directory);
    }
}

/// Overwrites every file and removes the directory.
fn wipe(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            wipe(&path);
            continue;
        }
        if metadata.is_file()
            && let Ok(mut file) = OpenOptions::new().write(true).open(&path)
        {
            let zeros = io::Read::take(io::repeat(0), metadata.len());
            let _ = io::copy(&mut { zeros }, &mut file);
        }
        let _ = fs::remove_file(&path);
    }
    let _ = fs::remove_dir(directory);
}

/// Whether it is a directory in which nobody else can put anything, such as a link to what is not to be wiped: the place may
/// be one that everybody writes to.
fn is_ours_alone(directory: &Path) -> bool {
    fs::symlink_metadata(directory).is_ok_and(|found| {
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o777 == 0o700
    })
}

/// What an arcane left that was killed while its editor was open.
fn wipe_those_left(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
        let pid = pid.filter(|pid: &i32| *pid > 0);
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
            && rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            && is_ours_alone(&entry.path())
        {
            wipe(&entry.path());
        }
    }
}

/// A directory on a RAM file system in which this user may write.
#[cfg(target_os = "linux")]
fn memory() -> Option<PathBuf> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    places.into_iter().find(|place| {
        let kind = rustix::fs::statfs(place).ok().and_then(|found| u64::try_from(found.f_type).ok());
        let writable = rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok();
        writable && kind.is_some_and(|kind| kind == TMPFS || kind == RAMFS)
    })
}

/// Elsewhere there is none that is always there.
#[cfg(not(target_os = "linux"))]
fn memory() -> Option<PathBuf> {
    None
}
