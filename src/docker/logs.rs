//! A container's log, as it was and as it is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use hyper::header;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::codec::FramedRead;
use tokio_util::io::StreamReader;

use super::container::on;
use super::engine::Engine;
use super::error::Error;
use super::frame::{FrameDecoder, LogFrame};
use super::http::{Call, DEADLINE};
use crate::fleet::Timestamp;

/// Which part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to stay and wait for more. Ends when the container does.
    pub follow: bool,
    /// From the first message with this time stamp or a later one on; what comes after it may be older.
    pub since: Option<Timestamp>,
    /// Up to this time.
    pub until: Option<Timestamp>,
    /// Only this many messages of the end, before what is waited for.
    pub tail: Option<usize>,
    /// Whether to read standard output.
    pub stdout: bool,
    /// Whether to read standard error.
    pub stderr: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { follow: false, since: None, until: None, tail: None, stdout: true, stderr: true }
    }
}

/// A stream of [`LogFrame`]s. Each begins with its RFC 3339 time stamp and a space.
pub struct LogStream {
    frames: Pin<Box<dyn Stream<Item = Result<LogFrame, Error>> + Send>>,
    _admitted: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream").finish_non_exhaustive()
    }
}

impl Stream for LogStream {
    type Item = Result<LogFrame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.as_mut().poll_next(cx)
    }
}

impl Engine {
    /// A container's log, with time stamps. The stream ends when the log does: for one that is followed, when the
    /// container ends, but also when its log driver or the engine restarts, so an end says nothing about the
    /// container. A lost connection is an error.
    ///
    /// # Errors
    /// When there is no such container, or its log driver cannot be read (status 501).
    pub async fn logs(&self, container: &str, options: &LogOptions) -> Result<LogStream, Error> {
        let what = format!("read the log of container {container}");
        let admitted = if options.follow { self.admit_stream(&what)? } else { None };
        let flag = |on: bool| if on { "1" } else { "0" };
        let call = on(Call::get, container, "logs", "read the log of")
            .query("timestamps", "1")
            .query("follow", flag(options.follow))
            .query("stdout", flag(options.stdout))
            .query("stderr", flag(options.stderr))
            .query_if("since", options.since.map(Timestamp::as_engine_parameter))
            .query_if("until", options.until.map(Timestamp::as_engine_parameter))
            .query_if("tail", options.tail.map(|lines| lines.to_string()));
        let response = self.http.send(call, DEADLINE).await?;
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let decoder = match kind {
            Some("application/vnd.docker.multiplexed-stream") => FrameDecoder::Multiplexed,
            // From API 1.42 on the header tells; before, it is the same for both.
            Some("application/vnd.docker.raw-stream") if self.speaks(1, 42) => FrameDecoder::Lines,
            _ if self.has_terminal(container).await? => FrameDecoder::Lines,
            _ => FrameDecoder::Multiplexed,
        };
        let host = self.host().to_owned();
        let frames = FramedRead::new(reader(response.into_body()), decoder);
        let frames = frames.map(move |frame| frame.map_err(|error| Error::broken(&host, &what, error)));
        Ok(LogStream { frames: Box::pin(frames), _admitted: admitted })
    }

    async fn has_terminal(&self, container: &str) -> Result<bool, Error> {
        Ok(self.inspect(container).await?.is_some_and(|container| container.tty))
    }
}

/// The body of an answer as something to read from.
pub(super) fn reader(body: Incoming) -> StreamReader<impl Stream<Item = io::Result<Bytes>>, Bytes> {
    StreamReader::new(BodyDataStream::new(body).map_err(io::Error::other))
}
