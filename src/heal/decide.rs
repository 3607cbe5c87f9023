//! Deciding: up the ladder to the first rung that makes sense, then whether it may be carried out, by whom and when.

use crate::fleet::text::printable;
use crate::fleet::{
    ActionOutcome, ActionRecord, IncidentId, IncidentState, Mode, Proposal, Remedy, Rung, Timestamp,
};

use super::case::{Case, Due, Phase};
use super::effect::{Effect, News};
use super::guard::{self, Guard, Refusal, Scene};
use super::policy;
use super::supervisor::Supervisor;

/// How often a held-up action is looked at again when nobody can say when the reason will be gone.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(15);

/// What to do about a case.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// Carry out this rung now.
    Act(usize),
    /// Wait, as this rung says.
    Wait(usize),
    /// Leave it to a human; with a date when it can be decided without one.
    Ask(Question),
    /// Not now.
    Hold(Refusal),
    /// Nothing is left.
    Escalate(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Question {
    state: IncidentState,
    proposals: Vec<Proposal>,
    note: String,
    again: Option<Timestamp>,
}

impl Supervisor {
    /// Decides about a case and does what was decided.
    pub(super) fn decide(&mut self, id: IncidentId) {
        let Some(case) = self.cases.get(&id).filter(|case| !case.is_over()) else {
            return;
        };
        match self.judge(case) {
            Choice::Act(index) => self.act_on_rung(id, index),
            Choice::Wait(index) => self.begin_wait(id, Some(index)),
            Choice::Ask(question) => self.put_question(id, question),
            Choice::Hold(refusal) => self.hold(id, refusal),
            Choice::Escalate(why) => self.escalate(id, &why),
        }
    }

    /// Decides about a case whose time has come; unless it has gone away by itself meanwhile.
    pub(super) fn decide_when_due(&mut self, id: IncidentId) {
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let waited = case.incident.state == IncidentState::Waiting || matches!(case.phase, Phase::Due(..));
        if waited && self.is_quiet(case) {
            self.heal(id, "it went away by itself");
        } else {
            self.decide(id);
        }
    }

    /// Whether an app is seen running and nothing bad was heard of it for as long as proof takes.
    pub(super) fn is_quiet(&self, case: &Case) -> bool {
        let incident = &case.incident;
        let place = self.world.place(&incident.host, &incident.app);
        let seen = place.is_some_and(|place| place.running == Some(true) && place.is_well());
        seen && self.world.unreachable(&incident.host).is_none()
            && self.time.now().since(case.noise_at) >= case.verify.running
    }

    fn judge(&self, case: &Case) -> Choice {
        let scene = self.scene(case);
        if policy::effective(Mode::Auto, scene.policy, scene.settings.ceiling) == Mode::Off {
            let why = format!("healing is off for {}", case.incident.app);
            return Choice::Ask(Question {
                state: IncidentState::Open,
                proposals: Vec::new(),
                note: guard::refuse(Guard::Mode, why).to_string(),
                again: None,
            });
        }
        if let Err(refusal) = guard::grace(&scene, case.verify.running) {
            return Choice::Hold(refusal);
        }
        let mut refused = Vec::new();
        for (index, rung) in case.ladder.ahead().filter(|(_, rung)| rung.mode != Mode::Off) {
            match rung.remedy {
                Remedy::Escalate => return Choice::Escalate(because("the ladder ends here", &refused)),
                Remedy::Wait => {
                    if case.rolled_back.is_none() && case.tries(Remedy::Wait) < rung.max.max(1) {
                        return Choice::Wait(index);
                    }
                }
                Remedy::Restart | Remedy::Rollback | Remedy::Redeploy | Remedy::Reinject => {
                    match makes_sense(&scene, rung) {
                        Ok(()) => return judge_rung(&scene, index, rung),
                        Err(refusal) => refused.push(refusal),
                    }
                }
            }
        }
        Choice::Escalate(because("nothing is left to try", &refused))
    }

    fn put_question(&mut self, id: IncidentId, question: Question) {
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let phase = question.again.map_or(Phase::Idle, |at| Phase::Due(at, Due::Decide));
        let incident = &case.incident;
        let known = incident.state == question.state && incident.proposals == question.proposals;
        let same = known && incident.note.as_ref() == Some(&question.note);
        case.held_since = None;
        case.phase = phase.clone();
        if same {
            return;
        }
        let first = question.proposals.first().map(|proposal| proposal.remedy);
        case.incident.proposals = question.proposals;
        case.stand(question.state, Some(question.note.clone()), phase);
        self.save(id);
        if let Some(remedy) = first.filter(|_| !known) {
            let verb = match question.state {
                IncidentState::AwaitingApproval => "waits for approval",
                _ => "is suggested",
            };
            self.announce(id, News::Proposed, &format!("{remedy} {verb}; {}", question.note));
        }
    }

    fn hold(&mut self, id: IncidentId, refusal: Refusal) {
        let now = self.time.now();
        let limit = self.settings.hold_limit;
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let patient = refusal.until.is_some() || matches!(refusal.guard, Guard::Freeze | Guard::Reachable);
        let since = *case.held_since.get_or_insert(now);
        if patient {
            case.held_since = None;
        } else if now.since(since) >= limit {
            self.escalate(id, &format!("held up for too long; {refusal}"));
            return;
        }
        let at = refusal.until.map_or(now + RECHECK, |until| until.max(now + RECHECK / 15));
        let note = refusal.to_string();
        let same =
            case.incident.state == IncidentState::Waiting && case.incident.note.as_ref() == Some(&note);
        case.stand(IncidentState::Waiting, Some(note.clone()), Phase::Due(at, Due::Decide));
        if !same {
            self.refresh_proposals(id);
            self.save(id);
            self.announce(id, News::Waiting, &note);
        }
    }

    fn act_on_rung(&mut self, id: IncidentId, index: usize) {
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        case.ladder.at = index;
        let Some(rung) = case.ladder.rungs.get(index) else {
            return;
        };
        let remedy = rung.remedy;
        let place = self.world.place(&case.incident.host, &case.incident.app);
        let revived = place.is_some_and(|place| place.was_revived_since(case.newest_signal));
        self.refresh_proposals(id);
        if remedy == Remedy::Restart && revived {
            self.credit_engine(id);
        } else {
            self.begin(id, remedy, "auto");
        }
    }

    /// Writes down which remedies are still ahead, for people and for a restart of ours.
    pub(super) fn refresh_proposals(&mut self, id: IncidentId) {
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let proposals = proposals(&self.scene(case), case.ladder.at, None);
        if let Some(case) = self.cases.get_mut(&id) {
            case.incident.proposals = proposals;
        }
    }

    /// Begins to wait, as a rung says or a human.
    pub(super) fn begin_wait(&mut self, id: IncidentId, index: Option<usize>) {
        let now = self.time.now();
        let fallback = self.settings.wait;
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let rung = index.and_then(|index| case.ladder.rungs.get(index));
        let pause = rung.and_then(|rung| rung.backoff).map_or(fallback, |(first, _)| first);
        case.ladder.at = index.map_or(case.ladder.at, |index| index + 1);
        let pause = pause.max(case.verify.running);
        let note = format!("waiting {} for it to come back", crate::fleet::duration::format(pause));
        let phase = Phase::Due(now + pause, Due::Wait(self.time.wall()));
        case.stand(IncidentState::Waiting, Some(note.clone()), phase);
        self.refresh_proposals(id);
        self.save(id);
        self.announce(id, News::Waiting, &note);
    }

    /// The wait is over: it came back, or the ladder goes on.
    pub(super) fn end_wait(&mut self, id: IncidentId, began: Timestamp) {
        let wall = self.time.wall();
        let Some(quiet) = self.cases.get(&id).map(|case| self.is_quiet(case)) else {
            return;
        };
        if let Some(case) = self.cases.get_mut(&id) {
            let outcome = if quiet { ActionOutcome::Healed } else { ActionOutcome::NotHealed };
            case.incident.actions.push(ActionRecord {
                remedy: Remedy::Wait,
                by: "auto".to_owned(),
                at: began,
                ended_at: Some(wall),
                outcome,
                detail: "waited".to_owned(),
            });
        }
        if quiet {
            self.heal(id, "it came back by itself");
        } else {
            self.decide(id);
        }
    }

    /// Hands a case to a human, with everything that was tried.
    pub(super) fn escalate(&mut self, id: IncidentId, why: &str) {
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let note = printable(&format!("{why}; {}", case.tried()), 2000);
        case.held_since = None;
        case.stand(IncidentState::Escalated, Some(note.clone()), Phase::Idle);
        self.refresh_proposals(id);
        self.save(id);
        self.announce(id, News::Escalated, &note);
        self.freeze_failed(id);
    }

    /// Freezes the app of a case when its rule says so and something was tried that did not help.
    fn freeze_failed(&mut self, id: IncidentId) {
        let Some(case) = self.cases.get(&id).filter(|case| case.on_fail.freeze) else {
            return;
        };
        let tried = case.incident.actions.iter().any(|action| action.remedy.changes_server());
        let (app, by) = (case.incident.app.clone(), format!("the rule {}", case.incident.rule));
        if !tried || self.freezes.by(&app).is_some() {
            return;
        }
        let why = format!("incident {id} could not be healed");
        self.freezes.freeze(Some(app.clone()), by.clone());
        self.out.push(Effect::Freeze { app: app.clone(), by, why });
        self.announce(id, News::Frozen, &format!("nothing more is begun until `arcane thaw {app}`"));
    }
}

fn makes_sense(scene: &Scene<'_>, rung: &Rung) -> Result<(), Refusal> {
    guard::ask(&guard::SENSE, scene, rung).and_then(|()| guard::ask(&guard::RUNG, scene, rung))
}

/// Who may carry out a rung that makes sense, and when.
fn judge_rung(scene: &Scene<'_>, index: usize, rung: &Rung) -> Choice {
    if let Err(refusal) = guard::quiet_hours(scene, rung) {
        return Choice::Hold(refusal);
    }
    let mode = policy::effective(rung.mode, scene.policy, scene.settings.ceiling);
    let question = |state, refusal: Refusal| {
        let again = refusal.until;
        let note = match guard::frozen(scene, rung) {
            Err(frozen) => frozen.to_string(),
            Ok(()) => refusal.to_string(),
        };
        let proposals = proposals(scene, index, Some(&note));
        Choice::Ask(Question { state, proposals, note, again })
    };
    if mode < Mode::Auto {
        let state = match mode {
            Mode::Approve => IncidentState::AwaitingApproval,
            _ => IncidentState::Open,
        };
        return question(state, guard::refuse(Guard::Mode, whose_mode(scene, rung, mode)));
    }
    let ask = |refusal| question(IncidentState::AwaitingApproval, refusal);
    if let Err(refusal) = guard::ask(&guard::UNATTENDED, scene, rung) {
        return ask(refusal);
    }
    let now =
        guard::ask(&guard::BEFORE_ACTING, scene, rung).and_then(|()| guard::ask(&guard::PACE, scene, rung));
    if let Err(refusal) = now {
        return Choice::Hold(refusal);
    }
    match guard::ask(&guard::BUDGETS, scene, rung) {
        Err(refusal) => ask(refusal),
        Ok(()) => Choice::Act(index),
    }
}

/// Who has said that a rung is not for `auto`.
fn whose_mode(scene: &Scene<'_>, rung: &Rung, mode: Mode) -> String {
    let incident = &scene.case.incident;
    if scene.settings.ceiling == mode {
        format!("this supervisor may at most {mode}")
    } else if scene.policy.mode == mode {
        format!("the policy of {} is {mode}", incident.app)
    } else {
        format!("{} lets {} at most {mode}", incident.rule, rung.remedy)
    }
}

/// The remedies from a rung on that make sense, each once, best first.
fn proposals(scene: &Scene<'_>, from: usize, why_first: Option<&str>) -> Vec<Proposal> {
    let mut proposals: Vec<Proposal> = Vec::new();
    let rungs = scene.case.ladder.rungs.iter().enumerate().skip(from);
    for (index, rung) in rungs.filter(|(_, rung)| rung.remedy.changes_server() && rung.mode != Mode::Off) {
        let known = proposals.iter().any(|proposal| proposal.remedy == rung.remedy);
        if known || makes_sense(scene, rung).is_err() {
            continue;
        }
        let reason = match why_first.filter(|_| proposals.is_empty()) {
            Some(why) => why.to_owned(),
            None => format!("rung {} of {}", index + 1, scene.case.ladder.rungs.len()),
        };
        let reason = match scene.case.afterwards(rung.remedy) {
            Some(afterwards) => format!("{reason}; {afterwards}"),
            None => reason,
        };
        proposals.push(Proposal {
            remedy: rung.remedy,
            mode: policy::effective(rung.mode, scene.policy, scene.settings.ceiling),
            reason,
        });
    }
    proposals
}

fn because(what: &str, refused: &[Refusal]) -> String {
    let refused: Vec<String> = refused.iter().map(Refusal::to_string).collect();
    if refused.is_empty() {
        return what.to_owned();
    }
    format!("{what}: {}", refused.join("; "))
}
