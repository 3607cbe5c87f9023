//! `arcane secrets edit`: an environment in the operator's editor, in memory only.
//!
//! The lock is held as long as the editor is open. git knows no lock: what it puts there meanwhile, by a pull for instance,
//! is read again, and of what was edited only the changes are put in, name by name. Ctrl-C belongs to the editor; a signal that is meant to end us ends the
//! editor first, and what it was shown is wiped either way.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::context::{self, Opened};
use super::scratch::Scratch;
use super::transfer::read_all;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::clock;
use crate::fleet::text::plural;
use crate::fleet::{EnvironmentName, VariableName};
use crate::secrets::{Contents, Form, Value, env_file};

const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LIMIT: usize = 128 * 1024 * 1024;

pub(super) fn run(
    ui: &Ui,
    arguments: &Arguments,
    environment: Option<&EnvironmentName>,
) -> Result<u8, Failure> {
    let opened = context::open(arguments, environment)?;
    let environment = opened.contents.environment.clone();
    let mut before = opened.contents.clone();
    let values = before.secrets.iter().map(|(name, secret)| (name, &secret.value));
    let mut text = env_file::render(values, Form::Own).unwrap_or_default();
    text.insert_str(
        0,
        &format!("# The secrets of {environment}: NAME=value, quotes where they help. A line taken out removes its secret.\n"),
    );
    let failed = |error: io::Error| Failure::new(exit::FAILED, format!("cannot edit {environment}: {error}"));
    let (ended, terminated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for (signal, flag) in [(SIGINT, &ended), (SIGQUIT, &ended), (SIGTERM, &terminated), (SIGHUP, &terminated)]
    {
        signal_hook::flag::register(signal, Arc::clone(flag)).map_err(failed)?;
    }
    let scratch = Scratch::new(&format!("{environment}.env"), text.as_bytes()).map_err(failed)?;
    let scratch = scratch.ok_or_else(|| {
        Failure::new(exit::FAILED, "there is no RAM file system here, and secrets are not written to a disk")
            .hint("use `arcane secrets set` and `remove`")
    })?;
    loop {
        let mut child = editor(&scratch).map_err(failed)?;
        let status = wait(&mut child, &terminated).map_err(failed)?;
        if terminated.load(Ordering::Relaxed) {
            return Err(Failure::new(exit::INTERRUPTED, "interrupted; nothing was changed"));
        }
        if !status.success() {
            return Err(Failure::new(
                exit::FAILED,
                format!("the editor ended with {status}; nothing was changed"),
            ));
        }
        let edited =
            std::fs::File::open(scratch.path()).and_then(|file| read_all(file, LIMIT)).map_err(failed)?;
        let edited = Value::new(edited.unwrap_or_default());
        let error = match env_file::parse(edited.expose(), Form::Own) {
            Ok(values) => match save(&opened, &mut before, &values) {
                Ok(changed) if changed.is_empty() => {
                    ui.note(&format!("Nothing was changed in {environment}."));
                    return Ok(exit::DONE);
                }
                Ok(changed) => {
                    ui.note(&format!(
                        "Changed {} in {environment}: {}.",
                        plural(changed.len(), "secret"),
                        changed.join(", ")
                    ));
                    return Ok(exit::DONE);
                }
                Err(failure) => failure,
            },
            Err(error) => Failure::new(exit::USAGE, format!("what was edited is not understood: {error}")),
        };
        if !io::stdin().is_terminal() {
            return Err(error.hint("nothing was changed"));
        }
        error.render(ui, false);
        ui.tagged(Tag::Hint, "what you typed is kept: press Enter to edit it again, or Ctrl-D to give up");
        let mut answer = String::new();
        if io::stdin().lock().read_line(&mut answer).map_err(failed)? == 0
            || terminated.load(Ordering::Relaxed)
        {
            return Err(Failure::new(exit::INTERRUPTED, "given up; nothing was changed"));
        }
    }
}

/// Starts $VISUAL or $EDITOR, which may hold arguments of its own.
fn editor(scratch: &Scratch) -> io::Result<Child> {
    let named = ["VISUAL", "EDITOR"].into_iter().filter_map(|name| std::env::var(name).ok());
    let editor = named.into_iter().find(|text| !text.trim().is_empty()).unwrap_or_else(|| "vi".to_owned());
    let script = format!("exec {editor} \"$1\"");
    Command::new("/bin/sh")
        .args(["-c", &script, "arcane"])
        .arg(scratch.path())
        .env_remove(context::IDENTITY)
        .spawn()
}

fn wait(child: &mut Child, terminated: &AtomicBool) -> io::Result<std::process::ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if terminated.load(Ordering::Relaxed) && !told {
            told = true;
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What was edited: each name of which the value is another than before, with its new one or none.
fn changes<'v>(
    before: &Contents,
    values: &'v BTreeMap<VariableName, Value>,
) -> BTreeMap<VariableName, Option<&'v Value>> {
    let was = |name: &VariableName| before.secrets.get(name).map(|secret| &secret.value);
    let gone =
        before.secrets.keys().filter(|name| !values.contains_key(*name)).map(|name| (name.clone(), None));
    let set = values.iter().filter(|(name, value)| was(name) != Some(*value));
    gone.chain(set.map(|(name, value)| (name.clone(), Some(value)))).collect()
}

/// Puts what was edited into the environment as it is now; the names that changed. A name that changed in both ways is
/// refused once: `before` has the newer value of it then, and whoever saves again means theirs.
fn save(
    opened: &Opened,
    before: &mut Contents,
    values: &BTreeMap<VariableName, Value>,
) -> Result<Vec<String>, Failure> {
    let changes = changes(before, values);
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let mut contents = opened.guard.read(&before.environment, &opened.identities)?;
    let mut both = Vec::new();
    for (name, wanted) in &changes {
        let now = contents.secrets.get(name);
        let was = before.secrets.get(name).map(|secret| &secret.value);
        if now.map(|secret| &secret.value) != was && now.map(|secret| &secret.value) != *wanted {
            both.push(name.to_string());
            match now {
                Some(secret) => before.secrets.insert(name.clone(), secret.clone()),
                None => before.secrets.remove(name),
            };
        }
    }
    if !both.is_empty() {
        let message = format!(
            "{} changed meanwhile in {}, too; nothing was changed",
            both.join(", "),
            before.environment
        );
        return Err(Failure::new(exit::REFUSED, message).hint(
            "something else, git perhaps, wrote the vault while you edited; saved again, yours replaces it",
        ));
    }
    for (name, wanted) in &changes {
        match wanted {
            Some(value) => {
                contents.set(name.clone(), (*value).clone(), &opened.by, clock::now())?;
            }
            None => {
                contents.secrets.remove(name);
            }
        }
    }
    opened.guard.write(&contents)?;
    Ok(changes.into_keys().map(|name| name.to_string()).collect())
}
