//! One file per command: arguments, one call into the library, text or JSON. The only room that prints.
//!
//! Results go to standard output, everything else to standard error. A command returns what it found or a
//! [`failure::Failure`], which is rendered once, here, with its causes and what to type next.

pub mod args;
mod commands;
pub mod exit;
mod failure;
mod log;
#[cfg(feature = "ops")]
mod ops;
mod ui;
mod vault;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Arguments, Command};
use failure::Failure;
use ui::Ui;

/// Parses this process's arguments, runs the command, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come as "errors" too, and go to standard output with code 0.
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let ui = Ui::new();
    log::install(&ui);
    match run(&ui, &arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.render(&ui, arguments.json());
            ExitCode::from(failure.code())
        }
    }
}

fn run(ui: &Ui, arguments: &Arguments) -> Result<u8, Failure> {
    match &arguments.command {
        None => {
            let _ = Arguments::command().print_help();
            Ok(exit::DONE)
        }
        Some(Command::Config(command)) => commands::config::run(ui, arguments, command),
        Some(Command::Completions { shell }) => commands::completions::run(ui, *shell),
        Some(Command::Man) => commands::man::run(ui),
        Some(Command::Secrets(command)) => vault::secrets(ui, arguments, command),
        Some(Command::Team(command)) => vault::team(ui, arguments, command),
        Some(Command::Git(command)) => vault::git(ui, arguments, command),
        Some(Command::Scan(options)) => vault::scan(ui, arguments, options),
        Some(Command::Run(options)) => vault::run(ui, arguments, options),
        #[cfg(feature = "ops")]
        Some(command @ Command::Init(options)) if options.site.caddy => ops::run(ui, arguments, command),
        Some(Command::Init(options)) => vault::init(ui, arguments, &options.vault),
        #[cfg(feature = "ops")]
        Some(command) => ops::run(ui, arguments, command),
    }
}
