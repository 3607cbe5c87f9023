//! `arcane scan`: secrets that lie in the open, in files or in what is about to be committed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Scan;
use super::context;
use super::git::ATTRIBUTE;
use super::transfer::read_all;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::fleet::text::printable;
use crate::git::Repository;
use crate::secrets::{Contents, Error, Found, Scanner, Vault, is_whole};

/// Larger files are not looked into.
const LIMIT: usize = 32 * 1024 * 1024;

/// What was found in a file.
struct Finding {
    path: PathBuf,
    line: Option<usize>,
    text: String,
}

pub(in crate::cli) fn scan(ui: &Ui, arguments: &Arguments, options: &Scan) -> Result<u8, Failure> {
    let start =
        if options.staged { arguments.directory.clone() } else { arguments.directory.join(&options.path) };
    let directory = if start.is_dir() { &start } else { start.parent().unwrap_or(&start) };
    let repository =
        if options.staged { Some(Repository::of_caller()?) } else { Repository::find(directory)? };
    let opened = known(ui, &start, repository.as_ref())?;
    let values = opened.iter().flat_map(|contents| {
        contents.secrets.iter().map(|(name, secret)| (&contents.environment, name, &secret.value))
    });
    let scanner = Scanner::new(values)
        .ok_or_else(|| Failure::new(exit::FAILED, "the vault holds more than can be looked for at once"))?;
    let (mut findings, mut skipped) = (Vec::new(), Vec::new());
    if let Some(repository) = repository.as_ref().filter(|_| options.staged) {
        repository.each_change(LIMIT, |path, bytes| {
            match bytes {
                Some(bytes) => {
                    in_the_open(repository, path, bytes, &mut findings)?;
                    look(&scanner, path, bytes, &mut findings);
                }
                None => skipped.push(path.to_owned()),
            }
            Ok::<(), Failure>(())
        })?;
    } else {
        let walk = Walk { repository: repository.as_ref(), scanner: &scanner };
        walk.visit(&start, &mut findings, &mut skipped)?;
    }
    for path in &skipped {
        ui.tagged(Tag::Warning, &format!("{} is larger than 32 MiB and was not looked into", shown(path)));
    }
    tell(ui, options, &findings);
    Ok(if findings.is_empty() { exit::DONE } else { exit::FOUND })
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy(), 200)
}

/// The environments that we can read, of every vault of the repository; without any, there are still tokens to look for.
fn known(ui: &Ui, start: &Path, repository: Option<&Repository>) -> Result<Vec<Contents>, Failure> {
    let vaults = match (repository, context::vault_above(start)) {
        (Some(repository), _) => context::vaults(repository)?,
        (None, Ok(vault)) => vec![vault],
        (None, Err(Error::NoVault { .. })) => Vec::new(),
        (None, Err(error)) => return Err(error.into()),
    };
    if vaults.is_empty() {
        return Ok(Vec::new());
    }
    let identities = match context::identities() {
        Ok(identities) => identities,
        Err(error) => {
            ui.tagged(Tag::Warning, &format!("the vault's own values are not looked for: {error}"));
            return Ok(Vec::new());
        }
    };
    let mut opened = Vec::new();
    for vault in &vaults {
        for environment in vault.environments()? {
            match vault.read(&environment, &identities) {
                Ok(contents) => opened.push(contents),
                Err(Error::NotForUs { .. }) => {}
                Err(error) => {
                    ui.tagged(Tag::Warning, &format!("values of {environment} are not looked for: {error}"));
                }
            }
        }
    }
    Ok(opened)
}

/// A file that git was told to encrypt, and a vault, must not be committed as they are.
fn in_the_open(
    repository: &Repository,
    path: &Path,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let filtered = repository.attribute(path, "filter")?.as_deref() == Some("arcane")
        || repository.attribute(path, ATTRIBUTE)?.is_some();
    let directory = path.parent().and_then(Path::file_name).is_some_and(|name| name == Vault::DIRECTORY);
    let vault = directory && path.extension().is_some_and(|extension| extension == "age");
    if (filtered || vault) && !is_whole(bytes) {
        let text =
            "should be encrypted and is not; type `arcane git install`, then `git add` it again".to_owned();
        findings.push(Finding { path: path.to_owned(), line: None, text });
    }
    Ok(())
}

fn look(scanner: &Scanner, path: &Path, bytes: &[u8], findings: &mut Vec<Finding>) {
    if is_whole(bytes) {
        return;
    }
    for hit in scanner.scan(bytes) {
        let text = match hit.found {
            Found::Known(environment, name) => format!("holds the value of {name} in {environment}"),
            Found::Token(kind) => format!("holds {kind}"),
        };
        findings.push(Finding { path: path.to_owned(), line: Some(hit.line), text });
    }
}

/// Goes through files, without those that git overlooks.
struct Walk<'a> {
    repository: Option<&'a Repository>,
    scanner: &'a Scanner,
}

impl Walk<'_> {
    fn visit(
        &self,
        path: &Path,
        findings: &mut Vec<Finding>,
        skipped: &mut Vec<PathBuf>,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::new(exit::FAILED, format!("cannot read {}: {error}", shown(path)));
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            let mut entries: Vec<PathBuf> = fs::read_dir(path)
                .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
                .map_err(failed)?;
            entries.sort();
            for entry in entries {
                let entry = entry.strip_prefix(".").map_or_else(|_| entry.clone(), Path::to_owned);
                if entry.file_name().is_some_and(|name| name != ".git") && !self.ignored(&entry) {
                    self.visit(&entry, findings, skipped)?;
                }
            }
            return Ok(());
        }
        if !metadata.is_file() {
            return Ok(());
        }
        match fs::File::open(path).and_then(|file| read_all(file, LIMIT)).map_err(failed)? {
            Some(bytes) => look(self.scanner, path, &bytes, findings),
            None => skipped.push(path.to_owned()),
        }
        Ok(())
    }

    /// Whether git overlooks a file, or encrypts it and has it open only here.
    fn ignored(&self, path: &Path) -> bool {
        let Some(repository) = self.repository else { return false };
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let Ok(inside) = full.strip_prefix(repository.root()) else { return false };
        let filter = repository.attribute(inside, "filter").ok().flatten();
        repository.ignores(inside).unwrap_or(false) || filter.as_deref() == Some("arcane")
    }
}

fn tell(ui: &Ui, options: &Scan, findings: &[Finding]) {
    if options.json {
        let rows = findings
            .iter()
            .map(|finding| json!({ "path": finding.path, "line": finding.line, "text": finding.text }));
        ui.json(&rows.collect::<Vec<_>>());
        return;
    }
    if findings.is_empty() {
        return;
    }
    let rows = findings.iter().map(|finding| {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        vec![format!("{}{line}", shown(&finding.path)), finding.text.clone()]
    });
    ui.out(&table(&["FILE", ""], &rows.collect::<Vec<_>>()));
    ui.tagged(
        Tag::Hint,
        "put it into the vault with `arcane secrets set`; a line that is meant as it is says arcane:allow. What was ever \
         committed is known: change it",
    );
}
