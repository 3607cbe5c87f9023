//! A channel as a byte stream: what a Unix socket, a TCP port or a command's standard streams look like from here.
//!
//! The SSH library hands a channel's data over through a short queue and waits when it is full, and with it waits the
//! whole connection: one reader that stalls would freeze every other channel, keepalives included. So each channel
//! has a task that takes its data off that queue into a buffer of its own, [`BUFFER`] bytes at most. A reader that
//! lets that run full slows the host down (and, for want of a window per channel, the other channels too), and after
//! [`STALL`] is cut off with an error, so that the others can go on.
//!
//! The library also reports a lost connection as a plain end of data, and leaves a writer that waits for the window
//! waiting. Both become errors here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::exec::ExitStatus;

/// How many bytes of a channel are kept for a reader that is behind.
const BUFFER: usize = 8 << 20;
/// How long a reader may leave its buffer full: less than anybody waits for a channel to open.
const STALL: Duration = Duration::from_secs(5);
/// How much of a command's standard error is kept: its end.
const STDERR_TAIL: usize = 64 << 10;

/// A byte stream to something on a host. Dropping it closes it.
#[derive(Debug)]
pub struct ByteStream {
    reader: Reader,
    writer: Writer,
}

impl ByteStream {
    /// The two directions, to be used by two tasks. The stream is closed when both are dropped.
    #[must_use]
    pub fn into_split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    pub(super) fn join(reader: Reader, writer: Writer) -> Self {
        Self { reader, writer }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

/// What a channel's task knows of it.
#[derive(Debug)]
pub(super) struct State {
    /// The end of what came on standard error.
    stderr: Mutex<Vec<u8>>,
    /// How the command ended, once it has.
    pub(super) exit: watch::Receiver<Option<ExitStatus>>,
    /// Cancelled when the channel is gone, whoever closed it.
    pub(super) gone: CancellationToken,
}

impl State {
    /// What is kept of standard error.
    pub(super) fn stderr(&self) -> Vec<u8> {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The reading direction of a channel.
#[derive(Debug)]
pub struct Reader {
    queue: mpsc::UnboundedReceiver<io::Result<Chunk>>,
    current: Option<Chunk>,
    _open: Arc<DropGuard>,
}

/// Data of a channel, and the share of the buffer that it takes.
#[derive(Debug)]
struct Chunk {
    data: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.current.is_none() {
            self.current = ready!(self.queue.poll_recv(cx)).transpose()?;
        }
        if let Some(chunk) = &mut self.current {
            let length = chunk.data.len().min(buf.remaining());
            buf.put_slice(&chunk.data.split_to(length));
            if !chunk.data.has_remaining() {
                self.current = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The writing direction of a channel.
pub struct Writer {
    inner: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: Arc<DropGuard>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Fails a wait for a window that nobody will open any more.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.gone.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "the other side closed the stream"))
            }
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.check(cx)?;
        self.inner.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        self.inner.as_mut().poll_shutdown(cx)
    }
}

/// Starts the task of a channel. `keep` lives as long as the channel does.
pub(super) fn open<K: Send + Sync + 'static>(channel: Channel<Msg>, keep: K) -> (Reader, Writer, Arc<State>) {
    let (read, write) = channel.split();
    let (chunks, queue) = mpsc::unbounded_channel();
    let (exit_sender, exit) = watch::channel(None);
    let closing = CancellationToken::new();
    let gone = CancellationToken::new();
    let state = Arc::new(State { stderr: Mutex::default(), exit, gone: gone.clone() });
    let open = Arc::new(closing.clone().drop_guard());
    let writer = Writer {
        inner: Box::pin(write.make_writer()),
        gone: Box::pin(gone.clone().cancelled_owned()),
        _open: Arc::clone(&open),
    };
    let pump =
        Pump { chunks, state: Arc::clone(&state), exit: exit_sender, room: Arc::new(Semaphore::new(BUFFER)) };
    tokio::spawn(async move {
        let _gone = gone.drop_guard();
        pump.run(read, write, closing).await;
        drop(keep);
    });
    (Reader { queue, current: None, _open: open }, writer, state)
}

struct Pump {
    chunks: mpsc::UnboundedSender<io::Result<Chunk>>,
    state: Arc<State>,
    exit: watch::Sender<Option<ExitStatus>>,
    room: Arc<Semaphore>,
}

impl Pump {
    /// Takes messages until the channel is closed, by either side.
    async fn run(
        mut self,
        mut read: ChannelReadHalf,
        write: ChannelWriteHalf<Msg>,
        closing: CancellationToken,
    ) {
        let ended = tokio::select! {
            ended = self.receive(&mut read) => ended,
            () = closing.cancelled() => Ok(()),
        };
        if let Err(error) = ended {
            let _ = self.chunks.send(Err(error));
        }
        // The reader must see the end even if the close has to wait.
        drop(self);
        // Also answers a close of the other side. Fails only when the connection is gone, and the channel with it.
        let _ = write.close().await;
    }

    async fn receive(&mut self, read: &mut ChannelReadHalf) -> io::Result<()> {
        let mut chunks = Some(self.chunks.clone());
        while let Some(message) = read.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(chunks) = &chunks {
                        self.deliver(chunks, data).await?;
                    }
                }
                ChannelMsg::ExtendedData { data, ext: 1 } => self.keep_stderr(&data),
                ChannelMsg::Eof => {
                    chunks = None;
                    // A reader must see the end now, not when the command's exit status comes.
                    self.chunks = mpsc::unbounded_channel().0;
                }
                ChannelMsg::ExitStatus { exit_status } => {
                    self.exit.send_replace(Some(ExitStatus::Code(exit_status)));
                }
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    self.exit.send_replace(Some(ExitStatus::from_signal(&signal_name)));
                }
                ChannelMsg::Close => return Ok(()),
                _ => {}
            }
        }
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the SSH connection is lost"))
    }

    async fn deliver(
        &self,
        chunks: &mpsc::UnboundedSender<io::Result<Chunk>>,
        data: Bytes,
    ) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let share = tokio::time::timeout(STALL, Arc::clone(&self.room).acquire_many_owned(size));
        let Ok(Ok(share)) = share.await else {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the reader fell behind"));
        };
        // A dropped reader is no error: the writer may still have something to say.
        let _ = chunks.send(Ok(Chunk { data, _share: share }));
        Ok(())
    }

    fn keep_stderr(&self, data: &[u8]) {
        let mut tail = self.state.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(data);
        let excess = tail.len().saturating_sub(STDERR_TAIL);
        tail.drain(..excess);
    }
}
