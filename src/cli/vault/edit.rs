//! `arcane secrets edit`: an environment in the operator's editor, in memory only.
//!
//! The lock is held as long as the editor is open. Ctrl-C belongs to the editor; a signal that is meant to end us ends the
//! editor first, and what it was shown is wiped either way.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::context;
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
    let mut opened = context::open(arguments, environment)?;
    let environment = opened.contents.environment.clone();
    let values = opened.contents.secrets.iter().map(|(name, secret)| (name, &secret.value));
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
            Ok(values) => {
                let changed = apply(&mut opened.contents, values, &opened.by)?;
                if changed.is_empty() {
                    ui.note(&format!("Nothing was changed in {environment}."));
                    return Ok(exit::DONE);
                }
                opened.guard.write(&opened.contents)?;
                ui.note(&format!(
                    "Changed {} in {environment}: {}.",
                    plural(changed.len(), "secret"),
                    changed.join(", ")
                ));
                return Ok(exit::DONE);
            }
            Err(error) => Failure::new(exit::USAGE, format!("what was edited is not understood: {error}")),
        };
        if !io::stdin().is_terminal() {
            return Err(error.hint("nothing was changed"));
        }
        error.render(ui, false);
        ui.tagged(Tag::Hint, "press Enter to edit it again, or Ctrl-D to give up");
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

/// Makes an environment hold these values; the names of those that differ from before.
fn apply(
    contents: &mut Contents,
    values: BTreeMap<VariableName, Value>,
    by: &str,
) -> Result<Vec<String>, Failure> {
    let mut changed: Vec<String> =
        contents.secrets.keys().filter(|name| !values.contains_key(name)).map(ToString::to_string).collect();
    contents.secrets.retain(|name, _| values.contains_key(name));
    for (name, value) in values {
        let shown = name.to_string();
        if contents.set(name, value, by, clock::now())? {
            changed.push(shown);
        }
    }
    Ok(changed)
}
