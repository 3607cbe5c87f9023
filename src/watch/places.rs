//! Where logs were left, kept over our own restart.
//!
//! What is kept of a log is its cursor, and only once all that was read up to there was taken by whoever listens: a place
//! waits here until the queue has moved on past it. So what is lost when we are killed is at most told twice, and what
//! was said twice heals nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock;
use crate::fleet::{ContainerId, HostName};
use crate::journal::{Journal, LogPlace};

/// Places in the logs of containers, for one kind of reader on this machine.
#[derive(Debug, Clone)]
pub struct Places {
    reader: &'static str,
    journal: Arc<Mutex<Journal>>,
    /// For each log the place that becomes true next, and the newest: when places come faster than they become true, there
    /// still is one that does.
    waiting: Arc<Mutex<HashMap<(HostName, ContainerId), VecDeque<Waiting>>>>,
}

#[derive(Debug)]
struct Waiting {
    body: Option<Vec<u8>>,
    /// How many observations must have been taken for it to be true.
    after: u64,
}

impl Places {
    /// Keeps them in a journal. Readers of different names do not share places.
    #[must_use]
    pub fn new(journal: Journal, reader: &'static str) -> Self {
        Self { reader, journal: Arc::new(Mutex::new(journal)), waiting: Arc::default() }
    }

    /// Where the logs of a host's containers were left. What cannot be read is not known.
    pub(super) async fn of_host(&self, host: &HostName) -> HashMap<ContainerId, Vec<u8>> {
        let (host, reader, now) = (host.clone(), self.reader, clock::now());
        let read = move |journal: &mut Journal| journal.places(reader, &host, now);
        self.ask(read).await.unwrap_or_default().into_iter().collect()
    }

    /// Says where a log is, or that it is not needed any more; true once so many observations were taken.
    pub(super) fn put(&self, host: &HostName, container: &ContainerId, body: Option<Vec<u8>>, after: u64) {
        let key = (host.clone(), container.clone());
        let mut waiting = locked(&self.waiting);
        let of_log = waiting.entry(key).or_default();
        of_log.truncate(1);
        of_log.push_back(Waiting { body, after });
    }

    /// Writes down what has become true.
    pub(super) async fn write(&self, taken: u64) {
        let places: Vec<LogPlace> = {
            let mut waiting = locked(&self.waiting);
            let mut ripe = Vec::new();
            waiting.retain(|(host, container), of_log| {
                let count = of_log.iter().take_while(|place| place.after <= taken).count();
                if let Some(Waiting { body, .. }) = of_log.drain(..count).next_back() {
                    ripe.push(LogPlace { host: host.clone(), container: container.clone(), body });
                }
                !of_log.is_empty()
            });
            ripe
        };
        if !places.is_empty() {
            let (reader, now) = (self.reader, clock::now());
            self.ask(move |journal| journal.keep_places(reader, &places, now)).await;
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Journal) -> crate::journal::Result<T> + Send + 'static,
    ) -> Option<T> {
        let journal = Arc::clone(&self.journal);
        let asked = tokio::task::spawn_blocking(move || ask(&mut locked(&journal))).await;
        match asked {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::warn!(%error, "where logs were left cannot be kept");
                None
            }
            Err(error) => {
                tracing::error!(%error, "where logs were left cannot be kept");
                None
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked has left a whole value behind: nothing here is changed in two steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
