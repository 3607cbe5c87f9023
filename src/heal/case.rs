//! A case: an incident together with what the supervisor must know to go on with it. The incident is what the
//! journal keeps; everything else here can be lost in a crash, and the supervisor then asks a human sooner.

use std::time::Duration;

use crate::fleet::text::printable;
use crate::fleet::{
    ActionOutcome, ActionRecord, AppName, ContainerId, Evidence, Incident, IncidentState, Novelty, OnFail,
    ReleaseId, Remedy, Signal, Symptom, Timestamp, Verify,
};

use super::ladder::Ladder;
use super::settings::Limits;

/// Pieces of evidence that are never pushed out: how it began.
const FIRST_EVIDENCE: usize = 10;

/// Signals of one case come out of order by no more than this.
pub(super) const OUT_OF_ORDER: Duration = Duration::from_secs(60);

/// How long a change that only counts may stay unsaved: a flood of signals must not become a flood of writes.
pub(super) const SAVE_AFTER: Duration = Duration::from_secs(5);

/// An incident that is being worked on, or was.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) incident: Incident,
    /// The container that the last signal was about.
    pub(super) container: Option<ContainerId>,
    pub(super) ladder: Ladder,
    /// Whether the ladder is only what the journal knew of it.
    pub(super) restored: bool,
    pub(super) verify: Verify,
    pub(super) forbid: Vec<Remedy>,
    /// What to do when nothing has helped.
    pub(super) on_fail: OnFail,
    /// Apps that show what is wrong here as symptoms of theirs.
    pub(super) dependents: Vec<AppName>,
    pub(super) trust: Trust,
    pub(super) phase: Phase,
    /// The time of the newest signal, by the host's clock.
    pub(super) newest_signal: Timestamp,
    /// The start that followed our last action, by the host's clock: whatever is older is about an earlier life.
    pub(super) revived_at: Option<Timestamp>,
    /// When anything bad was last heard, in steady time.
    pub(super) noise_at: Timestamp,
    /// The remedy that was tried last, and the end of the pause before it may be tried again.
    pub(super) pause: Option<(Remedy, Timestamp)>,
    /// Since when the due action is held up.
    pub(super) held_since: Option<Timestamp>,
    /// How often in a row the lock was held.
    pub(super) refusals: u32,
    /// Set once a rollback went through: which release it brought back, when that is known.
    pub(super) rolled_back: Option<Option<ReleaseId>>,
    /// When it was over.
    pub(super) over_at: Option<Timestamp>,
    /// Whether a human said that it is nothing.
    pub(super) muted: bool,
    /// Whether there are changes that the journal does not have.
    pub(super) unsaved: bool,
    pub(super) saved_at: Timestamp,
}

/// How far the evidence can be trusted. Only complete trust justifies an unattended action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trust {
    /// State is part of it: log text can be forged.
    pub(super) state: bool,
    /// Every piece of it came as it happened.
    pub(super) live: bool,
    /// What has made it doubtful since.
    pub(super) doubt: Option<String>,
}

impl Trust {
    pub(super) const fn is_complete(&self) -> bool {
        self.state && self.live && self.doubt.is_none()
    }
}

/// What a case waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// For nothing but a signal or a human.
    Idle,
    /// For a time.
    Due(Timestamp, Due),
    /// For the end of an action; since then, until then.
    Acting(Timestamp, Timestamp),
    /// For the host to show what became of an action that a crash of ours interrupted; until then.
    Reconciling(Timestamp),
    /// For proof that the action helped.
    Verifying(Watch),
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// To decide (again).
    Decide,
    /// To judge whether waiting, begun then, was enough.
    Wait(Timestamp),
    /// To try what a human approved once more.
    Retry(Remedy, String),
}

/// The proof in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watch {
    /// Since when it runs quietly, if it does.
    pub(super) quiet_since: Option<Timestamp>,
    /// It ran for long enough, and only its health check is still to agree.
    pub(super) ran: bool,
    /// When it has failed; nothing runs out while the host is out of sight.
    pub(super) deadline: Option<Timestamp>,
}

impl Case {
    /// A new case for a signal.
    pub(super) fn open(incident: Incident, signal: &Signal, verify: Verify, now: Timestamp) -> Self {
        Self {
            verify,
            forbid: signal.forbid.clone(),
            on_fail: signal.on_fail,
            dependents: signal.dependents.clone(),
            container: Some(signal.container.clone()),
            newest_signal: signal.at,
            ..Self::bare(incident, Ladder::of(signal.class, &signal.ladder), now)
        }
    }

    /// A case of which only the incident is known.
    pub(super) fn bare(incident: Incident, ladder: Ladder, now: Timestamp) -> Self {
        Self {
            incident,
            container: None,
            ladder,
            restored: false,
            verify: super::policy::verify(&crate::fleet::HealPolicy::default(), None),
            forbid: Vec::new(),
            on_fail: OnFail::default(),
            dependents: Vec::new(),
            trust: Trust::default(),
            phase: Phase::Idle,
            newest_signal: Timestamp::from_nanos(i64::MIN),
            revived_at: None,
            noise_at: now,
            pause: None,
            held_since: None,
            refusals: 0,
            rolled_back: None,
            over_at: None,
            muted: false,
            unsaved: false,
            saved_at: now,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.incident.state.is_over()
    }

    /// Whether a problem of `release` belongs to this case: its own, or the one that we rolled back to.
    pub(super) fn covers(&self, release: &ReleaseId) -> bool {
        self.incident.release == *release || (self.rolled_back.is_some() && *release < self.incident.release)
    }

    /// Whether what a signal tells is no news to this case: it is not newer than the newest that it has.
    pub(super) fn has_seen(&self, signal: &Signal) -> bool {
        signal.at == self.newest_signal || is_before(signal, self.newest_signal)
    }

    /// Whether a signal is about the life of the app before the start that followed our doing.
    pub(super) fn has_outlived(&self, signal: &Signal) -> bool {
        self.revived_at.is_some_and(|revived| is_before(signal, revived))
    }

    /// Whether a signal tells that what this case is about is back.
    pub(super) fn is_symptom(&self, signal: &Signal) -> bool {
        self.incident.rule == signal.rule
            || match self.verify.quiet {
                Symptom::Own => false,
                Symptom::Class => self.incident.class == signal.class,
                Symptom::App => true,
            }
    }

    /// The apps to restart after a remedy, in words, when its rung asks for that. That is left to a human.
    pub(super) fn afterwards(&self, remedy: Remedy) -> Option<String> {
        let asks = self.ladder.rungs.iter().any(|rung| rung.remedy == remedy && rung.then_dependents);
        let names: Vec<&str> = self.dependents.iter().map(AppName::as_str).collect();
        (asks && !names.is_empty()).then(|| {
            format!("what depends on it is yours to restart if it does not recover: {}", names.join(", "))
        })
    }

    /// How often a remedy was carried out for this incident. What a lock refused does not count.
    pub(super) fn tries(&self, remedy: Remedy) -> u32 {
        let tries = self
            .incident
            .actions
            .iter()
            .filter(|action| action.remedy == remedy && action.outcome != ActionOutcome::Refused)
            .count();
        u32::try_from(tries).unwrap_or(u32::MAX)
    }

    /// The last thing that was done to the server.
    pub(super) fn last_action(&mut self) -> Option<&mut ActionRecord> {
        self.incident.actions.iter_mut().rev().find(|action| action.outcome != ActionOutcome::Refused)
    }

    /// Adds evidence; what is already there is not repeated, and what is too much makes way in the middle.
    pub(super) fn add_evidence(&mut self, evidence: &[Evidence], limits: &Limits) {
        let kept = &mut self.incident.evidence;
        for piece in evidence.iter().take(limits.evidence) {
            let piece = Evidence { at: piece.at, text: printable(&piece.text, limits.text) };
            if kept.contains(&piece) {
                continue;
            }
            if kept.len() >= limits.evidence.max(FIRST_EVIDENCE + 1) {
                kept.remove(FIRST_EVIDENCE);
            }
            kept.push(piece);
        }
    }

    /// Takes up what is new in the log of the incident's release. What was known once stays when nothing is known now.
    pub(super) fn renew_novelty(&mut self, novelty: &[Novelty], limits: &Limits) {
        if novelty.is_empty() {
            return;
        }
        let cut = |novelty: &Novelty| Novelty {
            what: novelty.what,
            template: printable(&novelty.template, limits.text),
            sample: Evidence { at: novelty.sample.at, text: printable(&novelty.sample.text, limits.text) },
            lines: novelty.lines,
        };
        self.incident.novelty = novelty.iter().take(limits.evidence).map(cut).collect();
    }

    /// What was tried so far, in words.
    pub(super) fn tried(&self) -> String {
        let tried: Vec<String> = self
            .incident
            .actions
            .iter()
            .map(|action| {
                let ended = match action.outcome {
                    ActionOutcome::Begun => "not ended",
                    ActionOutcome::Done => "done",
                    ActionOutcome::Healed => "healed",
                    ActionOutcome::NotHealed => "did not help",
                    ActionOutcome::Refused => "was refused",
                    ActionOutcome::Failed => "failed",
                };
                format!("{} ({}) {ended}", action.remedy, action.by)
            })
            .collect();
        if tried.is_empty() { "nothing was tried".to_owned() } else { format!("tried: {}", tried.join(", ")) }
    }

    /// Puts the incident into a state, for a reason.
    pub(super) fn stand(&mut self, state: IncidentState, note: Option<String>, phase: Phase) {
        self.incident.state = state;
        self.incident.note = note;
        self.phase = phase;
    }

    /// When this case wants to be looked at again.
    pub(super) fn due(&self) -> Option<Timestamp> {
        if !self.unsaved && self.phase == Phase::Idle {
            return None;
        }
        let phase = match &self.phase {
            Phase::Idle => None,
            Phase::Due(at, _) | Phase::Acting(_, at) | Phase::Reconciling(at) => Some(*at),
            Phase::Verifying(watch) => {
                let proved =
                    watch.quiet_since.filter(|_| !watch.ran).map(|since| since + self.verify.running);
                [proved, watch.deadline].into_iter().flatten().min()
            }
        };
        let save = self.unsaved.then(|| self.saved_at + SAVE_AFTER);
        [phase, save].into_iter().flatten().min()
    }
}

/// Whether a signal tells of something before `at`. What has just happened can be so only by a little, or a host's clock
/// that was set back would make us deaf for as long.
fn is_before(signal: &Signal, at: Timestamp) -> bool {
    signal.at < at && (!signal.live || at.since(signal.at) <= OUT_OF_ORDER)
}
