//! `arcane completions SHELL`.

use clap::CommandFactory as _;

use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;

pub(crate) fn run(ui: &Ui, shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "arcane", &mut script);
    ui.out(String::from_utf8_lossy(&script).trim_end());
    Ok(exit::DONE)
}
