//! `arcane git`: what git calls to encrypt a file on its way in and decrypt it on its way out, to show and to merge it.
//!
//! A file is encrypted anew only when it has changed: as long as what is staged or committed opens to the same bytes, that
//! very blob is given back, so an unchanged file is unchanged for git. Who may not read a file has it encrypted in their
//! working tree, and can commit everything else.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::args::Git;
use super::transfer::read_all;
use super::{context, install};
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::fleet::EnvironmentName;
use crate::fleet::text::printable;
use crate::git::Repository;
use crate::secrets::{Contents, Error, FileKey, Identities, Merged, Value, Vault, is_sealed, merge};

/// The most bytes of a file that is encrypted as a whole.
const LIMIT: usize = 128 * 1024 * 1024;
/// The attribute that names the environment whose readers may read a file.
pub(super) const ATTRIBUTE: &str = "arcane";

pub(in crate::cli) fn git(ui: &Ui, arguments: &Arguments, command: &Git) -> Result<u8, Failure> {
    match command {
        Git::Install => {
            let vault = context::vault(arguments)?;
            let Some(repository) = Repository::find(vault.directory())? else {
                return Err(Failure::new(exit::USAGE, "the vault is in no git repository"));
            };
            install::install(ui, &vault, &repository)?;
            install::open_files(ui, &repository, &context::identities()?)?;
            ui.note("This clone's git knows the vault.");
            Ok(exit::DONE)
        }
        Git::Clean { path } => clean(path),
        Git::Smudge { path } => smudge(ui, path),
        Git::Textconv { path } => textconv(ui, path),
        Git::Merge { base, ours, theirs, path } => merge_files(ui, base, ours, theirs, path),
    }
}

fn stdin() -> Result<Vec<u8>, Failure> {
    let failed = |why: String| Failure::new(exit::FAILED, format!("cannot read what git sent: {why}"));
    let bytes = read_all(io::stdin().lock(), LIMIT).map_err(|error| failed(error.to_string()))?;
    bytes.ok_or_else(|| failed("it is larger than 128 MiB".to_owned()))
}

fn give(bytes: &[u8]) -> Result<u8, Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(exit::FAILED, format!("cannot answer git: {error}")))?;
    Ok(exit::DONE)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| {
        Failure::new(exit::FAILED, format!("cannot read {}: {why}", printable(&path.to_string_lossy(), 200)))
    };
    let bytes = fs::File::open(path).and_then(|file| read_all(file, LIMIT));
    bytes
        .map_err(|error| failed(error.to_string()))?
        .ok_or_else(|| failed("it is larger than 128 MiB".to_owned()))
}

/// The environment whose readers may read a file.
pub(super) fn environment(repository: &Repository, path: &Path) -> Result<EnvironmentName, Failure> {
    let shown = printable(&path.to_string_lossy(), 200);
    let named = repository.attribute(path, ATTRIBUTE)?.ok_or_else(|| {
        Failure::new(
            exit::USAGE,
            format!("{shown} is to be encrypted, and .gitattributes does not say for whom"),
        )
        .hint(format!("write `{shown} filter=arcane diff=arcane -text arcane=ENVIRONMENT` there"))
    })?;
    EnvironmentName::parse(&named)
        .map_err(|error| Failure::new(exit::USAGE, format!(".gitattributes, for {shown}: {error}")))
}

fn clean(path: &Path) -> Result<u8, Failure> {
    let plain = Value::new(stdin()?);
    if is_sealed(plain.expose()) {
        return give(plain.expose());
    }
    let repository = Repository::of_caller()?;
    let (vault, contents) = contents(&repository, path, &context::identities()?)?;
    for before in [repository.staged(path)?, repository.committed(path)?].into_iter().flatten() {
        if Vault::open_current(&before, &contents, path).is_some_and(|opened| opened == plain) {
            return give(&before);
        }
    }
    // From here on it is sealed anew, for those who may read the environment as it is here.
    vault.newest(&contents)?;
    give(&Vault::seal_file(plain.expose(), &contents, path)?)
}

/// The environment whose readers may read a file, opened.
pub(super) fn contents(
    repository: &Repository,
    path: &Path,
    identities: &Identities,
) -> Result<(Vault, Contents), Failure> {
    let vault = context::vault_of(repository, path)?;
    let environment = vault.environment(Some(&environment(repository, path)?))?;
    let contents = vault.read(&environment, identities)?;
    Ok((vault, contents))
}

fn smudge(ui: &Ui, path: &Path) -> Result<u8, Failure> {
    let sealed = stdin()?;
    if !is_sealed(&sealed) {
        return give(&sealed);
    }
    // A checkout must not fail because somebody may not read a file.
    let opened = context::identities().map_err(Failure::from).and_then(|identities| {
        let (_, contents) = contents(&Repository::of_caller()?, path, &identities)?;
        Ok(Vault::open_file(&sealed, &contents, path)?)
    });
    match opened {
        Ok(plain) => give(plain.expose()),
        Err(failure) => {
            let shown = printable(&path.to_string_lossy(), 200);
            ui.tagged(Tag::Warning, &format!("{shown} is left encrypted: {}", failure.line()));
            give(&sealed)
        }
    }
}

/// What `git diff` compares: of a vault the names, of any other file its text.
fn textconv(ui: &Ui, path: &Path) -> Result<u8, Failure> {
    let bytes = read(path)?;
    if !is_sealed(&bytes) {
        return give(&bytes);
    }
    let opened =
        context::identities().map_err(Failure::from).and_then(|identities| show(&bytes, &identities, path));
    match opened {
        Ok(text) => give(text.expose()),
        Err(failure) => {
            ui.out(&format!("(encrypted, {} bytes: {})", bytes.len(), failure.line()));
            Ok(exit::DONE)
        }
    }
}

fn show(bytes: &[u8], identities: &Identities, path: &Path) -> Result<Value, Failure> {
    let stem =
        path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| EnvironmentName::parse(stem).ok());
    let vault = path.extension().is_some_and(|extension| extension == "age");
    if let Some(environment) = stem.filter(|_| vault) {
        let contents = Vault::open(bytes, &environment, identities, path)?;
        return Ok(Value::from(names(&contents).as_str()));
    }
    // git does not say which file it is.
    let mut refused = Error::NotForUs { path: path.to_owned(), tried: Vec::new() }.into();
    for vault in context::vaults(&Repository::of_caller()?)? {
        for environment in vault.environments()? {
            let opened = vault.read(&environment, identities);
            match opened.and_then(|contents| Vault::open_file(bytes, &contents, path)) {
                Ok(plain) => return Ok(plain),
                Err(error) => refused = error.into(),
            }
        }
    }
    Err(refused)
}

fn names(contents: &Contents) -> String {
    let mut text = String::new();
    for (name, keys) in &contents.readers {
        for key in keys {
            text.push_str(&format!("reader {name} {key}\n"));
        }
    }
    if let Some(key) = contents.file_key() {
        text.push_str(&format!("key for files {key}\n"));
    }
    for (name, secret) in &contents.secrets {
        let by = printable(&secret.by, 80);
        let known: String =
            secret.known_by.iter().map(|name| format!(", known by {name}, who left")).collect();
        text.push_str(&format!(
            "secret {name} version {} set by {by} at {}{known}\n",
            secret.version, secret.set
        ));
    }
    text
}

fn merge_files(ui: &Ui, base: &Path, ours: &Path, theirs: &Path, path: &Path) -> Result<u8, Failure> {
    let repository = Repository::of_caller()?;
    let vault = context::vault_of(&repository, path)?;
    let identities = context::identities()?;
    let environment = vault_environment(&vault, &repository, path)
        .ok_or_else(|| Failure::new(exit::USAGE, "only a vault's files are merged by arcane"))?;
    let open = |file: &PathBuf| -> Result<Contents, Failure> {
        Ok(Vault::open(&read(file)?, &environment, &identities, path)?)
    };
    let [base, ours_file, theirs] = [base.to_owned(), ours.to_owned(), theirs.to_owned()];
    // Both branches made the file: there is nothing that they come from.
    let base = if read(&base)?.is_empty() { None } else { Some(open(&base)?) };
    let shown = printable(&path.to_string_lossy(), 200);
    let merged = merge(base.as_ref(), &open(&ours_file)?, &open(&theirs)?, FileKey::generate());
    let Merged { contents, conflicts, uninvited } = merged.ok_or_else(|| {
        Failure::new(
            exit::REFUSED,
            format!("their {shown} does not come from the version that both sides began with; ours is kept"),
        )
        .hint("whoever made it could not open what was there: ask who did, before you take anything of it")
    })?;
    vault.newest(&contents)?;
    fs::write(&ours_file, Vault::seal(&contents, path)?)
        .map_err(|error| Failure::new(exit::FAILED, format!("cannot give git the merged vault: {error}")))?;
    for (name, key) in &uninvited {
        ui.tagged(
            Tag::Error,
            &format!("their side lets {name} read {environment}, with {key}; that was not taken over"),
        );
        ui.tagged(
            Tag::Hint,
            &format!("if you mean to: `arcane team add {name} --env {environment} --key {key}`; then `git add {shown}`"),
        );
    }
    if conflicts.is_empty() {
        return Ok(if uninvited.is_empty() { exit::DONE } else { exit::FAILED });
    }
    ui.tagged(Tag::Error, &format!("both sides changed secrets of {environment}, each in its own way"));
    for conflict in &conflicts {
        ui.note(&format!("  | {}", printable(&conflict.to_string(), 400)));
    }
    ui.tagged(
        Tag::Hint,
        &format!(
            "everything else is merged, and of these ours is kept. For each that should be theirs, type `arcane secrets set NAME \
             --env {environment}`; then `git add {shown}`"
        ),
    );
    Ok(exit::FAILED)
}

/// The environment of which this is the vault file.
fn vault_environment(vault: &Vault, repository: &Repository, path: &Path) -> Option<EnvironmentName> {
    let full = repository.root().join(path);
    let stem = full.file_stem()?.to_str()?;
    let environment = EnvironmentName::parse(stem).ok()?;
    let ours = vault.directory().canonicalize().ok()?;
    let theirs = full.parent()?.canonicalize().ok()?;
    (ours == theirs && vault.file(&environment).file_name() == full.file_name()).then_some(environment)
}
