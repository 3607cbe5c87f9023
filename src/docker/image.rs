//! Images that an engine has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::Engine;
use super::error::Error;
use super::http::{Call, DEADLINE, image_segment};
use crate::fleet::Timestamp;

/// Removing a large image takes its time.
const REMOVE: Duration = Duration::from_secs(120);

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id: `sha256:…`.
    pub id: String,
    /// Its architecture: `amd64`.
    pub architecture: String,
    /// Its operating system: `linux`.
    pub os: String,
    /// Its size in bytes, unpacked.
    pub size: u64,
    /// References to it, with a tag.
    pub tags: Vec<String>,
    /// The digests of its layers, unpacked, the lowest first.
    pub layers: Vec<String>,
    /// Whether it declares a `HEALTHCHECK`.
    pub has_healthcheck: bool,
    /// The command of its `HEALTHCHECK`, as the engine writes it: `["CMD", …]` or `["CMD-SHELL", "…"]`.
    pub healthcheck: Vec<String>,
    /// The shell that such a line is for, when it is not `/bin/sh -c`.
    pub shell: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its entrypoint.
    pub entrypoint: Vec<String>,
    /// Its command.
    pub command: Vec<String>,
    /// When it was built.
    pub created: Option<Timestamp>,
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its id.
    pub id: String,
    /// References to it, with a tag.
    pub tags: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its size in bytes.
    pub size: u64,
    /// When it was built, to the second.
    pub created: Timestamp,
}

impl Engine {
    /// An image, by a reference or id; `None` when the engine does not have it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image(&self, reference: &str) -> Result<Option<Image>, Error> {
        let path = format!("/images/{}/json", image_segment(reference));
        let found: Option<Wire> =
            self.http.find(Call::get(path, format!("inspect image {reference}")), DEADLINE).await?;
        Ok(found.map(Into::into))
    }

    /// Images whose reference matches a pattern such as `shop:*`; all that have a name or are used when `None`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list_images(&self, pattern: Option<&str>) -> Result<Vec<ImageSummary>, Error> {
        let filters = pattern.map(|pattern| json!({ "reference": [pattern] }).to_string());
        let call = Call::get("/images/json", "list images").query_if("filters", filters);
        let listed: Vec<Listed> = self.http.json(call, DEADLINE).await?;
        Ok(listed.into_iter().map(Into::into).collect())
    }

    /// The bytes that each step of an image's history added, unpacked, the newest first. Steps that changed no file
    /// have none.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn history_sizes(&self, image: &str) -> Result<Vec<u64>, Error> {
        let path = format!("/images/{}/history", image_segment(image));
        let steps: Vec<PastStep> =
            self.http.json(Call::get(path, format!("read the history of image {image}")), DEADLINE).await?;
        Ok(steps.into_iter().map(|step| step.size).collect())
    }

    /// The size in bytes of each layer of an image, the lowest first. When the engine's account of how it was built does
    /// not tell them apart, the lowest counts as the whole image.
    ///
    /// # Errors
    /// When the engine does not answer, or does not have it.
    pub async fn layer_sizes(&self, image: &Image) -> Result<Vec<u64>, Error> {
        // A step that changed no file has no layer, and neither does a layer without a byte in it show.
        let steps = self.history_sizes(&image.id).await?;
        let sizes: Vec<u64> = steps.into_iter().rev().filter(|&size| size > 0).collect();
        Ok(if sizes.len() == image.layers.len() { sizes } else { vec![image.size] })
    }

    /// Gives an image another reference, `repository:tag`; one that exists is moved.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), Error> {
        let path = format!("/images/{}/tag", image_segment(image));
        let call = Call::post(path, format!("tag image {image} as {repository}:{tag}"))
            .query("repo", repository)
            .query("tag", tag);
        self.http.done(call, DEADLINE).await
    }

    /// Removes a reference, and the image with its last one. One that does not exist is fine. An image that a
    /// container uses stays.
    ///
    /// # Errors
    /// When it is in use (`Conflict`).
    pub async fn remove_image(&self, image: &str) -> Result<(), Error> {
        let path = format!("/images/{}", image_segment(image));
        match self.http.done(Call::delete(path, format!("remove image {image}")), REMOVE).await {
            Err(error) if error.is_not_found() => Ok(()),
            result => result,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    id: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    size: u64,
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "RootFS", default)]
    root_fs: WireRootFs,
    #[serde(default)]
    config: Option<WireConfig>,
    created: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireRootFs {
    layers: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireConfig {
    labels: Option<BTreeMap<String, String>>,
    healthcheck: Option<WireHealthcheck>,
    entrypoint: Option<Words>,
    cmd: Option<Words>,
    shell: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WireHealthcheck {
    test: Option<Vec<String>>,
}

/// A list of words; very old images have one string.
#[derive(Deserialize)]
#[serde(from = "Value")]
struct Words(Vec<String>);

impl From<Value> for Words {
    fn from(value: Value) -> Self {
        match value {
            Value::String(word) => Self(vec![word]),
            Value::Array(words) => {
                Self(words.into_iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
            }
            _ => Self(Vec::new()),
        }
    }
}

impl From<Wire> for Image {
    fn from(wire: Wire) -> Self {
        let config = wire.config.unwrap_or_default();
        let test = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
        let words = |words: Option<Words>| words.map(|words| words.0).unwrap_or_default();
        Self {
            id: wire.id,
            architecture: wire.architecture,
            os: wire.os,
            size: wire.size,
            tags: wire.repo_tags.unwrap_or_default(),
            layers: wire.root_fs.layers.unwrap_or_default(),
            has_healthcheck: test.first().is_some_and(|first| first != "NONE"),
            healthcheck: test,
            shell: config.shell.unwrap_or_default(),
            labels: config.labels.unwrap_or_default(),
            entrypoint: words(config.entrypoint),
            command: words(config.cmd),
            created: wire.created.and_then(|text| Timestamp::parse(&text).ok()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PastStep {
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    repo_tags: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    created: i64,
}

impl From<Listed> for ImageSummary {
    fn from(wire: Listed) -> Self {
        let mut tags = wire.repo_tags.unwrap_or_default();
        tags.retain(|tag| tag != "<none>:<none>");
        Self {
            id: wire.id,
            tags,
            labels: wire.labels.unwrap_or_default(),
            size: wire.size,
            created: Timestamp::from_seconds(wire.created),
        }
    }
}
