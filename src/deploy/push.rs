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
use super::event::{Done, Event, Outcome, Report, Step, seconds};
use super::labels::{APP, Record, spec_digest};
use super::lock::{Holder, Lock, Owner};
use super::remote::Remote;
use super::situation::{Situation, new_name};
use super::sockets::listened;
use super::switch::{self, Change};
use super::transfer::{self, Transferred};
use crate::docker::{
    ContainerSpec, ContainerSummary, Engine, Image, Mount, MountKind, Network, Publish, RestartPolicy,
};
use crate::fleet::{App, AppName, ContainerId, Probe, ReleaseId, Timestamp, Volume};

/// Everything a push needs to know besides the host.
#[derive(Debug, Clone)]
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
fn repository(app: &AppName) -> String {
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
    let done = |release: ReleaseId, sent: Transferred, gap: Duration, outcome| Done {
        release,
        host: host.clone(),
        app: order.app.name.clone(),
        bytes_sent: sent.bytes,
        layers_sent: sent.layers_sent,
        layers_skipped: sent.layers_skipped,
        seconds: seconds(begun.elapsed()),
        gap_seconds: seconds(gap),
        outcome,
    };
    let step = |step, detail: String| {
        let (host, app, release) = (host.clone(), order.app.name.clone(), order.release.clone());
        report(Event::Step { host, app, release, step, detail });
    };
    step(Step::Look, format!("{host} over {}", remote.engine.transport()));
    let situation = remote.app(&order.app.name).await?.situation;
    let mut order = order.clone();
    if let Some(newest) = situation.newest() {
        order.release = order.release.after(newest);
    }
    let order = &order;
    let record = order.record();
    let route = check(remote, order).await?;
    if let Some(release) =
        unchanged(&situation, &record, order.force).filter(|_| leads(&situation, route.as_ref()))
    {
        return Ok(done(release, Transferred::default(), Duration::ZERO, Outcome::Unchanged));
    }
    step(Step::Transfer, order.image_name.clone());
    let transferred = tokio::select! {
        transferred = transfer::ensure(local, remote, order.image, report) => transferred?,
        () = cancel.cancelled() => {
            return Err(Error::Interrupted { state: format!("the upload was cut off, {host} runs what it ran") });
        }
    };
    step(Step::Lock, String::new());
    let owner = order.owner();
    let waiting =
        |holder: &Holder| report(Event::LockWait { host: host.clone(), holder: holder.to_string() });
    let lock = tokio::select! {
        lock = Lock::acquire(&remote.session, &owner, order.wait, &waiting) => lock?,
        () = cancel.cancelled() => {
            return Err(Error::Interrupted { state: format!("{host} has the image and runs what it ran") });
        }
    };
    let change = Change {
        remote,
        lock: &lock,
        owner: &owner,
        app: order.app,
        release: &order.release,
        report,
        cancel,
        slots: None,
        touched: AtomicBool::new(false),
    };
    let released = release(change, order, record).await;
    lock.release().await;
    let gap = released?;
    Ok(done(order.release.clone(), transferred, gap, Outcome::Released))
}

async fn release(change: Change<'_>, order: &Order<'_>, record: Record) -> Result<Duration, Error> {
    change.interrupted()?;
    let (remote, app) = (change.remote, &order.app.name);
    let tag = image_tag(app, &order.release);
    change.guarded(Step::Create, new_name(app)).await?;
    // Before repairs, which let go of the image of a candidate: it may be the same one.
    hold_image(remote, order).await?;
    let prepared = async {
        let situation = change.settle().await?;
        let slots = match &order.app.blue_green {
            Some(slots) => Some(change.free_slot(slots).await?),
            None => None,
        };
        Ok((situation, slots))
    };
    let (situation, slots) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            let _ = remote.engine.remove_image(&tag).await;
            return Err(error);
        }
    };
    let record = Record { slot: slots.as_ref().map(|slots| slots.slot), ..record };
    let change = Change { slots, ..change };
    let switched = match create(remote, &record, &tag).await {
        Ok(candidate) => change.switch(&situation, &candidate, &new_name(app)).await,
        Err(error) => Err(error),
    };
    if switched.is_err() {
        // The failed container is gone; its image would only lie around.
        let _ = remote.engine.remove_image(&tag).await;
    }
    let gap = switched?;
    // The release is live. What cannot be tidied now is tidied after the next push.
    if let Ok(after) = remote.app(app).await {
        switch::tidy(&change, &after.situation.surplus(crate::clock::now())).await;
    }
    Ok(gap)
}

/// Gives the image a reference of its own for this release, so that nothing removes it.
async fn hold_image(remote: &Remote, order: &Order<'_>) -> Result<(), Error> {
    let repository = repository(&order.app.name);
    match remote.engine.tag_image(&order.image.id, &repository, order.release.as_str()).await {
        Err(error) if error.is_not_found() => Err(Error::Transfer {
            host: remote.name().clone(),
            why: "it was removed meanwhile, by a push that failed or by somebody; type the push again"
                .to_owned(),
        }),
        result => Ok(result?),
    }
}

/// Makes the container of a release under the name of a candidate, without starting it.
pub(super) async fn create(remote: &Remote, record: &Record, image: &str) -> Result<ContainerId, Error> {
    let name = new_name(&record.app.name);
    let spec = container_spec(record, image);
    Ok(remote.engine.create_container(&name, &spec).await?)
}

fn container_spec(record: &Record, image: &str) -> ContainerSpec {
    let app = &record.app;
    // A slot is for Caddy alone: whoever reaches it past Caddy reaches it past its logins and its encryption, too.
    let host_ip = record.slot.map(|_| IpAddr::V4(Ipv4Addr::LOCALHOST));
    let publish = match (record.host_port(), app.port) {
        (Some(host_port), Some(container_port)) => vec![Publish { host_ip, host_port, container_port }],
        _ => Vec::new(),
    };
    let mount = |volume: &Volume| Mount {
        kind: if volume.source.starts_with('/') {
            MountKind::Bind(volume.source.clone())
        } else {
            MountKind::Volume(volume.source.clone())
        },
        target: volume.target.clone(),
        read_only: volume.read_only,
    };
    ContainerSpec {
        image: image.to_owned(),
        env: app.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        labels: record.to_labels(),
        command: app.command.clone(),
        publish,
        mounts: app.volumes.iter().map(mount).collect(),
        memory: app.memory,
        // The alias is what other containers of the network know the app by, whatever ours is called at the moment.
        network: app
            .network
            .as_ref()
            .map(|name| Network { name: name.clone(), aliases: vec![app.name.to_string()] }),
        restart: RestartPolicy::UnlessStopped,
        stop_timeout: Some(app.stop_timeout),
        ..ContainerSpec::default()
    }
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
    let containers = remote.engine.list_containers(false, &[]).await?;
    let app = order.app;
    let slots = app.blue_green.as_ref();
    let ports: Vec<u16> =
        app.publish.into_iter().chain(slots.into_iter().flat_map(|slots| slots.ports)).collect();
    for port in &ports {
        let mut publishing = containers
            .iter()
            .filter(|container| container.ports.iter().any(|published| published.host_port == *port));
        let foreign =
            |it: &&ContainerSummary| it.labels.get(APP).map(String::as_str) != Some(app.name.as_str());
        if let Some(container) = publishing.find(foreign) {
            return refuse(format!("port {port} is taken by container {}", container.name));
        }
    }
    let Some(slots) = slots else { return Ok(None) };
    let published = |port: &u16| containers.iter().flat_map(|it| &it.ports).any(|it| it.host_port == *port);
    let unpublished: Vec<u16> = ports.into_iter().filter(|port| !published(port)).collect();
    if let Some(port) = listened(remote, &unpublished).await?.first() {
        return refuse(format!(
            "port {port} is taken by a program that is no container; see `ss -ltnp` there"
        ));
    }
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
