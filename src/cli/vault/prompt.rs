//! Asking for what nobody may see: from the terminal itself, without echo, whatever standard input is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::fleet::text::printable;
use crate::secrets::{Ask, Value};

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const ERASE: [u8; 2] = [0x08, 0x7f];
const ERASE_ALL: u8 = 0x15;

/// Asks for a passphrase; `None` without a terminal, or when the operator gives up.
pub(super) fn ask() -> Ask {
    Arc::new(|what| {
        let typed = hidden(what).ok()??;
        Some(typed.text()?.to_owned().into())
    })
}

/// Asks for a line that is not shown. `None` when the operator gives up with Ctrl-C, or with Ctrl-D on an empty line.
///
/// # Errors
/// When there is no terminal.
pub(super) fn hidden(what: &str) -> io::Result<Option<Value>> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let silent = Silent::new(terminal.try_clone()?)?;
    write!(terminal, "{} (not shown): ", printable(what, 300))?;
    terminal.flush()?;
    let typed = line(&mut terminal);
    drop(silent);
    let _ = terminal.write_all(b"\n");
    typed
}

fn line(terminal: &mut File) -> io::Result<Option<Value>> {
    // Enough for any line that is pasted; what is longer is refused, not cut.
    let mut typed = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut byte = [0];
    loop {
        if terminal.read(&mut byte)? == 0 {
            return Ok(None);
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(Some(Value::new(typed.to_vec()))),
            INTERRUPT => return Ok(None),
            END if typed.is_empty() => return Ok(None),
            END => return Ok(Some(Value::new(typed.to_vec()))),
            ERASE_ALL => typed.clear(),
            c if ERASE.contains(&c) => {
                // A character may be several bytes.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            c if typed.len() < typed.capacity() => typed.push(c),
            _ => return Err(io::Error::other("more than 64 KiB were typed; use standard input")),
        }
    }
}

/// A terminal that shows nothing and passes Ctrl-C on as a character, until this is dropped: so a command that is given
/// up never leaves it silent.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
