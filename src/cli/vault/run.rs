//! `arcane run`: a command with secrets in its environment and nowhere else. It takes our place, so signals, exit code
//! and terminal are its own.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::args::Run;
use super::context;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::config::declared_secrets;
use crate::fleet::VariableName;
use crate::fleet::text::quoted;

pub(in crate::cli) fn run(ui: &Ui, arguments: &Arguments, options: &Run) -> Result<u8, Failure> {
    let contents = context::read(ui, arguments, options.at.env.as_ref())?;
    let wanted: Vec<VariableName> = if options.only.is_empty() {
        // What an app says it needs must be there, though everything is passed on.
        let declared = declared_secrets(&arguments.directory)?.into_values().flatten();
        declared.chain(contents.secrets.keys().cloned()).collect()
    } else {
        options.only.clone()
    };
    let missing: Vec<_> =
        wanted.iter().filter(|name| !contents.secrets.contains_key(name)).cloned().collect();
    if !missing.is_empty() {
        return Err(contents.no_secret(missing).into());
    }
    if wanted.is_empty() {
        let message = format!("{} holds no secrets, so there is nothing to run with", contents.environment);
        return Err(Failure::new(exit::USAGE, message).hint(format!(
            "set one with `arcane secrets set NAME --env {}`, or run the command without arcane",
            contents.environment
        )));
    }
    let Some((program, rest)) = options.command.split_first() else {
        return Err(Failure::new(exit::USAGE, "no command was given"));
    };
    let mut command = Command::new(program);
    command.args(rest).env_remove(context::IDENTITY);
    for name in &wanted {
        let value = contents.get(name)?.value.expose();
        if value.contains(&0) {
            let message = format!("{} holds a NUL byte, which no variable can", quoted(name.as_str()));
            return Err(Failure::new(exit::FAILED, message)
                .hint(format!("leave it out with --only; `arcane secrets get {name}` writes it to a file")));
        }
        command.env(name.as_str(), std::ffi::OsStr::from_bytes(value));
    }
    let error = command.exec();
    let called = quoted(&program.to_string_lossy());
    if error.kind() == std::io::ErrorKind::ArgumentListTooLong {
        return Err(Failure::new(
            exit::FAILED,
            format!("{called} was not started: the values are too large"),
        )
        .hint("Linux allows 128 KiB for one variable; leave large ones out with --only"));
    }
    Err(Failure::new(exit::FAILED, format!("{called} cannot be started: {error}")))
}
