//! What most commands begin with: the files, the hosts that are meant, the connections to them.

use futures_util::future::join_all;

use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::config::{Fleet, Project, config_home};
use crate::deploy::{Error, Remote};
use crate::fleet::{App, AppName, EnvironmentName, Host};

/// The fleet file.
pub(super) fn fleet(arguments: &Arguments) -> Result<Fleet, Failure> {
    Ok(Fleet::find(arguments.fleet.as_deref(), &arguments.directory, config_home().as_deref())?)
}

/// The project file.
pub(super) fn project(ui: &Ui, arguments: &Arguments) -> Result<Project, Failure> {
    let project = Project::find(&arguments.directory)?;
    for warning in &project.warnings {
        ui.tagged(Tag::Warning, &warning.to_string());
    }
    Ok(project)
}

/// The app that is meant: the one that was named, or the only one there is.
pub(super) fn app(
    project: &Project,
    name: Option<&AppName>,
    environment: Option<&EnvironmentName>,
) -> Result<App, Failure> {
    match name {
        Some(name) => Ok(project.app(name.as_str(), environment)?),
        None => Ok(project.app(project.only_app()?.as_str(), environment)?),
    }
}

/// The name of the app that is meant, which need not be described in any file here.
pub(super) fn app_name(ui: &Ui, arguments: &Arguments, name: Option<&AppName>) -> Result<AppName, Failure> {
    match name {
        Some(name) => Ok(name.clone()),
        None => Ok(project(ui, arguments)?.only_app()?.clone()),
    }
}

/// The hosts that are meant: those of `--to`, else those the app declares, else the only one there is.
pub(super) fn targets(fleet: &Fleet, to: Option<&str>, app: &App) -> Result<Vec<Host>, Failure> {
    if let Some(to) = to {
        return Ok(fleet.select(to)?);
    }
    if !app.to.is_empty() {
        return Ok(fleet.resolve(&app.to)?);
    }
    match fleet.hosts.values().collect::<Vec<_>>()[..] {
        [host] => Ok(vec![host.clone()]),
        ref hosts => {
            let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
            Err(Failure::new(
                exit::USAGE,
                format!("{} could go to several hosts, and none was named", app.name),
            )
            .hint(format!(
                "say where with `--to`, or with `to` in arcane.toml; there are {}",
                names.join(", ")
            )))
        }
    }
}

/// The hosts of `--to`, or all.
pub(super) fn hosts(fleet: &Fleet, to: Option<&str>) -> Result<Vec<Host>, Failure> {
    match to {
        Some(to) => Ok(fleet.select(to)?),
        None => Ok(fleet.hosts.values().cloned().collect()),
    }
}

/// Connects to all hosts at once. Each host's own result: one that is away does not hide the others.
pub(super) async fn connect(hosts: &[Host]) -> Vec<(Host, Result<Remote, Error>)> {
    join_all(hosts.iter().map(async |host| (host.clone(), Remote::connect(host).await))).await
}

/// Who we are, for locks, labels and the journal: `user@machine`.
pub(super) fn who() -> String {
    let user = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "unknown".to_owned());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    crate::fleet::text::printable(&format!("{user}@{machine}"), 100)
}

/// The exit code of a command that did the same on several hosts.
pub(super) fn exit_code(failures: &[Failure], hosts: usize) -> u8 {
    match failures {
        [] => exit::DONE,
        [first, ..]
            if failures.len() == hosts && failures.iter().all(|other| other.code() == first.code()) =>
        {
            first.code()
        }
        _ => exit::SOME_FAILED,
    }
}
