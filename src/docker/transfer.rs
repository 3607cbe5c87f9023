//! Images on the move: out of an engine as a tar stream, and into one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::engine::Engine;
use super::error::Error;
use super::http::{BoxError, Call, image_segment};
use super::logs::reader;

/// An engine may be silent while it packs or unpacks a large image: the classic store writes all of it to disk twice
/// before the first byte comes. A dead host is noticed by the connection long before.
const IDLE: Duration = Duration::from_secs(600);
/// The longest line of a load's report.
const LINE_LIMIT: usize = 64 << 10;
/// How many lines of a load's report are kept.
const NOTES_LIMIT: usize = 100;

/// A tar stream out of an engine.
pub struct ByteChunks(Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>);

impl std::fmt::Debug for ByteChunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteChunks").finish_non_exhaustive()
    }
}

impl Stream for ByteChunks {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// What an engine made of a tar stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The references and ids that it says it loaded.
    pub images: Vec<String>,
    /// What else it said. Engines from 27.2 on report a layer that they could not unpack only here, and succeed:
    /// check that the image exists.
    pub notes: Vec<String>,
}

impl Engine {
    /// An image as a tar stream, as `docker save` writes it.
    ///
    /// # Errors
    /// When there is no such image. The stream fails when the engine says nothing for 10 minutes or is lost.
    pub async fn export_image(&self, reference: &str) -> Result<ByteChunks, Error> {
        let what = format!("export image {reference}");
        let call = Call::get(format!("/images/{}/get", image_segment(reference)), what.clone());
        let response = self.http.send(call, IDLE).await?;
        let http = self.http.clone();
        let body = Box::pin(BodyDataStream::new(response.into_body()));
        let chunks =
            futures_util::stream::try_unfold((body, http, what), |(mut body, http, what)| async move {
                match tokio::time::timeout(IDLE, body.next()).await {
                    Err(_) => Err(http.late(&what, IDLE)),
                    Ok(None) => Ok(None),
                    Ok(Some(Ok(bytes))) => Ok(Some((bytes, (body, http, what)))),
                    Ok(Some(Err(error))) => Err(Error::broken(http.host(), &what, error)),
                }
            });
        Ok(ByteChunks(Box::pin(chunks)))
    }

    /// Gives an engine a tar stream to load, as `docker load` does; plain, gzip, or (Docker 23 and newer) zstd. A
    /// failure of the stream fails the load.
    ///
    /// # Errors
    /// When the engine refuses it or reports a failure, says nothing for 10 minutes, or is lost.
    pub async fn load_image<S>(&self, tar: S) -> Result<Loaded, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let what = "load an image";
        let (progress, moved) = Progress::new();
        let frames = tar.map_ok(move |bytes| {
            progress.step();
            Frame::data(bytes)
        });
        let body =
            BodyExt::boxed_unsync(StreamBody::new(frames.map_err(|error| -> BoxError { error.into() })));
        let call = Call::post("/images/load", what).query("quiet", "1").tar(body);
        let work = async {
            let response = self.http.send(call, Duration::MAX).await?;
            let lines =
                FramedRead::new(reader(response.into_body()), LinesCodec::new_with_max_length(LINE_LIMIT));
            self.report(what, lines).await
        };
        tokio::select! {
            result = work => result,
            () = moved.stalled(IDLE) => Err(self.http.late(what, IDLE)),
        }
    }

    async fn report<L>(&self, what: &str, mut lines: L) -> Result<Loaded, Error>
    where
        L: Stream<Item = Result<String, tokio_util::codec::LinesCodecError>> + Unpin,
    {
        let mut loaded = Loaded::default();
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| Error::broken(self.host(), what, error))?;
            let message: Message =
                serde_json::from_str(&line).map_err(|error| self.http.malformed(what, &error))?;
            if let Some(message) = message.failure() {
                return Err(Error::Failed { host: self.host().to_owned(), what: what.to_owned(), message });
            }
            loaded.note(message.stream.as_deref().unwrap_or_default());
        }
        Ok(loaded)
    }
}

impl Loaded {
    fn note(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let image =
                line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: "));
            let list = if image.is_some() { &mut self.images } else { &mut self.notes };
            if list.len() < NOTES_LIMIT {
                list.push(image.unwrap_or(line).to_owned());
            }
        }
    }
}

/// One line of a load's report.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    stream: Option<String>,
    error: Option<Value>,
    #[serde(rename = "errorDetail")]
    detail: Option<Detail>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    message: String,
}

impl Message {
    fn failure(&self) -> Option<String> {
        let detail =
            self.detail.as_ref().map(|detail| detail.message.clone()).filter(|text| !text.is_empty());
        let error =
            self.error.as_ref().map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned));
        detail.or(error)
    }
}

/// Notices when an upload has not moved for a while.
struct Progress(tokio::sync::watch::Sender<()>);

struct Moved(tokio::sync::watch::Receiver<()>);

impl Progress {
    fn new() -> (Self, Moved) {
        let (sender, receiver) = tokio::sync::watch::channel(());
        (Self(sender), Moved(receiver))
    }

    fn step(&self) {
        self.0.send_replace(());
    }
}

impl Moved {
    /// Returns when there was no step for `limit`. The end of the upload is one: then the engine has as long again.
    async fn stalled(mut self, limit: Duration) {
        loop {
            match tokio::time::timeout(limit, self.0.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return tokio::time::sleep(limit).await,
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(100);

    /// How long a stall takes to be noticed, when steps come after these pauses, in seconds.
    async fn noticed(pauses: &[u64], ends: bool) -> u64 {
        let (progress, moved) = Progress::new();
        let begun = Instant::now();
        let steps = async {
            for &pause in pauses {
                sleep(Duration::from_secs(pause)).await;
                progress.step();
            }
            if ends {
                drop(progress);
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = moved.stalled(LIMIT) => {}
            () = async { steps.await; std::future::pending::<()>().await } => {}
        }
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_upload_is_noticed_once_it_took_too_long() {
        for (pauses, ends, seconds) in [
            (&[][..], false, 100),
            (&[90, 90, 90], false, 370),
            // A pause just short of the limit is none, however many there are.
            (&[99, 99], false, 298),
            // After the end, the engine has as long again.
            (&[50], true, 150),
        ] {
            assert_eq!(noticed(pauses, ends).await, seconds, "{pauses:?} {ends}");
        }
    }
}
