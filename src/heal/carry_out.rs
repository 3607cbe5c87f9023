//! Carries one action out, through `deploy`, under the deploy lock like every other change.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::effect::{Action, ActionId};
use crate::deploy::remote::Pool;
use crate::deploy::rollback::{Changed, Request, redeploy, reinject, restart, rollback};
use crate::deploy::secrets::Source;
use crate::deploy::{Error, Event};
use crate::fleet::{ActionOutcome, Host, Observation, ReleaseId, Remedy, duration};
use crate::rules::RuleSet;

/// What a task of the shell came to.
#[derive(Debug)]
pub(super) enum Ended {
    /// An action ended, well or badly.
    Action {
        /// Which.
        action: ActionId,
        /// How.
        outcome: ActionOutcome,
        /// In words.
        detail: String,
        /// The release that is live now, if it is known.
        release: Option<ReleaseId>,
    },
    /// An app was looked up.
    Inspected(Vec<Observation>),
    /// It was looked whether the rules have changed.
    Rules(Option<Box<Result<RuleSet, String>>>),
}

impl Ended {
    /// A bug on our side must not take the supervisor down: it is one more way for an action to fail.
    pub(super) fn panicked(action: ActionId, panic: &tokio::task::JoinError) -> Self {
        let detail = format!("a bug in arcane ended the action: {panic}");
        Self::Action { action, outcome: ActionOutcome::Failed, detail, release: None }
    }
}

/// Carries an action out. Never waits for a lock that somebody else holds: a deploy under way is a reason not to heal.
pub(super) async fn carry_out(
    pool: &Pool,
    host: Option<&Host>,
    action: Action,
    source: &dyn Source,
    by: &str,
) -> Ended {
    let ended = |outcome, detail, release| Ended::Action { action: action.id, outcome, detail, release };
    let Some(host) = host else {
        return ended(
            ActionOutcome::Refused,
            format!("{} is not among the hosts that are supervised", action.host),
            None,
        );
    };
    let by =
        if action.by == "auto" { format!("heal --auto of {by}") } else { format!("heal for {}", action.by) };
    let report = |_: Event| ();
    let cancel = CancellationToken::new();
    let request = Request {
        app: &action.app,
        expect: Some(action.release.clone()),
        by,
        now: crate::clock::now(),
        wait: Duration::ZERO,
        report: &report,
        cancel: &cancel,
        source,
    };
    let remote = match pool.get(host).await {
        Ok(remote) => remote,
        Err(error) => return ended(ActionOutcome::Failed, chain(&error), None),
    };
    let changed = match action.remedy {
        Remedy::Restart => restart(&remote, &request).await,
        Remedy::Rollback => rollback(&remote, &request, action.target.as_ref()).await,
        Remedy::Redeploy => redeploy(&remote, &request).await,
        Remedy::Reinject => reinject(&remote, &request).await,
        Remedy::Wait | Remedy::Escalate => {
            return ended(ActionOutcome::Refused, format!("{} changes nothing", action.remedy), None);
        }
    };
    match changed {
        Ok(changed) => {
            let detail = describe(action.remedy, &changed);
            ended(ActionOutcome::Done, detail, Some(changed.release))
        }
        Err(error @ (Error::LockHeld { .. } | Error::Superseded { .. })) => {
            ended(ActionOutcome::Refused, chain(&error), None)
        }
        Err(error) => ended(ActionOutcome::Failed, chain(&error), None),
    }
}

fn describe(remedy: Remedy, changed: &Changed) -> String {
    let (release, took) = (&changed.release, duration::brief(changed.took));
    match remedy {
        Remedy::Rollback => format!("rolled back to {release} in {took}"),
        Remedy::Redeploy => format!("made the container of {release} anew in {took}"),
        Remedy::Reinject => format!("brought the secrets of {release} again in {took}"),
        _ => format!("restarted {release} in {took}"),
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
