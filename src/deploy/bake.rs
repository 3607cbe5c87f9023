//! Bake time: a new release that got healthy is watched for a while before it counts as released. Until then its
//! container does not have the app's name, so that whoever comes after a crash of ours knows that it was not yet trusted.
//!
//! What is watched is state, which nobody can forge by logging: exits, restarts, the image's own `HEALTHCHECK`, and the
//! declared probe, which may fail now and then but not [`PATIENCE`] times in a row.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::error::Error;
use super::health::{PROBE, Verdict, alive, probe};
use super::remote::Remote;
use crate::fleet::{App, ContainerId, HealthState, duration};

/// The pause between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Failed probes in a row that are no coincidence any more.
const PATIENCE: u32 = 3;

/// Watches a healthy container for the app's bake time.
///
/// # Errors
/// When the host or its engine cannot be asked any more: that says nothing about the container.
pub(super) async fn watch(remote: &Remote, id: &ContainerId, app: &App) -> Result<Verdict, Error> {
    let begun = Instant::now();
    let mut failed = 0;
    loop {
        let after = |why: String| {
            let after = duration::brief(begun.elapsed());
            Verdict::Unhealthy(format!("it got healthy, but {after} later {why}"))
        };
        let container = match alive(remote, id).await? {
            Ok(container) => container,
            Err(why) => return Ok(after(why)),
        };
        if container.health == HealthState::Unhealthy {
            return Ok(after("HEALTHCHECK said unhealthy".to_owned()));
        }
        let asked = timeout(PROBE, probe(remote, &container, app)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {}", duration::format(PROBE))));
        failed = if answer.is_ok() { 0 } else { failed + 1 };
        if let Err(why) = answer
            && failed == PATIENCE
        {
            return Ok(after(format!("{PATIENCE} probes in a row failed, the last one with: {why}")));
        }
        let left = app.bake.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(Verdict::Healthy);
        }
        sleep(left.min(INTERVAL)).await;
    }
}
