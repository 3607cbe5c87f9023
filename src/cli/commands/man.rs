//! `arcane man`: the manual page, one section per command.

use clap::CommandFactory as _;

use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;

pub(crate) fn run(ui: &Ui) -> Result<u8, Failure> {
    let mut page = Vec::new();
    let failed =
        |error: std::io::Error| Failure::new(exit::BUG, format!("cannot render the manual: {error}"));
    clap_mangen::Man::new(Arguments::command()).render(&mut page).map_err(failed)?;
    for command in Arguments::command().get_subcommands() {
        let man = clap_mangen::Man::new(command.clone().name(format!("arcane {}", command.get_name())));
        man.render_name_section(&mut page).map_err(failed)?;
        man.render_synopsis_section(&mut page).map_err(failed)?;
        man.render_options_section(&mut page).map_err(failed)?;
    }
    ui.out(String::from_utf8_lossy(&page).trim_end());
    Ok(exit::DONE)
}
