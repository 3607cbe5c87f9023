//! Where the two halves of a transfer meet: what takes an image out of this machine's engine puts the layers here, in
//! any order; what sends them takes them in theirs.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::watch;

use super::pack::digest_of;
use super::spool::Spool;
use crate::docker::Image;

/// The layers that are wanted, and the image's configuration.
#[derive(Debug)]
pub(super) struct Shelf {
    layers: HashMap<String, watch::Sender<Option<Spool>>>,
    config: watch::Sender<Option<Bytes>>,
    /// The image's id, and the layers that its configuration must name.
    image: (String, Vec<String>),
}

impl Shelf {
    /// An empty one for these layers of an image.
    pub(super) fn new(image: &Image, wanted: &[String]) -> Self {
        let layers = wanted.iter().map(|digest| (digest.clone(), watch::Sender::new(None))).collect();
        Self { layers, config: watch::Sender::new(None), image: (image.id.clone(), image.layers.clone()) }
    }

    /// Whether a layer is wanted.
    pub(super) fn wants(&self, digest: &str) -> bool {
        self.layers.contains_key(digest)
    }

    /// Puts a layer in its place, perhaps before it is whole. One that is there already stays.
    pub(super) fn put(&self, digest: &str, spool: &Spool) {
        if let Some(place) = self.layers.get(digest) {
            place.send_if_modified(|place| {
                let empty = place.is_none();
                if empty {
                    *place = Some(spool.clone());
                }
                empty
            });
        }
    }

    /// Looks whether a small file is the image's configuration, and keeps it if so.
    pub(super) fn offer_config(&self, bytes: &Bytes) {
        #[derive(serde::Deserialize)]
        struct Config {
            rootfs: RootFs,
        }
        #[derive(serde::Deserialize)]
        struct RootFs {
            diff_ids: Vec<String>,
        }
        let (id, layers) = &self.image;
        // In the containerd store an image's id is its manifest's, so there the layers must tell.
        let is_it = digest_of(bytes) == *id
            || serde_json::from_slice(bytes).is_ok_and(|config: Config| config.rootfs.diff_ids == *layers);
        if is_it {
            self.config.send_replace(Some(bytes.clone()));
        }
    }

    /// Whether the configuration is there.
    pub(super) fn has_config(&self) -> bool {
        self.config.borrow().is_some()
    }

    /// A layer, as soon as it has begun. Waits for ever for one that never comes: whoever fills the shelf must fail.
    pub(super) async fn layer(&self, digest: &str) -> Option<Spool> {
        let mut place = self.layers.get(digest)?.subscribe();
        let found = place.wait_for(Option::is_some).await.ok()?;
        found.clone()
    }

    /// The configuration.
    pub(super) async fn config(&self) -> Option<Bytes> {
        let mut place = self.config.subscribe();
        let found = place.wait_for(Option::is_some).await.ok()?;
        found.clone()
    }

    /// What is still wanted: the first digest for which nothing has come, or the configuration.
    pub(super) fn lacks(&self) -> Option<String> {
        let missing = self.layers.iter().find(|(_, place)| place.borrow().is_none());
        match missing {
            Some((digest, _)) => Some(format!("layer {digest}")),
            None if !self.has_config() => Some("its configuration".to_owned()),
            None => None,
        }
    }
}
