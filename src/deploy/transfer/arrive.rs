//! One image to one host: look, choose, send, and do not believe it before it was tried.

use std::sync::Arc;

use super::leash::Leash;
use super::line::{Failed, Route};
use super::missing::{Lacking, look};
use super::pack::Pace;
use super::package::Store;
use super::partial;
use super::send::Sending;
use super::shelf::Shelf;
use super::{export, registry};
use crate::deploy::error::Error;
use crate::deploy::event::Report;
use crate::deploy::preflight;
use crate::deploy::remote::Remote;
use crate::docker::{ContainerSpec, Engine, Image, Kind};
use crate::fleet::AppName;

/// Names the app of a container that only shows that its image is whole.
const PROBE: &str = "arcane.probe";

/// An engine packs a layer for a registry about this many times slower than it exports one.
const PACKING: u64 = 5;

/// What went over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transferred {
    /// Compressed bytes, those of a try that failed included.
    pub bytes: u64,
    /// Layers sent.
    pub layers_sent: usize,
    /// Layers that the host had.
    pub layers_skipped: usize,
}

/// An image that is on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// What it took.
    pub transferred: Transferred,
    /// The host's own name for it: the image's id, or in a store that counts ids differently a reference, which is
    /// not needed any more once the image has another.
    pub image: String,
}

/// Makes sure that the host has the image. What is already there is not sent again.
///
/// # Errors
/// [`Error::Preflight`] when the host has no room. [`Error::Transfer`] when the line or either engine fails, or the
/// host's disk is full. Nothing that runs is touched.
pub async fn ensure(
    local: &Engine,
    remote: &Remote,
    app: &AppName,
    image: &Image,
    report: Report<'_>,
) -> Result<Arrived, Error> {
    let layers = image.layers.len();
    if remote.engine.image(&image.id).await?.is_some() {
        let transferred = Transferred { bytes: 0, layers_sent: 0, layers_skipped: layers };
        return Ok(Arrived { transferred, image: image.id.clone() });
    }
    let info = async { Ok(remote.engine.info().await?) };
    let (mut lacking, info, route) =
        futures_util::try_join!(look(local, remote, image), info, Route::of(remote))?;
    preflight::takes(remote, &info, &lacking).await?;
    let _leash = Leash::tie(&remote.session);
    let mut transferred = Transferred::default();
    let store = if info.containerd_store { Store::Containerd } else { Store::Classic };
    let mut retried = false;
    loop {
        let pace = Arc::new(Pace::default());
        let transfer =
            Transfer { local, app, remote, image, route, store, lacking, report, pace: Arc::clone(&pace) };
        let sent = transfer.run().await;
        transferred.bytes += pace.total();
        match sent {
            Ok(name) => {
                transferred.layers_sent = lacking.layers;
                transferred.layers_skipped = lacking.have;
                clean(remote, app, Some(image), &name).await;
                return Ok(Arrived { transferred, image: name });
            }
            // What was left out is gone, or the engine said yes to what it does not have: then all of it is sent.
            Err(Failed::Vanished(_)) if !retried => {
                retried = true;
                let bytes = image.size;
                lacking = Lacking { has_image: false, have: 0, layers, bytes, largest: bytes };
            }
            Err(failed) => {
                // What arrived is kept for the next try, unless it is in the way.
                if matches!(failed, Failed::Full(_)) {
                    clean(remote, app, None, "").await;
                }
                return Err(Error::Transfer { host: remote.name().clone(), why: failed.to_string() });
            }
        }
    }
}

struct Transfer<'a> {
    local: &'a Engine,
    remote: &'a Remote,
    app: &'a AppName,
    image: &'a Image,
    route: Route,
    store: Store,
    lacking: Lacking,
    report: Report<'a>,
    pace: Arc<Pace>,
}

impl Transfer<'_> {
    /// Sends what is lacking and tries the result. Returns the host's name for the image.
    async fn run(&self) -> Result<String, Failed> {
        let wanted = self.image.layers.get(self.lacking.have..).unwrap_or_default();
        // An image without a name would be removed with the name that a push needs.
        let named = !self.image.tags.is_empty();
        let little = self.lacking.bytes.saturating_mul(PACKING) < self.image.size;
        if named && little && !self.exports_cheaply().await {
            match self.send(wanted, true).await {
                Err(Failed::Source(why)) => {
                    tracing::debug!(%why, "layers are taken from an export instead");
                }
                sent => return sent,
            }
        }
        self.send(wanted, false).await
    }

    /// The containerd store hands blobs over as it has them.
    async fn exports_cheaply(&self) -> bool {
        self.local.info().await.is_ok_and(|info| info.containerd_store)
    }

    async fn send(&self, wanted: &[String], from_registry: bool) -> Result<String, Failed> {
        let shelf = Arc::new(Shelf::new(self.image, wanted));
        let form = self.route.form();
        let sending = Sending {
            remote: self.remote,
            app: self.app,
            image: self.image,
            route: self.route,
            store: self.store,
            have: self.lacking.have,
            expected: self.lacking.bytes,
            report: self.report,
        };
        let fill = async {
            if from_registry {
                registry::run(self.local, self.image, &shelf, form, &self.pace).await
            } else {
                export::run(self.local, self.image, &shelf, form, &self.pace).await
            }
        };
        let mut sent = std::pin::pin!(sending.run(&shelf, &self.pace));
        let name = tokio::select! {
            sent = &mut sent => sent?,
            filled = fill => {
                filled.map_err(Failed::Source)?;
                sent.await?
            }
        };
        self.prove(&name).await?;
        Ok(name)
    }

    /// An engine may say that it loaded an image whose layers it could not unpack: engines from 27.2 on only print it.
    /// One of which a container can be made is whole.
    async fn prove(&self, name: &str) -> Result<(), Failed> {
        let engine = &self.remote.engine;
        let text = |error: crate::docker::Error| Failed::Other(error.to_string());
        let found = engine.image(name).await.map_err(text)?;
        if found.is_none_or(|found| found.layers != self.image.layers) {
            let why = "its engine took it without an error, but does not have it";
            return Err(Failed::Vanished(why.to_owned()));
        }
        let probe = format!("{}_probe", self.app);
        let spec = ContainerSpec {
            image: name.to_owned(),
            // An image without a command is no reason to refuse: whether it runs is for the health check.
            command: Some(vec!["probe".to_owned()]),
            labels: [(PROBE.to_owned(), self.app.to_string())].into(),
            ..ContainerSpec::default()
        };
        let mut made = engine.create_container(&probe, &spec).await;
        if made.as_ref().is_err_and(|error| error.kind() == Kind::Conflict) {
            // One that was left by a push that was killed just here, or somebody else's.
            let ours = engine.inspect(&probe).await.map_err(text)?;
            if ours
                .is_some_and(|found| found.labels.get(PROBE).map(String::as_str) != Some(self.app.as_str()))
            {
                let why = format!(
                    "a container {probe} is in the way that arcane did not make; rename or remove it"
                );
                return Err(Failed::Other(why));
            }
            engine.discard(&probe).await.map_err(text)?;
            made = engine.create_container(&probe, &spec).await;
        }
        match made {
            Ok(id) => engine.discard(&id.0).await.map_err(text),
            Err(error) if error.is_unreachable() => Err(text(error)),
            Err(error) => Err(Failed::Vanished(format!("its engine cannot make a container of it: {error}"))),
        }
    }
}

/// Removes the names of what arrived of an image before all of it was there, or of any image of the app. Layers that an
/// image has stay.
async fn clean(remote: &Remote, app: &AppName, image: Option<&Image>, but: &str) {
    let Ok(images) = remote.engine.list_images(Some(&partial::pattern(app))).await else { return };
    let marks = image.map(partial::marks);
    let tags = images.iter().flat_map(|image| &image.tags);
    for tag in
        tags.filter(|tag| *tag != but && marks.as_ref().is_none_or(|marks| partial::is_marked(tag, marks)))
    {
        // What cannot be removed now is removed by `prune`.
        let _ = remote.engine.remove_image(tag).await;
    }
}
