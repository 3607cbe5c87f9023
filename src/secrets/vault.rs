//! The vault's directory: which environments there are, opening one, changing one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::contents::Contents;
use super::error::{Error, Result};
use super::file_key::FileKey;
use super::guard::Guard;
use super::identity::Identities;
use super::recipient::Recipient;
use super::seal;
use super::seen::Seen;
use super::store::{self, Lock};
use super::team::Member;
use super::value::Value;
use crate::fleet::{EnvironmentName, MemberName};

const EXTENSION: &str = ".age";
const TEAM: &str = "team";
const TEAM_EXTENSION: &str = ".toml";
/// The most bytes of a vault file.
pub(super) const LIMIT: usize = 128 * 1024 * 1024;
/// The most bytes of a member's file.
const TEAM_LIMIT: usize = 64 * 1024;
/// How long a second arcane waits for the first one.
const PATIENCE: Duration = Duration::from_secs(3);

/// A vault.
#[derive(Debug, Clone)]
pub struct Vault {
    directory: PathBuf,
    seen: Option<Seen>,
}

impl Vault {
    /// The name of its directory.
    pub const DIRECTORY: &str = ".arcane";

    /// The nearest vault in `start` or a directory above it, up to `top` and no further: who may write above may put a
    /// vault there that is none of ours.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(start: &Path, top: &Path) -> Result<Self> {
        let places = start.ancestors().take_while(|directory| directory.starts_with(top));
        let mut vaults = places.map(|directory| directory.join(Self::DIRECTORY));
        let found = vaults.find(|directory| directory.is_dir());
        found
            .map(|directory| Self { directory, seen: None })
            .ok_or_else(|| Error::NoVault { start: start.to_owned(), top: top.to_owned() })
    }

    /// The same vault, which keeps in a directory of this clone what it has seen of each environment, so that an older
    /// version that is put back is noticed.
    #[must_use]
    pub fn remembering(self, directory: PathBuf) -> Self {
        Self { seen: Some(Seen::new(directory)), ..self }
    }

    /// The vault in `root`, made when there is none.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        let directory = root.join(Self::DIRECTORY);
        store::directory(&directory.join(TEAM))?;
        Ok(Self { directory, seen: None })
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The environments there are.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn environments(&self) -> Result<Vec<EnvironmentName>> {
        let names = store::names(&self.directory)?;
        let stems = names.iter().filter_map(|name| name.strip_suffix(EXTENSION));
        Ok(stems.filter_map(|stem| EnvironmentName::parse(stem).ok()).collect())
    }

    /// The environment asked for, or the only one.
    ///
    /// # Errors
    /// When it does not exist, or none was asked for and there is not just one.
    pub fn environment(&self, asked: Option<&EnvironmentName>) -> Result<EnvironmentName> {
        let known = self.environments()?;
        match (asked, &known[..]) {
            (Some(name), _) if known.contains(name) => Ok(name.clone()),
            (Some(name), _) => Err(Error::NoEnvironment { name: name.clone(), known }),
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(Error::WhichEnvironment { known }),
        }
    }

    /// The file of an environment.
    #[must_use]
    pub fn file(&self, environment: &EnvironmentName) -> PathBuf {
        self.directory.join(format!("{environment}{EXTENSION}"))
    }

    pub(super) fn member_file(&self, name: &MemberName) -> PathBuf {
        self.directory.join(TEAM).join(format!("{name}{TEAM_EXTENSION}"))
    }

    /// Opens an environment.
    ///
    /// # Errors
    /// When it does not exist, is not sealed for us, is damaged, or is another environment's.
    pub fn read(&self, environment: &EnvironmentName, identities: &Identities) -> Result<Contents> {
        Ok(self.read_sealed(environment, identities)?.1)
    }

    /// The same, with the bytes of its file.
    pub(super) fn read_sealed(
        &self,
        environment: &EnvironmentName,
        identities: &Identities,
    ) -> Result<(Vec<u8>, Contents)> {
        let path = self.file(environment);
        let Some(sealed) = store::read(&path, LIMIT)? else {
            return Err(Error::NoEnvironment { name: environment.clone(), known: self.environments()? });
        };
        let contents = Self::open(&sealed, environment, identities, &path)?;
        if let Some(seen) = &self.seen {
            seen.follow(&contents);
        }
        Ok((sealed, contents))
    }

    /// Whether an environment is no older than what this clone has seen of it.
    ///
    /// # Errors
    /// When it is: somebody put an older version back, perhaps one that others could read.
    pub fn newest(&self, contents: &Contents) -> Result<()> {
        self.seen.as_ref().map_or(Ok(()), |seen| seen.newest(contents))
    }

    pub(super) fn remember(&self, contents: &Contents) {
        if let Some(seen) = &self.seen {
            seen.remember(contents);
        }
    }

    /// Opens the bytes of an environment's file, of which `path` is what messages call it.
    ///
    /// # Errors
    /// As [`Vault::read`].
    pub fn open(
        sealed: &[u8],
        environment: &EnvironmentName,
        identities: &Identities,
        path: &Path,
    ) -> Result<Contents> {
        let plain = seal::open(sealed, identities.as_age(), path, || identities.refused(path))?;
        Contents::parse(&plain, environment, path)
    }

    /// The bytes of an environment's file, sealed anew for its readers. `path` is what messages call it.
    ///
    /// # Errors
    /// When it is too large.
    pub fn seal(contents: &Contents, path: &Path) -> Result<Vec<u8>> {
        let keys: BTreeSet<&Recipient> = contents.readers.values().flatten().collect();
        let sealed = seal::seal(&contents.render(), keys.into_iter(), path)?;
        if sealed.len() > LIMIT {
            let what = format!("the vault file of {}", contents.environment);
            return Err(Error::TooLarge { what, limit: LIMIT });
        }
        Ok(sealed)
    }

    /// Opens a file of the repository that is sealed as a whole with a key of this environment. `path` is what messages
    /// call it.
    ///
    /// # Errors
    /// When it is not sealed, not with such a key, or damaged.
    pub fn open_file(sealed: &[u8], environment: &Contents, path: &Path) -> Result<Value> {
        let keys = environment.file_keys.iter().map(FileKey::as_age);
        let refused =
            || Error::OtherKey { path: path.to_owned(), environment: environment.environment.clone() };
        seal::open(sealed, keys, path, refused).map(Value::from)
    }

    /// The same, when it is sealed with the key that is used now; `None` when it is not, or cannot be opened.
    #[must_use]
    pub fn open_current(sealed: &[u8], environment: &Contents, path: &Path) -> Option<Value> {
        let key = environment.file_keys.iter().take(1).map(FileKey::as_age);
        let refused =
            || Error::OtherKey { path: path.to_owned(), environment: environment.environment.clone() };
        seal::open(sealed, key, path, refused).map(Value::from).ok()
    }

    /// Seals a file of the repository as a whole, for those who may read an environment.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn seal_file(plain: &[u8], environment: &Contents, path: &Path) -> Result<Vec<u8>> {
        let key = environment.file_keys.first().and_then(FileKey::recipient);
        seal::seal(plain, key.iter(), path)
    }

    /// The members, by name.
    ///
    /// # Errors
    /// When a file cannot be read or is wrong.
    pub fn team(&self) -> Result<BTreeMap<MemberName, Member>> {
        let mut team = BTreeMap::new();
        for file in store::names(&self.directory.join(TEAM))? {
            let Some(stem) = file.strip_suffix(TEAM_EXTENSION) else {
                continue;
            };
            let path = self.directory.join(TEAM).join(&file);
            let wrong = |why: String| Error::Team { path: path.clone(), why };
            let name = MemberName::parse(stem).map_err(|error| wrong(error.to_string()))?;
            let bytes = store::read(&path, TEAM_LIMIT)?.unwrap_or_default();
            let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
            team.insert(name.clone(), Member::parse(name, &text, &path)?);
        }
        Ok(team)
    }

    /// Whether an environment is sealed for exactly those whom the team's files name.
    ///
    /// # Errors
    /// When it is not; the error says in what.
    pub fn agree(&self, contents: &Contents) -> Result<()> {
        let team = self.team()?;
        let environment = &contents.environment;
        let told = |name: &MemberName| {
            team.get(name)
                .filter(|member| member.environments.contains(environment))
                .map(|member| &member.keys)
        };
        let unsealed = team.values().filter(|member| {
            let sealed = contents.readers.get(&member.name);
            let theirs = told(&member.name).into_iter().flatten();
            theirs.into_iter().any(|key| !sealed.is_some_and(|sealed| sealed.contains(key)))
        });
        let unsealed: Vec<_> = unsealed.map(|member| member.name.clone()).collect();
        let untold = contents.readers.iter().filter(|(name, sealed)| {
            sealed.iter().any(|key| !told(name).is_some_and(|keys| keys.contains(key)))
        });
        let untold: Vec<_> = untold.map(|(name, _)| name.clone()).collect();
        if unsealed.is_empty() && untold.is_empty() {
            return Ok(());
        }
        Err(Error::TeamDiffers { environment: environment.clone(), unsealed, untold })
    }

    /// The right to change the vault, for one arcane at a time.
    ///
    /// # Errors
    /// When another one has it and keeps it.
    pub fn lock(&self) -> Result<Guard> {
        let lock = Lock::take(&self.directory, PATIENCE)?;
        Ok(Guard::new(self.clone(), lock))
    }
}
