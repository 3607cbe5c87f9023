//! What most commands begin with: the files, the hosts that are meant, the connections to them.

use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::config::{Fleet, Project, config_home};
use crate::deploy::remote::Pool;
use crate::deploy::rollout::{AT_ONCE, on_each};
use crate::fleet::{App, AppName, EnvironmentName, Gate, Host, HostName};

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

/// The hosts that are meant, as they were named together: those of `--to`, else those the app declares, else the only
/// one there is.
pub(super) fn targets(fleet: &Fleet, to: Option<&str>, app: &App) -> Result<Vec<Gate>, Failure> {
    if let Some(to) = to {
        return Ok(fleet.select_gates(to)?);
    }
    if !app.to.is_empty() {
        return Ok(fleet.gates(&app.to)?);
    }
    match fleet.hosts.values().collect::<Vec<_>>()[..] {
        [host] => Ok(vec![Gate { name: host.name.to_string(), hosts: vec![host.clone()] }]),
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

/// Where an app is.
pub(super) struct Places {
    /// The hosts that have it, or that were named.
    pub(super) hosts: Vec<Host>,
    /// The hosts that could not be asked, and why not.
    pub(super) unknown: Vec<(HostName, Failure)>,
}

impl Places {
    /// Warns of the hosts that could not be asked: for commands that only look.
    ///
    /// # Errors
    /// When no host is left.
    pub(super) fn warn(self, ui: &Ui) -> Result<Vec<Host>, Failure> {
        for (host, failure) in self.unknown {
            if self.hosts.is_empty() {
                return Err(failure);
            }
            ui.tagged(Tag::Warning, &format!("{host} is left out: {}", failure.line()));
        }
        Ok(self.hosts)
    }

    /// Refuses when any host could not be asked, for it might have the app: for commands that change something, which
    /// would be half-done without a word.
    ///
    /// # Errors
    /// The failure of the first host that could not be asked.
    pub(super) fn all(self, command: &str) -> Result<Vec<Host>, Failure> {
        let names: Vec<_> = self.hosts.iter().map(|host| host.name.as_str()).collect();
        match self.unknown.into_iter().next() {
            None => Ok(self.hosts),
            Some((_, failure)) if names.is_empty() => Err(failure),
            Some((host, failure)) => Err(failure.hint(format!(
                "{host} might have it too; leave it out with `{command} --to {}`",
                names.join(",")
            ))),
        }
    }
}

/// The hosts of `--to`, or all on which the app is found. Connections that this takes stay in `pool`.
pub(super) async fn places(
    fleet: &Fleet,
    pool: &Pool,
    to: Option<&str>,
    app: &AppName,
) -> Result<Places, Failure> {
    let hosts = hosts(fleet, to)?;
    if to.is_some() || hosts.len() == 1 {
        return Ok(Places { hosts, unknown: Vec::new() });
    }
    let mut places = Places { hosts: Vec::new(), unknown: Vec::new() };
    let looks = on_each(&hosts, AT_ONCE, |host| async move { pool.get(&host).await?.app(app).await }).await;
    for (host, deployed) in hosts.iter().zip(looks) {
        match deployed {
            Ok(deployed) if deployed.live.is_some() || deployed.situation.interruption().is_some() => {
                places.hosts.push(host.clone());
            }
            Ok(_) => {}
            Err(error) => places.unknown.push((host.name.clone(), error.into())),
        }
    }
    if places.hosts.is_empty() && places.unknown.is_empty() {
        return Err(Failure::new(exit::FAILED, format!("{app} is on no host of the fleet"))
            .hint("see what is there with `arcane status`"));
    }
    Ok(places)
}

/// Names of hosts, for a sentence.
pub(super) fn names(hosts: &[Host]) -> String {
    hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ")
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

/// The exit code of a command that did the same on several hosts, of which some failed.
pub(super) fn exit_code(failures: &[Failure], hosts: usize) -> u8 {
    let good = std::iter::repeat_n(exit::DONE, hosts.saturating_sub(failures.len()));
    common_code(&failures.iter().map(Failure::code).chain(good).collect::<Vec<_>>())
}

/// The exit code of a command whose part on each host ended with one of these: the code of them all, when it is one.
pub(super) fn common_code(codes: &[u8]) -> u8 {
    match codes {
        [] => exit::DONE,
        [first, rest @ ..] if rest.iter().all(|code| code == first) => *first,
        _ => exit::SOME_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(hosts: &[&str], unknown: &[&str]) -> Places {
        let name = |name: &&str| HostName::parse(name).unwrap();
        let host = |it: &&str| Host { name: name(it), ssh: "deploy@192.0.2.1".to_owned() };
        let failure = || Failure::new(exit::UNREACHABLE, "no route");
        Places {
            hosts: hosts.iter().map(host).collect(),
            unknown: unknown.iter().map(|it| (name(it), failure())).collect(),
        }
    }

    #[test]
    fn a_host_that_is_away_is_left_out_of_a_look_but_not_of_a_change() {
        let ui = Ui::new();
        for (hosts, unknown, look, change) in [
            (&["a", "b"][..], &[][..], Ok("a, b"), Ok("a, b")),
            (&["a"], &["b"], Ok("a"), Err(exit::UNREACHABLE)),
            (&[], &["b"], Err(exit::UNREACHABLE), Err(exit::UNREACHABLE)),
        ] {
            let named = |result: Result<Vec<Host>, Failure>| match result {
                Ok(hosts) => Ok(names(&hosts)),
                Err(failure) => Err(failure.code()),
            };
            assert_eq!(named(places(hosts, unknown).warn(&ui)), look.map(str::to_owned), "{hosts:?}");
            let changed = named(places(hosts, unknown).all("arcane rollback shop"));
            assert_eq!(changed, change.map(str::to_owned), "{hosts:?}");
        }
    }
}
