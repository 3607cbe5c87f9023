//! The keys at hand, once for the whole process: a command that masks values and brings them to a server opens the vault
//! more than once, but a descriptor can be read only once, and nobody types a passphrase twice. So they are held here, in the
//! only place of its kind, as the descriptor and the terminal are the process's as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::{context, prompt};
use crate::secrets::{Ask, Error, Identities, Origin, Result};

static KEYS: OnceLock<Identities> = OnceLock::new();
/// The SSH key alone, while the other key's passphrase has not been asked for.
static SSH: OnceLock<Identities> = OnceLock::new();
/// Whether somebody may be asked for a passphrase by now.
static MAY_ASK: AtomicBool = AtomicBool::new(false);

/// The keys at hand. Who has a passphrase is asked for it.
pub(in crate::cli) fn keys() -> Result<&'static Identities> {
    MAY_ASK.store(true, Ordering::Relaxed);
    held()
}

/// The same, without asking: nobody is, until [`keys`] is called for the first time.
pub(in crate::cli) fn keys_unasked() -> Result<&'static Identities> {
    held().or_else(|error| match error {
        // The SSH key may do without a passphrase; but the one that was named is the only one.
        Error::NoPassphrase if context::named().is_none() => {
            let rest = Origin::Usual { identity: None, ssh: context::ssh_file() };
            Identities::load(&rest, &ask()).map(|keys| SSH.get_or_init(|| keys)).map_err(|_| error)
        }
        error => Err(error),
    })
}

fn held() -> Result<&'static Identities> {
    if let Some(keys) = KEYS.get() {
        return Ok(keys);
    }
    let keys = context::load(&ask())?;
    Ok(KEYS.get_or_init(|| keys))
}

fn ask() -> Ask {
    let ask = prompt::ask();
    Arc::new(move |what| if MAY_ASK.load(Ordering::Relaxed) { ask(what) } else { None })
}
