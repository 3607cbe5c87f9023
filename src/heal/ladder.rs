//! The ladder: what to try, in order. A rule brings its own; a class without one has the default of
//! docs/taxonomy.md. Progress only goes up: a rung that is behind us is not stepped on again for the same incident.

use std::time::Duration;

use crate::fleet::{Class, Mode, Proposal, Remedy, Rung};

/// Rungs that are looked at; a longer ladder is a mistake.
const LIMIT: usize = 16;

/// A release younger than this may well be to blame.
const YOUNG: Duration = Duration::from_secs(3600);

/// The rungs of one incident and how far up it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ladder {
    pub(super) rungs: Vec<Rung>,
    /// The rung to try next; those before it are behind us.
    pub(super) at: usize,
}

impl Ladder {
    /// The ladder of a rule, or the default of the class when the rule has none.
    pub(super) fn of(class: Class, rungs: &[Rung]) -> Self {
        let mut rungs: Vec<Rung> = rungs.iter().take(LIMIT).cloned().collect();
        if rungs.is_empty() {
            rungs = default(class);
        }
        Self { rungs, at: 0 }
    }

    /// What the journal tells of a ladder: the remedies that were proposed, each once.
    pub(super) fn from_proposals(proposals: &[Proposal]) -> Self {
        let rungs =
            proposals.iter().take(LIMIT).map(|proposal| rung(proposal.remedy, proposal.mode, 1)).collect();
        Self { rungs, at: 0 }
    }

    /// Takes up what another rule suggests for the same incident, at the end and for a human to decide: nobody has
    /// thought about these two ladders as one. Returns whether there was anything new.
    pub(super) fn adopt(&mut self, others: &[Rung]) -> bool {
        let before = self.rungs.len();
        for other in others {
            let known = self.rungs.iter().any(|rung| rung.remedy == other.remedy);
            if !known && other.remedy.changes_server() && self.rungs.len() < LIMIT {
                let end = self
                    .rungs
                    .iter()
                    .position(|rung| rung.remedy == Remedy::Escalate)
                    .map_or(self.rungs.len(), |end| end.max(self.at));
                let mode = other.mode.min(Mode::Approve);
                self.rungs.insert(end, Rung { mode, ..other.clone() });
            }
        }
        self.rungs.len() > before
    }

    /// Takes over what the same rule says now of what its rungs ask for.
    pub(super) fn ask_again(&mut self, others: &[Rung]) {
        for (rung, other) in self.rungs.iter_mut().zip(others) {
            if rung.remedy == other.remedy {
                rung.unmet.clone_from(&other.unmet);
            }
        }
    }

    /// The rungs still ahead, with their index.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (usize, &Rung)> {
        self.rungs.iter().enumerate().skip(self.at)
    }

    /// The first rung for a remedy, wherever it is.
    pub(super) fn position(&self, remedy: Remedy) -> Option<usize> {
        self.rungs.iter().position(|rung| rung.remedy == remedy)
    }
}

/// A rung without conditions.
pub(super) const fn rung(remedy: Remedy, mode: Mode, max: u32) -> Rung {
    Rung {
        remedy,
        mode,
        max,
        per: None,
        backoff: None,
        if_deploy_younger_than: None,
        unmet: None,
        quiet_hours: None,
        then_dependents: false,
    }
}

/// What usually helps against a class. Everything is trusted with `auto` here: the app's policy is what caps it.
fn default(class: Class) -> Vec<Rung> {
    let escalate = rung(Remedy::Escalate, Mode::Auto, 1);
    let rollback = Rung { if_deploy_younger_than: Some(YOUNG), ..rung(Remedy::Rollback, Mode::Auto, 1) };
    match class {
        Class::OutOfMemory | Class::AppCrash | Class::Hang | Class::ResourceExhaustion => {
            let restart = |max| Rung {
                per: Some(Duration::from_secs(3600)),
                backoff: Some((Duration::from_secs(10), Duration::from_secs(300))),
                ..rung(Remedy::Restart, Mode::Auto, max)
            };
            vec![restart(1), rollback, restart(3), escalate]
        }
        Class::BadConfig
        | Class::SchemaMismatch
        | Class::BrokenImage
        | Class::AuthFailure
        | Class::TlsFailure
        | Class::PermissionDenied => vec![rollback, escalate],
        Class::DependencyUnavailable | Class::NameResolution | Class::Overload => {
            vec![rung(Remedy::Wait, Mode::Auto, 1), escalate]
        }
        Class::PortConflict => vec![rung(Remedy::Redeploy, Mode::Auto, 1), escalate],
        Class::DiskFull | Class::DataCorruption => vec![escalate],
        Class::Benign => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_default_ladder_restarts_what_a_restart_cannot_help() {
        for class in Class::ALL {
            let ladder = Ladder::of(class, &[]);
            let restarts = ladder.position(Remedy::Restart).is_some();
            assert!(!restarts || class.restart_can_help(), "{class}");
            let last = ladder.rungs.last().map(|rung| rung.remedy);
            let expected = (class != Class::Benign).then_some(Remedy::Escalate);
            assert_eq!(last, expected, "{class} must end with a human");
        }
    }

    #[test]
    fn another_rules_remedy_goes_before_the_end_and_to_a_human() {
        let mut ladder = Ladder::of(
            Class::Hang,
            &[rung(Remedy::Restart, Mode::Auto, 1), rung(Remedy::Escalate, Mode::Auto, 1)],
        );
        let others = [rung(Remedy::Restart, Mode::Auto, 9), rung(Remedy::Rollback, Mode::Auto, 1)];
        assert!(ladder.adopt(&others));
        assert!(!ladder.adopt(&others));
        let shape: Vec<_> = ladder.rungs.iter().map(|rung| (rung.remedy, rung.mode)).collect();
        assert_eq!(
            shape,
            [
                (Remedy::Restart, Mode::Auto),
                (Remedy::Rollback, Mode::Approve),
                (Remedy::Escalate, Mode::Auto)
            ]
        );
    }
}
