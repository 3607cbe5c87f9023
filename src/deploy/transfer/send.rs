//! Sends the layers that a host lacks, the lowest first, in loads of a few megabytes or more.
//!
//! Every load is a whole image of the layers so far. The last is the image; those before are nothing to run, but the
//! host's engine keeps their layers, so after a line that was cut the next push finds on the host what had arrived.
//! They go when the image is there.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::line::{Failed, Load, Route};
use super::pack::{Form, Pace, digest_of};
use super::package::{self, Description, Store};
use super::partial;
use super::shelf::Shelf;
use crate::deploy::event::{Event, Report};
use crate::deploy::remote::Remote;
use crate::docker::Image;
use crate::fleet::AppName;

/// A load with this many packed bytes is worth ending: what has arrived by then is not sent again …
const LOAD: u64 = 8 << 20;
/// … unless they took less than this. Every load has a price of its own, and what a moment brought is soon sent again.
/// Counted from the load's beginning: the time that writes take says too little, as buffers swallow the first megabytes.
const MOMENT: Duration = Duration::from_secs(2);
/// How compressible descriptions are packed; they are short.
const LEVEL: i32 = 3;

/// What is sent where.
pub(super) struct Sending<'a> {
    pub(super) remote: &'a Remote,
    pub(super) app: &'a AppName,
    pub(super) image: &'a Image,
    pub(super) route: Route,
    pub(super) store: Store,
    /// How many of the lowest layers the host has.
    pub(super) have: usize,
    /// What the lacking layers will come to, unpacked, as far as that is known.
    pub(super) expected: u64,
    pub(super) report: Report<'a>,
}

impl Sending<'_> {
    /// Sends everything. Returns the reference under which the host knows the image.
    ///
    /// # Errors
    /// When the line or the host's engine fails.
    pub(super) async fn run(&self, shelf: &Shelf, pace: &Pace) -> Result<String, Failed> {
        let layers = &self.image.layers;
        let mut progress = Progress { begun: Instant::now(), done: 0, sent: 0 };
        let mut sizes: Vec<(String, u64)> =
            layers.iter().take(self.have).map(|layer| (layer.clone(), 0)).collect();
        // The way is opened while the first layer is still being packed.
        let mut load = Load::begin(self.remote, self.route).await?;
        let (mut in_load, mut loaded, mut begun) = (HashSet::new(), pace.total(), Instant::now());
        for (index, layer) in layers.iter().enumerate().skip(self.have) {
            let spool = shelf.layer(layer).await.ok_or_else(|| format!("layer {layer} is lost"))?;
            let size = spool.size().await;
            // The same layer twice in one load is one file.
            if in_load.insert(layer.clone()) {
                self.write(&mut load, pace, &package::layer_header(layer, size)).await?;
                let mut at = 0;
                while let Some(bytes) =
                    spool.read(at).await.map_err(|error| super::pack::cannot_spool(&error))?
                {
                    at += bytes.len() as u64;
                    self.give(&mut load, pace, bytes).await?;
                    self.tell(&progress, spool.unpacked(at), pace);
                }
                self.write(&mut load, pace, &package::padding(size)).await?;
            }
            sizes.push((layer.clone(), size));
            progress.done += size;
            progress.sent += 1;
            self.tell(&progress, 0, pace);
            let last = index + 1 == layers.len();
            if !last && pace.total() - loaded >= LOAD && begun.elapsed() >= MOMENT {
                let arrived = layers.get(..=index).unwrap_or_default();
                let config = package::partial_config(&self.image.os, &self.image.architecture, arrived);
                let name = partial::name(self.app, arrived, crate::clock::now());
                self.end(load, pace, &Description { config: &config, layers: &sizes, name: Some(&name) })
                    .await?;
                load = Load::begin(self.remote, self.route).await?;
                (in_load, loaded, begun) = (HashSet::new(), pace.total(), Instant::now());
            }
        }
        let config = shelf.config().await.ok_or_else(|| "the image's configuration is lost".to_owned())?;
        // In the containerd store nothing is known by its configuration: there it needs a name.
        let name = partial::name(self.app, std::slice::from_ref(&self.image.id), crate::clock::now());
        let named = (self.store == Store::Containerd).then_some(name.as_str());
        self.end(load, pace, &Description { config: &config, layers: &sizes, name: named }).await?;
        self.tell(&progress, 0, pace);
        Ok(named.map_or_else(|| digest_of(&config), str::to_owned))
    }

    async fn end(&self, mut load: Load, pace: &Pace, image: &Description<'_>) -> Result<(), Failed> {
        self.write(&mut load, pace, &package::ending(self.store, image)).await?;
        pace.rests(true);
        let finished = load.finish().await;
        pace.rests(false);
        finished
    }

    /// Sends bytes that are not packed yet.
    async fn write(&self, load: &mut Load, pace: &Pace, plain: &[u8]) -> Result<(), Failed> {
        if plain.is_empty() {
            return Ok(());
        }
        let form: Form = self.route.form();
        let packed = form.block(plain, LEVEL).map_err(|error| error.to_string())?;
        self.give(load, pace, packed.into()).await
    }

    async fn give(&self, load: &mut Load, pace: &Pace, packed: Bytes) -> Result<(), Failed> {
        let length = packed.len() as u64;
        let begun = Instant::now();
        load.write(packed).await?;
        pace.sent(length, begun.elapsed());
        Ok(())
    }

    fn tell(&self, progress: &Progress, of_this: u64, pace: &Pace) {
        let read = progress.done + of_this;
        (self.report)(Event::Sent {
            host: self.remote.name().clone(),
            bytes_sent: pace.total(),
            bytes_per_second: rate(pace.total(), progress.begun),
            layers_sent: progress.sent,
            layers_skipped: self.have,
            layers_total: self.image.layers.len(),
            bytes_read: read,
            bytes_total: self.expected.max(read),
        });
    }
}

fn rate(bytes: u64, since: Instant) -> u64 {
    let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / milliseconds
}

struct Progress {
    begun: Instant,
    /// Unpacked bytes of the layers that are through.
    done: u64,
    /// Layers that are through.
    sent: usize,
}
