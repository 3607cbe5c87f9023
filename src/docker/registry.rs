//! What an engine does with a registry: pushing an image to it, and asking it for one. The registry is the caller's
//! business; here are only the engine's side and what it tells meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::engine::Engine;
use super::error::Error;
use super::http::{Call, image_segment};
use super::logs::reader;

/// An engine that packs a layer tells of it several times a second; it may wait for the registry, though.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest line of a report.
const LINE_LIMIT: usize = 64 << 10;

/// What an engine says about one layer that it pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushing {
    /// The first twelve digits of the layer's digest, unpacked. Empty for what is said about the whole image.
    pub layer: String,
    /// `Preparing`, `Waiting`, `Pushing`, `Layer already exists`, `Pushed`, …
    pub status: String,
}

/// The report of a push. It ends when the push has; dropping it makes the engine give up.
pub struct PushStream(Pin<Box<dyn Stream<Item = Result<Pushing, Error>> + Send>>);

impl std::fmt::Debug for PushStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushStream").finish_non_exhaustive()
    }
}

impl Stream for PushStream {
    type Item = Result<Pushing, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Engine {
    /// Makes the engine push `repository:tag`, whose name says to which registry, with this user and password.
    ///
    /// # Errors
    /// When there is no such image. The report ends with an error when the engine fails.
    pub async fn push_image(
        &self,
        repository: &str,
        tag: &str,
        (user, password): (&str, &str),
    ) -> Result<PushStream, Error> {
        let what = format!("push {repository}:{tag}");
        let call = Call::post(format!("/images/{}/push", image_segment(repository)), what.clone())
            .query("tag", tag)
            .registry_auth(user, password);
        let response = self.http.send(call, DEADLINE).await?;
        let lines =
            FramedRead::new(reader(response.into_body()), LinesCodec::new_with_max_length(LINE_LIMIT));
        let http = self.http.clone();
        let said = lines.map(move |line| {
            let line = line.map_err(|error| Error::broken(http.host(), &what, error))?;
            let said: Said = serde_json::from_str(&line).map_err(|error| http.malformed(&what, &error))?;
            match said.error {
                Some(error) => {
                    let message = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
                    Err(Error::Failed { host: http.host().to_owned(), what: what.clone(), message })
                }
                None => Ok(Pushing { layer: said.id, status: said.status }),
            }
        });
        Ok(PushStream(Box::pin(said)))
    }

    /// Makes the engine ask the registry in the name of `repository` for an image, and waits for the end of that,
    /// whatever it is: for a registry that wants to know whether this engine reaches it.
    ///
    /// # Errors
    /// When the engine is lost or takes longer than `limit`.
    pub async fn ask_registry(
        &self,
        repository: &str,
        tag: &str,
        (user, password): (&str, &str),
        limit: Duration,
    ) -> Result<(), Error> {
        let call = Call::post("/images/create", format!("ask for {repository}:{tag}"))
            .query("fromImage", repository)
            .query("tag", tag)
            .registry_auth(user, password);
        match self.http.done(call, limit).await {
            Err(Error::Refused { .. }) => Ok(()),
            result => result,
        }
    }
}

/// One line of a report.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    id: String,
    status: String,
    error: Option<Value>,
}
