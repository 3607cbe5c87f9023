//! Changing a vault: by one arcane at a time, and never over what somebody else, git for instance, put there meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::contents::Contents;
use super::error::{Error, Result};
use super::identity::Identities;
use super::store::{self, Lock};
use super::team::Member;
use super::vault::{LIMIT, Vault};
use crate::fleet::{EnvironmentName, MemberName};

/// The right to change a vault. Given back when it is dropped, or when the process ends in any way. git does not ask for
/// it, so what was read is compared with what is there before it is replaced.
#[derive(Debug)]
pub struct Guard {
    vault: Vault,
    /// The bytes of each environment's file as they were read.
    read: RefCell<BTreeMap<EnvironmentName, Vec<u8>>>,
    _lock: Lock,
}

impl Guard {
    pub(super) fn new(vault: Vault, lock: Lock) -> Self {
        Self { vault, read: RefCell::default(), _lock: lock }
    }

    /// Opens an environment that is about to be changed: as [`Vault::read`], and refused when it is older than what this
    /// clone has seen, or when the team's files and what it is sealed for differ.
    ///
    /// # Errors
    /// As [`Vault::read`], [`Vault::newest`] and [`Vault::agree`].
    pub fn read(&self, environment: &EnvironmentName, identities: &Identities) -> Result<Contents> {
        let contents = self.open(environment, identities)?;
        self.vault.newest(&contents)?;
        self.vault.agree(&contents)?;
        Ok(contents)
    }

    /// Opens an environment that may be changed, whatever the team's files say.
    ///
    /// # Errors
    /// As [`Vault::read`].
    pub fn open(&self, environment: &EnvironmentName, identities: &Identities) -> Result<Contents> {
        let (sealed, contents) = self.vault.read_sealed(environment, identities)?;
        self.read.borrow_mut().insert(environment.clone(), sealed);
        Ok(contents)
    }

    /// Takes this version for the newest, though this clone has seen another one.
    pub fn accept(&self, contents: &Contents) {
        self.vault.remember(contents);
    }

    /// Puts an environment's file in the place of the one that is there.
    ///
    /// # Errors
    /// When it is older than what this clone has seen, the file is not the one that was read, nobody could read it, it is
    /// too large or cannot be written; what is there stays then.
    pub fn write(&self, contents: &Contents) -> Result<()> {
        let path = self.vault.file(&contents.environment);
        self.vault.newest(contents)?;
        let sealed = Vault::seal(contents, &path)?;
        let mut read = self.read.borrow_mut();
        if let Some(before) = read.get(&contents.environment)
            && store::read(&path, LIMIT)?.as_ref() != Some(before)
        {
            return Err(Error::Changed { path });
        }
        store::replace(&path, &sealed, 0o644)?;
        read.insert(contents.environment.clone(), sealed);
        self.vault.remember(contents);
        Ok(())
    }

    /// Writes a member's file.
    ///
    /// # Errors
    /// When it cannot be written; the old one is still there then.
    pub fn write_member(&self, member: &Member) -> Result<()> {
        let path = self.vault.member_file(&member.name);
        if let Some(directory) = path.parent() {
            store::directory(directory)?;
        }
        store::replace(&path, member.render().as_bytes(), 0o644)
    }

    /// Removes a member's file.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_member(&self, name: &MemberName) -> Result<()> {
        store::remove(&self.vault.member_file(name))
    }
}
