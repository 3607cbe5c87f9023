//! What is on a host of an app, and what an interrupted push left behind. Pure: containers in, judgement out.
//!
//! An app's containers are told apart by name alone, because a rename is the one change that Docker does atomically:
//!
//! | name             | is                                                                |
//! | ---------------- | ----------------------------------------------------------------- |
//! | `shop`           | the live release: it was healthy when it took the name            |
//! | `shop_new`       | a release being tried; gets the name `shop` only once it is healthy |
//! | `shop_back`      | a kept release being brought back; the same                        |
//! | `shop_old`       | the release before, stopped, ready to come back at once            |
//! | `shop_<release>` | older releases kept for a rollback, stopped                        |
//!
//! App names cannot contain `_`, so none of these is another app's. Whatever the moment at which a push is killed,
//! the names say what happened, and [`Situation::repairs`] says how to get back to a settled state.

use std::time::Duration;

use super::labels::Record;
use crate::fleet::{App, AppName, ContainerId, Deployment, PreviousRelease, ReleaseId, Role, Timestamp};

/// The name of the release being tried.
#[must_use]
pub fn new_name(app: &AppName) -> String {
    format!("{app}_new")
}

/// The name of a kept release that is being brought back.
#[must_use]
pub fn back_name(app: &AppName) -> String {
    format!("{app}_back")
}

/// The name of the release before.
#[must_use]
pub fn old_name(app: &AppName) -> String {
    format!("{app}_old")
}

/// The name of an older release kept for a rollback.
#[must_use]
pub fn kept_name(app: &AppName, release: &ReleaseId) -> String {
    format!("{app}_{release}")
}

/// The part that a container plays in its app, by its name.
#[must_use]
pub fn role(app: &AppName, container: &str) -> Role {
    if container == app.as_str() {
        Role::Live
    } else if container == new_name(app) || container == back_name(app) {
        Role::Candidate
    } else {
        Role::Kept
    }
}

/// Whether a container of this name and release is one of the app's. Labels alone prove nothing: an image can carry
/// them, and so can a copy that somebody made of one of our containers.
#[must_use]
pub fn is_ours(app: &AppName, container: &str, release: &ReleaseId) -> bool {
    [app.to_string(), new_name(app), back_name(app), old_name(app), kept_name(app, release)]
        .iter()
        .any(|name| name == container)
}

/// One container of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// What its labels say.
    pub record: Record,
    /// Whether its process runs (or is being restarted by the engine).
    pub running: bool,
    /// When the engine made it, by the host's clock.
    pub created: Timestamp,
    /// When its process last started; `None` when it never did.
    pub started_at: Option<Timestamp>,
    /// When its process last ended; `None` when it never did.
    pub finished_at: Option<Timestamp>,
}

impl Found {
    /// How long it ran the last time, or has been running at `now`: a lower bound of how long it was good.
    #[must_use]
    pub fn ran_for(&self, now: Timestamp) -> Duration {
        match (self.started_at, self.finished_at) {
            (Some(started), _) if self.running => now.since(started),
            (Some(started), Some(finished)) => finished.since(started),
            _ => Duration::ZERO,
        }
    }
}

/// Everything on one host of one app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Situation {
    /// The live release.
    pub live: Option<Found>,
    /// The release being tried or brought back.
    pub candidate: Option<Found>,
    /// The release before.
    pub old: Option<Found>,
    /// Older releases, newest first.
    pub kept: Vec<Found>,
}

/// One change that undoes what an interrupted push left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Remove the release that was being tried.
    RemoveCandidate(ContainerId, ReleaseId),
    /// Put the release that was being brought back to the kept ones again.
    KeepCandidate(ContainerId, ReleaseId),
    /// Stop the candidate, so that what it holds is free for the old release.
    StopCandidate(ContainerId),
    /// Give the release before its name back.
    RestoreOld(ContainerId),
    /// Start the live release.
    Start(ContainerId),
}

/// What an interrupted push left, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// A new container was made; the live one was not touched.
    BeforeSwitch,
    /// The live release was stopped and the new one has not proved itself.
    DuringSwitch,
    /// A first release was being tried; there is nothing to bring back.
    FirstRelease,
    /// Two slots were being swapped: what is live is what Caddy leads to.
    BetweenSlots,
    /// The slots were swapped, and the release before was not stopped yet.
    OldStillRuns,
}

impl Situation {
    /// Sorts an app's containers by the part they play. Those that are not ours, whatever their labels say, are left out.
    #[must_use]
    pub fn of(app: &AppName, containers: impl IntoIterator<Item = Found>) -> Self {
        let mut situation = Self::default();
        for found in containers {
            if found.name == app.as_str() {
                situation.live = Some(found);
            } else if found.name == new_name(app) || found.name == back_name(app) {
                situation.candidate = Some(found);
            } else if found.name == old_name(app) {
                situation.old = Some(found);
            } else if found.name == kept_name(app, &found.record.release) {
                situation.kept.push(found);
            }
        }
        situation.kept.sort_by(|a, b| b.record.release.cmp(&a.record.release));
        situation
    }

    /// Whether a push or rollback was interrupted, or is under way right now: the lock tells which.
    #[must_use]
    pub fn interruption(&self) -> Option<Interruption> {
        let slotted = |found: &Found| found.record.slot.is_some();
        match (&self.live, &self.candidate, &self.old) {
            (live, Some(candidate), old) if slotted(candidate) && (live.is_some() || old.is_some()) => {
                Some(Interruption::BetweenSlots)
            }
            (Some(_), None, _) if self.restorable().any(|kept| kept.running && slotted(kept)) => {
                Some(Interruption::OldStillRuns)
            }
            (Some(live), Some(_), _) if live.running => Some(Interruption::BeforeSwitch),
            (Some(_), Some(_), _) => Some(Interruption::DuringSwitch),
            (None, _, Some(_)) => Some(Interruption::DuringSwitch),
            (None, Some(_), None) => Some(Interruption::FirstRelease),
            _ => None,
        }
    }

    /// The changes that bring back the release that was live before, in order. Empty when the situation is settled.
    /// Carried out only by who holds the lock, since nobody else knows that no push is under way.
    #[must_use]
    pub fn repairs(&self) -> Vec<Repair> {
        let mut repairs = Vec::new();
        if let Some(candidate) = &self.candidate
            && candidate.running
        {
            repairs.push(Repair::StopCandidate(candidate.id.clone()));
        }
        match (&self.live, &self.old) {
            (None, Some(old)) => {
                repairs.push(Repair::RestoreOld(old.id.clone()));
                repairs.push(Repair::Start(old.id.clone()));
            }
            // Stopped by a change that was cut short, whether on its way in or out.
            (Some(live), _) if self.candidate.is_some() && !live.running => {
                repairs.push(Repair::Start(live.id.clone()));
            }
            _ => {}
        }
        if let Some(candidate) = &self.candidate {
            repairs.push(if candidate.name == back_name(&candidate.record.app.name) {
                Repair::KeepCandidate(candidate.id.clone(), candidate.record.release.clone())
            } else {
                Repair::RemoveCandidate(candidate.id.clone(), candidate.record.release.clone())
            });
        }
        repairs
    }

    /// Every release that can be brought back, newest first; the one before comes first of all.
    pub fn restorable(&self) -> impl Iterator<Item = &Found> {
        self.old.iter().chain(&self.kept)
    }

    /// The release that a plain `arcane rollback` brings back: of those older than what is live, the one that was live
    /// last. A release that was itself rolled back from is either newer than the live one, or was followed by the one
    /// that was good; so it is never chosen unasked.
    #[must_use]
    pub fn previous(&self) -> Option<&Found> {
        let live = self.live.as_ref()?;
        self.restorable()
            .filter(|found| found.record.release < live.record.release && found.started_at.is_some())
            .max_by_key(|found| found.finished_at)
    }

    /// What the rules and the supervisor need to know; `None` when nothing is live.
    #[must_use]
    pub fn deployment(&self, now: Timestamp) -> Option<Deployment> {
        let live = self.live.as_ref()?;
        Some(Deployment {
            app: live.record.app.name.clone(),
            release: live.record.release.clone(),
            deployed_at: live.created,
            spec: live.record.spec.clone(),
            prove: live.record.app.prove,
            policy: live.record.app.heal.clone(),
            previous: self.previous().map(|found| PreviousRelease {
                release: found.record.release.clone(),
                spec: found.record.spec.clone(),
                ran_for: found.ran_for(now),
                across_migration: self.migrated_since(&found.record.release).is_some(),
            }),
        })
    }

    /// The kept releases that are more than the live one's app wants kept, the one before counted in. The newest one
    /// that is proved is never surplus as long as the live release is not proved itself: there would be nothing left
    /// that is known to be good.
    #[must_use]
    pub fn surplus(&self, now: Timestamp) -> Vec<&Found> {
        let Some(live) = &self.live else { return Vec::new() };
        let App { keep, prove, .. } = live.record.app;
        let is_proved = |found: &&Found| found.ran_for(now) >= prove;
        let needed = match is_proved(&live) {
            true => None,
            false => self.restorable().find(is_proved).map(|found| &found.id),
        };
        self.restorable().skip(keep).filter(|found| Some(&found.id) != needed).collect()
    }

    /// One of the app's containers by its id.
    #[must_use]
    pub fn find(&self, id: &ContainerId) -> Option<&Found> {
        self.all().find(|found| found.id == *id)
    }

    /// Whether a release is there in any container.
    #[must_use]
    pub fn has(&self, release: &ReleaseId) -> bool {
        self.all().any(|found| found.record.release == *release)
    }

    /// Whether a release is there in two containers.
    #[must_use]
    pub fn has_twice(&self, release: &ReleaseId) -> bool {
        self.all().filter(|found| found.record.release == *release).count() > 1
    }

    /// The newest release that is there, whatever part it plays.
    #[must_use]
    pub fn newest(&self) -> Option<&ReleaseId> {
        self.all().map(|found| &found.record.release).max()
    }

    /// Every container of the app.
    pub(super) fn all(&self) -> impl Iterator<Item = &Found> {
        self.live.iter().chain(&self.candidate).chain(self.restorable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::found;

    fn name() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn situation(containers: &[(&str, u16, bool)]) -> Situation {
        Situation::of(
            &name(),
            containers.iter().map(|(name, release, running)| found(name, *release, *running)),
        )
    }

    #[test]
    fn a_settled_app_needs_nothing() {
        for containers in [&[("shop", 2, true), ("shop_old", 1, false)][..], &[("shop", 1, false)], &[]] {
            let situation = situation(containers);
            assert_eq!(situation.interruption(), None, "{containers:?}");
            assert_eq!(situation.repairs(), [], "{containers:?}");
        }
    }

    #[test]
    fn every_interruption_leads_back_to_the_old_release() {
        use Interruption::*;
        let id = |release: u16| found("x", release, false).id;
        let (stop, remove) = (
            Repair::StopCandidate(id(2)),
            Repair::RemoveCandidate(id(2), found("x", 2, false).record.release),
        );
        let keep = Repair::KeepCandidate(id(2), found("x", 2, false).record.release);
        let (restore, start) = (Repair::RestoreOld(id(1)), Repair::Start(id(1)));
        let cases: &[(&[(&str, u16, bool)], Interruption, &[&Repair])] = &[
            // made, nothing touched yet
            (&[("shop", 1, true), ("shop_new", 2, false)], BeforeSwitch, &[&remove]),
            // stopped
            (&[("shop", 1, false), ("shop_new", 2, false)], DuringSwitch, &[&start, &remove]),
            // renamed
            (&[("shop_old", 1, false), ("shop_new", 2, false)], DuringSwitch, &[&restore, &start, &remove]),
            // started
            (
                &[("shop_old", 1, false), ("shop_new", 2, true)],
                DuringSwitch,
                &[&stop, &restore, &start, &remove],
            ),
            // boomerang cut short
            (&[("shop_old", 1, false)], DuringSwitch, &[&restore, &start]),
            // a rollback from 1 to 2: what was being brought back is kept, not removed
            (
                &[("shop_old", 1, false), ("shop_back", 2, true)],
                DuringSwitch,
                &[&stop, &restore, &start, &keep],
            ),
            // first push
            (&[("shop_new", 2, true)], FirstRelease, &[&stop, &remove]),
        ];
        for (containers, interruption, repairs) in cases {
            let situation = situation(containers);
            assert_eq!(situation.interruption(), Some(*interruption), "{containers:?}");
            assert_eq!(situation.repairs().iter().collect::<Vec<_>>(), *repairs, "{containers:?}");
        }
    }

    #[test]
    fn what_was_cut_off_between_two_slots_is_told_apart() {
        let cases: &[(&[(&str, u16, bool)], Option<Interruption>)] = &[
            (&[("shop", 2, true), ("shop_new", 3, true)], Some(Interruption::BetweenSlots)),
            (&[("shop_old", 2, true), ("shop_back", 1, true)], Some(Interruption::BetweenSlots)),
            (&[("shop", 3, true), ("shop_old", 2, true)], Some(Interruption::OldStillRuns)),
            (&[("shop", 3, true), ("shop_old", 2, false)], None),
            (&[("shop_new", 1, true)], Some(Interruption::FirstRelease)),
        ];
        for (containers, expected) in cases {
            let slotted = containers.iter().map(|(of, release, running)| {
                let mut found = found(of, *release, *running);
                found.record.slot = Some(8001);
                found
            });
            assert_eq!(Situation::of(&name(), slotted).interruption(), *expected, "{containers:?}");
        }
    }

    #[test]
    fn a_release_that_was_rolled_back_from_is_not_gone_back_to() {
        let situation =
            situation(&[("shop", 2, true), ("shop_old", 3, false), ("shop_20261125-000001-0001", 1, false)]);
        assert_eq!(situation.previous().unwrap().record.release, found("x", 1, false).record.release);
    }

    #[test]
    fn the_release_that_was_live_last_is_gone_back_to_not_the_newest() {
        // 1 was good, 2 was rolled back from, so that 1 ran once more before 3 came.
        let mut situation =
            situation(&[("shop", 3, true), ("shop_old", 1, false), ("shop_20261125-000002-0002", 2, false)]);
        situation.old.as_mut().unwrap().finished_at = Some(Timestamp::from_seconds(2_900));
        assert_eq!(situation.previous().unwrap().record.release, found("x", 1, false).record.release);
    }

    /// A host in memory: just enough of an engine to rename, start, stop and remove.
    #[derive(Clone)]
    struct Model(Vec<Found>);

    impl Model {
        fn find(&mut self, id: &ContainerId) -> &mut Found {
            self.0.iter_mut().find(|found| found.id == *id).unwrap()
        }

        fn rename(&mut self, id: &ContainerId, name: &str) {
            assert!(
                self.0.iter().all(|found| found.name != name),
                "Docker refuses a name that is taken: {name}"
            );
            self.find(id).name = name.to_owned();
        }

        fn repair(&mut self) {
            for repair in Situation::of(&name(), self.0.clone()).repairs() {
                match repair {
                    Repair::StopCandidate(id) => self.find(&id).running = false,
                    Repair::Start(id) => self.find(&id).running = true,
                    Repair::RestoreOld(id) => self.rename(&id, "shop"),
                    Repair::RemoveCandidate(id, _) => self.0.retain(|found| found.id != id),
                    Repair::KeepCandidate(id, release) => self.rename(&id, &kept_name(&name(), &release)),
                }
            }
        }
    }

    /// What a change does to a host, one step after the other.
    type Change = Vec<Box<dyn Fn(&mut Model)>>;

    fn swap(candidate: u16, candidate_name: &'static str, old: Option<u16>) -> Change {
        let id = |release: u16| found("x", release, false).id;
        let live = 2;
        let mut steps: Change = Vec::new();
        match candidate_name {
            "shop_new" => steps.push(Box::new(move |m| m.0.push(found("shop_new", candidate, false)))),
            _ => steps.push(Box::new(move |m| m.rename(&id(candidate), candidate_name))),
        }
        if let Some(old) = old.filter(|old| *old != candidate) {
            let kept = kept_name(&name(), &found("x", old, false).record.release);
            steps.push(Box::new(move |m| m.rename(&id(old), &kept)));
        }
        steps.push(Box::new(move |m| m.find(&id(live)).running = false));
        steps.push(Box::new(move |m| m.rename(&id(live), "shop_old")));
        steps.push(Box::new(move |m| m.find(&id(candidate)).running = true));
        steps
    }

    #[test]
    fn a_change_cut_off_anywhere_is_undone_completely_even_if_the_undoing_is_cut_off() {
        let start = Model(vec![found("shop", 2, true), found("shop_old", 1, false)]);
        let changes = [("push", swap(3, "shop_new", Some(1))), ("rollback", swap(1, "shop_back", Some(1)))];
        for (what, steps) in changes {
            for cut in 0..=steps.len() {
                let mut host = start.clone();
                steps[..cut].iter().for_each(|step| step(&mut host));
                host.repair();
                let after = Situation::of(&name(), host.0.clone());
                let context = format!("{what} cut after step {cut}");
                assert_eq!(after.interruption(), None, "{context}");
                assert_eq!(after.repairs(), [], "{context}");
                let live = after.live.expect(&context);
                assert!(
                    live.running && live.record.release == found("x", 2, true).record.release,
                    "{context}"
                );
                let lost = start.0.iter().find(|before| host.0.iter().all(|now| now.id != before.id));
                assert_eq!(lost, None, "{context}: a kept release is gone");
                assert_eq!(host.0.len(), 2, "{context}: an orphan is left");
            }
        }
    }

    #[test]
    fn surplus_keeps_the_newest_and_the_last_proved_one() {
        let now = Timestamp::from_seconds(4_100);
        let mut situation = situation(&[
            ("shop", 4, true),
            ("shop_old", 3, false),
            ("shop_20261125-000001-0001", 1, false),
            ("shop_20261125-000002-0002", 2, false),
        ]);
        let mut check = |keep: usize, prove: u64, expected: &[&str]| {
            let app = &mut situation.live.as_mut().unwrap().record.app;
            (app.keep, app.prove) = (keep, Duration::from_secs(prove));
            let surplus: Vec<_> =
                situation.surplus(now).iter().map(|found| found.record.release.as_str()).collect();
            assert_eq!(surplus, expected, "keep {keep}, prove {prove} s");
        };
        // The live release has run for 100 s, the others for 60 s each.
        check(2, 100, &["20261125-000001-0001"]);
        check(3, 100, &[]);
        check(0, 100, &["20261125-000003-0003", "20261125-000002-0002", "20261125-000001-0001"]);
        // Not proved yet itself: the newest proved one stays, whatever `keep` says.
        check(0, 101, &["20261125-000003-0003", "20261125-000002-0002", "20261125-000001-0001"]);
        situation.old.as_mut().unwrap().finished_at = Some(Timestamp::from_seconds(3_500));
        let app = &mut situation.live.as_mut().unwrap().record.app;
        (app.keep, app.prove) = (0, Duration::from_secs(300));
        let surplus: Vec<_> = situation.surplus(now).iter().map(|found| found.name.as_str()).collect();
        assert_eq!(surplus, ["shop_20261125-000002-0002", "shop_20261125-000001-0001"]);
    }

    #[test]
    fn labels_alone_make_no_container_ours() {
        let release = found("x", 1, false).record.release;
        for ours in ["shop", "shop_new", "shop_back", "shop_old", "shop_20261125-000001-0001"] {
            assert!(is_ours(&name(), ours, &release), "{ours}");
        }
        for foreign in ["evil", "shop-1", "shop_20261125-000001-0002", "shop_older", "Shop"] {
            assert!(!is_ours(&name(), foreign, &release), "{foreign}");
        }
    }
}
