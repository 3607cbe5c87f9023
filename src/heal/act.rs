//! Beginning and ending actions. An action is written down before it begins: what a crash of ours leaves behind is a
//! record that says `begun`, and the host is asked what became of it.

use std::time::Duration;

use crate::fleet::text::{printable, quoted};
use crate::fleet::{ActionOutcome, ActionRecord, IncidentId, IncidentState, Mode, ReleaseId, Remedy};

use super::case::{Case, Due, Phase};
use super::effect::{Action, ActionId, Announcement, Effect, News};
use super::guard::{Guard, Refusal, refuse};
use super::ledger::Entry;
use super::supervisor::Supervisor;

/// The pause before the same remedy is tried again, when the rung does not say.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Who restarted what its restart policy restarted.
const ENGINE: &str = "engine";

/// The longest pause for a held lock.
const LOCK_PAUSE: Duration = Duration::from_secs(300);

impl Supervisor {
    /// Begins an action that every guard has let pass.
    pub(super) fn begin(&mut self, id: IncidentId, remedy: Remedy, by: &str) {
        let (now, wall) = (self.time.now(), self.time.wall());
        let until = now + self.settings.action_deadline;
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let incident = &case.incident;
        let place = self.world.place(&incident.host, &incident.app);
        let deployment = place.and_then(|place| place.deployment.as_ref());
        let previous = deployment.and_then(|deployment| deployment.previous.as_ref());
        let action = Action {
            id: ActionId { incident: id, index: incident.actions.len() },
            incident: id,
            host: incident.host.clone(),
            app: incident.app.clone(),
            remedy,
            release: incident.release.clone(),
            target: previous.filter(|_| remedy == Remedy::Rollback).map(|previous| previous.release.clone()),
            by: by.to_owned(),
            reason: format!("{} ({})", incident.say, incident.rule),
        };
        self.ledger.enter(Entry {
            action: action.id,
            at: now,
            host: incident.host.clone(),
            app: incident.app.clone(),
            release: incident.release.clone(),
            remedy,
            outcome: ActionOutcome::Begun,
        });
        case.incident.actions.push(ActionRecord {
            remedy,
            by: by.to_owned(),
            at: wall,
            ended_at: None,
            outcome: ActionOutcome::Begun,
            detail: String::new(),
        });
        case.held_since = None;
        case.stand(IncidentState::Acting, None, Phase::Acting(now, until));
        self.save(id);
        let text = match &action.target {
            Some(target) => format!("{remedy} from {} to {target} begins, decided by {by}", action.release),
            None => format!("{remedy} begins, decided by {by}"),
        };
        self.out.push(Effect::Act(action));
        self.announce(id, News::Acting, &text);
    }

    /// The engine's restart policy was quicker: its restart is this try of the rung, and must prove itself like ours.
    pub(super) fn credit_engine(&mut self, id: IncidentId) {
        let (now, wall) = (self.time.now(), self.time.wall());
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let incident = &mut case.incident;
        self.ledger.enter(Entry {
            action: ActionId { incident: id, index: incident.actions.len() },
            at: now,
            host: incident.host.clone(),
            app: incident.app.clone(),
            release: incident.release.clone(),
            remedy: Remedy::Restart,
            outcome: ActionOutcome::Done,
        });
        incident.actions.push(ActionRecord {
            remedy: Remedy::Restart,
            by: ENGINE.to_owned(),
            at: wall,
            ended_at: Some(wall),
            outcome: ActionOutcome::Done,
            detail: "the engine's restart policy restarted it".to_owned(),
        });
        case.held_since = None;
        self.prove_what_runs(id);
        self.announce(id, News::Verifying, "the engine has restarted it by itself; it must now prove itself");
    }

    /// An action has ended, as far as carrying it out goes.
    pub(super) fn on_action_ended(
        &mut self,
        action: ActionId,
        outcome: ActionOutcome,
        detail: &str,
        release: Option<ReleaseId>,
    ) {
        let outcome = match outcome {
            ActionOutcome::Begun => return,
            ActionOutcome::Refused | ActionOutcome::Failed => outcome,
            ActionOutcome::Done | ActionOutcome::Healed | ActionOutcome::NotHealed => ActionOutcome::Done,
        };
        let detail = printable(detail, self.settings.limits.text);
        let Some((remedy, by)) = self.record_end(action, outcome, &detail) else {
            return;
        };
        let id = action.incident;
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        if outcome == ActionOutcome::Done && remedy == Remedy::Rollback {
            case.rolled_back = Some(release);
        }
        if case.is_over() {
            self.save(id);
        } else {
            match outcome {
                ActionOutcome::Refused => self.lock_held(id, remedy, &by, &detail),
                ActionOutcome::Failed => self.action_failed(id, remedy, &detail),
                _ => self.action_done(id, remedy),
            }
        }
        let app = self.cases.get(&id).map(|case| case.incident.app.clone());
        self.look_again(|case| Some(&case.incident.app) == app.as_ref() && case.incident.id != id);
    }

    /// Writes an action's end down, once. Returns what it was and who had decided.
    pub(super) fn record_end(
        &mut self,
        action: ActionId,
        outcome: ActionOutcome,
        detail: &str,
    ) -> Option<(Remedy, String)> {
        let wall = self.time.wall();
        let case = self.cases.get_mut(&action.incident)?;
        let record = case.incident.actions.get_mut(action.index)?;
        if record.outcome != ActionOutcome::Begun {
            return None;
        }
        record.outcome = outcome;
        record.ended_at = Some(wall);
        record.detail = detail.to_owned();
        self.ledger.end(action, outcome);
        Some((record.remedy, record.by.clone()))
    }

    fn action_done(&mut self, id: IncidentId, remedy: Remedy) {
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        case.refusals = 0;
        let incident = &case.incident;
        let (host, app) = (incident.host.clone(), incident.app.clone());
        let place = self.world.place(&host, &app);
        let live = place.and_then(|place| place.release());
        let superseded = live.filter(|live| remedy != Remedy::Rollback && **live != incident.release);
        if let Some(live) = superseded.cloned() {
            self.close(id, &format!("superseded by {live}"));
            return;
        }
        self.begin_proof(id);
        self.announce(id, News::Verifying, &format!("{remedy} was carried out and must now prove itself"));
    }

    fn action_failed(&mut self, id: IncidentId, remedy: Remedy, detail: &str) {
        let since = match self.cases.get(&id).map(|case| &case.phase) {
            Some(Phase::Acting(since, _)) => *since,
            _ => self.time.now(),
        };
        // Our own action may have stopped the app and then failed to start it: no operator's wish.
        let limit = self.settings.limits.places;
        if let Some(case) = self.cases.get(&id)
            && let Some(place) = self.world.place_mut(&case.incident.host, &case.incident.app, limit)
        {
            place.forget_halt_since(since);
        }
        self.announce(id, News::NotHealed, &format!("{remedy} failed: {detail}"));
        self.pause_before_next(id, remedy);
        self.decide(id);
    }

    /// Plans the pause before the same remedy may be tried again.
    pub(super) fn pause_before_next(&mut self, id: IncidentId, remedy: Remedy) {
        let now = self.time.now();
        if let Some(case) = self.cases.get_mut(&id) {
            let rung = case.ladder.ahead().find(|(_, rung)| rung.remedy == remedy);
            let range = rung.and_then(|(_, rung)| rung.backoff).unwrap_or(PAUSE);
            let pause = self.jitter.backoff(range, case.tries(remedy));
            case.pause = Some((remedy, now + pause));
        }
    }

    /// Somebody else is at work on the app: wait for them, but not for ever.
    fn lock_held(&mut self, id: IncidentId, remedy: Remedy, by: &str, detail: &str) {
        let now = self.time.now();
        let retry = self.settings.lock;
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        case.refusals = case.refusals.saturating_add(1);
        let full = case.incident.actions.len() >= self.settings.limits.actions;
        if case.refusals >= retry.tries || full {
            let note = refuse(Guard::Lock, detail);
            self.escalate(id, &format!("{remedy} was refused too often, {note}"));
            return;
        }
        let pause = self.jitter.backoff((retry.pause, LOCK_PAUSE), case.refusals);
        let due = match by {
            "auto" => Due::Decide,
            by => Due::Retry(remedy, by.to_owned()),
        };
        case.pause = Some((remedy, now + pause));
        let note = refuse(Guard::Lock, detail).to_string();
        case.stand(IncidentState::Waiting, Some(note.clone()), Phase::Due(now + pause, due));
        self.save(id);
        self.announce(id, News::Waiting, &note);
    }

    /// Tries once more what a human approved and a lock refused.
    pub(super) fn retry(&mut self, id: IncidentId, remedy: Remedy, by: &str) {
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        case.phase = Phase::Idle;
        case.incident.state = IncidentState::AwaitingApproval;
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        match self.refusal(case, remedy) {
            None => self.begin(id, remedy, by),
            Some(refusal) => self.refuse_request(id, remedy, &refusal),
        }
    }

    /// A human approves.
    pub(super) fn on_approve(&mut self, id: IncidentId, remedy: Option<Remedy>, by: &str) {
        let by = approver(by, self.settings.limits.text);
        let Some(case) = self.cases.get(&id).filter(|case| !case.is_over()) else {
            self.refuse_unknown(id);
            return;
        };
        let proposed = case.incident.proposals.first().map(|proposal| proposal.remedy);
        let Some(remedy) = remedy.or(proposed) else {
            let refusal = refuse(Guard::Incident, "it proposes nothing; name a remedy");
            self.announce(id, News::Refused, &refusal.to_string());
            return;
        };
        if let Some(refusal) = self.cannot_approve(case, remedy) {
            self.refuse_request(id, remedy, &refusal);
            return;
        }
        match remedy {
            Remedy::Escalate => self.escalate(id, &format!("{by} hands it to a human")),
            Remedy::Wait => self.begin_wait(id, None),
            Remedy::Restart | Remedy::Rollback | Remedy::Redeploy | Remedy::Reinject => {
                if let Some(case) = self.cases.get_mut(&id) {
                    case.refusals = 0;
                    case.ladder.at = case.ladder.position(remedy).unwrap_or(0).max(case.ladder.at);
                }
                self.begin(id, remedy, &by);
            }
        }
    }

    fn cannot_approve(&self, case: &Case, remedy: Remedy) -> Option<Refusal> {
        if matches!(case.phase, Phase::Acting(..) | Phase::Reconciling(_) | Phase::Verifying(_)) {
            return Some(refuse(Guard::InFlight, "its last action has yet to end or to prove itself"));
        }
        if self.settings.ceiling < Mode::Approve {
            return Some(refuse(Guard::Mode, "this supervisor only watches"));
        }
        if case.incident.actions.len() >= self.settings.limits.actions {
            let why = format!("{} actions were recorded for it already", case.incident.actions.len());
            return Some(refuse(Guard::Limit, why));
        }
        if remedy.changes_server() {
            return self.refusal(case, remedy);
        }
        None
    }

    fn refuse_request(&mut self, id: IncidentId, remedy: Remedy, refusal: &Refusal) {
        let note = format!("{remedy} was approved, but {refusal}");
        if let Some(case) = self.cases.get_mut(&id) {
            // With the time, so that it differs from what was there: whoever approved waits for a sign that it was taken
            // up, and may approve again.
            let at = self.time.to_wall(self.time.now()).clock_time();
            case.incident.note = Some(format!("{remedy} was approved at {at}, but {refusal}"));
        }
        self.save(id);
        self.announce(id, News::Refused, &note);
    }

    fn refuse_unknown(&mut self, id: IncidentId) {
        let known = self.cases.get(&id);
        let why = known.map_or_else(
            || format!("there is no incident {id}"),
            |case| format!("incident {id} is {}", case.incident.state),
        );
        self.out.push(Effect::Announce(Announcement {
            incident: Some(id),
            host: known.map(|case| case.incident.host.clone()),
            app: known.map(|case| case.incident.app.clone()),
            news: News::Refused,
            text: refuse(Guard::Incident, why).to_string(),
        }));
    }

    /// A human says that it is nothing. An action under way ends by itself.
    pub(super) fn on_dismiss(&mut self, id: IncidentId, by: &str) {
        if self.cases.get(&id).is_none_or(Case::is_over) {
            self.refuse_unknown(id);
            return;
        }
        if let Some(case) = self.cases.get_mut(&id) {
            case.muted = true;
        }
        let by = printable(by, self.settings.limits.text);
        self.close(id, &format!("dismissed by {by}"));
    }

    /// Closes a case without calling it healed.
    pub(super) fn close(&mut self, id: IncidentId, why: &str) {
        let now = self.time.now();
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        case.stand(IncidentState::Dismissed, Some(why.to_owned()), Phase::Idle);
        case.over_at = Some(now);
        self.save(id);
        self.announce(id, News::Closed, why);
    }
}

/// The name of who approved. `auto` and `engine` are nobody's.
fn approver(by: &str, limit: usize) -> String {
    match printable(by.trim(), limit) {
        by if by.is_empty() || by == "auto" || by == ENGINE => format!("someone called {}", quoted(&by)),
        by => by,
    }
}
