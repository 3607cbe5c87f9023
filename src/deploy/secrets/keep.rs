//! The host's side: a file system in memory, filled, asked and swept by a helper container.
//!
//! Who may use an engine need not be root on its host, so it is not a shell that makes `/run/arcane` but a container of the
//! image that is there anyway, with nothing of it but a name: it runs our launcher as `arcane-keep` (launcher/keep.rs), which is
//! copied into it and gone with it; on an architecture that we carry none for it is the image's own shell (keep.sh). It has the host's `/run`, no network, no log. The values come to it over its standard input.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::super::error::Error;
use super::super::oneoff;
use super::super::remote::Remote;
use super::super::switch::chain;
use super::super::transfer::unguessable;
use super::launcher::{self, Launcher};
use crate::docker::{ContainerSpec, Mount, MountKind, Privilege};
use crate::fleet::text::printable;
use crate::fleet::{AppName, ContainerId, ReleaseId};

/// The part of a release's secrets that holds the launcher and what it reads.
pub(super) const LAUNCH: &str = "launch";
/// The part that holds files for the app.
pub(super) const FILES: &str = "files";

/// What the helper does without a program of ours.
const SCRIPT: &str = include_str!("keep.sh");
const RUN: &str = "/run";
/// What the program's name ends with; it goes by that.
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

/// The memory of a host, as far as an app's secrets are in it. The image of the helper may be any that the host has, and is
/// another one when it has not this one.
pub(super) struct Memory<'a> {
    pub(super) remote: &'a Remote,
    pub(super) app: &'a AppName,
    pub(super) image: &'a str,
}

impl Memory<'_> {
    /// Puts a release's secrets there, unless they are, and wipes those of all other releases of the app but these, if it is
    /// known which are needed.
    pub(super) async fn put(
        &self,
        release: &ReleaseId,
        parcel: &[u8],
        needed: Option<&BTreeSet<&ReleaseId>>,
    ) -> Result<(), Error> {
        let what = if needed.is_some() { "put" } else { "add" };
        let others = needed.into_iter().flatten().copied();
        let releases: Vec<&ReleaseId> = [release].into_iter().chain(others).collect();
        let said = self.run(what, &releases, parcel).await?;
        // A shell that is cut off ends well all the same.
        if matches!(said.trim(), "kept" | "present") {
            return Ok(());
        }
        let why = "the line ended before the secrets had come; nothing was kept".to_owned();
        Err(self.failed(what, Failed::Refused(why)))
    }

    /// Whether a release's secrets are there.
    pub(super) async fn has(&self, release: &ReleaseId) -> Result<bool, Error> {
        Ok(self.run("have", &[release], b"").await?.trim() == "present")
    }

    /// Wipes the secrets of all releases of the app but these.
    pub(super) async fn sweep(&self, needed: &BTreeSet<&ReleaseId>) -> Result<(), Error> {
        let needed: Vec<&ReleaseId> = needed.iter().copied().collect();
        self.run("sweep", &needed, b"").await.map(drop)
    }

    /// Runs the helper to its end, with this on its standard input. Returns what it said.
    async fn run(&self, what: &str, releases: &[&ReleaseId], input: &[u8]) -> Result<String, Error> {
        let job = Job::new(launcher::launcher(self.remote)?, what, self.app, releases, input);
        let ended = match self.attempt(&job, Privilege::Mount).await {
            // A host whose mounts are not shared: memory that /run itself is must do.
            Err(Failed::Start(error)) if error.to_string().contains("shared mount") => {
                self.attempt(&job, Privilege::Root).await
            }
            ended => ended,
        };
        ended.map_err(|failed| self.failed(what, failed))
    }

    fn failed(&self, what: &str, failed: Failed) -> Error {
        let why = match failed {
            Failed::Broken(error) if matches!(*error, Error::Ssh(_)) => return *error,
            Failed::Broken(error) => chain(&error),
            Failed::Start(error) => chain(&Error::from(error)),
            Failed::Refused(why) => why,
        };
        let what = match what {
            "have" => "looked for",
            "sweep" => "wiped",
            _ => "kept",
        };
        Error::SecretsNotKept { host: self.remote.name().clone(), app: self.app.clone(), what, why }
    }

    async fn attempt(&self, job: &Job, privilege: Privilege) -> Result<String, Failed> {
        let engine = &self.remote.engine;
        // Ours alone while we hold the lock, so this one was left by a change that was killed.
        for left in oneoff::left_behind(self.remote, self.app).await? {
            engine.discard(&left.id.0).await?;
        }
        let mut spec = self.spec(job, privilege);
        let container = match engine.create_container(&name(self.app), &spec).await {
            // Nothing of an image is used, so any will do.
            Err(error) if error.is_not_found() && job.own.is_some() => {
                let images = engine.list_images(None).await?;
                let any = images.into_iter().find(|image| !image.tags.is_empty());
                spec.image = any.ok_or(error)?.id;
                engine.create_container(&name(self.app), &spec).await?
            }
            created => created?,
        };
        let ended = timeout(LIMIT, attend(self.remote, &container, job)).await;
        let removed = engine.discard(&container.0).await;
        let answer = ended.unwrap_or_else(|_| {
            Err(Failed::Refused(format!("the helper did not end within {} s", LIMIT.as_secs())))
        })?;
        removed?;
        Ok(answer)
    }

    fn spec(&self, job: &Job, privilege: Privilege) -> ContainerSpec {
        let run = RUN.to_owned();
        let kind = if privilege == Privilege::Mount { MountKind::Shared(run) } else { MountKind::Bind(run) };
        ContainerSpec {
            image: self.image.to_owned(),
            labels: BTreeMap::from([(oneoff::LABEL.to_owned(), self.app.to_string())]),
            entrypoint: Some(vec![job.program.clone()]),
            command: Some(job.words.clone()),
            mounts: vec![Mount { kind, target: job.inside.clone(), read_only: false }],
            privilege: Some(privilege),
            ..ContainerSpec::default()
        }
    }
}

/// What the helper is to do.
struct Job {
    /// Where it sees the host's `/run`. No image can know it: what an image declares as a volume below it, with content
    /// of its own, would be mounted into the host's.
    inside: String,
    /// What it runs, and with which arguments.
    program: String,
    words: Vec<String>,
    /// Its own program, when it is ours.
    own: Option<&'static [u8]>,
    /// What comes on its standard input.
    input: Zeroizing<Vec<u8>>,
}

impl Job {
    fn new(launcher: Launcher, what: &str, app: &AppName, releases: &[&ReleaseId], input: &[u8]) -> Self {
        let names = releases.iter().map(|release| release.to_string());
        let word = unguessable();
        let inside = format!("/arcane-{word}");
        match launcher {
            Launcher::Program(own) => Self {
                program: format!("/{word}-{PROGRAM}"),
                words: [what, &inside, app.as_str()].map(str::to_owned).into_iter().chain(names).collect(),
                inside,
                own: Some(own),
                input: Zeroizing::new(input.to_vec()),
            },
            Launcher::Shell => {
                let names: Vec<String> = names.collect();
                // Names of apps and releases need no quoting: letters, digits and `-`.
                let release = names.first().map_or("", String::as_str);
                let begin = format!(
                    "run={inside}\nwhat={what}\napp={app}\nrelease={release}\nneeded='{}'\n",
                    names.join(" ")
                );
                let size = begin.len() + SCRIPT.len() + input.len();
                let mut script = Zeroizing::new(Vec::with_capacity(size));
                for part in [begin.as_bytes(), SCRIPT.as_bytes(), input] {
                    script.extend_from_slice(part);
                }
                Self {
                    inside,
                    program: "/bin/sh".to_owned(),
                    words: vec!["-s".to_owned()],
                    own: None,
                    input: script,
                }
            }
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

async fn attend(remote: &Remote, container: &ContainerId, job: &Job) -> Result<String, Failed> {
    let engine = &remote.engine;
    if let Some(own) = job.own {
        engine.put_program(&container.0, job.program.trim_start_matches('/'), own).await?;
    }
    let mut attached = engine.attach(&container.0).await?;
    engine.start(&container.0).await.map_err(Failed::Start)?;
    let mut said = Vec::new();
    // One that refuses stops reading: what it says counts, not that we could not go on.
    let feeding = async {
        let _ = attached.input.write_all(&job.input).await;
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
