//! Writes down where logs were left, as what was read of them is taken.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::places::Places;
use super::watcher::Exit;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// The task that does it.
#[derive(Debug)]
pub(super) struct Keeper {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Keeper {
    /// Begins, if places are to be kept.
    pub(super) fn start(mut exit: Exit) -> Option<Self> {
        let places = exit.places.take()?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(places, exit, stop.clone()));
        Some(Self { task, stop })
    }

    /// Writes down the rest, and ends. Nothing may be told any more.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "where logs were left was not kept");
        }
    }
}

async fn keep(places: Places, exit: Exit, stop: CancellationToken) {
    let mut taken = 0;
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        taken = look(&exit, taken);
        places.write(taken).await;
    }
    places.write(look(&exit, taken)).await;
}

/// How many observations were taken. Without a taker, those that waited are gone, and it is as many as before.
fn look(exit: &Exit, before: u64) -> u64 {
    // In this order: what is told meanwhile makes it fewer.
    let told = exit.told.load(Ordering::Relaxed);
    let waiting = exit.sender.max_capacity() - exit.sender.capacity();
    let taken = told.saturating_sub(u64::try_from(waiting).unwrap_or(u64::MAX));
    if exit.sender.is_closed() { before } else { taken.max(before) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;
    use crate::fleet::{ContainerId, Fact, Freshness, HostName, Observation, Timestamp};
    use crate::journal::Journal;

    /// Tells so many, of which so many are taken, and returns the places that are known when all has ended.
    async fn kept(name: &str, taken: u64, gone: bool) -> usize {
        let directory = std::env::temp_dir().join(format!("arcane-keeper-{name}-{}", std::process::id()));
        let open = || Journal::open(&directory.join("journal.db")).unwrap();
        let host = HostName::parse("web1").unwrap();
        let (sender, mut receiver) = mpsc::channel(16);
        let places = Places::new(open(), "heal");
        let exit = Exit { sender: sender.clone(), told: Arc::default(), places: Some(places.clone()) };
        let keeper = Keeper::start(exit.clone()).unwrap();
        for number in 1..=4_u64 {
            let (at, freshness) = (Timestamp::EPOCH, Freshness::Live);
            let observation =
                Observation { at, host: host.clone(), subject: None, freshness, fact: Fact::Started };
            sender.send(observation).await.unwrap();
            let told = exit.told.fetch_add(1, Ordering::Relaxed) + 1;
            places.put(&host, &ContainerId(number.to_string()), Some(vec![1]), told);
        }
        for _ in 0..taken {
            receiver.recv().await.unwrap();
        }
        if gone {
            drop(receiver);
            keeper.stop().await;
        } else {
            keeper.stop().await;
            drop(receiver);
        }
        let known = open().places("heal", &host, crate::clock::now()).unwrap().len();
        std::fs::remove_dir_all(&directory).unwrap();
        known
    }

    #[tokio::test]
    async fn a_place_is_kept_once_all_before_it_is_taken() {
        assert_eq!(kept("some", 3, false).await, 3);
        assert_eq!(kept("all", 4, false).await, 4);
        assert_eq!(kept("none", 0, false).await, 0);
    }

    /// Whoever takes slowly never takes all that was told: the newest place alone would never become true.
    #[tokio::test]
    async fn a_place_that_becomes_true_is_not_lost_to_a_newer_one() {
        let directory = std::env::temp_dir().join(format!("arcane-keeper-slow-{}", std::process::id()));
        let open = || Journal::open(&directory.join("journal.db")).unwrap();
        let (host, container) = (HostName::parse("web1").unwrap(), ContainerId("1".to_owned()));
        let places = Places::new(open(), "heal");
        let known = || open().places("heal", &host, crate::clock::now()).unwrap();
        for number in 1..=9_u8 {
            places.put(&host, &container, Some(vec![number]), u64::from(number) * 100);
        }
        places.write(99).await;
        assert_eq!(known(), []);
        places.write(150).await;
        assert_eq!(known(), [(container.clone(), vec![1])]);
        places.put(&host, &container, Some(vec![10]), 1_000);
        places.write(899).await;
        assert_eq!(known(), [(container.clone(), vec![1])]);
        places.write(999).await;
        assert_eq!(known(), [(container.clone(), vec![9])]);
        places.put(&host, &container, None, 1_001);
        places.write(1_001).await;
        assert_eq!(known(), [], "it is gone");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn what_waited_when_the_taker_went_was_not_taken() {
        assert!(kept("gone", 1, true).await <= 1);
    }
}
