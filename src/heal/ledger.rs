//! The ledger: every action that began, as budgets, attempts and "once per release" count them. It outlives the
//! incidents that it came from, and is rebuilt from their records after a restart of ours.

use std::collections::VecDeque;

use crate::fleet::{ActionOutcome, AppName, HostName, ReleaseId, Remedy, Timestamp};

use super::effect::ActionId;

/// Entries kept. With the default budgets that is a week of nothing but actions.
const CAPACITY: usize = 10_000;

/// One action that changes a server.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) action: ActionId,
    /// When it began, in steady time.
    pub(super) at: Timestamp,
    pub(super) host: HostName,
    pub(super) app: AppName,
    /// The release that it was to cure.
    pub(super) release: ReleaseId,
    pub(super) remedy: Remedy,
    pub(super) outcome: ActionOutcome,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
}

impl Ledger {
    /// Enters an action. The oldest that has ended makes room.
    pub(super) fn enter(&mut self, entry: Entry) {
        if self.entries.len() >= CAPACITY {
            let ended = self.entries.iter().position(|old| old.outcome != ActionOutcome::Begun);
            self.entries.remove(ended.unwrap_or(0));
        }
        self.entries.push_back(entry);
    }

    /// Notes how an action ended. A refused one changed nothing and is struck out.
    pub(super) fn end(&mut self, action: ActionId, outcome: ActionOutcome) {
        if outcome == ActionOutcome::Refused {
            self.entries.retain(|entry| entry.action != action);
        } else if let Some(entry) = self.entries.iter_mut().find(|entry| entry.action == action) {
            entry.outcome = outcome;
        }
    }

    /// The action of an app that has begun and not ended, on whichever host.
    pub(super) fn in_flight(&self, app: &AppName) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.app == *app && entry.outcome == ActionOutcome::Begun)
    }

    /// Whether an action is under way for an app on a host.
    pub(super) fn in_flight_at(&self, host: &HostName, app: &AppName) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.app == *app && entry.host == *host && entry.outcome == ActionOutcome::Begun)
    }

    /// The actions that `counts` picks, newest first.
    pub(super) fn newest_first<'a>(
        &'a self,
        counts: impl Fn(&Entry) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().rev().filter(move |entry| counts(entry))
    }

    /// The rollbacks of an app that went through, or may have.
    pub(super) fn rollbacks<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = &'a Entry> {
        self.newest_first(move |entry| {
            entry.app == *app && entry.remedy == Remedy::Rollback && entry.outcome != ActionOutcome::Failed
        })
    }
}
