//! What a clone's git has to be taught once, because no clone may bring configuration along: the filter, the diff, the
//! merge, and a hook that looks at what is about to be committed.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::git;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::fleet::text::{plural, printable};
use crate::git::Repository;
use crate::secrets::{Identities, Vault, is_sealed};

const ATTRIBUTES: &str =
    "# Written by arcane: vaults are shown and merged by name.\n*.age -text diff=arcane merge=arcane\n";
const HOOK: &str = "pre-commit";

/// Teaches a clone's git. What is as it should be stays.
pub(super) fn install(ui: &Ui, vault: &Vault, repository: &Repository) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(exit::BUG, format!("arcane does not know where it is: {error}")))?;
    let program = quoted(&program);
    for (key, value) in [
        ("filter.arcane.clean", format!("{program} git clean %f")),
        ("filter.arcane.smudge", format!("{program} git smudge %f")),
        // A file that should be encrypted and cannot be is not added at all.
        ("filter.arcane.required", "true".to_owned()),
        ("diff.arcane.textconv", format!("{program} git textconv")),
        ("merge.arcane.name", "secrets by name".to_owned()),
        ("merge.arcane.driver", format!("{program} git merge %O %A %B %P")),
    ] {
        if repository.configured(key).as_ref() != Some(&value) {
            repository.configure(key, &value)?;
        }
    }
    let attributes = vault.directory().join(".gitattributes");
    if !attributes.exists() {
        fs::write(&attributes, ATTRIBUTES).map_err(|error| cannot_write(&attributes, &error))?;
    }
    hook(ui, repository, &program)
}

/// Opens the files that git encrypts and that a clone brought encrypted, because its git had not been taught then. Only
/// what is as it was committed is touched.
pub(super) fn open_files(ui: &Ui, repository: &Repository, identities: &Identities) -> Result<(), Failure> {
    let (mut left, mut mergeable) = (0, Vec::new());
    for path in repository.filtered("arcane")? {
        if !repository.is_unset(&path, "merge")? && repository.attribute(&path, "merge")?.is_none() {
            mergeable.push(printable(&path.to_string_lossy(), 200));
        }
        let full = repository.root().join(&path);
        let Ok(bytes) = fs::read(&full) else { continue };
        if !is_sealed(&bytes) || repository.staged(&path)?.as_ref() != Some(&bytes) {
            continue;
        }
        let opened = git::contents(repository, &path, identities)
            .and_then(|(_, contents)| Ok(Vault::open_file(&bytes, &contents, &path)?));
        match opened {
            Ok(plain) => {
                fs::write(&full, plain.expose()).map_err(|error| cannot_write(&full, &error))?;
                repository.look_again(&path)?;
                ui.note(&format!("Opened {}.", printable(&path.to_string_lossy(), 200)));
            }
            Err(_) => left += 1,
        }
    }
    if let Some(first) = mergeable.first() {
        let more = if mergeable.len() > 1 { " and others" } else { "" };
        ui.tagged(
            Tag::Warning,
            &format!("git may merge {first}{more} line by line while encrypted, which leaves a file that nobody opens"),
        );
        ui.tagged(Tag::Hint, "add `-merge` to what .gitattributes says of encrypted files");
    }
    if left > 0 {
        ui.note(&format!("{} left encrypted, because you may not read them.", plural(left, "file")));
        ui.tagged(Tag::Hint, "once somebody let you in and you pulled that, type `arcane git install`");
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(exit::FAILED, format!("cannot write {}: {error}", printable(&path.to_string_lossy(), 200)))
}

/// A hook of somebody's own is theirs: they are told what to put into it.
fn hook(ui: &Ui, repository: &Repository, program: &str) -> Result<(), Failure> {
    let command = format!("{program} scan --staged");
    let Some(directory) = repository.hooks() else {
        ui.tagged(
            Tag::Warning,
            "core.hooksPath is a directory of more than this repository, so commits are not looked at",
        );
        ui.tagged(Tag::Hint, &format!("put `{command} || exit 1` into its {HOOK}"));
        return Ok(());
    };
    let path = directory.join(HOOK);
    let text =
        format!("#!/bin/sh\n# Written by arcane: no secret is committed in the open.\nexec {command}\n");
    let there = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot_write(&path, &error)),
    };
    if there.contains("scan --staged") && !there.contains("# Written by arcane") {
        return Ok(());
    }
    if !there.is_empty() && !there.contains("# Written by arcane") {
        let shown = printable(&path.to_string_lossy(), 200);
        ui.tagged(Tag::Warning, &format!("{shown} is a hook of your own, so commits are not looked at"));
        ui.tagged(Tag::Hint, &format!("put `{command} || exit 1` into it"));
        return Ok(());
    }
    let write = || {
        fs::create_dir_all(&directory)?;
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&path)?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| cannot_write(&path, &error))
}

/// A path as one word for the shell that git starts.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
