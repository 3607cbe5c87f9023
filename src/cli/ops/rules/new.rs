//! `arcane rules new`: from a log line to a rule with its tests.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;

use super::args::New;
use super::input::Text;
use super::load;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::fleet::text::printable;
use crate::rules::{DraftError, Transcript, Wish, draft, telling_line};

pub(super) fn run(ui: &Ui, arguments: &Arguments, options: &New) -> Result<u8, Failure> {
    let known = Arc::new(load(&arguments.directory, &[])?);
    let text = Text::line_or_file(
        &options.source,
        "name a file in it that begins with the line: `arcane rules new FILE`",
    )?;
    let transcript = Transcript::read(&text.text);
    let lines: Vec<&str> = transcript.lines.iter().map(|line| line.text.as_str()).collect();
    let line = telling_line(&lines)
        .ok_or_else(|| Failure::new(exit::USAGE, format!("there is no line in {}", text.name)))?;
    if lines.len() > 1 {
        ui.note(&format!(
            "of {} lines, the rule is made from this one: {}",
            lines.len(),
            printable(line, 200)
        ));
    }
    // What the line says goes into a file and perhaps into a repository: values of the vault do not.
    let redactor = ui.redactor();
    let line = redactor.redact(line);
    let wish = Wish { id: options.id.clone(), class: options.class, pack: options.pack.clone() };
    let made = draft(&line, &wish, &known).map_err(|error| match &error {
        DraftError::NoWords => Failure::from_error(exit::USAGE, &error)
            .hint("give another line, one that says in words what is wrong"),
        DraftError::Refused(_) => Failure::from_error(exit::USAGE, &error),
    })?;
    let Some(path) = &options.output else {
        ui.out(made.trim_end());
        return Ok(exit::DONE);
    };
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let opened = folder.and_then(|()| OpenOptions::new().write(true).create_new(true).open(path));
    opened
        .and_then(|mut file| file.write_all(made.as_bytes()))
        .map_err(|error| Failure::new(exit::USAGE, format!("cannot write {}: {error}", path.display())))?;
    ui.out(&format!("{} is written; go on with `arcane rules test {0}`", path.display()));
    Ok(exit::DONE)
}
