//! What is known of releases beyond their own containers: each release carries the records of those before it, so that
//! one whose container somebody removed (`docker container prune` is enough) can be made anew from its image, and knows
//! since which release the data is not what it was.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::labels::Record;
use super::situation::{Found, Situation};
use crate::fleet::ReleaseId;

impl Situation {
    /// The records of releases that the next one is to carry, the one that a rollback would bring back first. As many as
    /// `keep`.
    #[must_use]
    pub fn past(&self, keep: usize) -> Vec<Record> {
        let mut restorable: Vec<&Found> = self.restorable().collect();
        restorable.sort_by_key(|found| Reverse(found.finished_at));
        let here = self.live.iter().chain(restorable).map(|found| &found.record);
        let mut seen = BTreeSet::new();
        here.chain(self.forgotten())
            .filter(|record| seen.insert(record.release.clone()))
            .take(keep)
            .map(|record| Record { past: Vec::new(), ..record.clone() })
            .collect()
    }

    /// Releases that are recorded, and have no container any more. The one that was live last comes first, as far as
    /// the newest container knows.
    #[must_use]
    pub fn forgotten(&self) -> Vec<&Record> {
        let mut here: BTreeSet<&ReleaseId> = self.all().map(|found| &found.record.release).collect();
        let mut carriers: Vec<&Found> = self.all().collect();
        carriers.sort_by_key(|found| Reverse(&found.record.release));
        let past = carriers.into_iter().flat_map(|found| &found.record.past);
        past.filter(|record| here.insert(&record.release)).collect()
    }

    /// The newest release that is known to have changed the app's data for good.
    #[must_use]
    pub fn migrated(&self) -> Option<&ReleaseId> {
        let here = self.all().map(|found| &found.record);
        here.chain(self.forgotten()).filter_map(|record| record.migrated.as_ref()).max()
    }

    /// The migration that lies between a release and the data as it is now, if one does.
    #[must_use]
    pub fn migrated_since(&self, release: &ReleaseId) -> Option<&ReleaseId> {
        self.migrated().filter(|migrated| release < migrated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::found;
    use crate::fleet::{AppName, Timestamp};

    fn id(release: u16) -> ReleaseId {
        found("x", release, false).record.release
    }

    fn situation(containers: Vec<Found>) -> Situation {
        Situation::of(&AppName::parse("shop").unwrap(), containers)
    }

    /// A live release 4 that carries what 3 and its predecessors were, whose containers may be gone.
    fn carried() -> Found {
        let before = situation(vec![
            found("shop", 3, true),
            found("shop_old", 1, false),
            found("shop_20261125-000002-0002", 2, false),
        ]);
        let mut live = found("shop", 4, true);
        live.record.past = before.past(10);
        live
    }

    fn releases<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<ReleaseId> {
        records.into_iter().map(|record| record.release.clone()).collect()
    }

    #[test]
    fn what_was_live_last_is_carried_first_and_no_more_than_is_kept() {
        // 2 was rolled back from, so that 1 ran once more before 3 came.
        let mut old = found("shop_old", 1, false);
        old.finished_at = Some(Timestamp::from_seconds(2_900));
        let before =
            situation(vec![found("shop", 3, true), old, found("shop_20261125-000002-0002", 2, false)]);
        assert_eq!(releases(&before.past(10)), [id(3), id(1), id(2)]);
        assert_eq!(releases(&before.past(2)), [id(3), id(1)]);
        assert_eq!(before.past(0), []);
        // Records are carried on, and never within each other.
        let next = situation(vec![carried()]);
        assert_eq!(releases(&next.past(10)), [id(4), id(3), id(2), id(1)]);
        assert!(next.past(10).iter().all(|record| record.past.is_empty()));
    }

    #[test]
    fn only_a_release_without_a_container_is_forgotten() {
        assert_eq!(releases(situation(vec![carried()]).forgotten()), [id(3), id(2), id(1)]);
        let some = situation(vec![carried(), found("shop_old", 3, false)]);
        assert_eq!(releases(some.forgotten()), [id(2), id(1)]);
        assert_eq!(releases(situation(vec![found("shop", 4, true)]).forgotten()), []);
    }

    #[test]
    fn a_migration_stands_between_older_releases_and_the_data_whichever_is_live() {
        let mut second = found("shop", 2, true);
        second.record.migrated = Some(id(2));
        let first = found("shop_old", 1, false);
        let migrated = situation(vec![second.clone(), first.clone()]);
        assert_eq!(migrated.migrated_since(&id(1)), Some(&id(2)));
        assert_eq!(migrated.migrated_since(&id(2)), None);
        // The supervisor is told.
        let told = |situation: &Situation| {
            situation.deployment(Timestamp::from_seconds(9_000)).unwrap().previous.unwrap().across_migration
        };
        assert!(told(&migrated));
        assert!(!told(&situation(vec![found("shop", 2, true), first.clone()])));
        // Rolled back across it: the data is still what it became.
        let back = situation(vec![
            Found { name: "shop_old".to_owned(), running: false, ..second.clone() },
            Found { name: "shop".to_owned(), running: true, ..first.clone() },
        ]);
        assert_eq!(back.migrated_since(&id(1)), Some(&id(2)));
        // Its container is gone; a later release knows.
        let mut third = found("shop", 3, true);
        third.record.migrated = Some(id(2));
        assert_eq!(situation(vec![third, first.clone()]).migrated_since(&id(1)), Some(&id(2)));
        assert_eq!(situation(vec![found("shop", 3, true), first]).migrated_since(&id(1)), None);
    }
}
