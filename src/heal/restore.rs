//! After a crash or a stop of ours: going on from what the journal knows. Nothing is acted on unattended until the
//! evidence was seen anew, and what had begun is judged by what the host shows.

use crate::fleet::{ActionOutcome, Incident, IncidentId, IncidentState, Timestamp};

use super::case::{Case, Due, Phase, Watch};
use super::effect::{ActionId, Effect};
use super::ladder::Ladder;
use super::ledger::Entry;
use super::policy;
use super::supervisor::{RECONCILE, SETTLE, Supervisor};

impl Supervisor {
    /// Takes the journal's incidents in: open ones, and those over recently enough for budgets and relapses (a day is
    /// plenty). To be called once, before the first step. Begins no action.
    #[must_use = "the effects must be carried out"]
    pub fn restore(&mut self, mut incidents: Vec<Incident>, now: Timestamp) -> Vec<Effect> {
        self.time.advance(now);
        incidents.sort_by_key(|incident| incident.id);
        for incident in &incidents {
            self.next_incident = self.next_incident.max(incident.id.0.saturating_add(1));
        }
        let excess = incidents.len().saturating_sub(self.settings.limits.incidents);
        let mut forgotten = 0;
        incidents.retain(|incident| {
            let forget = forgotten < excess && incident.state.is_over();
            forgotten += usize::from(forget);
            !forget
        });
        self.restore_ledger(&incidents);
        for incident in incidents {
            self.restore_case(incident);
        }
        self.finish()
    }

    fn restore_ledger(&mut self, incidents: &[Incident]) {
        let mut entries = Vec::new();
        for incident in incidents {
            for (index, record) in incident.actions.iter().enumerate() {
                if !record.remedy.changes_server() || record.outcome == ActionOutcome::Refused {
                    continue;
                }
                entries.push(Entry {
                    action: ActionId { incident: incident.id, index },
                    at: self.time.steady_of(record.at),
                    host: incident.host.clone(),
                    app: incident.app.clone(),
                    release: incident.release.clone(),
                    remedy: record.remedy,
                    outcome: record.outcome,
                });
            }
        }
        entries.sort_by_key(|entry| entry.at);
        entries.into_iter().for_each(|entry| self.ledger.enter(entry));
    }

    fn restore_case(&mut self, incident: Incident) {
        use crate::fleet::Remedy::Rollback;
        let now = self.time.now();
        let id = incident.id;
        let state = incident.state;
        let went_through = |outcome| {
            !matches!(outcome, ActionOutcome::Failed | ActionOutcome::Refused | ActionOutcome::Begun)
        };
        let rolled_back =
            incident.actions.iter().any(|action| action.remedy == Rollback && went_through(action.outcome));
        let begun: Vec<usize> = (0..incident.actions.len())
            .filter(|&index| {
                incident.actions.get(index).map(|action| action.outcome) == Some(ActionOutcome::Begun)
            })
            .collect();
        let ladder = Ladder::from_proposals(&incident.proposals);
        let over_at = state.is_over().then(|| self.time.steady_of(incident.updated_at));
        let newest_signal = incident.evidence.iter().map(|piece| piece.at).max();
        let verify = policy::verify(self.policy(&incident.host, &incident.app), None);
        let mut case = Case::bare(incident, ladder, now);
        case.restored = true;
        case.verify = verify;
        case.rolled_back = rolled_back.then_some(None);
        case.over_at = over_at;
        case.newest_signal = newest_signal.unwrap_or(case.newest_signal);
        case.trust.doubt = Some("this supervisor was restarted since the evidence was seen".to_owned());
        case.phase = match state {
            IncidentState::Acting if !begun.is_empty() => Phase::Reconciling(now + RECONCILE),
            IncidentState::Verifying => Phase::Verifying(Watch {
                quiet_since: None,
                ran: false,
                deadline: Some(now + case.verify.deadline),
            }),
            IncidentState::Open
            | IncidentState::AwaitingApproval
            | IncidentState::Escalated
            | IncidentState::Healed
            | IncidentState::Dismissed => Phase::Idle,
            // Time for the host to show what runs.
            IncidentState::Waiting | IncidentState::Acting => Phase::Due(now + SETTLE, Due::Decide),
        };
        if matches!(case.phase, Phase::Reconciling(_) | Phase::Verifying(_)) {
            self.out
                .push(Effect::Inspect { host: case.incident.host.clone(), app: case.incident.app.clone() });
        }
        let reconciling = matches!(case.phase, Phase::Reconciling(_));
        self.cases.insert(id, case);
        self.bury(id, &begun, reconciling);
    }

    /// Ends the records of actions that died with us: all but the last one of a case that is still acting, which the
    /// host will tell about.
    fn bury(&mut self, id: IncidentId, begun: &[usize], keep_last: bool) {
        let keep = usize::from(keep_last);
        let (dead, _) = begun.split_at(begun.len().saturating_sub(keep));
        for &index in dead {
            self.record_end(
                ActionId { incident: id, index },
                ActionOutcome::Failed,
                "interrupted by a restart of the supervisor",
            );
        }
        if !dead.is_empty() {
            self.save(id);
        }
    }
}
