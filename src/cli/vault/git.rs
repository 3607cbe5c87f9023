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
use crate::secrets::{
    Contents, Error, FileKey, Identities, Merged, Value, Vault, is_sealed, is_whole, merge,
};

/// The most bytes of a file that is encrypted as a whole.
const LIMIT: usize = 128 * 1024 * 1024;
/// The variable by which `arcane git reseal` tells the filter for whom a file may be encrypted from now on.
const RESEAL: &str = "ARCANE_RESEAL";
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
        Git::Reseal { path, env } => reseal(path, env),
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
        .hint(format!("write `{shown} filter=arcane diff=arcane -text -merge arcane=ENVIRONMENT` there"))
    })?;
    EnvironmentName::parse(&named)
        .map_err(|error| Failure::new(exit::USAGE, format!(".gitattributes, for {shown}: {error}")))
}

fn clean(path: &Path) -> Result<u8, Failure> {
    let plain = Value::new(stdin()?);
    let shown = printable(&path.to_string_lossy(), 200);
    if is_whole(plain.expose()) {
        return give(plain.expose());
    }
    if is_sealed(plain.expose()) {
        return Err(Failure::new(
            exit::REFUSED,
            format!("{shown} begins as an encrypted file and does not go on as one: it is cut off, changed, or was merged"),
        )
        .hint(format!("take back a good one with `git checkout HEAD -- {shown}`, or write it anew in the open")));
    }
    let repository = Repository::of_caller()?;
    let identities = context::identities()?;
    let (vault, contents) = contents(&repository, path, &identities)?;
    let before: Vec<_> =
        [repository.staged(path)?, repository.committed(path)?].into_iter().flatten().collect();
    for sealed in &before {
        if Vault::open_current(sealed, &contents, path).is_some_and(|opened| opened == plain) {
            return give(sealed);
        }
    }
    // From here on it is sealed anew, for those who may read the environment as it is here.
    vault.newest(&contents)?;
    let told = std::env::var_os(RESEAL).is_some_and(|text| text == contents.environment.as_str());
    if !told && before.iter().any(|sealed| is_others(sealed, &contents, path)) {
        return Err(moved(&vault, &identities, &before, &contents, path));
    }
    give(&Vault::seal_file(plain.expose(), &contents, path)?)
}

/// Whether a version of a file was sealed for readers other than this environment's.
fn is_others(sealed: &[u8], contents: &Contents, path: &Path) -> bool {
    is_sealed(sealed) && matches!(Vault::open_file(sealed, contents, path), Err(Error::OtherKey { .. }))
}

/// A file that would get readers for whom it was not meant: a line of .gitattributes is all that says so, and anybody who
/// may push can write one.
fn moved(
    vault: &Vault,
    identities: &Identities,
    before: &[Vec<u8>],
    contents: &Contents,
    path: &Path,
) -> Failure {
    let (shown, environment) = (printable(&path.to_string_lossy(), 200), &contents.environment);
    let others = vault.environments().unwrap_or_default();
    let others = others.iter().filter_map(|name| vault.read(name, identities).ok());
    let opens = |other: &Contents| before.iter().any(|sealed| Vault::open_file(sealed, other, path).is_ok());
    let whose =
        others.into_iter().find(opens).map_or_else(|| "others".to_owned(), |it| it.environment.to_string());
    Failure::new(
        exit::REFUSED,
        format!(
            "{shown} is encrypted for {whose}, and .gitattributes now says {environment}, which {} can read; nothing was encrypted",
            context::readers(contents)
        ),
    )
    .hint(format!(
        "see who wrote that with `git log -p -- '*.gitattributes'`; if it is meant, type `arcane git reseal --env {environment} {shown}`"
    ))
}

/// Adds a file to the index, encrypted for an environment other than the one it was encrypted for.
fn reseal(path: &Path, environment: &EnvironmentName) -> Result<u8, Failure> {
    let shown = printable(&path.to_string_lossy(), 200);
    let repository = Repository::find(Path::new("."))?
        .ok_or_else(|| Failure::new(exit::USAGE, "this is in no git repository"))?;
    let full = context::whole(path);
    let inside = full.strip_prefix(context::whole(repository.root()));
    let inside =
        inside.map_err(|_| Failure::new(exit::USAGE, format!("{shown} is not in this repository")))?;
    let named = self::environment(&repository, inside)?;
    if named != *environment {
        let message = format!(".gitattributes says {named} for {shown}, not {environment}");
        return Err(
            Failure::new(exit::USAGE, message).hint(format!("write `arcane={environment}` there first"))
        );
    }
    repository.look_again(inside)?;
    let mut git = std::process::Command::new("git");
    git.arg("add").arg("--").arg(path).env(RESEAL, environment.as_str());
    let status = git.status();
    let status = status.map_err(|error| Failure::new(exit::FAILED, format!("cannot start git: {error}")))?;
    Ok(if status.success() { exit::DONE } else { exit::FAILED })
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
