//! The deploy lock: one change at a time on a host, whoever makes it and from wherever.
//!
//! It is held, not written. A process on the host keeps `flock` on `/var/lock/arcane.deploy` while our SSH channel is
//! open and we keep writing to it: when arcane dies, the channel closes and the kernel frees the lock; when the line
//! dies silently, the holder gives up after 20 s without a sign of life. The file's content only says who it is.
//! A fencing number goes up with each holder; [`Lock::check`] asks the holder for it before every change, so that an
//! arcane that slept through the loss of its lock changes nothing any more.
//!
//! The holder is a dead man's switch, too. While the old release is stopped and the new one unproved, it [guards](Guard)
//! the switch: when we are killed, or the line is, it brings the old release back before it frees the lock.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::error::Error;
use super::keeper::{ANSWER, GUARDING, Guarding, Request, keep, read_line};
use super::lend::Lent;
use crate::fleet::{AppName, ContainerId, HostName, Timestamp};
use crate::ssh::Session;

const HOLD: &str = include_str!("lock.sh");
const EVICT: &str = include_str!("unlock.sh");
const RETRY: Duration = Duration::from_secs(1);
/// How long a lock without an owner's name may be somebody's glance at it.
const GLANCE: Duration = Duration::from_secs(2);

/// Who holds the lock, for the eyes of whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `user@machine`.
    pub who: String,
    /// What for: `push shop 20261125-184203-3f2c`.
    pub doing: String,
    /// Since when, by the owner's clock.
    pub since: Timestamp,
    /// The process on the owner's machine.
    pub pid: u32,
}

/// A holder as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The fencing number.
    pub number: u64,
    /// Who it says it is; `None` when the file cannot be understood.
    pub owner: Option<Owner>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.owner {
            Some(owner) => {
                let printable = |text: &str| crate::fleet::text::printable(text, 100);
                write!(f, "{} ({}, since {})", printable(&owner.who), printable(&owner.doing), owner.since)
            }
            None => f.write_str("somebody who left no name"),
        }
    }
}

/// What the holder does when we vanish in the middle of a switch: unless the candidate has got the app's name already,
/// it is stopped, what was live gets its name back and is started, and the candidate goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard<'a> {
    /// The name of the candidate's container.
    pub(super) candidate: &'a str,
    /// The app, whose name the live container has.
    pub(super) app: &'a AppName,
    /// What was live, if anything was.
    pub(super) live: Option<&'a ContainerId>,
    /// Whether that ran, and is to run again.
    pub(super) was_running: bool,
    /// How long either may take to stop.
    pub(super) stop_timeout: Duration,
    /// What becomes of the candidate.
    pub(super) then: Then,
}

/// What becomes of a candidate that did not make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// It is removed, and so is its image, unless another container is of the same release.
    Remove(Option<String>),
    /// It was a kept release, and gets that name again.
    Keep(String),
}

impl Guard<'_> {
    /// The words of the holder's line. Names, ids and tags have no character that a shell would see anything in.
    fn line(&self) -> String {
        let live = self.live.map_or("-", |id| &id.0);
        let (verb, object) = match &self.then {
            Then::Remove(image) => ("remove", image.as_deref().unwrap_or("-")),
            Then::Keep(name) => ("keep", name.as_str()),
        };
        let Self { candidate, app, stop_timeout, .. } = self;
        let start = if self.was_running { "start" } else { "leave" };
        format!("g{candidate} {app} {live} {start} {} {verb} {object}\n", stop_timeout.as_secs())
    }
}

/// The held lock. Dropping it frees it, as does the death of this process.
#[derive(Debug)]
pub struct Lock {
    number: u64,
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    /// It is ours.
    Own { requests: mpsc::Sender<Request>, keeper: JoinHandle<()> },
    /// It is that of the arcane whose hook started us. Freeing it is not ours to do.
    Lent(Session),
}

impl Lock {
    /// Takes the lock. When somebody else has it, waits up to `wait` for it, telling `on_wait` once who has it.
    ///
    /// # Errors
    /// [`Error::LockHeld`] with the holder when it stays held; others when the host cannot keep a lock.
    pub async fn acquire(
        session: &Session,
        owner: &Owner,
        wait: Duration,
        on_wait: &(dyn Fn(&Holder) + Sync),
    ) -> Result<Self, Error> {
        let begun = tokio::time::Instant::now();
        let deadline = begun + wait;
        let mut told = false;
        loop {
            match Self::attempt(session, owner).await? {
                Attempt::Locked(lock) => return Ok(lock),
                Attempt::Held(holder) if is_lent(session.host(), &holder) => {
                    return Ok(Self { number: holder.number, hold: Hold::Lent(session.clone()) });
                }
                // Somebody who only looks holds it for a moment, and leaves no name.
                Attempt::Held(holder) if holder.owner.is_none() && begun.elapsed() < GLANCE => {
                    tokio::time::sleep(GLANCE / 10).await;
                }
                Attempt::Held(holder) => {
                    if tokio::time::Instant::now() + RETRY > deadline {
                        return Err(Error::LockHeld { host: session.host().clone(), holder });
                    }
                    if !told {
                        on_wait(&holder);
                        told = true;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn attempt(session: &Session, owner: &Owner) -> Result<Attempt, Error> {
        let mut exec = session.exec(HOLD).await?;
        let line = serde_json::to_string(owner).unwrap_or_default();
        let fail = |why: &str| Error::Lock { host: session.host().clone(), why: why.to_owned() };
        exec.stdin
            .write_all(format!("{line}\n").as_bytes())
            .await
            .map_err(|error| fail(&error.to_string()))?;
        exec.stdin.flush().await.map_err(|error| fail(&error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER, read_line(&mut exec))
            .await
            .map_err(|_| fail("no answer in 10 s"))?;
        match answer.as_deref().map(str::trim_end) {
            Some("held") => {
                let mut rest = String::new();
                let mut limited = (&mut exec.stdout).take(8 * 1024);
                let _ = tokio::time::timeout(ANSWER, limited.read_to_string(&mut rest)).await;
                Ok(Attempt::Held(parse_holder(&rest)))
            }
            Some(locked) if locked.starts_with("locked ") => {
                let number = locked["locked ".len()..].parse().map_err(|_| fail("malformed answer"))?;
                let (requests, inbox) = mpsc::channel(4);
                let keeper = tokio::spawn(keep(exec, number, inbox));
                Ok(Attempt::Locked(Self { number, hold: Hold::Own { requests, keeper } }))
            }
            Some("unsafe") => {
                Err(fail("/var/lock/arcane.deploy is not a plain file; look who made it, and remove it"))
            }
            Some("unwritable") => Err(fail("cannot write /var/lock/arcane.deploy")),
            Some("noflock") => Err(fail("the host has no working `flock` command (package util-linux)")),
            _ => Err(fail(&format!(
                "the host's shell did not answer: {}",
                String::from_utf8_lossy(&exec.stderr())
            ))),
        }
    }

    /// The fencing number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is that of the arcane whose hook started us.
    #[must_use]
    pub const fn is_lent(&self) -> bool {
        matches!(self.hold, Hold::Lent(_))
    }

    /// Makes sure that the lock is still ours. To be called before each change.
    ///
    /// # Errors
    /// [`Error::LockLost`] when the holder is gone or somebody else's.
    pub async fn check(&self, host: &HostName) -> Result<(), Error> {
        let lost = || Error::LockLost { host: host.clone() };
        let requests = match &self.hold {
            Hold::Own { requests, .. } => requests,
            Hold::Lent(session) => {
                let holder = Self::holder(session).await?.map(|holder| holder.number);
                return if holder == Some(self.number) { Ok(()) } else { Err(lost()) };
            }
        };
        let (answer, answered) = oneshot::channel();
        requests.send(Request::Check(answer)).await.map_err(|_| lost())?;
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(lost()),
        }
    }

    /// Has the switch guarded until [`Self::unguard`] or [`Self::release`]. A host without a `docker` command that works
    /// cannot: then the switch is as safe as this process and the line are, and no safer.
    ///
    /// # Errors
    /// [`Error::HolderSilent`] when it does not answer: then it would not notice our end either, and the lock is lost.
    pub(super) async fn guard(&self, host: &HostName, guard: &Guard<'_>) -> Result<(), Error> {
        let Hold::Own { requests, .. } = &self.hold else {
            tracing::debug!("under a lent lock the switch is not guarded");
            return Ok(());
        };
        let (answer, answered) = oneshot::channel();
        let lost = || Error::LockLost { host: host.clone() };
        requests.send(Request::Guard(guard.line(), answer)).await.map_err(|_| lost())?;
        match answered.await.map_err(|_| lost())? {
            Guarding::Armed => Ok(()),
            Guarding::Unarmed => {
                tracing::warn!("the host cannot guard the switch: it has no `docker` command that works");
                Ok(())
            }
            Guarding::Silent => Err(Error::HolderSilent { host: host.clone(), waited: GUARDING }),
        }
    }

    /// Says that the switch is over.
    pub(super) async fn unguard(&self) {
        if let Hold::Own { requests, .. } = &self.hold {
            // Who does not hear it sees that the candidate has got the app's name.
            let _ = requests.send(Request::Unguard).await;
        }
    }

    /// Frees the lock and waits until it is free.
    pub async fn release(mut self) {
        let Hold::Own { requests, keeper } = &mut self.hold else {
            return;
        };
        let (answer, answered) = oneshot::channel();
        if requests.send(Request::Release(answer)).await.is_ok() {
            let _ = tokio::time::timeout(ANSWER, answered).await;
        }
        let _ = tokio::time::timeout(ANSWER, keeper).await;
    }

    /// Who holds the lock on a host, if anybody does.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn holder(session: &Session) -> Result<Option<Holder>, Error> {
        const PEEK: &str = "f=/var/lock/arcane.deploy; [ -f \"$f\" ] || exit 0; exec 9<\"$f\"; \
                            flock -s -n 9 && exit 0; echo held; head -c 4096 \"$f\"";
        let output = session.run(PEEK, b"").await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.strip_prefix("held\n").map(parse_holder))
    }

    /// Ends the process that holds the lock, if it is still `holder`. The push that had it fails at its next check.
    ///
    /// # Errors
    /// When somebody else took the lock meanwhile, or the holder cannot be ended.
    pub async fn evict(session: &Session, holder: &Holder) -> Result<(), Error> {
        let output = session.run(EVICT, format!("{}\n", holder.number).as_bytes()).await?;
        let fail = |why: &str| Error::Lock { host: session.host().clone(), why: why.to_owned() };
        match String::from_utf8_lossy(&output.stdout).trim() {
            "free" | "ended" => Ok(()),
            "changed" => Err(fail("somebody else took the lock meanwhile; look again with `arcane unlock`")),
            _ => Err(fail("the process that holds it could not be ended; is it another user's?")),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Hold::Own { keeper, .. } = &self.hold {
            keeper.abort();
        }
    }
}

/// Whether this process was lent the lock by this very holder.
fn is_lent(host: &HostName, holder: &Holder) -> bool {
    Lent::to_us().is_some_and(|lent| lent.host == *host && lent.number == holder.number)
}

enum Attempt {
    Locked(Lock),
    Held(Holder),
}

/// Reads the lock file: fencing number, the holder's process on the host, who it is.
fn parse_holder(text: &str) -> Holder {
    let mut lines = text.lines();
    let number = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let owner = lines.nth(1).and_then(|line| serde_json::from_str(line).ok());
    Holder { number, owner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_from_the_file() {
        let text = "7\n4242\n{\"who\":\"ada@laptop\",\"doing\":\"push shop\",\"since\":\"2026-11-25T18:00:00Z\",\"pid\":9}\n";
        let holder = parse_holder(text);
        assert_eq!(holder.number, 7);
        assert_eq!(holder.to_string(), "ada@laptop (push shop, since 2026-11-25T18:00:00Z)");
        assert_eq!(parse_holder("garbage").to_string(), "somebody who left no name");
        assert_eq!(parse_holder("").number, 0);
    }

    #[test]
    fn a_guard_is_a_line_of_plain_words() {
        let (app, live) = (AppName::parse("shop").unwrap(), ContainerId("4f2a".to_owned()));
        let guard = |live, then| Guard {
            candidate: "shop_new",
            app: &app,
            live,
            was_running: live.is_some(),
            stop_timeout: Duration::from_secs(10),
            then,
        };
        let remove = guard(Some(&live), Then::Remove(Some("arcane/shop:20261125-184203-3f2c".to_owned())));
        assert_eq!(remove.line(), "gshop_new shop 4f2a start 10 remove arcane/shop:20261125-184203-3f2c\n");
        let keep = guard(None, Then::Keep("shop_20261125-184203-3f2c".to_owned()));
        assert_eq!(keep.line(), "gshop_new shop - leave 10 keep shop_20261125-184203-3f2c\n");
    }
}
