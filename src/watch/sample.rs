//! Samples of what containers use. One request per container and round, one after the other: an engine that streams
//! them is kept busy by it.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::container::Message;
use crate::docker::{Engine, Stats};
use crate::fleet::{ContainerId, Fact};

/// The last sample of each container: the processor is counted from one to the next.
pub(super) type Samples = HashMap<ContainerId, Stats>;

/// Takes a sample of each container, and tells those that it can be compared with the one before.
pub(super) async fn sample(
    engine: Engine,
    containers: Vec<(ContainerId, mpsc::Sender<Message>)>,
    before: Samples,
) -> Samples {
    let mut samples = Samples::new();
    for (id, inbox) in containers {
        // Gone, or not to be measured now: there will be other rounds.
        let Ok(stats) = engine.stats_once(&id.0).await else {
            continue;
        };
        if let Some(fact) = before.get(&id).and_then(|before| usage(before, &stats)) {
            // A container that is not watched any more needs no sample.
            let _ = inbox.send(Message::Event(stats.at, fact)).await;
        }
        samples.insert(id, stats);
    }
    samples
}

/// `None` when they are not of the same run.
fn usage(before: &Stats, now: &Stats) -> Option<Fact> {
    let passed = now.at.since(before.at).as_nanos();
    let used = now.cpu_nanos.checked_sub(before.cpu_nanos)?;
    (passed > 0).then(|| Fact::Stats {
        memory_bytes: now.memory,
        memory_limit: now.memory_limit,
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        cpu_percent: used as f64 * 100.0 / passed as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Timestamp;

    fn stats(seconds: i64, cpu_nanos: u64) -> Stats {
        Stats { at: Timestamp::from_seconds(seconds), cpu_nanos, memory: 7, memory_limit: Some(9), pids: 1 }
    }

    #[test]
    fn usage_is_counted_between_samples_of_one_run() {
        let percent = |before, now| match usage(&before, &now) {
            Some(Fact::Stats { cpu_percent, memory_bytes: 7, memory_limit: Some(9) }) => Some(cpu_percent),
            _ => None,
        };
        assert_eq!(percent(stats(10, 0), stats(12, 3_000_000_000)), Some(150.0));
        assert_eq!(percent(stats(10, 5), stats(12, 4)), None);
        assert_eq!(percent(stats(10, 0), stats(10, 1)), None);
    }
}
