//! Proof: an action that was carried out has healed nothing until the app ran quietly for long enough.
//!
//! What an action itself causes (a stop, a death, a start) may be seen before or after its end is reported. A start
//! that is seen begins the quiet; a death before that start belongs to the action, a death after it is the symptom.

use crate::fleet::{ActionOutcome, IncidentId, IncidentState, Remedy, Timestamp};

use super::case::{Case, Phase, Watch};
use super::effect::{ActionId, Effect, News};
use super::supervisor::Supervisor;

impl Supervisor {
    /// Begins to watch whether an action helped.
    pub(super) fn begin_proof(&mut self, id: IncidentId) {
        let now = self.time.now();
        let limit = self.settings.limits.places;
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let (host, app) = (case.incident.host.clone(), case.incident.app.clone());
        let began = match case.phase {
            Phase::Acting(since, _) => since,
            _ => now,
        };
        let reachable = self.world.unreachable(&host).is_none();
        let mut quiet_since = None;
        case.revived_at = None;
        if let Some(place) = self.world.place_mut(&host, &app, limit) {
            place.settle_anew(now);
            if place.running == Some(true) && place.confirmed > began && place.halt.is_none() {
                quiet_since = Some(now);
                case.revived_at = place.started_at;
            }
        }
        let deadline = reachable.then(|| now + case.verify.deadline);
        let watch = Watch { quiet_since, ran: false, deadline };
        case.stand(IncidentState::Verifying, None, Phase::Verifying(watch));
        self.save(id);
        self.out.push(Effect::Inspect { host, app });
    }

    /// Judges the proof when something of it is due.
    pub(super) fn check_proof(&mut self, id: IncidentId) {
        let now = self.time.now();
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let Phase::Verifying(watch) = &case.phase else {
            return;
        };
        let incident = &case.incident;
        let place = self.world.place(&incident.host, &incident.app);
        let asks = case.verify.health;
        let well = place
            .is_some_and(|place| place.is_well() && place.halt.is_none() && (!asks || place.is_known_well()));
        let quiet = watch.quiet_since.is_some_and(|since| since + case.verify.running <= now);
        if quiet && well && self.world.unreachable(&incident.host).is_none() {
            self.heal(id, "it runs and the symptom stayed away");
        } else if watch.deadline.is_some_and(|deadline| deadline <= now) {
            let within = crate::fleet::duration::format(case.verify.deadline);
            self.not_healed(id, &format!("it did not run well within {within}"));
        } else if quiet {
            self.wait_for_health(id);
        }
    }

    /// It ran quietly for long enough, but its health check does not say so yet.
    fn wait_for_health(&mut self, id: IncidentId) {
        if let Some(case) = self.cases.get_mut(&id)
            && let Phase::Verifying(watch) = &mut case.phase
        {
            watch.ran = true;
        }
    }

    /// Sets since when it has been quiet, while a proof is in progress.
    pub(super) fn restart_quiet(&mut self, id: IncidentId, since: Option<Timestamp>) {
        if let Some(case) = self.cases.get_mut(&id)
            && let Phase::Verifying(watch) = &mut case.phase
        {
            watch.quiet_since = since;
            watch.ran = false;
        }
    }

    /// The case is healed, by an action or by itself.
    pub(super) fn heal(&mut self, id: IncidentId, why: &str) {
        let now = self.time.now();
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let proved = matches!(case.phase, Phase::Verifying(_));
        let last = case.last_action().filter(|last| proved && last.outcome == ActionOutcome::Done);
        let remedy = last.map(|last| {
            last.outcome = ActionOutcome::Healed;
            last.remedy
        });
        let note = match (remedy, &case.rolled_back) {
            (Some(Remedy::Rollback), Some(Some(release))) => {
                format!("rolled back: {release} runs now; {why}")
            }
            (Some(remedy), _) => format!("{remedy} helped: {why}"),
            (None, _) => why.to_owned(),
        };
        let note = match remedy.and_then(|remedy| case.afterwards(remedy)) {
            Some(afterwards) => format!("{note}; {afterwards}"),
            None => note,
        };
        case.over_at = Some(now);
        case.stand(IncidentState::Healed, Some(note.clone()), Phase::Idle);
        self.note_outcome(id, ActionOutcome::Healed);
        self.save(id);
        self.announce(id, News::Healed, &note);
        self.look_again_at_siblings(id);
    }

    /// The last action did not help: on to the next try, the next rung or a human.
    pub(super) fn not_healed(&mut self, id: IncidentId, why: &str) {
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let why = crate::fleet::text::printable(why, self.settings.limits.text);
        let last = case
            .last_action()
            .filter(|last| matches!(last.outcome, ActionOutcome::Done | ActionOutcome::Healed));
        let remedy = last.map(|last| {
            last.outcome = ActionOutcome::NotHealed;
            last.detail = match last.detail.as_str() {
                "" => why.clone(),
                detail => format!("{detail}; {why}"),
            };
            last.remedy
        });
        case.phase = Phase::Idle;
        case.over_at = None;
        case.incident.state = IncidentState::Open;
        let rolled_back = case.rolled_back.is_some();
        let what = remedy.map_or_else(|| why.clone(), |remedy| format!("{remedy} did not help: {why}"));
        self.note_outcome(id, ActionOutcome::NotHealed);
        self.announce(id, News::NotHealed, &what);
        if let Some(remedy) = remedy.filter(|remedy| remedy.changes_server()) {
            self.pause_before_next(id, remedy);
        }
        if rolled_back {
            self.escalate(id, &format!("rolled back, and it is still not well: {why}"));
        } else {
            self.decide(id);
        }
        self.look_again_at_siblings(id);
    }

    /// Takes the outcome of the last action over into the ledger.
    fn note_outcome(&mut self, id: IncidentId, outcome: ActionOutcome) {
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let last = case.incident.actions.iter().rposition(|action| action.outcome == outcome);
        if let Some(index) = last {
            self.ledger.end(ActionId { incident: id, index }, outcome);
        }
    }

    /// One host at a time: the next one may be due now.
    fn look_again_at_siblings(&mut self, id: IncidentId) {
        let app = self.cases.get(&id).map(|case| case.incident.app.clone());
        let sibling = |case: &Case| Some(&case.incident.app) == app.as_ref() && case.incident.id != id;
        self.look_again(|case| sibling(case) && case.incident.state == IncidentState::Waiting);
    }
}
