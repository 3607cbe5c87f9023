//! A command inside a container: its streams, its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::codec::FramedRead;

use super::container::on;
use super::engine::Engine;
use super::error::Error;
use super::frame::{FrameDecoder, LogFrame};
use super::http::{Call, DEADLINE};

/// A command whose streams have ended may take a moment to be gone.
const EXIT: Duration = Duration::from_secs(10);
const EXIT_POLL: Duration = Duration::from_millis(50);

/// How to run a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOptions {
    /// The command and its arguments. No shell is involved.
    pub command: Vec<String>,
    /// Whether it gets a standard input.
    pub stdin: bool,
    /// Whether it gets a terminal, and so one output stream.
    pub tty: bool,
    /// Additional environment variables, `NAME=value`.
    pub env: Vec<String>,
    /// The user to run it as, when not the image's.
    pub user: Option<String>,
}

pub(super) type Io = TokioIo<Upgraded>;

/// A running command. Its two directions can be used by two tasks.
#[derive(Debug)]
pub struct Exec {
    /// Its standard input. Shut it down to end it.
    pub input: ExecInput,
    /// What it writes. Ends when it has closed its streams.
    pub output: ExecOutput,
    control: ExecControl,
}

/// The standard input of a command.
#[derive(Debug)]
pub struct ExecInput(pub(super) WriteHalf<Io>);

impl AsyncWrite for ExecInput {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A stream of the pieces that a command writes.
#[derive(Debug)]
pub struct ExecOutput {
    pub(super) frames: FramedRead<ReadHalf<Io>, FrameDecoder>,
    pub(super) host: String,
    pub(super) what: String,
    pub(super) _admitted: Option<OwnedSemaphorePermit>,
}

impl Stream for ExecOutput {
    type Item = Result<LogFrame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.frames).poll_next(cx));
        Poll::Ready(next.map(|frame| frame.map_err(|error| Error::broken(&self.host, &self.what, error))))
    }
}

impl Engine {
    /// Starts a command inside a running container.
    ///
    /// # Errors
    /// When there is no such container, it does not run (`Conflict`), or the command cannot be started.
    pub async fn exec(&self, container: &str, options: &ExecOptions) -> Result<Exec, Error> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "Id")]
            id: String,
        }
        let what = format!("run a command in container {container}");
        let admitted = self.admit_stream(&what)?;
        let mut body = json!({
            "AttachStdin": options.stdin, "AttachStdout": true, "AttachStderr": true,
            "Tty": options.tty, "Cmd": options.command, "Env": options.env,
        });
        if let Some(user) = &options.user {
            body["User"] = json!(user);
        }
        let call = on(Call::post, container, "exec", "run a command in").json(&body);
        let created: Created = self.http.json(call, DEADLINE).await?;
        let call = Call::post(format!("/exec/{}/start", created.id), what.clone())
            .json(&json!({ "Detach": false, "Tty": options.tty }))
            .upgrade();
        let response = self.http.send(call, DEADLINE).await?;
        let upgraded =
            hyper::upgrade::on(response).await.map_err(|error| Error::broken(self.host(), &what, error))?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        let decoder = if options.tty { FrameDecoder::Raw } else { FrameDecoder::Multiplexed };
        let frames = FramedRead::new(output, decoder);
        let (host, control) = (
            self.host().to_owned(),
            ExecControl { engine: self.clone(), id: created.id, what: what.clone() },
        );
        let output = ExecOutput { frames, host, what, _admitted: admitted };
        Ok(Exec { input: ExecInput(input), output, control })
    }
}

impl Exec {
    /// What can be asked of the command whoever uses its streams.
    #[must_use]
    pub fn control(&self) -> &ExecControl {
        &self.control
    }
}

/// A handle on a running command, without its streams.
#[derive(Debug, Clone)]
pub struct ExecControl {
    engine: Engine,
    id: String,
    what: String,
}

impl ExecControl {
    /// Tells it the size of its terminal, in characters.
    ///
    /// # Errors
    /// When it has none, or has ended.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), Error> {
        let call = Call::post(format!("/exec/{}/resize", self.id), self.what.clone())
            .query("w", columns.to_string())
            .query("h", rows.to_string());
        self.engine.http.done(call, DEADLINE).await
    }

    /// Its exit code, once its output has ended.
    ///
    /// # Errors
    /// When it still runs after 10 s, or the engine does not answer.
    pub async fn exit_code(&self) -> Result<i64, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct State {
            running: bool,
            exit_code: Option<i64>,
        }
        let ended = async {
            loop {
                let call = Call::get(format!("/exec/{}/json", self.id), self.what.clone());
                let state: State = self.engine.http.json(call, DEADLINE).await?;
                match state.exit_code {
                    Some(code) if !state.running => return Ok(code),
                    _ => tokio::time::sleep(EXIT_POLL).await,
                }
            }
        };
        tokio::time::timeout(EXIT, ended).await.map_err(|_| self.engine.http.late(&self.what, EXIT))?
    }
}
