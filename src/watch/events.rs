//! The engine's events, taken off their stream by a task that waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::docker::{self, Engine, Event, EventStream};
use crate::fleet::Timestamp;

/// Events that may wait for a consumer that is behind.
const QUEUE: usize = 1_024;

/// A subscription.
#[derive(Debug)]
pub(super) struct Events {
    queue: mpsc::Receiver<Event>,
    has_lost: Arc<AtomicBool>,
    end: oneshot::Receiver<Option<docker::Error>>,
    _reader: AbortOnDropHandle<()>,
}

/// What comes of a subscription.
#[derive(Debug)]
pub(super) enum Notice {
    /// An event.
    Event(Event),
    /// Events were dropped, because too many waited.
    Lost,
    /// There will be no more, and why.
    End(Option<docker::Error>),
}

impl Events {
    /// Subscribes to what happens from now on, and to what happened after `since`, as far as the engine remembers.
    pub(super) async fn subscribe(engine: &Engine, since: Option<Timestamp>) -> Result<Self, docker::Error> {
        let stream = engine.events(since).await?;
        let (sender, queue) = mpsc::channel(QUEUE);
        let (end_sender, end) = oneshot::channel();
        let has_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&has_lost);
        let reader = tokio::spawn(async move {
            // Nobody waits for the end of a subscription that was dropped.
            let _ = end_sender.send(read(stream, sender, &lost).await);
        });
        let _reader = AbortOnDropHandle::new(reader);
        Ok(Self { queue, has_lost, end, _reader })
    }

    /// The next notice. Safe to cancel.
    pub(super) async fn next(&mut self) -> Notice {
        if self.has_lost.swap(false, Ordering::Relaxed) {
            return Notice::Lost;
        }
        match self.queue.recv().await {
            Some(event) => Notice::Event(event),
            None => Notice::End((&mut self.end).await.ok().flatten()),
        }
    }

    /// An event that has come already.
    pub(super) fn waiting(&mut self) -> Option<Event> {
        self.queue.try_recv().ok()
    }
}

async fn read(
    mut stream: EventStream,
    queue: mpsc::Sender<Event>,
    lost: &AtomicBool,
) -> Option<docker::Error> {
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if queue.try_send(event).is_err() {
                    lost.store(true, Ordering::Relaxed);
                }
            }
            Err(error) => return Some(error),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::docker::fake::{Answer, FakeEngine};

    #[tokio::test]
    async fn events_that_nobody_takes_are_lost_and_said_to_be() {
        const COUNT: usize = QUEUE + 500;
        let event =
            |n: usize| format!("{{\"Action\":\"start\",\"Actor\":{{\"ID\":\"{n}\"}},\"timeNano\":{n}}}\n");
        let body: Vec<u8> = (0..COUNT).map(event).collect::<String>().into_bytes();
        let fake =
            FakeEngine::start("1.12", "1.41", move |_| Answer::Whole(200, "application/json", body.clone()));
        let engine = Engine::at(&fake.socket).await.unwrap();
        let mut events = Events::subscribe(&engine, None).await.unwrap();
        // The reader waits for nobody: it comes to the end with a queue that is full.
        while events.queue.len() < QUEUE || !events.has_lost.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(events.next().await, Notice::Lost));
        let mut heard = 0;
        loop {
            match events.next().await {
                Notice::Event(event) => {
                    assert_eq!(event.actor, heard.to_string());
                    heard += 1;
                }
                Notice::Lost => continue,
                Notice::End(end) => break assert!(end.is_none(), "{end:?}"),
            }
        }
        assert!((QUEUE..COUNT).contains(&heard), "{heard}");
    }
}
