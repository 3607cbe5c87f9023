//! How an app's container is run: command, volumes, memory, network.

use super::report::Report;
use super::section::Field;
use super::{size, volume};
use crate::fleet::text::quoted;
use crate::fleet::{MemoryLimit, Volume};

/// Reads a command: a list, because a text would have to be taken apart by somebody's idea of a shell.
pub(super) fn command(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let entries = field.list("a list, like [\"serve\", \"--port\", \"8080\"]", report)?;
    if entries.is_empty() {
        field.wrong(format!("{} is empty", field.called()), "leave it out to use the image's own", report);
        return None;
    }
    let mut words = Vec::new();
    for entry in entries {
        let word = entry.text(report)?;
        if word.contains('\0') {
            entry.wrong(format!("{} holds a NUL, which no argument can", entry.called()), "", report);
        }
        words.push(word.to_owned());
    }
    Some(words)
}

/// Reads the volumes.
pub(super) fn volumes(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    let entries = field.list("a list, like [\"data:/var/lib/app\"]", report);
    for entry in entries.unwrap_or_default() {
        let Some(text) = entry.text(report) else {
            continue;
        };
        match volume::parse(text) {
            Ok(volume) if volumes.iter().any(|other| other.target == volume.target) => {
                entry.wrong(format!("two volumes have the target {}", quoted(&volume.target)), "", report);
            }
            Ok(volume) => volumes.push(volume),
            Err(error) => entry.wrong(error, "", report),
        }
    }
    volumes
}

/// Reads the memory limit.
pub(super) fn memory(field: &Field<'_>, report: &mut Report<'_>) -> Option<MemoryLimit> {
    let text = field.text(report)?;
    size::parse(text).map_err(|error| field.wrong(error, "", report)).ok()
}

/// Reads the network's name.
pub(super) fn network(field: &Field<'_>, publishes: bool, report: &mut Report<'_>) -> Option<String> {
    let name = field.text(report)?;
    if !volume::is_volume_name(name) {
        let rule = "use up to 128 of a-z, A-Z, 0-9, ., _ and -, starting with a letter or digit";
        field.wrong(format!("{} is not the name of a Docker network; {rule}", quoted(name)), "", report);
        return None;
    }
    if publishes && matches!(name, "host" | "none") {
        field.wrong(
            format!("Docker publishes no port on the network {}", quoted(name)),
            "leave out `ports`, or this",
            report,
        );
    }
    Some(name.to_owned())
}
