//! The rules of a shell at work: time passes for them, their files are looked at now and then, and what they had to forget
//! is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::carry_out::Ended;
use super::run::Run;
use super::shell::Told;
use crate::fleet::{Signal, Timestamp};
use crate::rules::RuleSet;

/// How often it is looked whether the rules have changed.
const LOOK: Duration = Duration::from_secs(2);
/// Time that passes in one step is less than this, or our clock has jumped.
const JUMP: Duration = Duration::from_secs(30);

/// What is remembered for that.
pub(super) struct Reread {
    last_look: Instant,
    /// It is being looked whether the rules have changed.
    looking: bool,
    /// What of this machine's time was last told to the rules.
    told_time: Option<Timestamp>,
    /// How much was last told to have been forgotten.
    dropped: u64,
}

impl Reread {
    pub(super) fn new() -> Self {
        Self { last_look: Instant::now(), looking: false, told_time: None, dropped: 0 }
    }
}

impl Run<'_> {
    /// Time passes for the rules. When it jumps, the machine slept or its clock was stepped, and silence means nothing.
    pub(super) fn pass(&mut self, now: Timestamp) -> Vec<Signal> {
        let before = self.reread.told_time.replace(now);
        if before.is_some_and(|before| now.since(before).max(before.since(now)) > JUMP) {
            self.shell.engine.doubt_clock();
        }
        self.shell.engine.advance(now)
    }

    /// Looks now and then whether the rules have changed; in the background, since files may be slow.
    pub(super) fn look_at_rules(&mut self) {
        let due = !self.reread.looking && !self.closing && self.reread.last_look.elapsed() >= LOOK;
        let Some(source) = self.shell.rules.clone().filter(|_| due) else { return };
        self.reread.last_look = Instant::now();
        self.reread.looking = true;
        self.tasks.spawn(async move {
            // A panic while reading is a bug of ours: the rules before stay in force.
            let found = tokio::task::spawn_blocking(move || source.changed()).await;
            let found = found.unwrap_or_else(|panic| Some(Err(format!("a bug in arcane: {panic}"))));
            Ended::Rules(found.map(Box::new))
        });
    }

    /// Goes by what was found.
    pub(super) fn take_rules(&mut self, found: Option<Box<Result<RuleSet, String>>>) {
        self.reread.looking = false;
        match found.map(|found| *found) {
            None => {}
            Some(Ok(rules)) => {
                let rules = Arc::new(rules);
                self.shell.engine.reload(Arc::clone(&rules));
                (self.tell)(Told::Rules(Ok(rules)));
            }
            Some(Err(why)) => (self.tell)(Told::Rules(Err(why))),
        }
    }

    /// Tells, not too often, when more had to be forgotten.
    pub(super) fn tell_dropped(&mut self) {
        let dropped = self.shell.engine.dropped();
        if dropped > self.reread.dropped.saturating_mul(2).max(self.reread.dropped.saturating_add(99)) {
            self.reread.dropped = dropped;
            (self.tell)(Told::Dropped(dropped));
        }
    }
}
