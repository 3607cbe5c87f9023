//! The oracle: what the supervisor has been told, kept the plainest way, and what it may therefore do.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

type Place = (HostName, AppName);

/// Checks promises.
pub(super) struct Oracle {
    settings: Settings,
    pub(super) journal: BTreeMap<IncidentId, Incident>,
    pub(super) frozen: BTreeSet<Option<AppName>>,
    unreachable: BTreeSet<HostName>,
    stopped: BTreeSet<Place>,
    deployed: BTreeMap<Place, (Timestamp, Deployment)>,
    started: BTreeMap<Place, Timestamp>,
    /// Rules that were told live and with state, since the host was last out of sight.
    trusted: BTreeMap<(HostName, AppName, String), Signal>,
    bystanders: BTreeSet<ContainerId>,
    under_way: BTreeMap<ActionId, Action>,
    /// Every action that was not refused, and when.
    spent: Vec<(u64, Action)>,
    rolled_back: BTreeSet<(Place, ReleaseId)>,
}

impl Oracle {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            journal: BTreeMap::new(),
            frozen: BTreeSet::new(),
            unreachable: BTreeSet::new(),
            stopped: BTreeSet::new(),
            deployed: BTreeMap::new(),
            started: BTreeMap::new(),
            trusted: BTreeMap::new(),
            bystanders: BTreeSet::new(),
            under_way: BTreeMap::new(),
            spent: Vec::new(),
            rolled_back: BTreeSet::new(),
        }
    }

    /// A crash of ours: what was told is told no more; what was done stays done.
    pub(super) fn forget(&mut self) {
        self.unreachable.clear();
        self.stopped.clear();
        self.deployed.clear();
        self.started.clear();
        self.trusted.clear();
        self.bystanders.clear();
        self.under_way.clear();
    }

    pub(super) fn save(&mut self, incident: Incident) {
        self.journal.insert(incident.id, incident);
    }

    pub(super) fn told(&mut self, input: &Input) {
        match input {
            Input::Freeze { app, .. } => {
                self.frozen.insert(app.clone());
            }
            Input::Thaw { app, .. } => {
                self.frozen.remove(app);
            }
            Input::Signal(signal)
                if signal.live && signal.state_evidence && !self.unreachable.contains(&signal.host) =>
            {
                let key = (signal.host.clone(), signal.app.clone(), signal.rule.clone());
                self.trusted.insert(key, signal.clone());
            }
            Input::ActionEnded { action, outcome, .. } => self.ended(*action, *outcome),
            Input::Observed(seen) => self.seen(seen),
            _ => {}
        }
    }

    fn ended(&mut self, action: ActionId, outcome: ActionOutcome) {
        let Some(done) = self.under_way.remove(&action) else {
            return;
        };
        if outcome == ActionOutcome::Refused {
            self.spent.retain(|(_, spent)| spent.id != action);
        }
        if outcome == ActionOutcome::Done && done.remedy == Remedy::Rollback {
            let new = self.rolled_back.insert(((done.host, done.app), done.release.clone()));
            assert!(new, "{} was rolled back twice", done.release);
        }
        if outcome == ActionOutcome::Failed {
            // A stop that was part of a failed action is nobody's wish.
            let place = self.spent.iter().find(|(_, spent)| spent.id == action);
            if let Some((_, spent)) = place {
                self.stopped.remove(&(spent.host.clone(), spent.app.clone()));
            }
        }
    }

    fn seen(&mut self, seen: &Observation) {
        match (&seen.fact, &seen.subject) {
            (Fact::HostUnreachable { .. }, _) => {
                self.unreachable.insert(seen.host.clone());
                self.trusted.retain(|(host, ..), _| *host != seen.host);
            }
            (Fact::HostReachable, _) => {
                self.unreachable.remove(&seen.host);
            }
            (Fact::Deployed { deployment }, _) => {
                let place = (seen.host.clone(), deployment.app.clone());
                let known = self.deployed.get(&place);
                if known.is_some_and(|(_, known)| known.release != deployment.release) {
                    self.stopped.remove(&place);
                }
                self.deployed.insert(place, (seen.at, deployment.clone()));
            }
            (fact, Some(subject)) if subject.role == Role::Live => {
                self.bystanders.remove(&subject.container);
                let place = (seen.host.clone(), subject.app.clone());
                match fact {
                    Fact::Started => {
                        self.started.insert(place.clone(), seen.at);
                        self.stopped.remove(&place);
                    }
                    Fact::State { running: true, .. } => {
                        self.stopped.remove(&place);
                    }
                    Fact::Killed { signal: 15 } | Fact::Stopped
                        if self.started.get(&place).is_none_or(|started| seen.at > *started) =>
                    {
                        self.stopped.insert(place);
                    }
                    _ => {}
                }
            }
            (_, Some(subject)) => {
                self.bystanders.insert(subject.container.clone());
            }
            _ => {}
        }
    }

    /// May this action begin?
    pub(super) fn judge(&mut self, now: u64, action: &Action) {
        let place = (action.host.clone(), action.app.clone());
        let incident = self.journal.get(&action.incident).expect("its incident was saved first");
        let record = &incident.actions[action.id.index];
        assert_eq!(
            (record.outcome, record.remedy),
            (ActionOutcome::Begun, action.remedy),
            "it was saved as begun"
        );
        assert_eq!((&incident.host, &incident.app), (&action.host, &action.app), "it is about its incident");
        let other = self.under_way.values().find(|other| other.app == action.app);
        assert!(other.is_none(), "two actions at once: {other:?}");
        assert!(!self.unreachable.contains(&action.host), "an unreachable host");
        assert!(!self.frozen.contains(&None) && !self.frozen.contains(&Some(action.app.clone())), "frozen");
        assert!(!self.stopped.contains(&place), "stopped by an operator");
        let (_, deployment) = self.deployed.get(&place).expect("a deployment is known");
        assert_eq!(deployment.release, action.release, "the release is live");
        assert!(action.remedy != Remedy::Restart || incident.class.restart_can_help(), "{}", incident.class);
        if action.remedy == Remedy::Rollback {
            let previous = deployment.previous.as_ref().expect("something to roll back to");
            assert_eq!(Some(&previous.release), action.target.as_ref());
            assert!(previous.ran_for >= deployment.prove, "the target is proved");
            assert_ne!(previous.spec, deployment.spec, "the target differs");
            assert!(!self.rolled_back.contains(&(place, action.release.clone())), "rolled back before");
        }
        if action.by == "auto" {
            self.judge_unattended(now, action);
        }
        self.under_way.insert(action.id, action.clone());
        self.spent.push((now, action.clone()));
    }

    fn judge_unattended(&self, now: u64, action: &Action) {
        let incident = &self.journal[&action.incident];
        let policy = self.settings.policies.get(&action.app).unwrap_or(&self.settings.default_policy);
        assert_eq!((self.settings.ceiling, policy.mode), (Mode::Auto, Mode::Auto), "auto is not allowed");
        assert!(policy.remedies.contains(&action.remedy), "not one of the policy's remedies");
        let key = (action.host.clone(), action.app.clone(), incident.rule.clone());
        let signal = self.trusted.get(&key).expect("live state evidence since the host was in sight");
        let allowed =
            signal.ladder.iter().any(|rung| rung.remedy == action.remedy && rung.mode == Mode::Auto);
        assert!(allowed || signal.ladder.is_empty(), "above the rung's mode");
        assert!(!signal.forbid.contains(&action.remedy), "forbidden by the rule");
        assert!(!self.bystanders.contains(&signal.container), "not the live container");
        let budgets = self.settings.budgets;
        let spent = |budget: Budget, counts: &dyn Fn(&Action) -> bool| {
            let per = u64::try_from(budget.per.as_millis()).unwrap();
            let within = self.spent.iter().filter(|(at, spent)| now - at < per && counts(spent));
            assert!(within.count() < budget.max, "over budget: {budget:?}");
        };
        spent(budgets.app, &|spent| spent.app == action.app);
        spent(budgets.host, &|spent| spent.host == action.host);
        spent(budgets.fleet, &|_| true);
    }

    /// The journal knows what the supervisor knows, and no two incidents are about the same.
    pub(super) fn compare<'a>(&self, incidents: impl Iterator<Item = &'a Incident>) {
        let mut open = BTreeSet::new();
        for incident in incidents {
            let saved = self.journal.get(&incident.id).expect("every incident is saved");
            assert_eq!((saved.state, &saved.note), (incident.state, &incident.note), "the journal is behind");
            assert_eq!(saved.actions, incident.actions, "the journal is behind");
            assert!(incident.evidence.len() <= self.settings.limits.evidence);
            assert!(incident.actions.len() <= self.settings.limits.actions + 1);
            if !incident.state.is_over() {
                let new = open.insert((&incident.host, &incident.app, &incident.release));
                assert!(new, "two open incidents about the same: {incident:#?}");
            }
        }
    }
}
