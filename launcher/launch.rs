//! `launch PROGRAM [ARGUMENT…]`: adds what `env` beside it holds to the environment, and becomes the program.

use core::ffi::{CStr, c_char};

use crate::sys::{self, Errno};
use crate::{Start, fail};

/// As a shell says it: found, but not to be run.
const CANNOT_RUN: i32 = 126;
/// As a shell says it: not found.
const NOT_FOUND: i32 = 127;
/// `EX_CONFIG` of sysexits.h.
const NO_SECRETS: i32 = 78;
/// The longest path that the kernel takes.
const PATH_MAX: usize = 4096;
/// Where is looked without a `PATH`, as Docker would say it.
const USUAL: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn run(start: &Start, own: &'static [u8]) -> ! {
    let Some(program) = start.argument(1).filter(|program| !program.is_empty()) else {
        fail(NOT_FOUND, &[b"the image names no command"]);
    };
    let secrets = read(own);
    let environment = merge(start.environment(), secrets);
    let arguments = start.arguments_from(1);
    let name = program.to_bytes();
    // SAFETY: both arrays hold strings and end with a null pointer.
    let exec = |path: &CStr| unsafe { sys::execve(path, arguments, environment) };
    if name.contains(&b'/') {
        refused(name, exec(program));
    }
    let mut refusal = Errno::ENOENT;
    for directory in path_of(environment).split(|&byte| byte == b':') {
        let mut room = [0; PATH_MAX];
        let directory = if directory.is_empty() { b"." } else { directory };
        let Some(path) = join(&mut room, &[directory, b"/", name]) else { continue };
        match exec(path) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // Another of this name, further on, may be one that can be run.
            Errno::EACCES => refusal = Errno::EACCES,
            error => refused(name, error),
        }
    }
    refused(name, refusal)
}

fn refused(name: &[u8], error: Errno) -> ! {
    let code = if matches!(error, Errno::ENOENT | Errno::ENOTDIR) { NOT_FOUND } else { CANNOT_RUN };
    let hint: &[u8] = if error == Errno::E2BIG {
        b"; Linux allows 128 KiB for one variable: use secret_files"
    } else {
        b""
    };
    fail(code, &[b"cannot start ", name, b": ", error.words(), hint])
}

/// A path of these parts, ended by a NUL; `None` when there is no room.
pub fn join<'r>(room: &'r mut [u8], parts: &[&[u8]]) -> Option<&'r CStr> {
    let mut length = 0;
    for part in parts {
        room.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    *room.get_mut(length)? = 0;
    CStr::from_bytes_until_nul(room).ok()
}

/// The entries of `env` beside this program, `NAME=value` each ended by a NUL, in memory that lives as long as the process.
fn read(own: &[u8]) -> &'static [u8] {
    let directory = own.iter().rposition(|&byte| byte == b'/').map_or(&b"."[..], |slash| &own[..slash]);
    let mut room = [0; PATH_MAX];
    let missing = |error: Errno| -> ! {
        fail(
            NO_SECRETS,
            &[
                b"the secrets of this release are not here (",
                directory,
                b"/env: ",
                error.words(),
                b"); `arcane heal` or `arcane push` brings them",
            ],
        )
    };
    let Some(path) = join(&mut room, &[directory, b"/env"]) else { missing(Errno::ENOENT) };
    let file = sys::open(sys::HERE, path, sys::READ, 0).unwrap_or_else(|error| missing(error));
    let size = sys::size(file).unwrap_or_else(|error| missing(error));
    if size == 0 {
        return &[];
    }
    let at = sys::map(size, Some(file)).unwrap_or_else(|error| missing(error));
    sys::close(file);
    // SAFETY: a private mapping of this size, never unmapped or changed.
    unsafe { core::slice::from_raw_parts(at, size) }
}

/// The name of an entry, with its `=`.
fn name(entry: &[u8]) -> &[u8] {
    let end = entry.iter().position(|&byte| byte == b'=').map_or(entry.len(), |at| at + 1);
    &entry[..end]
}

/// The entries of `secrets` that are whole: what is not ended by a NUL is not one.
fn entries(secrets: &'static [u8]) -> impl Iterator<Item = &'static CStr> {
    secrets.split_inclusive(|&byte| byte == 0).filter_map(|entry| CStr::from_bytes_with_nul(entry).ok())
}

/// The environment that we were started with, without what `secrets` names, and these.
fn merge(inherited: *const *const c_char, secrets: &'static [u8]) -> *const *const c_char {
    let mut count = 0;
    // SAFETY: the array ends with a null pointer.
    while unsafe { !(*inherited.add(count)).is_null() } {
        count += 1;
    }
    let total = count + entries(secrets).count() + 1;
    let merged = sys::map(total * size_of::<*const c_char>(), None)
        .unwrap_or_else(|error| fail(CANNOT_RUN, &[b"cannot make the environment: ", error.words()]))
        .cast::<*const c_char>();
    let mut filled = 0;
    let mut push = |entry: *const c_char| {
        // SAFETY: there is room for all of both, and a null pointer, which is there already.
        unsafe { *merged.add(filled) = entry };
        filled += 1;
    };
    for index in 0..count {
        // SAFETY: below `count` there are strings.
        let entry = unsafe { CStr::from_ptr(*inherited.add(index)) };
        let named = name(entry.to_bytes());
        if !entries(secrets).any(|secret| name(secret.to_bytes()) == named) {
            push(entry.as_ptr());
        }
    }
    for secret in entries(secrets) {
        push(secret.as_ptr());
    }
    merged
}

/// What `PATH` says.
fn path_of(environment: *const *const c_char) -> &'static [u8] {
    let mut index = 0;
    loop {
        // SAFETY: the array holds strings and ends with a null pointer.
        let entry = unsafe { *environment.add(index) };
        if entry.is_null() {
            return USUAL;
        }
        // SAFETY: not null, so a string that lives as long as the process.
        let entry: &'static [u8] = unsafe { CStr::from_ptr(entry) }.to_bytes();
        if let Some(path) = entry.strip_prefix(b"PATH=") {
            return path;
        }
        index += 1;
    }
}
