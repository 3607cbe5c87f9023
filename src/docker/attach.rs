//! The streams of a container's own first process, and a file for a container that was not started yet.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio_util::codec::FramedRead;

use super::container::on;
use super::engine::Engine;
use super::error::Error;
use super::exec::{ExecInput, ExecOutput};
use super::frame::FrameDecoder;
use super::http::{Call, DEADLINE};
use super::tar;

/// Unpacking a small file.
const UNPACK: Duration = Duration::from_secs(60);

/// The streams of a container's first process.
#[derive(Debug)]
pub struct Attached {
    /// Its standard input. Shut it down to end it.
    pub input: ExecInput,
    /// What it writes. Ends with it.
    pub output: ExecOutput,
}

impl Engine {
    /// Attaches to a container that has a standard input and no terminal. Before it is started, so that nothing is missed.
    ///
    /// # Errors
    /// When there is no such container, or the engine does not answer.
    pub async fn attach(&self, container: &str) -> Result<Attached, Error> {
        let what = format!("attach to container {container}");
        let admitted = self.admit_stream(&what)?;
        let call = on(Call::post, container, "attach", "attach to")
            .query("stream", "1")
            .query("stdin", "1")
            .query("stdout", "1")
            .query("stderr", "1")
            .upgrade();
        let response = self.http.send(call, DEADLINE).await?;
        let upgraded =
            hyper::upgrade::on(response).await.map_err(|error| Error::broken(self.host(), &what, error))?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        let frames = FramedRead::new(output, FrameDecoder::Multiplexed);
        let output = ExecOutput { frames, host: self.host().to_owned(), what, _admitted: admitted };
        Ok(Attached { input: ExecInput(input), output })
    }

    /// Puts a program into the root directory of a container. It is written to the host's disk.
    ///
    /// # Errors
    /// When there is no such container, or no room.
    pub async fn put_program(&self, container: &str, name: &str, program: &[u8]) -> Result<(), Error> {
        let mut stream = Vec::new();
        tar::program(&mut stream, name, program);
        stream.extend_from_slice(&tar::end());
        let body = Full::new(Bytes::from(stream)).map_err(|never| match never {}).boxed_unsync();
        let call = on(Call::put, container, "archive", "put a file into").query("path", "/").tar(body);
        self.http.done(call, UNPACK).await
    }
}
