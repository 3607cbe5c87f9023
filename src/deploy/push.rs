//! `arcane push`: from an image on this machine to a live release on a host.
//!
//! The upload changes nothing that runs and needs no lock. Everything after it happens under the lock, and begins with
//! undoing what an interrupted change left, so that a push can always simply be typed again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::caddy::Route;
use super::error::Error;
use super::event::{Done, Event, Outcome, Report, Speaker, Step, seconds};
use super::hook;
use super::labels::{Record, spec_digest};
use super::lock::{Holder, Lock, Owner};
use super::ports;
use super::prune;
use super::remote::Remote;
use super::secrets::{self, Source, Values};
use super::situation::{Situation, new_name};
use super::switch::{Change, Fresh, let_go};
use super::transfer::{self, Arrived, Transferred};
use crate::docker::{ContainerSpec, Engine, Image, Mount, MountKind, Network, Publish, RestartPolicy};
use crate::fleet::{App, AppName, ContainerId, Probe, ReleaseId, Timestamp, Volume};

/// How often an image is brought to a host that loses it again before the lock is ours.
const UPLOADS: usize = 3;

/// Everything a push needs to know besides the host.
#[derive(Clone)]
pub struct Order<'a> {
    /// What to deploy.
    pub app: &'a App,
    /// The environment that was named, if one was.
    pub environment: Option<String>,
    /// The image, as the local engine has it.
    pub image: &'a Image,
    /// The image as its owner calls it.
    pub image_name: String,
    /// The id of the release to make.
    pub release: ReleaseId,
    /// Who asks: `user@machine`.
    pub by: String,
    /// When, by this machine's clock.
    pub now: Timestamp,
    /// How long to wait for the lock.
    pub wait: Duration,
    /// Make a new release even when nothing differs.
    pub force: bool,
    /// The values of the app's secrets, of the versions that it is pinned to.
    pub secrets: &'a Values,
    /// Who brings the secrets of an older release again, should that have to be started.
    pub source: &'a dyn Source,
}

impl Order<'_> {
    fn record(&self) -> Record {
        Record {
            release: self.release.clone(),
            spec: spec_digest(self.app, &self.image.id),
            app: self.app.clone(),
            image: self.image_name.clone(),
            by: self.by.clone(),
            at: self.now,
            environment: self.environment.clone(),
            slot: None,
            migrated: None,
            past: Vec::new(),
        }
    }

    fn owner(&self) -> Owner {
        Owner {
            who: self.by.clone(),
            doing: format!("push {} {}", self.app.name, self.release),
            since: self.now,
            pid: std::process::id(),
        }
    }
}

/// Where an app's images are kept on its hosts: a repository of our own, with a tag for each release.
pub(super) fn repository(app: &AppName) -> String {
    format!("arcane/{app}")
}

/// The reference that keeps a release's image on its host.
#[must_use]
pub fn image_tag(app: &AppName, release: &ReleaseId) -> String {
    format!("{}:{release}", repository(app))
}

/// Deploys to one host.
///
/// # Errors
/// [`Error::RolledBack`] when the release failed and the one before runs again. In every other case but
/// [`Error::NotRestored`] nothing that runs was changed.
pub async fn push(
    local: &Engine,
    remote: &Remote,
    order: &Order<'_>,
    report: Report<'_>,
    cancel: &CancellationToken,
) -> Result<Done, Error> {
    let begun = Instant::now();
    let host = remote.name().clone();
    let done = |release: ReleaseId, before, sent: Transferred, gap: Duration, outcome| Done {
        release,
        before,
        host: host.clone(),
        app: order.app.name.clone(),
        bytes_sent: sent.bytes,
        layers_sent: sent.layers_sent,
        layers_skipped: sent.layers_skipped,
        seconds: seconds(begun.elapsed()),
        gap_seconds: seconds(gap),
        outcome,
    };
    report(Event::Step {
        host: host.clone(),
        app: order.app.name.clone(),
        release: order.release.clone(),
        step: Step::Look,
        detail: format!("{host} over {}", remote.engine.transport()),
    });
    let situation = remote.app(&order.app.name).await?.situation;
    let mut order = order.clone();
    if let Some(newest) = situation.newest() {
        order.release = order.release.after(newest);
    }
    let order = &order;
    let record = order.record();
    let route = check(remote, order).await?;
    let unchanged = unchanged(&situation, &record, order.force);
    if let Some(release) = unchanged.filter(|_| leads(&situation, route.as_ref())) {
        let before = Some(release.clone());
        return Ok(done(release, before, Transferred::default(), Duration::ZERO, Outcome::Unchanged));
    }
    let owner = order.owner();
    let (arrived, lock) = bring(local, remote, order, &owner, report, cancel).await?;
    let tag = image_tag(&order.app.name, &order.release);
    let change = Change {
        remote,
        lock: &lock,
        owner: &owner,
        app: order.app,
        release: &order.release,
        report,
        cancel,
        slots: None,
        source: order.source,
        touched: AtomicBool::new(false),
        fresh: Some(Fresh { image: &tag }),
    };
    let released = release(change, order, &record, &tag, &arrived).await;
    lock.release().await;
    let released = released.map_err(|error| error.after(arrived.transferred))?;
    let Released { before, gap, after } = released;
    let done = done(order.release.clone(), before, arrived.transferred, gap, Outcome::Released);
    match after {
        Ok(()) => Ok(done),
        Err(failed) => {
            Err(Error::AfterHook { done: Box::new(done), why: failed.why, last_lines: failed.last_lines })
        }
    }
}

/// Brings the image to the host, and takes the lock. The upload is not under the lock: others may deploy meanwhile. What
/// they undo may take layers with it that were there when we looked, and then these are sent after all.
async fn bring(
    local: &Engine,
    remote: &Remote,
    order: &Order<'_>,
    owner: &Owner,
    report: Report<'_>,
    cancel: &CancellationToken,
) -> Result<(Arrived, Lock), Error> {
    let (host, app) = (remote.name(), &order.app.name);
    let step = |step, detail: String| {
        let (host, app, release) = (host.clone(), app.clone(), order.release.clone());
        report(Event::Step { host, app, release, step, detail });
    };
    let waiting =
        |holder: &Holder| report(Event::LockWait { host: host.clone(), holder: holder.to_string() });
    let mut transferred = Transferred::default();
    for _ in 0..UPLOADS {
        step(Step::Transfer, order.image_name.clone());
        let mut arrived = tokio::select! {
            arrived = transfer::ensure(local, remote, app, order.image, report) => arrived?,
            () = cancel.cancelled() => {
                return Err(Error::Interrupted { state: format!("the upload was cut off, {host} runs what it ran") });
            }
        };
        transferred.bytes += arrived.transferred.bytes;
        transferred.layers_sent = transferred.layers_sent.max(arrived.transferred.layers_sent);
        transferred.layers_skipped = order.image.layers.len() - transferred.layers_sent;
        arrived.transferred = transferred;
        step(Step::Lock, String::new());
        let lock = tokio::select! {
            lock = Lock::acquire(&remote.session, owner, order.wait, &waiting) => lock?,
            () = cancel.cancelled() => {
                return Err(Error::Interrupted { state: format!("{host} has the image and runs what it ran") });
            }
        };
        match remote.engine.image(&arrived.image).await {
            Ok(Some(_)) => return Ok((arrived, lock)),
            found => {
                lock.release().await;
                found?;
            }
        }
    }
    let why = format!("it was removed {UPLOADS} times between its upload and the lock; look who does that");
    Err(Error::Transfer { host: host.clone(), why })
}

/// A release that is live.
struct Released {
    /// The one that was live before.
    before: Option<ReleaseId>,
    /// How long nothing answered.
    gap: Duration,
    /// What became of the hook after it.
    after: Result<(), hook::Failed>,
}

/// Makes the release and switches to it.
async fn release(
    mut change: Change<'_>,
    order: &Order<'_>,
    record: &Record,
    tag: &str,
    arrived: &Arrived,
) -> Result<Released, Error> {
    change.interrupted()?;
    let (remote, app) = (change.remote, &order.app.name);
    change.guarded(Step::Create, new_name(app)).await?;
    // Before repairs, which let go of the image of a candidate: it may be the same one.
    hold_image(remote, order, &arrived.image).await?;
    let settled = change.settle().await;
    if settled.is_err() {
        let _ = remote.engine.remove_image(tag).await;
    }
    let mut situation = settled?;
    let switched = switch(&mut change, order, record, tag, &mut situation).await;
    if switched.is_err() {
        // The failed container is gone; its secrets and its image would only lie around.
        if change.lock.check(remote.name()).await.is_ok() {
            let_go(remote, order.app, &order.release).await;
        }
    }
    let gap = switched?;
    let before = situation.live.map(|live| live.record.release);
    let after = run_hook(&change, order, Speaker::After).await;
    prune::tidy(&change).await;
    Ok(Released { before, gap, after })
}

/// What is run before the release, and the switch to it. Returns how long nothing answered.
async fn switch(
    change: &mut Change<'_>,
    order: &Order<'_>,
    record: &Record,
    tag: &str,
    situation: &mut Situation,
) -> Result<Duration, Error> {
    let remote = change.remote;
    if order.app.hooks.before.is_some() {
        run_hook(change, order, Speaker::Before).await.map_err(|failed| refused(change, failed))?;
        // The hook may have called arcane itself.
        *situation = change.settle().await?;
    }
    // Before anything is run that cannot be undone: a Caddy that leads nowhere plain takes no release.
    if let Some(slots) = &order.app.blue_green {
        change.slots = Some(change.free_slot(slots).await?);
    }
    change.put_secrets(order.secrets, situation, tag).await?;
    // One that needs the volumes is run once the release before is stopped.
    if let Some(command) = order.app.release.as_ref().filter(|command| !command.volumes) {
        let ran = change.release_command(command, tag).await;
        ran.map_err(|stopped| stopped.untouched(change))?;
    }
    let migrated = if order.app.migrates { Some(&order.release) } else { situation.migrated() };
    let record = Record {
        migrated: migrated.cloned(),
        past: situation.past(order.app.keep),
        slot: change.slots.as_ref().map(|slots| slots.slot),
        ..record.clone()
    };
    let name = new_name(&order.app.name);
    let candidate = create(remote, &name, &record, tag).await?;
    change.switch(situation, &candidate, &name).await
}

/// Runs a hook of the app, if it has one. An arcane that was itself started by a hook runs none: they would go in circles.
async fn run_hook(change: &Change<'_>, order: &Order<'_>, which: Speaker) -> Result<(), hook::Failed> {
    let hooks = &order.app.hooks;
    let hook = if which == Speaker::Before { &hooks.before } else { &hooks.after };
    match hook {
        Some(hook) if !change.lock.is_lent() => change.hook(hook, which, order).await,
        _ => Ok(()),
    }
}

/// The failure of the hook before a switch.
fn refused(change: &Change<'_>, failed: hook::Failed) -> Error {
    let host = change.remote.name().clone();
    if failed.interrupted {
        return Error::Interrupted { state: format!("the `before` hook was ended, {host} runs what it ran") };
    }
    Error::BeforeHook { host, app: change.app.name.clone(), why: failed.why, last_lines: failed.last_lines }
}

/// Gives the image a reference of its own for this release, so that nothing removes it.
async fn hold_image(remote: &Remote, order: &Order<'_>, image: &str) -> Result<(), Error> {
    let repository = repository(&order.app.name);
    match remote.engine.tag_image(image, &repository, order.release.as_str()).await {
        Ok(()) if image.starts_with(&repository) => Ok(remote.engine.remove_image(image).await?),
        result => Ok(result?),
    }
}

/// Makes the container of a release under one of the names of a candidate, without starting it.
pub(super) async fn create(
    remote: &Remote,
    name: &str,
    record: &Record,
    image: &str,
) -> Result<ContainerId, Error> {
    let mut spec = container_spec(record, image);
    secrets::dress(remote, &mut spec, &record.app, &record.release).await?;
    Ok(remote.engine.create_container(name, &spec).await?)
}

fn container_spec(record: &Record, image: &str) -> ContainerSpec {
    let app = &record.app;
    // A slot is for Caddy alone: whoever reaches it past Caddy reaches it past its logins and its encryption, too.
    let host_ip = record.slot.map(|_| IpAddr::V4(Ipv4Addr::LOCALHOST));
    let publish = match (record.host_port(), app.port) {
        (Some(host_port), Some(container_port)) => vec![Publish { host_ip, host_port, container_port }],
        _ => Vec::new(),
    };
    ContainerSpec {
        image: image.to_owned(),
        env: app.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        labels: record.to_labels(),
        command: app.command.clone(),
        publish,
        mounts: mounts(app),
        memory: app.memory,
        // The alias is what other containers of the network know the app by, whatever ours is called at the moment.
        network: network(app, vec![app.name.to_string()]),
        restart: RestartPolicy::UnlessStopped,
        stop_timeout: Some(app.stop_timeout),
        ..ContainerSpec::default()
    }
}

/// An app's volumes as an engine wants them.
pub(super) fn mounts(app: &App) -> Vec<Mount> {
    let mount = |volume: &Volume| Mount {
        kind: if volume.source.starts_with('/') {
            MountKind::Bind(volume.source.clone())
        } else {
            MountKind::Volume(volume.source.clone())
        },
        target: volume.target.clone(),
        read_only: volume.read_only,
    };
    app.volumes.iter().map(mount).collect()
}

/// The network of an app, in which a container is known by these names.
pub(super) fn network(app: &App, aliases: Vec<String>) -> Option<Network> {
    app.network.as_ref().map(|name| Network { name: name.clone(), aliases })
}

/// What can be found wrong before anything is sent or changed. Returns where Caddy leads, when that is of matter.
///
/// # Errors
/// [`Error::Preflight`] with what is wrong.
pub async fn check(remote: &Remote, order: &Order<'_>) -> Result<Option<Route>, Error> {
    let refuse = |why: String| Err(Error::Preflight { host: remote.name().clone(), why });
    let version = remote.engine.version();
    if order.image.architecture != version.architecture || order.image.os != version.os {
        let (image, engine) = (&order.image, version);
        return refuse(format!(
            "the image is for {}/{}, it runs {}/{}",
            image.os, image.architecture, engine.os, engine.architecture
        ));
    }
    if order.app.health.probe == Probe::Docker && !order.image.has_healthcheck {
        return refuse(
            "health = { docker = true } needs a HEALTHCHECK in the image, which has none".to_owned(),
        );
    }
    let app = order.app;
    if !app.secrets.is_empty() {
        secrets::launcher(remote)?;
        if app.command.is_none() && order.image.entrypoint.is_empty() && order.image.command.is_empty() {
            return refuse("the image names no command, and neither does the app".to_owned());
        }
    }
    let slots = app.blue_green.as_ref();
    for port in app.publish.into_iter().chain(slots.into_iter().flat_map(|slots| slots.ports)) {
        ports::is_open(remote, &app.name, port).await?;
    }
    let Some(slots) = slots else { return Ok(None) };
    let route = async {
        let route = Route::look(remote, slots).await?;
        route.live()?;
        route.may_write()?;
        Ok(route)
    };
    match route.await {
        Ok(route) => Ok(Some(route)),
        Err(Error::Caddy { problem, .. }) => refuse(format!("its Caddy is not ready: {problem}")),
        Err(error) => Err(error),
    }
}

/// Whether requests reach the live release. Without slots they do.
#[must_use]
pub fn leads(situation: &Situation, route: Option<&Route>) -> bool {
    route.is_none_or(|route| {
        let live = situation.live.as_ref().and_then(|live| live.record.host_port());
        route.running == live && Some(route.upstream.port) == live
    })
}

/// The live release, when it is what is asked for already and nothing is left of an interrupted change.
fn unchanged(situation: &Situation, record: &Record, force: bool) -> Option<ReleaseId> {
    let live = situation.live.as_ref()?;
    let same = live.record.spec == record.spec && live.running && situation.interruption().is_none();
    (same && !force).then(|| live.record.release.clone())
}
