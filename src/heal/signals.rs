//! Signals: a rule fired. It joins the incident that is open for the app, reopens one that was healed too early, or
//! opens one; and what is late, superseded or about something else is not taken up, and that is said.

use crate::fleet::text::printable;
use crate::fleet::{Class, Incident, IncidentId, IncidentState, Signal};

use super::case::{Case, Due, Phase, Trust};
use super::effect::{Announcement, Effect, News};
use super::guard::{Guard, Refusal, refuse};
use super::policy;
use super::supervisor::Supervisor;

impl Supervisor {
    pub(super) fn on_signal(&mut self, signal: &Signal) {
        if signal.class == Class::Benign {
            // It looks alarming and is not: nothing to do, and nothing to tell of it.
        } else if let Some(refusal) = self.not_ours(signal) {
            self.ignore(signal, &refusal);
        } else if let Some(id) = self.open_case(signal) {
            self.join(id, signal);
        } else if let Some(refusal) = self.superseded(signal) {
            self.ignore(signal, &refusal);
        } else if let Some(id) = self.muted_case(signal) {
            self.count(id);
        } else if let Some(refusal) = self.late(signal) {
            self.ignore(signal, &refusal);
        } else if let Some(id) = self.healed_too_early(signal) {
            self.relapse(id, signal);
        } else {
            self.open_incident(signal);
        }
    }

    /// Why a signal is no business of healing.
    fn not_ours(&self, signal: &Signal) -> Option<Refusal> {
        let place = self.world.place(&signal.host, &signal.app)?;
        if place.is_bystander(&signal.container) {
            let why = format!("{} is not the live container", signal.container.short());
            return Some(refuse(Guard::Role, printable(&why, 80)));
        }
        let halt = place.halt.as_ref()?;
        if self.ledger.in_flight_at(&signal.host, &signal.app) {
            return None;
        }
        Some(refuse(Guard::OperatorStop, format!("it was {} and has not been started since", halt.how)))
    }

    fn open_case(&self, signal: &Signal) -> Option<IncidentId> {
        let at = self.open_at(&signal.host, &signal.app);
        at.into_iter().find(|id| self.cases.get(id).is_some_and(|case| case.covers(&signal.release)))
    }

    /// A release that is not live any more is nobody's problem. One that is newer than what was read is: the reading
    /// is behind, and the `release` guard waits for it.
    fn superseded(&self, signal: &Signal) -> Option<Refusal> {
        let live = self.world.place(&signal.host, &signal.app)?.release()?;
        (signal.release < *live)
            .then(|| refuse(Guard::Release, format!("{live} is live, not {}", signal.release)))
    }

    fn over_cases<'a>(&'a self, signal: &'a Signal) -> impl Iterator<Item = &'a Case> {
        self.cases.values().rev().filter(|case| {
            case.is_over()
                && case.incident.app == signal.app
                && case.incident.host == signal.host
                && case.covers(&signal.release)
        })
    }

    fn muted_case(&self, signal: &Signal) -> Option<IncidentId> {
        let now = self.time.now();
        let muted = |case: &&Case| {
            let recent = case.over_at.is_some_and(|at| now.since(at) < self.settings.mute);
            case.muted && recent && case.incident.rule == signal.rule
        };
        self.over_cases(signal).find(muted).map(|case| case.incident.id)
    }

    /// A signal about a life of the app that is over: seen before, or older than what has cured it since.
    fn late(&self, signal: &Signal) -> Option<Refusal> {
        let late = |case: &&Case| {
            let seen = case.incident.rule == signal.rule && case.has_seen(signal);
            seen || case.has_outlived(signal)
        };
        let case = self.over_cases(signal).find(late)?;
        let why = format!("incident {} is about this, and it is {}", case.incident.id, case.incident.state);
        Some(refuse(Guard::Live, why))
    }

    fn healed_too_early(&self, signal: &Signal) -> Option<IncidentId> {
        let now = self.time.now();
        let early = |case: &&Case| {
            let recent = case.over_at.is_some_and(|at| now.since(at) < self.settings.recurrence);
            case.incident.state == IncidentState::Healed && recent && case.incident.rule == signal.rule
        };
        self.over_cases(signal).find(early).map(|case| case.incident.id)
    }

    fn ignore(&mut self, signal: &Signal, refusal: &Refusal) {
        self.out.push(Effect::Announce(Announcement {
            incident: None,
            host: Some(signal.host.clone()),
            app: Some(signal.app.clone()),
            news: News::Ignored,
            text: format!(
                "{} on {}: {} was not taken up; {refusal}",
                signal.app,
                signal.host,
                printable(&signal.rule, self.settings.limits.text)
            ),
        }));
    }

    fn count(&mut self, id: IncidentId) {
        if let Some(case) = self.cases.get_mut(&id) {
            case.incident.signals = case.incident.signals.saturating_add(1);
            case.unsaved = true;
        }
    }

    /// How far a signal can be trusted: its own word, and whether it is of our time.
    fn trust(&self, signal: &Signal) -> Trust {
        let doubt = if self.world.unreachable(&signal.host).is_some() {
            Some(format!("{} was out of sight when the signal came", signal.host))
        } else if self.time.wall().since(signal.at) > self.settings.stale_after {
            Some("the evidence is old by this machine's clock".to_owned())
        } else {
            None
        };
        Trust { state: signal.state_evidence, live: signal.live, doubt }
    }

    fn open_incident(&mut self, signal: &Signal) {
        if !self.make_room() {
            let why = format!("{} incidents are open, and more are not kept", self.cases.len());
            self.ignore(signal, &refuse(Guard::Limit, why));
            return;
        }
        let (now, wall) = (self.time.now(), self.time.wall());
        let id = IncidentId(self.next_incident);
        self.next_incident = self.next_incident.saturating_add(1);
        let limit = self.settings.limits.text;
        let incident = Incident {
            id,
            host: signal.host.clone(),
            app: signal.app.clone(),
            release: signal.release.clone(),
            class: signal.class,
            rule: printable(&signal.rule, limit),
            confidence: 100,
            say: printable(&signal.say, limit),
            state: IncidentState::Open,
            opened_at: wall,
            updated_at: wall,
            signals: 1,
            evidence: Vec::new(),
            novelty: Vec::new(),
            proposals: Vec::new(),
            actions: Vec::new(),
            note: None,
        };
        let policy = self.policy(&signal.host, &signal.app);
        let mut case = Case::open(incident, signal, policy::verify(policy, signal.verify.as_ref()), now);
        case.trust = self.trust(signal);
        case.add_evidence(&signal.evidence, &self.settings.limits);
        case.renew_novelty(&signal.novelty, &self.settings.limits);
        let text = format!("{} ({})", case.incident.say, case.incident.rule);
        self.cases.insert(id, case);
        self.save(id);
        self.announce(id, News::Opened, &text);
        self.decide(id);
    }

    /// Makes room for one more case by forgetting the oldest that is over. Says whether there is room.
    fn make_room(&mut self) -> bool {
        if self.cases.len() < self.settings.limits.incidents {
            return true;
        }
        let in_flight = |case: &Case| {
            use crate::fleet::ActionOutcome::Begun;
            case.incident.actions.iter().any(|action| action.outcome == Begun)
        };
        let oldest =
            self.cases.iter().find(|(_, case)| case.is_over() && !in_flight(case)).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.cases.remove(&id).is_some())
    }

    /// Takes a signal up as evidence. Returns whether it tells anything new about the life that runs now.
    fn take_evidence(&mut self, id: IncidentId, signal: &Signal) -> bool {
        let now = self.time.now();
        let live = self.world.place(&signal.host, &signal.app).and_then(|place| place.release());
        let current = live.is_none_or(|live| *live == signal.release);
        self.count(id);
        let Some(case) = self.cases.get_mut(&id) else {
            return false;
        };
        let fresh = current && !case.has_seen(signal);
        case.add_evidence(&signal.evidence, &self.settings.limits);
        if current {
            case.renew_novelty(&signal.novelty, &self.settings.limits);
        }
        // What another rule forbids counts when a fault of the state speaks for it: else whoever can make the app log a line
        // could keep it from being healed.
        if signal.state_evidence || case.incident.rule == signal.rule {
            for remedy in &signal.forbid {
                if !case.forbid.contains(remedy) {
                    case.forbid.push(*remedy);
                }
            }
        }
        if fresh {
            case.newest_signal = signal.at;
            case.noise_at = now;
            case.container = Some(signal.container.clone());
        }
        fresh
    }

    fn join(&mut self, id: IncidentId, signal: &Signal) {
        let fresh = self.take_evidence(id, signal);
        let better = fresh && self.improve(id, signal);
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        match (&case.phase, case.incident.state) {
            (Phase::Verifying(watch), _) => {
                let place = self.world.place(&signal.host, &signal.app);
                let this_life =
                    place.and_then(|place| place.started_at).is_none_or(|start| signal.at >= start);
                let same = case.is_symptom(signal);
                if fresh && same && watch.quiet_since.is_some() && this_life {
                    self.not_healed(id, "its rule fired again");
                }
            }
            (Phase::Idle | Phase::Due(_, Due::Decide), IncidentState::Escalated) if better => self.decide(id),
            (
                Phase::Idle | Phase::Due(_, Due::Decide),
                IncidentState::Open | IncidentState::AwaitingApproval | IncidentState::Waiting,
            ) if fresh => self.decide(id),
            _ => {}
        }
    }

    /// Lets a signal improve what a case stands on. The same rule renews the trust in it; another rule takes the case
    /// over when it can be trusted and the one before cannot, and else only adds what it suggests. Returns whether
    /// the case stands on something else now.
    fn improve(&mut self, id: IncidentId, signal: &Signal) -> bool {
        let trust = self.trust(signal);
        let policy = self.policy(&signal.host, &signal.app);
        let verify = policy::verify(policy, signal.verify.as_ref());
        let limit = self.settings.limits.text;
        let Some(case) = self.cases.get_mut(&id) else {
            return false;
        };
        let same = case.incident.rule == signal.rule;
        if same && !case.restored {
            case.ladder.ask_again(&signal.ladder);
        }
        let may_take_over = matches!(case.phase, Phase::Idle | Phase::Due(_, Due::Decide))
            && case.rolled_back.is_none()
            && trust.is_complete()
            && !case.trust.is_complete();
        if same && case.restored {
            let Case { ladder, .. } =
                Case::open(case.incident.clone(), signal, verify.clone(), case.saved_at);
            case.ladder = ladder;
            case.restored = false;
        } else if !same && may_take_over {
            let Case { ladder, .. } =
                Case::open(case.incident.clone(), signal, verify.clone(), case.saved_at);
            case.ladder = ladder;
            case.restored = false;
            case.verify = verify;
            case.forbid.clone_from(&signal.forbid);
            case.incident.class = signal.class;
            case.incident.rule = printable(&signal.rule, limit);
            case.incident.say = printable(&signal.say, limit);
            case.trust = trust;
            return true;
        } else if !same {
            case.ladder.adopt(&signal.ladder);
            return false;
        }
        if trust.is_complete() {
            case.trust = trust;
        }
        false
    }

    /// What was healed was not: the symptom is back, and what it is worth is the worth of this signal alone.
    fn relapse(&mut self, id: IncidentId, signal: &Signal) {
        self.take_evidence(id, signal);
        self.improve(id, signal);
        let trust = self.trust(signal);
        if let Some(case) = self.cases.get_mut(&id) {
            case.trust = trust;
        }
        self.not_healed(id, "the symptom came back soon after");
    }
}
