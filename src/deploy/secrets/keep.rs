//! The host's side: a file system in memory, filled, asked and swept by a helper container.
//!
//! Who may use an engine need not be root on its host, so it is not a shell that makes `/run/arcane` but a container of the
//! image that is there anyway, with nothing of it but a name: it runs our launcher as `arcane-keep` (launcher/keep.rs), which is
//! copied into it and gone with it. It has the host's `/run`, no network, no log. The values come to it over its standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use super::super::error::Error;
use super::super::oneoff;
use super::super::remote::Remote;
use super::super::switch::chain;
use super::launcher;
use crate::docker::{ContainerSpec, Mount, MountKind, Privilege};
use crate::fleet::text::printable;
use crate::fleet::{AppName, ContainerId, ReleaseId};

/// The part of a release's secrets that holds the launcher and what it reads.
pub(super) const LAUNCH: &str = "launch";
/// The part that holds files for the app.
pub(super) const FILES: &str = "files";

const RUN: &str = "/run";
/// Where the helper sees that.
const INSIDE: &str = "/arcane-run";
const PROGRAM: &str = "arcane-keep";
/// How long the helper may take: it moves some kilobytes, mostly.
const LIMIT: Duration = Duration::from_secs(120);
/// The most that it has to say, in bytes.
const ANSWER: usize = 4096;
const LOOK: Duration = Duration::from_millis(20);

/// The directory of a release's secrets on its host.
pub(super) fn directory(app: &AppName, release: &ReleaseId) -> String {
    format!("{RUN}/arcane/{app}/{release}")
}

/// The name of the helper's container.
#[must_use]
pub(in super::super) fn name(app: &AppName) -> String {
    format!("{app}_secrets")
}

/// The helper of an app on a host. Its image may be any that the host has.
pub(super) struct Helper<'a> {
    pub(super) remote: &'a Remote,
    pub(super) app: &'a AppName,
    pub(super) image: &'a str,
}

impl Helper<'_> {
    /// Puts a release's secrets there, unless they are.
    pub(super) async fn put(&self, release: &ReleaseId, parcel: &[u8]) -> Result<(), Error> {
        self.run(&["put", INSIDE, self.app.as_str(), release.as_str()], parcel).await.map(drop)
    }

    /// Whether a release's secrets are there.
    pub(super) async fn has(&self, release: &ReleaseId) -> Result<bool, Error> {
        let answer = self.run(&["have", INSIDE, self.app.as_str(), release.as_str()], b"").await?;
        Ok(answer.trim() == "present")
    }

    /// Wipes the secrets of all releases of the app but these.
    pub(super) async fn sweep(&self, needed: &BTreeSet<&ReleaseId>) -> Result<(), Error> {
        let mut words = vec!["sweep", INSIDE, self.app.as_str()];
        words.extend(needed.iter().map(|release| release.as_str()));
        self.run(&words, b"").await.map(drop)
    }

    /// Runs the helper to its end, with this on its standard input. Returns what it said.
    async fn run(&self, words: &[&str], input: &[u8]) -> Result<String, Error> {
        let program = launcher::program(self.remote)?;
        let ended = match self.attempt(words, input, &program, Privilege::Mount).await {
            // A host whose mounts are not shared: memory that /run itself is must do.
            Err(Failed::Start(error)) if error.to_string().contains("shared mount") => {
                self.attempt(words, input, &program, Privilege::Root).await
            }
            ended => ended,
        };
        ended.map_err(|failed| failed.into_error(self.remote, self.app))
    }

    async fn attempt(
        &self,
        words: &[&str],
        input: &[u8],
        program: &[u8],
        privilege: Privilege,
    ) -> Result<String, Failed> {
        let engine = &self.remote.engine;
        // Ours alone while we hold the lock, so this one was left by a change that was killed.
        for left in oneoff::left_behind(self.remote, self.app).await? {
            engine.discard(&left.id.0).await?;
        }
        let spec = self.spec(words, privilege);
        let container = engine.create_container(&name(self.app), &spec).await?;
        let ended = timeout(LIMIT, attend(self.remote, &container, input, program)).await;
        let removed = engine.discard(&container.0).await;
        let answer = ended.unwrap_or_else(|_| {
            Err(Failed::Refused(format!("the helper did not end within {} s", LIMIT.as_secs())))
        })?;
        removed?;
        Ok(answer)
    }

    fn spec(&self, words: &[&str], privilege: Privilege) -> ContainerSpec {
        let run = RUN.to_owned();
        let kind = if privilege == Privilege::Mount { MountKind::Shared(run) } else { MountKind::Bind(run) };
        ContainerSpec {
            image: self.image.to_owned(),
            labels: BTreeMap::from([(oneoff::LABEL.to_owned(), self.app.to_string())]),
            entrypoint: Some(vec![format!("/{PROGRAM}")]),
            command: Some(words.iter().map(|&word| word.to_owned()).collect()),
            mounts: vec![Mount { kind, target: INSIDE.to_owned(), read_only: false }],
            privilege: Some(privilege),
            ..ContainerSpec::default()
        }
    }
}

/// How the helper failed.
enum Failed {
    /// It could not be started.
    Start(crate::docker::Error),
    /// The engine or the line failed.
    Broken(Box<Error>),
    /// It refused.
    Refused(String),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Broken(Box::new(error.into()))
    }
}

impl Failed {
    fn into_error(self, remote: &Remote, app: &AppName) -> Error {
        let why = match self {
            Self::Broken(error) if matches!(*error, Error::Ssh(_)) => return *error,
            Self::Broken(error) => chain(&error),
            Self::Start(error) => chain(&Error::from(error)),
            Self::Refused(why) => why,
        };
        Error::SecretsNotKept { host: remote.name().clone(), app: app.clone(), why }
    }
}

async fn attend(
    remote: &Remote,
    container: &ContainerId,
    input: &[u8],
    program: &[u8],
) -> Result<String, Failed> {
    let engine = &remote.engine;
    engine.put_program(&container.0, PROGRAM, program).await?;
    let mut attached = engine.attach(&container.0).await?;
    engine.start(&container.0).await.map_err(Failed::Start)?;
    let mut said = Vec::new();
    // One that refuses stops reading: what it says counts, not that we could not go on.
    let feeding = async {
        let _ = attached.input.write_all(input).await;
        let _ = attached.input.shutdown().await;
    };
    let listening = async {
        while let Some(frame) = attached.output.next().await {
            let frame = frame?;
            let room = ANSWER.saturating_sub(said.len());
            said.extend_from_slice(&frame.bytes[..frame.bytes.len().min(room)]);
        }
        Ok::<_, crate::docker::Error>(())
    };
    let ((), heard) = tokio::join!(feeding, listening);
    heard?;
    let said = String::from_utf8_lossy(&said).into_owned();
    loop {
        match engine.inspect(&container.0).await? {
            Some(found) if found.state.is_running() => sleep(LOOK).await,
            Some(found) if found.state.exit_code == 0 => return Ok(said),
            Some(found) => {
                let said = printable(said.trim().trim_start_matches("arcane: "), 300);
                let code = found.state.exit_code;
                return Err(Failed::Refused(if said.is_empty() {
                    format!("the helper ended with code {code}")
                } else {
                    said
                }));
            }
            None => return Err(Failed::Refused("somebody removed the helper's container".to_owned())),
        }
    }
}
