//! The kernel's calls that are needed, for each architecture. Those without `at` do not exist on arm64.

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char};

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const LSEEK: usize = 8;
    pub const MMAP: usize = 9;
    pub const EXECVE: usize = 59;
    pub const FCHMOD: usize = 91;
    pub const FSTATFS: usize = 138;
    pub const MOUNT: usize = 165;
    pub const GETDENTS64: usize = 217;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const UNLINKAT: usize = 263;
    pub const RENAMEAT2: usize = 316;
    pub const STATX: usize = 332;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const MKDIRAT: usize = 34;
    pub const UNLINKAT: usize = 35;
    pub const MOUNT: usize = 40;
    pub const FSTATFS: usize = 44;
    pub const FCHMOD: usize = 52;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const GETDENTS64: usize = 61;
    pub const LSEEK: usize = 62;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const EXIT_GROUP: usize = 94;
    pub const EXECVE: usize = 221;
    pub const MMAP: usize = 222;
    pub const RENAMEAT2: usize = 276;
    pub const STATX: usize = 291;
}

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {begin}", "ud2",
    begin = sym crate::begin,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "mov x0, sp", "and x9, x0, #-16", "mov sp, x9",
    "bl {begin}", "brk #1",
    begin = sym crate::begin,
);

/// A call with up to six arguments.
///
/// # Safety
/// The arguments must be what this call of the kernel takes, and what it does to memory must be allowed.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's promise; the kernel leaves all but these registers as they are.
    unsafe {
        asm!(
            "syscall", inlateout("rax") number => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _, options(nostack),
        );
    }
    result
}

/// A call with up to six arguments.
///
/// # Safety
/// The arguments must be what this call of the kernel takes, and what it does to memory must be allowed.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's promise; the kernel leaves all but these registers as they are.
    unsafe {
        asm!(
            "svc #0", in("x8") number, inlateout("x0") a[0] => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack),
        );
    }
    result
}

/// What the kernel says when it refuses: the number of an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const ENOENT: Self = Self(2);
    pub const E2BIG: Self = Self(7);
    pub const EACCES: Self = Self(13);
    pub const EEXIST: Self = Self(17);
    pub const ENOTDIR: Self = Self(20);
    pub const ENOSPC: Self = Self(28);

    /// In words, for those that are met.
    pub fn words(self) -> &'static [u8] {
        match self.0 {
            1 => b"not permitted",
            2 => b"no such file",
            7 => b"arguments and environment are too large",
            8 => b"not a program for this machine",
            12 | 28 => b"no room in memory",
            13 => b"permission denied",
            17 => b"exists already",
            20 => b"not a directory",
            30 => b"read-only file system",
            40 => b"a symbolic link",
            _ => b"the kernel refuses",
        }
    }
}

fn result(answer: isize) -> Result<usize, Errno> {
    usize::try_from(answer).map_err(|_| Errno(-(answer as i32)))
}

/// An open file. Not closed by itself: the process is short.
#[derive(Clone, Copy)]
pub struct File(pub usize);

pub const READ: usize = 0o2_000_000;
/// Write, make anew, refuse what exists.
pub const CREATE: usize = 0o2_000_000 | 0o1 | 0o100 | 0o200;
#[cfg(target_arch = "x86_64")]
pub const DIRECTORY: usize = 0o2_000_000 | 0o200_000 | 0o400_000;
#[cfg(target_arch = "aarch64")]
pub const DIRECTORY: usize = 0o2_000_000 | 0o40_000 | 0o100_000;
/// The working directory, for calls that want an open one.
pub const HERE: File = File(-100isize as usize);

pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: ends the process.
        unsafe { call(number::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Opens `path` below `directory`.
pub fn open(directory: File, path: &CStr, flags: usize, mode: usize) -> Result<File, Errno> {
    // SAFETY: the path ends with a NUL.
    result(unsafe { call(number::OPENAT, [directory.0, path.as_ptr() as usize, flags, mode, 0, 0]) })
        .map(File)
}

pub fn close(file: File) {
    // SAFETY: no memory is involved.
    unsafe { call(number::CLOSE, [file.0, 0, 0, 0, 0, 0]) };
}

pub fn read(file: File, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes into the slice only.
    result(unsafe { call(number::READ, [file.0, into.as_mut_ptr() as usize, into.len(), 0, 0, 0]) })
}

/// Writes all of it; `false` when that was refused.
pub fn write_all(file: usize, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads from the slice only.
        let wrote = unsafe { call(number::WRITE, [file, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) };
        match usize::try_from(wrote) {
            Ok(wrote) if wrote > 0 => bytes = bytes.get(wrote..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

pub fn size(file: File) -> Result<usize, Errno> {
    const END: usize = 2;
    // SAFETY: no memory is involved.
    result(unsafe { call(number::LSEEK, [file.0, 0, END, 0, 0, 0]) })
}

/// `size` bytes of fresh zeros, or a private copy of what a file holds.
pub fn map(size: usize, file: Option<File>) -> Result<*mut u8, Errno> {
    const READ_WRITE: usize = 3;
    const PRIVATE: usize = 2;
    const ANONYMOUS: usize = 0x20;
    let (flags, file) = file.map_or((PRIVATE | ANONYMOUS, usize::MAX), |file| (PRIVATE, file.0));
    // SAFETY: a new mapping, where the kernel likes.
    result(unsafe { call(number::MMAP, [0, size, READ_WRITE, flags, file, 0]) }).map(|at| at as *mut u8)
}

/// Becomes another program. Returns only when that fails.
///
/// # Safety
/// Both arrays must hold strings and end with a null pointer.
pub unsafe fn execve(
    path: &CStr,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> Errno {
    let a = [path.as_ptr() as usize, arguments as usize, environment as usize, 0, 0, 0];
    // SAFETY: the caller's promise.
    Errno(-(unsafe { call(number::EXECVE, a) } as i32))
}

pub fn mkdir(directory: File, path: &CStr, mode: usize) -> Result<(), Errno> {
    // SAFETY: the path ends with a NUL.
    result(unsafe { call(number::MKDIRAT, [directory.0, path.as_ptr() as usize, mode, 0, 0, 0]) }).map(drop)
}

pub fn remove(directory: File, path: &CStr, is_directory: bool) -> Result<(), Errno> {
    let flags = if is_directory { 0x200 } else { 0 };
    // SAFETY: the path ends with a NUL.
    result(unsafe { call(number::UNLINKAT, [directory.0, path.as_ptr() as usize, flags, 0, 0, 0]) }).map(drop)
}

/// Gives another name; refuses when that is taken.
pub fn rename(directory: File, from: &CStr, to: &CStr) -> Result<(), Errno> {
    let a = [directory.0, from.as_ptr() as usize, directory.0, to.as_ptr() as usize, 1, 0];
    // SAFETY: both paths end with a NUL.
    result(unsafe { call(number::RENAMEAT2, a) }).map(drop)
}

pub fn chmod(file: File, mode: usize) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    result(unsafe { call(number::FCHMOD, [file.0, mode, 0, 0, 0, 0]) }).map(drop)
}

/// Mounts a file system in memory.
pub fn mount_tmpfs(at: &CStr, options: &CStr) -> Result<(), Errno> {
    const NO_SUID_NO_DEV: usize = 2 | 4;
    let kind = c"tmpfs".as_ptr() as usize;
    let a = [kind, at.as_ptr() as usize, kind, NO_SUID_NO_DEV, options.as_ptr() as usize, 0];
    // SAFETY: all of them end with a NUL.
    result(unsafe { call(number::MOUNT, a) }).map(drop)
}

/// Whether what a file is on lives in memory.
pub fn is_memory(file: File) -> bool {
    const TMPFS: usize = 0x0102_1994;
    const RAMFS: usize = 0x8584_58f6;
    // The kernel writes 120 bytes, the kind first.
    let mut answer = [0usize; 32];
    // SAFETY: the array has room for what is written.
    let asked = unsafe { call(number::FSTATFS, [file.0, answer.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    asked == 0 && matches!(answer[0], TMPFS | RAMFS)
}

/// Owner and permissions of an open file.
pub fn owner_and_mode(file: File) -> Result<(u32, u16), Errno> {
    const EMPTY_PATH: usize = 0x1000;
    const MODE_AND_UID: usize = 2 | 8;
    // The kernel writes 256 bytes: the owner after 20 of them, the permissions after 28.
    let mut answer = [0u32; 64];
    let a = [file.0, c"".as_ptr() as usize, EMPTY_PATH, MODE_AND_UID, answer.as_mut_ptr() as usize, 0];
    // SAFETY: the array has room for what is written.
    result(unsafe { call(number::STATX, a) })?;
    Ok((answer[5], answer[7] as u16 & 0o7777))
}

/// The next names in a directory, as the kernel packs them; 0 at the end.
pub fn entries(directory: File, into: &mut [u8]) -> Result<usize, Errno> {
    let a = [directory.0, into.as_mut_ptr() as usize, into.len(), 0, 0, 0];
    // SAFETY: the kernel writes into the slice only.
    result(unsafe { call(number::GETDENTS64, a) })
}
