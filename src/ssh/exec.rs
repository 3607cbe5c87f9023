//! A command on a host: its standard streams, its end.

use std::sync::Arc;

use russh::Sig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::Error;
use super::stream::{ByteStream, Reader, State, Writer};
use crate::fleet::HostName;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u32),
    /// This signal killed it, named without `SIG`.
    Signal(String),
}

impl ExitStatus {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }

    /// The code that a shell would report: 128 + n for signal n, 255 for a signal without a number here.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Code(code) => *code,
            Self::Signal(name) => match name.as_str() {
                "HUP" => 129,
                "INT" => 130,
                "QUIT" => 131,
                "ILL" => 132,
                "ABRT" => 134,
                "FPE" => 136,
                "KILL" => 137,
                "SEGV" => 139,
                "PIPE" => 141,
                "ALRM" => 142,
                "TERM" => 143,
                _ => 255,
            },
        }
    }

    pub(super) fn from_signal(signal: &Sig) -> Self {
        let name = match signal {
            Sig::ABRT => "ABRT",
            Sig::ALRM => "ALRM",
            Sig::FPE => "FPE",
            Sig::HUP => "HUP",
            Sig::ILL => "ILL",
            Sig::INT => "INT",
            Sig::KILL => "KILL",
            Sig::PIPE => "PIPE",
            Sig::QUIT => "QUIT",
            Sig::SEGV => "SEGV",
            Sig::TERM => "TERM",
            Sig::USR1 => "USR1",
            Sig::Custom(name) => name.as_str(),
        };
        Self::Signal(name.to_owned())
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(name) => write!(f, "signal {}", crate::fleet::text::printable(name, 20)),
        }
    }
}

/// A running command. Dropping it (with both of its streams) closes the channel: sshd then hangs up on the command,
/// which ends it unless it ignores its standard streams.
#[derive(Debug)]
pub struct Exec {
    /// Its standard input. Shut it down to end it.
    pub stdin: Writer,
    /// Its standard output.
    pub stdout: Reader,
    state: Arc<State>,
    host: HostName,
}

impl Exec {
    pub(super) fn new(host: HostName, (stdout, stdin, state): (Reader, Writer, Arc<State>)) -> Self {
        Self { stdin, stdout, state, host }
    }

    /// Ends its input, passes over what is left of its output, and waits for its end. Has no deadline of its own.
    ///
    /// # Errors
    /// When the connection is lost or the command's end is not reported.
    pub async fn wait(&mut self) -> Result<ExitStatus, Error> {
        // It may have closed its input long ago.
        let _ = self.stdin.shutdown().await;
        let mut rest = tokio::io::sink();
        tokio::io::copy(&mut self.stdout, &mut rest)
            .await
            .map_err(|source| self.broken("its output broke off", source))?;
        self.exit().await
    }

    /// The end of what it wrote to standard error so far, 64 KiB at most.
    #[must_use]
    pub fn stderr(&self) -> Vec<u8> {
        self.state.stderr()
    }

    /// Its standard streams as one stream, for a command that speaks a protocol.
    #[must_use]
    pub fn into_stream(self) -> ByteStream {
        ByteStream::join(self.stdout, self.stdin)
    }

    async fn exit(&mut self) -> Result<ExitStatus, Error> {
        let mut exit = self.state.exit.clone();
        tokio::select! {
            () = self.state.gone.cancelled() => {}
            _ = exit.wait_for(Option::is_some) => {}
        }
        let status = exit.borrow().clone();
        status.ok_or_else(|| Error::Lost {
            host: self.host.clone(),
            reason: "the command's end was not reported".to_owned(),
        })
    }

    fn broken(&self, what: &str, source: std::io::Error) -> Error {
        Error::Stream { host: self.host.clone(), what: what.to_owned(), source }
    }

    /// Feeds it `input`, and collects what it writes.
    pub(super) async fn complete(mut self, input: &[u8], limit: usize) -> Result<Output, Error> {
        let mut stdout = Vec::new();
        let feed = async {
            // A command that does not read its input is no failure; how it ended says what there is to say.
            let _ = self.stdin.write_all(input).await;
            let _ = self.stdin.shutdown().await;
        };
        let mut bounded = (&mut self.stdout).take(limit as u64 + 1);
        let ((), read) = tokio::join!(feed, bounded.read_to_end(&mut stdout));
        read.map_err(|source| self.broken("the command's output broke off", source))?;
        if stdout.len() > limit {
            return Err(Error::TooLong { host: self.host, limit });
        }
        let status = self.exit().await?;
        Ok(Output { status, stdout, stderr: self.stderr() })
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// The end of its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, without white space at its end; invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Standard error as text, without white space at its end; invalid UTF-8 replaced.
    #[must_use]
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }
}
