//! The TCP connection under SSH, and the one fault of it that SSH's keepalive cannot see.
//!
//! The keepalive is sent by the same loop that writes. While a write is stuck (the peer is frozen and every buffer on
//! the way is full) no keepalive is sent and none is missed, so an upload could hang for ever. [`Stalling`] puts a
//! deadline on each write that makes no progress at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::target::Target;

/// How long one of several addresses of a host may take before the next is tried.
const PER_ADDRESS: Duration = Duration::from_secs(4);

/// Connects to the first address of the host that answers.
pub(super) async fn dial(target: &Target) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::net::lookup_host((target.address.as_str(), target.port)).await?.collect();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let alone = addresses.len() == 1;
    for address in addresses {
        let attempt = TcpStream::connect(address);
        let result = if alone {
            attempt.await
        } else {
            tokio::time::timeout(PER_ADDRESS, attempt)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match result {
            Ok(stream) => {
                // Requests are small and wait for their answer: Nagle's algorithm would delay each.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A stream whose writes fail when they make no progress for a while.
pub(super) struct Stalling<S> {
    inner: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Stalling<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit, timer: Box::pin(tokio::time::sleep(limit)), waiting: false }
    }

    /// Passes a finished write on; times one that has to wait.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = false;
            return poll;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the host takes no more data")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut near = Stalling::new(near, Duration::from_secs(20));
        let began = Instant::now();
        let error = near.write_all(&[0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), Duration::from_secs(20));
        far.read_exact(&mut [0; 8]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_no_stall() {
        let (near, mut far) = tokio::io::duplex(1);
        let mut near = Stalling::new(near, Duration::from_secs(20));
        let reader = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(15)).await;
                far.read_u8().await.unwrap();
            }
        });
        near.write_all(&[0; 5]).await.unwrap();
        near.shutdown().await.unwrap();
        reader.await.unwrap();
    }
}
