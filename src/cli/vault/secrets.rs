//! `arcane secrets`: one secret or all of an environment.

use std::io::{IsTerminal as _, Write as _};

use serde_json::json;

use super::args::Secrets;
use super::{check, context, edit, prompt, transfer};
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::clock;
use crate::fleet::text::plural;
use crate::fleet::{EnvironmentName, Timestamp, VariableName};
use crate::secrets::{Contents, Error, FileKey, Value};

pub(in crate::cli) fn secrets(ui: &Ui, arguments: &Arguments, command: &Secrets) -> Result<u8, Failure> {
    match command {
        Secrets::Set { name, at, exact } => set(ui, arguments, name, at.env.as_ref(), *exact),
        Secrets::Get { name, at, reveal } => get(ui, arguments, name, at.env.as_ref(), *reveal),
        Secrets::List { at, json } => list(ui, arguments, at.env.as_ref(), *json),
        Secrets::Remove { names, at } => remove(ui, arguments, names, at.env.as_ref()),
        Secrets::Edit { at } => edit::run(ui, arguments, at.env.as_ref()),
        Secrets::Import { file, at } => transfer::import(ui, arguments, file, at.env.as_ref()),
        Secrets::Export { at, reveal, json } => {
            transfer::export(ui, arguments, at.env.as_ref(), *reveal, *json)
        }
        Secrets::Diff { one, other, json } => diff(ui, arguments, one, other, *json),
        Secrets::Rotate { at, accept } => rotate(ui, arguments, at.env.as_ref(), *accept),
        Secrets::Check { at, json } => check::run(ui, arguments, at.env.as_ref(), *json),
    }
}

fn set(
    ui: &Ui,
    arguments: &Arguments,
    name: &VariableName,
    environment: Option<&EnvironmentName>,
    exact: bool,
) -> Result<u8, Failure> {
    // Whoever names an environment that is not there learns it before a value is typed.
    let environment = context::vault(arguments)?.environment(environment)?;
    let value = value(name, &environment, exact)?;
    let mut opened = context::open(arguments, Some(&environment))?;
    if !opened.contents.set(name.clone(), value, &opened.by, clock::now())? {
        ui.note(&format!("{name} in {environment} has this value already."));
        return Ok(exit::DONE);
    }
    opened.guard.write(&opened.contents)?;
    ui.note(&format!("Set {name} in {environment}, for {} to read.", context::readers(&opened.contents)));
    Ok(exit::DONE)
}

/// The value from standard input, or from the operator.
fn value(name: &VariableName, environment: &EnvironmentName, exact: bool) -> Result<Value, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let asked = prompt::hidden(&format!("Value of {name} in {environment}"))
            .map_err(|error| Failure::new(exit::FAILED, format!("cannot ask for {name}: {error}")))?;
        return asked.ok_or_else(|| Failure::new(exit::INTERRUPTED, "interrupted; nothing was changed"));
    }
    let bytes = transfer::read_all(stdin.lock(), Value::LIMIT)
        .map_err(|error| Failure::new(exit::FAILED, format!("cannot read standard input: {error}")))?;
    let bytes = bytes.ok_or_else(|| {
        Failure::from(Error::TooLarge { what: format!("the value of {name}"), limit: Value::LIMIT })
    })?;
    let value = Value::new(bytes);
    // `echo` ends its line; a file of several lines ends with a newline because it should.
    let single = value.text().and_then(|text| text.strip_suffix('\n')).filter(|line| !line.contains('\n'));
    Ok(match single.filter(|_| !exact) {
        Some(line) => Value::from(line.strip_suffix('\r').unwrap_or(line)),
        None => value,
    })
}

fn get(
    ui: &Ui,
    arguments: &Arguments,
    name: &VariableName,
    environment: Option<&EnvironmentName>,
    reveal: bool,
) -> Result<u8, Failure> {
    let terminal = guard_terminal(reveal)?;
    let contents = context::read(ui, arguments, environment)?;
    let value = &contents.get(name)?.value;
    if terminal {
        ui.out(value.text().ok_or_else(|| {
            Failure::new(exit::USAGE, format!("{name} is no text; write it to a file with `>`"))
        })?);
        return Ok(exit::DONE);
    }
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(value.expose()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(exit::FAILED, format!("cannot write {name}: {error}")))?;
    Ok(exit::DONE)
}

/// Whether standard output is a terminal, which is refused unless the operator means it: it is seen over shoulders, kept
/// in scrollback and recorded.
pub(super) fn guard_terminal(reveal: bool) -> Result<bool, Failure> {
    let terminal = std::io::stdout().is_terminal();
    if terminal && !reveal {
        return Err(Failure::new(exit::USAGE, "this would show secrets on a terminal")
            .hint("add --reveal, or send them into a file or a pipe"));
    }
    Ok(terminal)
}

fn list(
    ui: &Ui,
    arguments: &Arguments,
    environment: Option<&EnvironmentName>,
    json: bool,
) -> Result<u8, Failure> {
    let contents = context::read(ui, arguments, environment)?;
    let now = clock::now();
    if json {
        let rows = contents.secrets.iter().map(|(name, secret)| {
            json!({
                "name": name, "environment": contents.environment, "set": secret.set, "by": secret.by,
                "version": secret.version, "known_by": secret.known_by,
            })
        });
        ui.json(&rows.collect::<Vec<_>>());
        return Ok(exit::DONE);
    }
    if contents.secrets.is_empty() {
        ui.note(&format!("{} holds no secrets.", contents.environment));
        return Ok(exit::DONE);
    }
    let rows: Vec<_> = contents
        .secrets
        .iter()
        .map(|(name, secret)| {
            let known: Vec<&str> = secret.known_by.iter().map(AsRef::as_ref).collect();
            let note = if known.is_empty() {
                String::new()
            } else {
                format!("known by {}, who left", known.join(", "))
            };
            vec![name.to_string(), secret.version.to_string(), age(secret.set, now), secret.by.clone(), note]
        })
        .collect();
    ui.out(&table(&["NAME", "VERSION", "AGE", "BY", ""], &rows));
    Ok(exit::DONE)
}

/// How long ago, in the largest unit of which there is one.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let found = units.iter().find(|(unit, _)| seconds >= *unit);
    found.map_or_else(|| format!("{seconds}s"), |(unit, word)| format!("{}{word}", seconds / unit))
}

fn remove(
    ui: &Ui,
    arguments: &Arguments,
    names: &[VariableName],
    environment: Option<&EnvironmentName>,
) -> Result<u8, Failure> {
    let mut opened = context::open(arguments, environment)?;
    let missing: Vec<_> =
        names.iter().filter(|name| !opened.contents.secrets.contains_key(name)).cloned().collect();
    if !missing.is_empty() {
        return Err(opened.contents.no_secret(missing).into());
    }
    opened.contents.secrets.retain(|name, _| !names.contains(name));
    opened.guard.write(&opened.contents)?;
    ui.note(&format!("Removed {} from {}.", plural(names.len(), "secret"), opened.contents.environment));
    ui.tagged(Tag::Hint, "the repository's history still holds them, for those who could read them");
    Ok(exit::DONE)
}

fn diff(
    ui: &Ui,
    arguments: &Arguments,
    one: &EnvironmentName,
    other: &EnvironmentName,
    json: bool,
) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let identities = context::identities()?;
    let open = |name: &EnvironmentName| {
        let name = vault.environment(Some(name))?;
        let contents = vault.read(&name, &identities)?;
        context::warn_of_older(ui, &vault, &contents);
        Ok::<_, Error>(contents)
    };
    let (left, right): (Contents, Contents) = (open(one)?, open(other)?);
    let only = |these: &Contents, those: &Contents| -> Vec<VariableName> {
        these.secrets.keys().filter(|name| !those.secrets.contains_key(*name)).cloned().collect()
    };
    let (only_left, only_right) = (only(&left, &right), only(&right, &left));
    let both = left.secrets.iter().filter_map(|(name, secret)| {
        right.secrets.get(name).map(|theirs| (name, secret.value == theirs.value))
    });
    let (same, differ): (Vec<_>, Vec<_>) = both.partition(|(_, same)| *same);
    let names = |pairs: Vec<(&VariableName, bool)>| -> Vec<VariableName> {
        pairs.into_iter().map(|(name, _)| name.clone()).collect()
    };
    let (same, differ) = (names(same), names(differ));
    if json {
        ui.json(&json!({
            "one": one, "other": other, "only_one": only_left, "only_other": only_right, "differ": differ, "same": same,
        }));
        return Ok(exit::DONE);
    }
    let rows: Vec<Vec<String>> = [
        (&only_left, format!("only in {one}")),
        (&only_right, format!("only in {other}")),
        (&differ, "differs".to_owned()),
        (&same, "the same value".to_owned()),
    ]
    .into_iter()
    .flat_map(|(names, what)| names.iter().map(move |name| vec![name.to_string(), what.clone()]))
    .collect();
    if rows.is_empty() {
        ui.note(&format!("{one} and {other} hold no secrets."));
    } else {
        ui.out(&table(&["NAME", ""], &rows));
    }
    Ok(exit::DONE)
}

fn rotate(
    ui: &Ui,
    arguments: &Arguments,
    environment: Option<&EnvironmentName>,
    accept: bool,
) -> Result<u8, Failure> {
    let vault = context::vault(arguments)?;
    let environments = match environment {
        Some(name) => vec![vault.environment(Some(name))?],
        None => vault.environments()?,
    };
    let identities = context::identities()?;
    let guard = vault.lock()?;
    // All are opened before the first is written.
    let opened: Result<Vec<Contents>, Error> = environments
        .iter()
        .map(|name| if accept { guard.open(name, &identities) } else { guard.read(name, &identities) })
        .collect();
    for mut contents in opened? {
        if accept {
            guard.accept(&contents);
        }
        contents.renew(FileKey::generate());
        guard.write(&contents)?;
        ui.note(&format!(
            "{} has a new key, for {} to read.",
            contents.environment,
            context::readers(&contents)
        ));
        // An older version may have the readers of its time.
        if let Err(error) = vault.agree(&contents) {
            context::warn(ui, &error);
        }
    }
    ui.tagged(Tag::Hint, "the values are the same, and older commits open with the keys of their time; `git add -A` and `git add --renormalize .` encrypt \
         files with the new key");
    Ok(exit::DONE)
}
