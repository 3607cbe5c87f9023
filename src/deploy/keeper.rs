//! The one who keeps the deploy lock on this side: it owns the channel to the holder on the host, gives signs of life, and
//! passes questions on. Every question has a deadline. A holder that misses one is no holder: the channel is closed, which
//! frees the lock as soon as that process runs again, and whoever asks is told that the lock is lost.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::ssh::Exec;

/// Must be well below the 20 s after which the holder gives up.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the holder may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long the holder may take to say whether it guards a switch. It asks the host's engine first, for 5 s at most.
pub(super) const GUARDING: Duration = Duration::from_secs(15);

/// What is asked of the keeper.
#[derive(Debug)]
pub(super) enum Request {
    Check(oneshot::Sender<bool>),
    Guard(String, oneshot::Sender<Guarding>),
    Unguard,
    Release(oneshot::Sender<()>),
}

/// What the holder said when it was asked to guard a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarding {
    Armed,
    /// There is no `docker` command that works there.
    Unarmed,
    /// Nothing, in [`GUARDING`].
    Silent,
}

/// Owns the channel to the holder: answers requests, and gives signs of life in between.
pub(super) async fn keep(mut exec: Exec, number: u64, mut inbox: mpsc::Receiver<Request>) {
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        let request = tokio::select! {
            request = inbox.recv() => request,
            _ = beat.tick() => {
                if say(&mut exec, b".").await { continue }
                return;
            }
        };
        match request {
            Some(Request::Check(answer)) => {
                let asked = say(&mut exec, b"?").await;
                let line = timeout(ANSWER, read_line(&mut exec)).await.ok().flatten();
                let ours = asked && line.and_then(|line| line.trim().parse().ok()) == Some(number);
                let _ = answer.send(ours);
                if !ours {
                    return;
                }
            }
            Some(Request::Guard(line, answer)) => {
                let Some(guarding) = guarding(&mut exec, &line).await else { return };
                if guarding == Guarding::Silent {
                    // Should it wake up after all, it reads on: it must not take our silence for our death, and bring back
                    // what was never stopped.
                    let _ = timeout(ANSWER, say(&mut exec, b"d")).await;
                    let _ = answer.send(guarding);
                    return;
                }
                let _ = answer.send(guarding);
            }
            Some(Request::Unguard) => {
                if !say(&mut exec, b"d").await {
                    return;
                }
            }
            Some(Request::Release(answer)) => {
                let _ = say(&mut exec, b"q").await;
                let _ = timeout(ANSWER, exec.wait()).await;
                let _ = answer.send(());
                return;
            }
            None => return,
        }
    }
}

/// Hands the holder the line of a guard, and waits for what it says to that; `None` when the line is gone.
async fn guarding(exec: &mut Exec, line: &str) -> Option<Guarding> {
    if !say(exec, line.as_bytes()).await {
        return None;
    }
    let Ok(answer) = timeout(GUARDING, read_line(exec)).await else { return Some(Guarding::Silent) };
    Some(if answer?.trim() == "armed" { Guarding::Armed } else { Guarding::Unarmed })
}

async fn say(exec: &mut Exec, byte: &[u8]) -> bool {
    exec.stdin.write_all(byte).await.is_ok() && exec.stdin.flush().await.is_ok()
}

/// One short line from the holder. Byte by byte, so that nothing of the next line is swallowed.
pub(super) async fn read_line(exec: &mut Exec) -> Option<String> {
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(1, &mut exec.stdout).take(256);
    reader.read_line(&mut line).await.ok().filter(|&read| read > 0).map(|_| line)
}
