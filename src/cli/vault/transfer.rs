//! `arcane secrets import` and `export`: a whole environment from a file of NAME=value, and to one.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use data_encoding::BASE64;
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use super::context;
use super::secrets::guard_terminal;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::clock;
use crate::fleet::EnvironmentName;
use crate::fleet::text::{plural, printable};
use crate::secrets::{Form, env_file};

/// The most bytes of a file of NAME=value.
const LIMIT: usize = 32 * 1024 * 1024;

/// Everything that `from` gives; `None` when that is more than `limit` bytes. Leaves no copy behind.
pub(super) fn read_all(mut from: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut all = Vec::with_capacity(64 * 1024);
    let mut piece = Zeroizing::new([0; 8192]);
    loop {
        let read = match from.read(&mut *piece) {
            Ok(0) => return Ok(Some(all)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if all.len() + read > limit {
            all.zeroize();
            return Ok(None);
        }
        if all.len() + read > all.capacity() {
            let mut larger = Vec::with_capacity(all.capacity() * 2);
            larger.extend_from_slice(&all);
            all.zeroize();
            all = larger;
        }
        all.extend(piece.iter().take(read));
    }
}

pub(super) fn import(
    ui: &Ui,
    arguments: &Arguments,
    file: &Path,
    environment: Option<&EnvironmentName>,
) -> Result<u8, Failure> {
    let shown = printable(&file.to_string_lossy(), 200);
    let standard = file == Path::new("-");
    let read = if standard {
        read_all(io::stdin().lock(), LIMIT)
    } else {
        File::open(file).and_then(|file| read_all(file, LIMIT))
    };
    let bytes = read.map_err(|error| Failure::new(exit::FAILED, format!("cannot read {shown}: {error}")))?;
    let bytes = bytes.ok_or_else(|| Failure::new(exit::FAILED, format!("{shown} is larger than 32 MiB")))?;
    let bytes = Zeroizing::new(bytes);
    let found = env_file::parse(&bytes, Form::Common).map_err(|error| {
        Failure::new(exit::USAGE, format!("{shown}: {error}")).hint("nothing was imported")
    })?;
    if found.is_empty() {
        return Err(Failure::new(exit::USAGE, format!("{shown} sets nothing")));
    }
    let mut opened = context::open(arguments, environment)?;
    let (all, mut changed) = (found.len(), 0);
    for (name, value) in found {
        if value.text().is_some_and(|text| text.contains("${")) {
            ui.tagged(
                Tag::Warning,
                &format!("{name} holds `${{`, which is kept as it is: nothing is put in for it"),
            );
        }
        changed += usize::from(opened.contents.set(name, value, &opened.by, clock::now())?);
    }
    if changed > 0 {
        opened.guard.write(&opened.contents)?;
    }
    let environment = &opened.contents.environment;
    ui.note(&format!(
        "Set {} in {environment}; {} had their value already.",
        plural(changed, "secret"),
        all - changed
    ));
    if !standard {
        ui.tagged(
            Tag::Hint,
            &format!("{shown} still holds them in the open: remove it, and see that git never had it"),
        );
    }
    Ok(exit::DONE)
}

pub(super) fn export(
    ui: &Ui,
    arguments: &Arguments,
    environment: Option<&EnvironmentName>,
    reveal: bool,
    json: bool,
) -> Result<u8, Failure> {
    let terminal = guard_terminal(reveal)?;
    let contents = context::read(ui, arguments, environment)?;
    if json {
        let values = contents.secrets.iter().map(|(name, secret)| {
            let value = match secret.value.text() {
                Some(text) => json!({ "value": text }),
                None => json!({ "base64": BASE64.encode(secret.value.expose()) }),
            };
            (name.to_string(), value)
        });
        ui.json(&values.collect::<serde_json::Map<_, _>>());
        return Ok(exit::DONE);
    }
    let values = contents.secrets.iter().map(|(name, secret)| (name, &secret.value));
    let text = env_file::render(values, Form::Common).map_err(|binary| {
        let names: Vec<_> = binary.iter().map(ToString::to_string).collect();
        Failure::new(exit::FAILED, format!("no file of NAME=value can hold {}: not text", names.join(", ")))
            .hint("export with --json, or get them one by one with `arcane secrets get`")
    })?;
    if terminal {
        ui.out(text.trim_end());
        return Ok(exit::DONE);
    }
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(exit::FAILED, format!("cannot write the secrets: {error}")))?;
    Ok(exit::DONE)
}
