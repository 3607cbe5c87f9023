//! What a container uses, at one moment.

use serde::Deserialize;

use super::container::on;
use super::engine::Engine;
use super::error::Error;
use super::http::{Call, DEADLINE};
use crate::fleet::Timestamp;

/// A sample. Processor time only counts up: usage is the difference of two samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// When it was taken, by the engine's clock.
    pub at: Timestamp,
    /// Processor time used since the container started, in nanoseconds, all cores added up.
    pub cpu_nanos: u64,
    /// Memory in use in bytes, without the page cache that the kernel can drop.
    pub memory: u64,
    /// Its memory limit in bytes; `None` when it has none of its own.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
}

impl Engine {
    /// One sample, at once: the engine does not wait for a second one to compare.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn stats_once(&self, container: &str) -> Result<Stats, Error> {
        let call = on(Call::get, container, "stats", "measure").query("stream", "0").query("one-shot", "1");
        let wire: Wire = self.http.json(call, DEADLINE).await?;
        let at = Timestamp::parse(&wire.read).unwrap_or_default();
        Ok(wire.into_stats(at))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    read: String,
    cpu_stats: WireCpu,
    memory_stats: WireMemory,
    pids_stats: WirePids,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireCpu {
    cpu_usage: WireUsage,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireUsage {
    total_usage: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireMemory {
    usage: u64,
    limit: u64,
    stats: WireMemoryDetail,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireMemoryDetail {
    /// cgroup v1.
    total_inactive_file: Option<u64>,
    /// cgroup v2.
    inactive_file: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WirePids {
    current: u64,
}

/// Without a limit the engine reports the host's memory or, on cgroup v1, the largest number of pages.
const NO_LIMIT: u64 = 1 << 60;

impl Wire {
    fn into_stats(self, at: Timestamp) -> Stats {
        let memory = self.memory_stats;
        let cache = memory.stats.total_inactive_file.or(memory.stats.inactive_file).unwrap_or(0);
        Stats {
            at,
            cpu_nanos: self.cpu_stats.cpu_usage.total_usage,
            memory: memory.usage.saturating_sub(cache),
            memory_limit: Some(memory.limit).filter(|limit| (1..NO_LIMIT).contains(limit)),
            pids: self.pids_stats.current,
        }
    }
}
