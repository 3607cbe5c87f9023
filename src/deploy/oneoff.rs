//! The release command: run once per release, in a container of its own that is gone when the command is over.
//!
//! It is a container of the new image with the app's environment, network and memory limit, called `shop_release`. It is
//! reachable by nobody: no port, and not the app's name in its network. It gets no volumes, for the release before is
//! running and writes to them; an app whose command needs them says `release_volumes`, and then the release before is
//! stopped first. It has a label of its own instead of the app's, so that nothing takes it for a release.
//!
//! It never outlives the push that began it for long: the push removes it however it ends, and whoever takes the lock
//! next removes what a killed push left.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::error::Error;
use super::event::{Speaker, Step};
use super::lock::Lock;
use super::output::Output;
use super::push::{mounts, network};
use super::remote::Remote;
use super::secrets;
use super::switch::{Change, chain};
use crate::docker::{Container, ContainerSpec, LogOptions, LogStream, RestartPolicy};
use crate::fleet::{App, AppName, ContainerId, ReleaseCommand, duration};

/// Marks the container of a release command, and says of which app.
pub(super) const LABEL: &str = "arcane.one-off";
/// The pause between two looks at whether it still runs.
const LOOK: Duration = Duration::from_millis(250);
/// How often is made sure that the lock is still ours.
const LOCK: Duration = Duration::from_secs(5);
/// How long an engine may take to hand over the rest of the log of a container that has ended.
const REST: Duration = Duration::from_secs(3);
/// How long is tried to remove it through a new connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// The holder that we lost gives the lock up after 20 s.
const LOCK_WAIT: Duration = Duration::from_secs(25);

/// The name of the container of an app's release command.
#[must_use]
pub(super) fn name(app: &AppName) -> String {
    format!("{app}_release")
}

/// How a release command failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) why: String,
    /// The last lines that it wrote.
    pub(super) last_lines: Vec<String>,
}

/// What kept a release command from success.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It failed, or took too long.
    Failed(Failed),
    /// A step of ours failed, or the operator interrupted.
    Broken(Error),
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Stopped {
    /// As the failure of a push that has not touched the release before.
    pub(super) fn untouched(self, change: &Change<'_>) -> Error {
        let (host, app) = (change.remote.name().clone(), change.app.name.clone());
        match self {
            Self::Failed(Failed { why, last_lines }) => Error::ReleaseCommand { host, app, why, last_lines },
            Self::Broken(Error::Interrupted { state }) => {
                Error::Interrupted { state: format!("{state}, {host} runs what it ran") }
            }
            Self::Broken(error @ (Error::Ssh(_) | Error::Docker(_))) => {
                Error::ReleaseCommand { host, app, why: chain(&error), last_lines: Vec::new() }
            }
            Self::Broken(error) => error,
        }
    }
}

impl Change<'_> {
    /// Runs the release command of a new release to its end, and removes its container however it ends.
    pub(super) async fn release_command(&self, command: &ReleaseCommand, image: &str) -> Result<(), Stopped> {
        self.guarded(Step::Release, command.command.join(" ")).await?;
        let mut spec = spec(command, self.app, image);
        secrets::dress(self.remote, &mut spec, self.app, self.release).await?;
        let container = self.remote.engine.create_container(&name(&self.app.name), &spec).await?;
        let ran = self.attend(command, &container).await;
        match (ran, self.remove(&container).await) {
            (ran, Ok(())) => ran,
            (Ok(()), Err(error)) => Err(error.into()),
            (Err(stopped), Err(error)) => Err(left(stopped, self, &error)),
        }
    }

    async fn attend(&self, command: &ReleaseCommand, container: &ContainerId) -> Result<(), Stopped> {
        let engine = &self.remote.engine;
        engine.start(&container.0).await?;
        let options = LogOptions { follow: true, ..LogOptions::default() };
        // A log driver that cannot be read hides the output, but not how the command ends.
        let mut log = engine.logs(&container.0, &options).await.ok();
        let mut output = self.output(Speaker::Release);
        let ended = tokio::select! {
            ended = self.end(container, log.as_mut(), &mut output) => ended?,
            () = tokio::time::sleep(command.within) => {
                let why = format!("it took longer than {} (`release_within`) and was ended", duration::format(command.within));
                return Err(Stopped::Failed(Failed { why, last_lines: output.end() }));
            }
            () = self.cancel.cancelled() => {
                return Err(Error::Interrupted { state: "the release command was ended".to_owned() }.into());
            }
        };
        if let Some(log) = &mut log {
            let _ = timeout(REST, tell(log, &mut output)).await;
        }
        let last_lines = output.end();
        match failure(ended.as_ref()) {
            None => Ok(()),
            Some(why) => Err(Stopped::Failed(Failed { why, last_lines })),
        }
    }

    /// The container once it has ended; `None` when somebody removed it. Its output is told meanwhile.
    async fn end(
        &self,
        container: &ContainerId,
        mut log: Option<&mut LogStream>,
        output: &mut Output<'_>,
    ) -> Result<Option<Container>, Stopped> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checked = Instant::now();
        loop {
            let frame = async {
                match &mut log {
                    Some(log) => log.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = frame => match frame {
                    Some(Ok(frame)) => output.take(text(&frame.bytes)),
                    // Over, or lost; looking at the container tells which.
                    Some(Err(_)) | None => log = None,
                },
                _ = look.tick() => {
                    match self.remote.engine.inspect(&container.0).await? {
                        Some(found) if found.state.is_running() => {}
                        ended => return Ok(ended),
                    }
                    if checked.elapsed() > LOCK {
                        self.lock.check(self.remote.name()).await?;
                        checked = Instant::now();
                    }
                }
            }
        }
    }

    /// Removes the container, through a new connection if ours is gone. An engine that restarts is waited for.
    async fn remove(&self, container: &ContainerId) -> Result<(), Error> {
        if end(self.remote, container, self.app).await.is_ok() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            // While the lock is ours, a new connection would only wait for it.
            let removed = if self.lock.check(self.remote.name()).await.is_ok() {
                end(self.remote, container, self.app).await
            } else {
                self.remove_anew(container).await
            };
            match removed {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn remove_anew(&self, container: &ContainerId) -> Result<(), Error> {
        let remote = self.remote.again().await?;
        let lock = Lock::acquire(&remote.session, self.owner, LOCK_WAIT, &|_| ()).await?;
        let removed = end(&remote, container, self.app).await;
        lock.release().await;
        removed
    }
}

/// A failure, and that the container could not be removed either.
fn left(stopped: Stopped, change: &Change<'_>, error: &Error) -> Stopped {
    let left = format!(
        "its container {} may still be on {}, for it could not be removed ({}); the next change removes it",
        name(&change.app.name),
        change.remote.name(),
        chain(error)
    );
    match stopped {
        Stopped::Failed(Failed { why, last_lines }) => {
            Stopped::Failed(Failed { why: format!("{why}; {left}"), last_lines })
        }
        Stopped::Broken(Error::Interrupted { state }) => {
            Stopped::Broken(Error::Interrupted { state: format!("{state}; {left}") })
        }
        Stopped::Broken(error) => {
            Stopped::Failed(Failed { why: format!("{}; {left}", chain(&error)), last_lines: Vec::new() })
        }
    }
}

fn spec(command: &ReleaseCommand, app: &App, image: &str) -> ContainerSpec {
    ContainerSpec {
        image: image.to_owned(),
        env: app.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        labels: BTreeMap::from([(LABEL.to_owned(), app.name.to_string())]),
        command: Some(command.command.clone()),
        mounts: if command.volumes { mounts(app) } else { Vec::new() },
        memory: app.memory,
        // Whoever asks the network for the app must not be sent here.
        network: network(app, Vec::new()),
        restart: RestartPolicy::No,
        stop_timeout: Some(app.stop_timeout),
        ..ContainerSpec::default()
    }
}

/// Why a container that has ended counts as failed; `None` when it does not.
fn failure(ended: Option<&Container>) -> Option<String> {
    let Some(container) = ended else {
        return Some("its container was removed by somebody".to_owned());
    };
    let state = &container.state;
    match (state.exit_code, state.oom_killed) {
        (0, false) => None,
        (code, true) => Some(format!("it ran out of memory and exited with code {code}")),
        (code, false) => Some(format!("it exited with code {code}")),
    }
}

async fn tell(log: &mut LogStream, output: &mut Output<'_>) {
    while let Some(Ok(frame)) = log.next().await {
        output.take(text(&frame.bytes));
    }
}

/// A message of a log without the time stamp that it begins with.
fn text(message: &[u8]) -> &[u8] {
    message.iter().position(|&byte| byte == b' ').map_or(message, |space| &message[space + 1..])
}

/// Ends a release command, giving it the time that the app has to stop, and removes its container.
async fn end(remote: &Remote, container: &ContainerId, app: &App) -> Result<(), Error> {
    match remote.engine.stop(&container.0, app.stop_timeout).await {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => {}
    }
    Ok(remote.engine.discard(&container.0).await?)
}

/// The containers of a release command, and of what brings secrets, that a change left behind.
pub(super) async fn left_behind(remote: &Remote, app: &AppName) -> Result<Vec<Container>, Error> {
    let mut left = Vec::new();
    for name in [name(app), secrets::container_name(app)] {
        let found = remote.engine.inspect(&name).await?;
        left.extend(found.filter(|found| found.labels.get(LABEL).map(String::as_str) == Some(app.as_str())));
    }
    Ok(left)
}

/// Ends and removes what a change left behind. To be called under the lock only: otherwise a push may be using it.
pub(super) async fn sweep(remote: &Remote, app: &App) -> Result<(), Error> {
    for container in left_behind(remote, &app.name).await? {
        end(remote, &container.id, app).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::app;
    use crate::fleet::Volume;

    #[test]
    fn nobody_reaches_it_and_it_writes_to_nothing_unless_that_was_asked_for() {
        let volume = Volume { source: "data".to_owned(), target: "/data".to_owned(), read_only: false };
        let app = App {
            volumes: vec![volume],
            network: Some("back".to_owned()),
            memory: Some(crate::fleet::MemoryLimit(64 << 20)),
            ..app("shop")
        };
        let command = ReleaseCommand {
            command: vec!["bin/migrate".to_owned()],
            within: ReleaseCommand::DEFAULT_WITHIN,
            volumes: false,
        };
        let spec_of = |command: &ReleaseCommand| spec(command, &app, "arcane/shop:1");
        let plain = spec_of(&command);
        assert_eq!((plain.publish.len(), plain.mounts.len()), (0, 0));
        assert_eq!(plain.network.as_ref().map(|network| network.aliases.len()), Some(0));
        assert_eq!((plain.memory, plain.restart), (app.memory, RestartPolicy::No));
        assert!(!plain.labels.contains_key(super::super::labels::APP), "it would be taken for a release");
        assert_eq!(spec_of(&ReleaseCommand { volumes: true, ..command }).mounts.len(), 1);
    }

    #[test]
    fn a_message_loses_its_time_stamp_and_nothing_else() {
        assert_eq!(text(b"2026-11-25T18:42:03.9Z a b\n"), b"a b\n");
        assert_eq!(text(b"2026-11-25T18:42:03.9Z \n"), b"\n");
        assert_eq!(text(b"x"), b"x");
    }
}
