//! The way back of one host when a rollout failed on another: what it ran before this release runs again.
//!
//! A host that ran something before rolls back to exactly that. One that ran nothing runs nothing again: the release's
//! container is stopped and removed; its volumes stay, as volumes always do. Either happens only while the release that
//! the rollout brought is still the live one: whoever came after it knows better.

use std::time::{Duration, Instant};

use super::error::Error;
use super::event::Step;
use super::remote::Remote;
use super::rollback::{Request, rollback, under_lock};
use super::switch::let_go;
use crate::fleet::ReleaseId;

/// What a host runs again.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenBack {
    /// The release that is live now; `None` when nothing is, as before.
    pub release: Option<ReleaseId>,
    /// How long it took.
    pub took: Duration,
    /// How long nothing answered; all the rest of the time where nothing is live now.
    pub gap: Duration,
}

/// Gives a host back what it ran before `request.expect`, the release that a rollout brought: `before`, or nothing.
///
/// # Errors
/// [`Error::Superseded`] when another release is live by now, [`Error::NoRelease`] when the one before is not kept any
/// more, [`Error::RolledBack`] when it does not get healthy; in each case what was live still is.
pub async fn give_back(
    remote: &Remote,
    request: &Request<'_>,
    before: Option<&ReleaseId>,
) -> Result<GivenBack, Error> {
    match before {
        Some(before) => {
            let changed = rollback(remote, request, Some(before)).await?;
            Ok(GivenBack { release: Some(changed.release), took: changed.took, gap: changed.gap })
        }
        None => withdraw(remote, request).await,
    }
}

async fn withdraw(remote: &Remote, request: &Request<'_>) -> Result<GivenBack, Error> {
    under_lock(remote, request, "withdraw", async |locked| {
        let begun = Instant::now();
        let live = locked.live()?;
        let change = locked.change(&live.record.app, &live.record.release);
        change.guarded(Step::Stop, live.record.release.as_str()).await?;
        remote.engine.stop(&live.id.0, live.record.app.stop_timeout).await?;
        let gap = Instant::now();
        change.guarded(Step::Tidy, live.record.release.as_str()).await?;
        remote.engine.remove(&live.id.0).await?;
        let_go(remote, &live.record.app, &live.record.release).await;
        Ok(GivenBack { release: None, took: begun.elapsed(), gap: gap.elapsed() })
    })
    .await
}
