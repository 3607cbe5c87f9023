//! `arcane-keep WHAT RUN APP [RELEASE…]`: secrets of releases in a file system in memory, below the directory `RUN`, which is
//! the host's `/run`.
//!
//! A release's secrets are `RUN/arcane/APP/RELEASE`, and in there `launch` (this program, and `env`) and `files`: one directory
//! for each place where a container gets them. Only root gets as far as that on the host, so that what is inside can be
//! readable by whatever user a container runs as. It is made under another name first: a release's secrets are there as a
//! whole or not at all.
//!
//! | what    | does                                                                         | says                       |
//! | ------- | ---------------------------------------------------------------------------- | -------------------------- |
//! | `add`   | takes a release's secrets from standard input, unless they are there already | `kept` or `present`        |
//! | `put`   | the same, and wipes those of all other releases of the app but these         | the same                   |
//! | `have`  | looks whether they are there                                                 | `present` or `absent`      |
//! | `sweep` | wipes those of all releases of the app but these                             | nothing                    |
//!
//! What `put` takes is records: a byte for the kind, one for the length of the name, four for the size, lowest first; the name;
//! the bytes. Kinds: `l` a file of `launch`, `x` a program there, `f` a file of `files`, `.` the end. Without the end nothing is
//! kept: that is a line that dropped.

use core::ffi::CStr;

use crate::launch::join;
use crate::sys::{self, Errno, File};
use crate::{Start, fail};

/// Room for a name and what is put around it.
const NAME: usize = 300;
/// What is moved at once.
const PIECE: usize = 64 * 1024;
/// How long names may be here: an app's and a release's are far shorter.
const LONGEST: usize = 128;

const REFUSED: i32 = 1;
const USAGE: i32 = 2;

const STDIN: File = File(0);
const STDOUT: usize = 1;

pub fn run(start: &Start) -> ! {
    let (Some(what), Some(run), Some(app)) = (start.argument(1), start.argument(2), start.argument(3)) else {
        fail(USAGE, &[b"arcane-keep WHAT RUN APP [RELEASE...]"]);
    };
    let root = root(run);
    match (what.to_bytes(), start.argument(4)) {
        (b"add", Some(release)) => say(put(root, plain(app), plain(release))),
        (b"put", Some(release)) => {
            let word = put(root, plain(app), plain(release));
            sweep(root, plain(app), start);
            say(word)
        }
        (b"have", Some(release)) => {
            let there = child(root, plain(app)).and_then(|app| child(app, plain(release))).is_ok();
            say(if there { b"present\n" } else { b"absent\n" })
        }
        (b"sweep", _) => {
            sweep(root, plain(app), start);
            say(b"")
        }
        _ => fail(USAGE, &[b"not known: ", what.to_bytes()]),
    }
}

fn say(word: &[u8]) -> ! {
    sys::write_all(STDOUT, word);
    sys::exit(0)
}

/// A name that leads nowhere else.
fn plain(name: &CStr) -> &CStr {
    let bytes = name.to_bytes();
    if bytes.is_empty() || bytes.len() > LONGEST || bytes[0] == b'.' || bytes.contains(&b'/') {
        fail(USAGE, &[b"not a name: ", bytes]);
    }
    name
}

fn child(directory: File, name: &CStr) -> Result<File, Errno> {
    sys::open(directory, name, sys::DIRECTORY, 0)
}

/// The directory of all secrets, made when it is not there: a file system of its own where the kernel and the container let
/// us, that is never swapped out where the kernel can do that.
fn root(run: &CStr) -> File {
    let mut room = [0; NAME];
    let Some(path) = join(&mut room, &[run.to_bytes(), b"/arcane"]) else {
        fail(USAGE, &[b"the path is too long"]);
    };
    let refuse = |error: Errno| -> ! { fail(REFUSED, &[path.to_bytes(), b": ", error.words()]) };
    let is_new = match sys::mkdir(sys::HERE, path, 0o700) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(error) => refuse(error),
    };
    let mut root = child(sys::HERE, path).unwrap_or_else(|error| refuse(error));
    // What is mounted over a directory hides what is in it: never over secrets that are kept already.
    if is_new || !sys::is_memory(root) {
        let _ = sys::mount_tmpfs(path, c"mode=0700,size=50%,noswap")
            .or_else(|_| sys::mount_tmpfs(path, c"mode=0700,size=50%"));
        root = child(sys::HERE, path).unwrap_or_else(|error| refuse(error));
    }
    if !sys::is_memory(root) {
        fail(
            REFUSED,
            &[
                path.to_bytes(),
                b" would be on a disk, for /run is, and no file system in memory could be mounted there",
            ],
        );
    }
    match sys::owner_and_mode(root) {
        Ok((0, 0o700)) => root,
        Ok(_) => fail(REFUSED, &[path.to_bytes(), b" is not root's alone: somebody else made it; remove it"]),
        Err(error) => refuse(error),
    }
}

/// Takes a release's secrets from standard input.
fn put(root: File, app: &CStr, release: &CStr) -> &'static [u8] {
    let refuse = |error: Errno| -> ! { fail(REFUSED, &[b"cannot keep the secrets: ", error.words()]) };
    match sys::mkdir(root, app, 0o700) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => refuse(error),
    }
    let home = child(root, app).unwrap_or_else(|error| refuse(error));
    if child(home, release).is_ok() {
        return b"present\n";
    }
    let mut room = [0; NAME];
    let Some(part) = join(&mut room, &[b".", release.to_bytes()]) else {
        fail(USAGE, &[b"the name is too long"]);
    };
    // What was cut off.
    remove(home, part);
    match take(home, part).and_then(|()| sys::rename(home, part, release).map_err(Stop::Kernel)) {
        Ok(()) => b"kept\n",
        Err(stop) => {
            remove(home, part);
            match stop {
                Stop::Kernel(error) => refuse(error),
                Stop::CutOff => {
                    fail(REFUSED, &[b"the line ended before the secrets had come; nothing was kept"])
                }
                Stop::Malformed => fail(REFUSED, &[b"cannot read what was sent; nothing was kept"]),
            }
        }
    }
}

/// Why nothing is kept.
enum Stop {
    Kernel(Errno),
    CutOff,
    Malformed,
}

fn take(home: File, part: &CStr) -> Result<(), Stop> {
    let directory = |inside: File, name: &CStr| {
        sys::mkdir(inside, name, 0o700).and_then(|()| child(inside, name)).map_err(Stop::Kernel)
    };
    let whole = directory(home, part)?;
    let (launch, files) = (directory(whole, c"launch")?, directory(whole, c"files")?);
    loop {
        let mut head = [0; 6];
        fill(&mut head)?;
        let [kind, length, size @ ..] = head;
        let (inside, mode) = match kind {
            b'.' => break,
            b'l' => (launch, 0o444),
            b'x' => (launch, 0o555),
            b'f' => (files, 0o444),
            _ => return Err(Stop::Malformed),
        };
        let mut name = [0; 256];
        fill(&mut name[..usize::from(length)])?;
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| Stop::Malformed)?;
        if name.is_empty() || name.to_bytes()[0] == b'.' || name.to_bytes().contains(&b'/') {
            return Err(Stop::Malformed);
        }
        let file = sys::open(inside, name, sys::CREATE, 0o600).map_err(Stop::Kernel)?;
        copy(file, u32::from_le_bytes(size))?;
        sys::chmod(file, mode).map_err(Stop::Kernel)?;
        sys::close(file);
    }
    for directory in [launch, files, whole] {
        sys::chmod(directory, 0o555).map_err(Stop::Kernel)?;
    }
    Ok(())
}

/// The next bytes of standard input.
fn fill(mut into: &mut [u8]) -> Result<(), Stop> {
    while !into.is_empty() {
        match sys::read(STDIN, into) {
            Ok(0) => return Err(Stop::CutOff),
            Ok(read) => into = into.get_mut(read..).unwrap_or_default(),
            Err(error) => return Err(Stop::Kernel(error)),
        }
    }
    Ok(())
}

fn copy(file: File, size: u32) -> Result<(), Stop> {
    let mut buffer = [0; PIECE];
    let mut left = size as usize;
    while left > 0 {
        let piece = &mut buffer[..left.min(PIECE)];
        fill(piece)?;
        if !sys::write_all(file.0, piece) {
            return Err(Stop::Kernel(Errno::ENOSPC));
        }
        left -= piece.len();
    }
    Ok(())
}

/// Wipes the secrets of all releases of an app but those that are named.
fn sweep(root: File, app: &CStr, start: &Start) {
    let Ok(home) = child(root, app) else { return };
    let is_needed = |name: &CStr| (4..).map_while(|index| start.argument(index)).any(|needed| needed == name);
    each(home, |name| {
        if !is_needed(name) {
            remove(home, name);
        }
    });
    // Only when nothing is left.
    let _ = sys::remove(root, app, true);
}

/// Removes a release's secrets. What is in memory is gone with the name: the kernel clears pages before it gives them away.
fn remove(home: File, release: &CStr) {
    let Ok(whole) = child(home, release) else { return };
    for name in [c"launch", c"files"] {
        if let Ok(directory) = child(whole, name) {
            each(directory, |file| _ = sys::remove(directory, file, false));
            sys::close(directory);
            let _ = sys::remove(whole, name, true);
        }
    }
    sys::close(whole);
    let _ = sys::remove(home, release, true);
}

/// Every name in a directory.
fn each(directory: File, mut with: impl FnMut(&CStr)) {
    /// Where in an entry its length stands, and where its name begins.
    const LENGTH: usize = 16;
    const BEGIN: usize = 19;
    let mut room = [0; 32 * 1024];
    while let Ok(filled @ 1..) = sys::entries(directory, &mut room) {
        let mut left = &room[..filled];
        while let Some(&[low, high]) = left.get(LENGTH..LENGTH + 2) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let (Some(entry), true) = (left.get(BEGIN..length), length > 0) else { return };
            if let Ok(name) = CStr::from_bytes_until_nul(entry)
                && name != c"."
                && name != c".."
            {
                with(name);
            }
            left = &left[length..];
        }
    }
}
