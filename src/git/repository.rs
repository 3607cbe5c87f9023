//! A repository that has a working tree.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{AttrCheckFlags, ErrorCode};

use crate::fleet::text::printable;

/// What this room gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// git's own library refused.
    #[error("cannot {doing} in the repository at {}", printable(&.path.to_string_lossy(), 200))]
    Git {
        /// What was being done.
        doing: &'static str,
        /// The repository, or where it was looked for.
        path: PathBuf,
        /// What the library says.
        source: git2::Error,
    },
    /// It has no files.
    #[error("the repository at {} has no working tree", printable(&.path.to_string_lossy(), 200))]
    Bare {
        /// The repository.
        path: PathBuf,
    },
}

/// A repository.
pub struct Repository(git2::Repository);

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(git2::Error) -> Error {
    move |source| Error::Git { doing, path: path.to_owned(), source }
}

/// Takes "there is none" for an answer.
fn optional<T>(result: std::result::Result<T, git2::Error>) -> std::result::Result<Option<T>, git2::Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::UnbornBranch) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Repository {
    /// The repository that `start` is in, when it is in one.
    ///
    /// # Errors
    /// When it cannot be opened or has no working tree.
    pub fn find(start: &Path) -> Result<Option<Self>> {
        let found = optional(git2::Repository::discover(start)).map_err(failed("look", start))?;
        found.map(Self::with_files).transpose()
    }

    /// The repository that git has called us for: the one its variables name, with the index that it is making.
    ///
    /// # Errors
    /// When there is none, or it has no working tree.
    pub fn of_caller() -> Result<Self> {
        let found = git2::Repository::open_from_env().map_err(failed("look", Path::new(".")))?;
        Self::with_files(found)
    }

    fn with_files(repository: git2::Repository) -> Result<Self> {
        if repository.workdir().is_none() {
            return Err(Error::Bare { path: repository.path().to_owned() });
        }
        Ok(Self(repository))
    }

    /// The top of the working tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.0.workdir().unwrap_or_else(|| self.0.path())
    }

    /// The directory of what belongs to this clone and not to its history, for all its working trees.
    #[must_use]
    pub fn common_directory(&self) -> &Path {
        self.0.commondir()
    }

    /// The value of an attribute of a file, `path` counted from the root; `None` when it has no value of its own.
    ///
    /// # Errors
    /// When the attributes cannot be read.
    pub fn attribute(&self, path: &Path, name: &str) -> Result<Option<String>> {
        let found = self.0.get_attr(path, name, AttrCheckFlags::FILE_THEN_INDEX);
        let found = found.map_err(failed("read the attributes", self.root()))?;
        Ok(match git2::AttrValue::from_string(found) {
            git2::AttrValue::String(value) => Some(value.to_owned()),
            _ => None,
        })
    }

    /// Whether an attribute of a file is taken away, as `-merge` does.
    ///
    /// # Errors
    /// When the attributes cannot be read.
    pub fn is_unset(&self, path: &Path, name: &str) -> Result<bool> {
        let found = self.0.get_attr(path, name, AttrCheckFlags::FILE_THEN_INDEX);
        let found = found.map_err(failed("read the attributes", self.root()))?;
        Ok(matches!(git2::AttrValue::from_string(found), git2::AttrValue::False))
    }

    /// The directories of this name, counted from the root, that hold a file which git knows.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn directories(&self, name: &str) -> Result<BTreeSet<PathBuf>> {
        let index = self.0.index().map_err(failed("read the index", self.root()))?;
        let paths = index.iter().map(|entry| PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path)));
        let parents = paths.filter_map(|path| path.parent().map(Path::to_owned));
        Ok(parents.filter(|parent| parent.file_name().is_some_and(|found| found == name)).collect())
    }

    /// Whether git is told to overlook this path, counted from the root.
    ///
    /// # Errors
    /// When the rules cannot be read.
    pub fn ignores(&self, path: &Path) -> Result<bool> {
        self.0.is_path_ignored(path).map_err(failed("read what is ignored", self.root()))
    }

    /// What is staged of a file.
    ///
    /// # Errors
    /// When the index or the object cannot be read.
    pub fn staged(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let failed = |error| failed("read the index", self.root())(error);
        let index = self.0.index().map_err(failed)?;
        let Some(entry) = index.get_path(path, 0) else {
            return Ok(None);
        };
        let blob = optional(self.0.find_blob(entry.id)).map_err(failed)?;
        Ok(blob.map(|blob| blob.content().to_vec()))
    }

    /// What the last commit has of a file.
    ///
    /// # Errors
    /// When the commit or the object cannot be read.
    pub fn committed(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let read = || {
            let Some(head) = optional(self.0.head())? else { return Ok(None) };
            let Some(entry) = optional(head.peel_to_tree()?.get_path(path))? else { return Ok(None) };
            let blob = optional(self.0.find_blob(entry.id()))?;
            Ok(blob.map(|blob| blob.content().to_vec()))
        };
        read().map_err(failed("read the last commit", self.root()))
    }

    /// Shows each file that the next commit adds or changes, one after the other; of one larger than `limit` bytes, only
    /// that.
    ///
    /// # Errors
    /// When the index, the last commit or an object cannot be read, and when `look` fails.
    pub fn each_change<E: From<Error>>(
        &self,
        limit: usize,
        mut look: impl FnMut(&Path, Option<&[u8]>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let failed = |error| failed("read what is staged", self.root())(error);
        for (path, id) in self.staged_files().map_err(failed)? {
            // The size is asked for first: what is too large is not even brought into memory.
            let header = || optional(self.0.odb()?.read_header(id));
            match header().map_err(failed)? {
                Some((size, git2::ObjectType::Blob)) if size > limit => look(&path, None)?,
                Some((_, git2::ObjectType::Blob)) => {
                    let blob = self.0.find_blob(id).map_err(failed)?;
                    look(&path, Some(blob.content()))?;
                }
                // A submodule is a commit of another repository.
                _ => {}
            }
        }
        Ok(())
    }

    /// The path of each file that the next commit adds or changes, and its blob.
    fn staged_files(&self) -> std::result::Result<Vec<(PathBuf, git2::Oid)>, git2::Error> {
        let tree = match optional(self.0.head())? {
            Some(head) => Some(head.peel_to_tree()?),
            None => None,
        };
        let diff = self.0.diff_tree_to_index(tree.as_ref(), None, None)?;
        let files = diff.deltas().map(|delta| {
            let file = delta.new_file();
            file.path().map(|path| (path.to_owned(), file.id())).filter(|(_, id)| !id.is_zero())
        });
        Ok(files.flatten().collect())
    }

    /// The files that git knows and passes through a filter of this name.
    ///
    /// # Errors
    /// When the index or the attributes cannot be read.
    pub fn filtered(&self, filter: &str) -> Result<Vec<PathBuf>> {
        let index = self.0.index().map_err(failed("read the index", self.root()))?;
        let mut found = Vec::new();
        for entry in index.iter() {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path));
            if self.attribute(&path, "filter")?.as_deref() == Some(filter) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Has git look at a file's contents again, whose size a filter has changed behind its back.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn look_again(&self, path: &Path) -> Result<()> {
        let write = || {
            let mut index = self.0.index()?;
            let Some(mut entry) = index.get_path(path, 0) else { return Ok(()) };
            // To git this is a file of which it does not know the size: it compares contents then.
            entry.file_size = 0;
            index.add(&entry)?;
            index.write()
        };
        write().map_err(failed("write the index", self.root()))
    }

    /// Sets a value in this clone's configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, key: &str, value: &str) -> Result<()> {
        let write = || {
            let mut config = self.0.config()?.open_level(git2::ConfigLevel::Local)?;
            config.set_str(key, value)
        };
        write().map_err(failed("write the configuration", self.root()))
    }

    /// A value of the configuration, from wherever it is set.
    #[must_use]
    pub fn configured(&self, key: &str) -> Option<String> {
        self.0.config().ok()?.get_string(key).ok()
    }

    /// The directory of this clone's hooks; `None` when it is one that other repositories use, too.
    #[must_use]
    pub fn hooks(&self) -> Option<PathBuf> {
        let named = self.0.config().ok().and_then(|config| config.get_path("core.hooksPath").ok());
        let Some(named) = named else {
            return Some(self.0.commondir().join("hooks"));
        };
        let path = self.root().join(named);
        (path.starts_with(self.root()) || path.starts_with(self.0.commondir())).then_some(path)
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({})", self.root().display())
    }
}
