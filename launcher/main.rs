//! The one program of ours that runs on a server: inside containers only, out of RAM, a few kilobytes, no libc.
//!
//! It has two names. As `launch` it is the first thing that a container with secrets runs: it puts what `env` beside it
//! holds into the environment and becomes the image's own entrypoint, in the same process, so that signals, exit codes,
//! user and working directory are as without it. As `arcane-keep` it runs in a helper container that has the host's `/run`,
//! and takes secrets from its standard input into memory ([`keep`]).
//!
//! It is built by build.rs for each architecture that the toolchain can build for, and carried inside arcane.
#![no_std]
#![no_main]
// Or the compiler would turn the loops of `memory` into calls of themselves.
#![no_builtins]

mod keep;
mod launch;
mod memory;
mod sys;

use core::ffi::{CStr, c_char};

use sys::exit;

/// What a program is started with, as the kernel lays it out: a count, the arguments, a null, the environment, a null.
pub struct Start {
    arguments: *const *const c_char,
    count: usize,
}

impl Start {
    /// The argument at `index`.
    fn argument(&self, index: usize) -> Option<&'static CStr> {
        // SAFETY: below `count` the kernel has put pointers to strings that live as long as the process.
        (index < self.count).then(|| unsafe { CStr::from_ptr(*self.arguments.add(index)) })
    }

    /// The arguments from `index` on, ended by a null pointer.
    fn arguments_from(&self, index: usize) -> *const *const c_char {
        // SAFETY: the array has `count` entries and a null pointer after them.
        unsafe { self.arguments.add(index.min(self.count)) }
    }

    /// The environment, ended by a null pointer.
    fn environment(&self) -> *const *const c_char {
        // SAFETY: it begins after the null pointer that ends the arguments.
        unsafe { self.arguments.add(self.count + 1) }
    }
}

/// Called by the entry point with what the kernel left on the stack.
unsafe extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the count there, and the pointers after it.
    let start = unsafe { Start { count: *stack, arguments: stack.add(1).cast() } };
    let name = start.argument(0).unwrap_or(c"").to_bytes();
    if name.ends_with(b"arcane-keep") { keep::run(&start) } else { launch::run(&start, name) }
}

/// Says what went wrong where the container's own errors go, and ends.
fn fail(code: i32, words: &[&[u8]]) -> ! {
    sys::write_all(2, b"arcane: ");
    for word in words {
        sys::write_all(2, word);
    }
    sys::write_all(2, b"\n");
    exit(code)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail(70, &[b"a bug in the launcher"])
}

/// What the core library's tables of unwinding name. Nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
