//! What the hosts show, as far as it moves an incident: a death during a proof, a release that somebody else
//! deployed, an operator's stop, a host that went out of sight.

use crate::fleet::Freshness;
use crate::fleet::{
    ActionOutcome, AppName, Deployment, Fact, HostName, IncidentId, IncidentState, Observation, ReleaseId,
    Remedy, Timestamp,
};

use super::case::{Case, Phase};
use super::effect::{ActionId, Effect};
use super::place::Change;
use super::supervisor::{RECONCILE, Supervisor};

impl Supervisor {
    pub(super) fn on_observation(&mut self, observation: &Observation) {
        match &observation.fact {
            Fact::HostUnreachable { reason } => self.lose_host(&observation.host, reason),
            Fact::HostReachable => self.find_host(&observation.host),
            Fact::Deployed { deployment } => self.on_deployed(observation, deployment),
            _ => self.on_container_fact(observation),
        }
    }

    fn on_container_fact(&mut self, observation: &Observation) {
        let now = self.time.now();
        let limit = self.settings.limits.places;
        let Some(subject) = observation.subject.as_deref() else {
            return;
        };
        let Some(place) = self.world.place_mut(&observation.host, &subject.app, limit) else {
            return;
        };
        let Some(change) = place.observe(now, observation, subject) else {
            return;
        };
        for id in self.open_at(&observation.host, &subject.app) {
            match &change {
                Change::Running => {
                    if let (Fact::Started, Some(case)) = (&observation.fact, self.cases.get_mut(&id)) {
                        // The time that it was down is no quiet.
                        case.noise_at = now;
                    }
                    self.seen_running(id);
                }
                Change::Down => self.seen_down(id),
                Change::Trouble(what, at) => self.seen_trouble(id, what, *at, observation.freshness),
                Change::Gap => self.seen_gap(id),
            }
        }
    }

    fn seen_running(&mut self, id: IncidentId) {
        let now = self.time.now();
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        let place = self.world.place(&case.incident.host, &case.incident.app);
        match &case.phase {
            Phase::Verifying(watch) if watch.quiet_since.is_none() => {
                case.revived_at = place.and_then(|place| place.started_at);
                self.restart_quiet(id, Some(now));
            }
            Phase::Verifying(_) => self.check_proof(id),
            Phase::Reconciling(_) => self.reconcile(id, true),
            _ => {}
        }
    }

    fn seen_down(&mut self, id: IncidentId) {
        self.restart_quiet(id, None);
        if let Some(case) = self.cases.get(&id)
            && matches!(case.phase, Phase::Reconciling(_))
        {
            self.reconcile(id, false);
        }
    }

    fn seen_trouble(&mut self, id: IncidentId, what: &str, at: Timestamp, freshness: Freshness) {
        let now = self.time.now();
        let Some(case) = self.cases.get_mut(&id) else {
            return;
        };
        case.noise_at = now;
        if freshness == Freshness::Backlog {
            case.trust.doubt = Some("what is known of it was read up after the fact".to_owned());
        }
        if let Phase::Verifying(watch) = &case.phase {
            let this_life = case.revived_at.is_none_or(|revived| at >= revived);
            if watch.quiet_since.is_some() && this_life {
                self.not_healed(id, &format!("it {what}"));
            }
        }
    }

    /// Lines are missing: where log text is all there is, silence proves nothing.
    fn seen_gap(&mut self, id: IncidentId) {
        let now = self.time.now();
        if let Some(case) = self.cases.get_mut(&id)
            && !case.trust.state
        {
            case.noise_at = now;
            if let Phase::Verifying(watch) = &mut case.phase {
                watch.quiet_since = watch.quiet_since.map(|_| now);
                watch.ran = false;
            }
        }
    }

    /// Nothing runs out while a host is out of sight, and what was known of it is doubtful from now on.
    fn lose_host(&mut self, host: &HostName, reason: &str) {
        let reason = crate::fleet::text::printable(reason, self.settings.limits.text);
        self.world.lose(host, reason);
        for case in self.cases.values_mut() {
            if case.is_over() || case.incident.host != *host {
                continue;
            }
            case.trust.doubt = Some(format!("{host} was out of sight since the evidence was seen"));
            if let Phase::Verifying(watch) = &mut case.phase {
                watch.quiet_since = None;
                watch.ran = false;
                watch.deadline = None;
            }
        }
    }

    fn find_host(&mut self, host: &HostName) {
        let now = self.time.now();
        self.world.find(host);
        let until = now + RECONCILE;
        for case in self.cases.values_mut() {
            if case.is_over() || case.incident.host != *host {
                continue;
            }
            case.noise_at = now;
            match &mut case.phase {
                Phase::Verifying(watch) => watch.deadline = Some(now + case.verify.deadline),
                Phase::Reconciling(at) => *at = until,
                _ => continue,
            }
            self.out.push(Effect::Inspect { host: host.clone(), app: case.incident.app.clone() });
        }
    }

    fn on_deployed(&mut self, observation: &Observation, deployment: &Deployment) {
        let limit = self.settings.limits.places;
        let host = &observation.host;
        let Some(place) = self.world.place_mut(host, &deployment.app, limit) else {
            return;
        };
        if let Some(subject) = observation.subject.as_deref() {
            place.is_live(&subject.container);
        }
        let news = place.deploy(observation.at, deployment);
        let Some(release) = place.release().cloned() else {
            return;
        };
        self.renew_proofs(host, &deployment.app);
        for id in self.open_at(host, &deployment.app) {
            let phase = self.cases.get(&id).map(|case| &case.phase);
            match phase {
                Some(Phase::Reconciling(_)) => self.reconcile_rollback(id, &release),
                Some(Phase::Acting(..)) | None => {}
                Some(_) if news => self.supersede(id, &release),
                Some(_) => {}
            }
        }
        if news {
            self.look_again_at(host, &deployment.app);
        }
    }

    /// The policy that was deployed with an app is known now: what a restored case counts as proof follows it.
    fn renew_proofs(&mut self, host: &HostName, app: &AppName) {
        let verify = super::policy::verify(self.policy(host, app), None);
        for id in self.open_at(host, app) {
            if let Some(case) = self.cases.get_mut(&id).filter(|case| case.restored) {
                case.verify = verify.clone();
            }
        }
    }

    fn look_again_at(&mut self, host: &HostName, app: &AppName) {
        self.look_again(|case| {
            let here = case.incident.host == *host && case.incident.app == *app;
            here && case.incident.state == IncidentState::Waiting
        });
    }

    /// Closes a case whose release is not live any more, unless it was us who changed that.
    fn supersede(&mut self, id: IncidentId, live: &ReleaseId) {
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let bad = &case.incident.release;
        let ours = match &case.rolled_back {
            Some(Some(target)) => live == target,
            Some(None) => live < bad,
            None => live == bad,
        };
        if !ours {
            self.close(id, &format!("superseded by {live}"));
        }
    }

    /// Closes a case whose app an operator has stopped for good.
    pub(super) fn close_if_stopped(&mut self, id: IncidentId) -> bool {
        let now = self.time.now();
        let Some(case) = self.cases.get(&id) else {
            return false;
        };
        if self.stop_settles(case).is_none_or(|settled| settled > now) {
            return false;
        }
        let place = self.world.place(&case.incident.host, &case.incident.app);
        let Some(halt) = place.and_then(|place| place.halt.clone()) else {
            return false;
        };
        if let Some(case) = self.cases.get_mut(&id) {
            case.revived_at = Some(halt.at);
        }
        self.close(id, &format!("it was {} by someone else", halt.how));
        true
    }

    /// The host shows what became of a restart or redeploy that a crash of ours interrupted.
    fn reconcile(&mut self, id: IncidentId, running: bool) {
        if self.interrupted(id).is_none_or(|(_, remedy)| remedy == Remedy::Rollback) {
            return;
        }
        if running {
            self.reconciled(id, ActionOutcome::Done, "interrupted; judged by what runs");
        } else {
            self.reconciled(id, ActionOutcome::Failed, "interrupted, and it does not run");
        }
    }

    /// The same for a rollback: which release is live tells.
    fn reconcile_rollback(&mut self, id: IncidentId, live: &ReleaseId) {
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let bad = case.incident.release.clone();
        let is_rollback = self.interrupted(id).is_some_and(|(_, remedy)| remedy == Remedy::Rollback);
        if is_rollback && *live == bad {
            self.reconciled(id, ActionOutcome::Failed, "interrupted, and the release is the same");
        } else if is_rollback && *live < bad {
            if let Some(case) = self.cases.get_mut(&id) {
                case.rolled_back = Some(Some(live.clone()));
            }
            self.reconciled(id, ActionOutcome::Done, "interrupted; judged by what runs");
        } else if *live != bad {
            self.reconciled(id, ActionOutcome::Failed, "interrupted");
            self.close(id, &format!("superseded by {live}"));
        }
    }

    /// The host has not shown it in time.
    pub(super) fn give_up_reconciling(&mut self, id: IncidentId) {
        let until = self.time.now() + RECONCILE;
        let hidden =
            self.cases.get(&id).is_some_and(|case| self.world.unreachable(&case.incident.host).is_some());
        if hidden {
            if let Some(case) = self.cases.get_mut(&id) {
                case.phase = Phase::Reconciling(until);
            }
            return;
        }
        if let Some((action, _)) = self.interrupted(id) {
            let detail = "interrupted, and the host has not shown what became of it";
            self.record_end(action, ActionOutcome::Failed, detail);
            self.escalate(id, &format!("{detail}; `arcane status` says what is left and what ends it"));
        }
    }

    /// The action of a case that has begun and not ended.
    fn interrupted(&self, id: IncidentId) -> Option<(ActionId, Remedy)> {
        let actions = &self.cases.get(&id)?.incident.actions;
        let index = actions.iter().rposition(|action| action.outcome == ActionOutcome::Begun)?;
        let remedy = actions.get(index)?.remedy;
        Some((ActionId { incident: id, index }, remedy))
    }

    fn reconciled(&mut self, id: IncidentId, outcome: ActionOutcome, detail: &str) {
        let Some((action, remedy)) = self.interrupted(id) else {
            return;
        };
        self.record_end(action, outcome, detail);
        if outcome == ActionOutcome::Done {
            self.prove_what_runs(id);
        } else if remedy == Remedy::Rollback {
            // A change that stopped half-way may have left nothing running, and nothing more would be heard of it.
            self.escalate(
                id,
                &format!("the rollback was {detail}; `arcane status` says what is left and what ends it"),
            );
        } else {
            self.pause_before_next(id, remedy);
            self.decide(id);
        }
    }

    /// Begins to watch whether what already runs is well.
    pub(super) fn prove_what_runs(&mut self, id: IncidentId) {
        self.begin_proof(id);
        let now = self.time.now();
        let seen = self.cases.get(&id).and_then(|case| self.runs_since(case));
        if let Some(started_at) = seen {
            if let Some(case) = self.cases.get_mut(&id) {
                case.revived_at = started_at;
            }
            self.restart_quiet(id, Some(now));
        }
    }

    /// When a case's app is seen running: since when, by the host's clock, if that is known.
    fn runs_since(&self, case: &Case) -> Option<Option<Timestamp>> {
        let place = self.world.place(&case.incident.host, &case.incident.app)?;
        (place.running == Some(true)).then_some(place.started_at)
    }
}
