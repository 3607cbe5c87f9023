//! `arcane config`: what is in the files, or what is wrong with them.

use serde_json::json;

use crate::cli::args::{Arguments, Config};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::config::{Fleet, Project, config_home};

pub(crate) fn run(ui: &Ui, arguments: &Arguments, command: &Config) -> Result<u8, Failure> {
    let Config::Check { json } = command;
    let project = Project::find(&arguments.directory)?;
    let fleet = Fleet::find(arguments.fleet.as_deref(), &arguments.directory, config_home().as_deref())?;
    project.check_targets(&fleet)?;
    for warning in &project.warnings {
        ui.tagged(Tag::Warning, &warning.to_string());
    }
    let apps: Vec<_> = project.apps.keys().map(ToString::to_string).collect();
    let hosts: Vec<_> = fleet.hosts.keys().map(ToString::to_string).collect();
    if *json {
        ui.json(&json!({ "apps": apps, "hosts": hosts, "project": project.path, "fleet": fleet.path }));
    } else {
        ui.out(&format!("{}: {}", project.path.display(), apps.join(", ")));
        ui.out(&format!("{}: {}", fleet.path.display(), hosts.join(", ")));
    }
    Ok(exit::DONE)
}
