//! Which steps a push or a rollback takes when each goes well, for `--plan`: the order of `deploy`, seen from outside.

use serde::Serialize;

use crate::deploy::Step;
use crate::deploy::labels::Record;
use crate::deploy::situation::Situation;
use crate::deploy::target::How;
use crate::fleet::App;

/// What becomes of the live release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// It is live already.
    None,
    /// Nothing of the app is live there.
    New,
    /// The live release is replaced.
    Replace,
}

/// The steps that would come when each goes well, in their order.
pub(super) fn steps(
    app: &App,
    situation: &Situation,
    change: Change,
    builds: bool,
    has_image: bool,
    tidies: bool,
) -> Vec<Step> {
    let changes = change != Change::None;
    let release =
        |with_volumes| changes && app.release.as_ref().is_some_and(|command| command.volumes == with_volumes);
    // After repairs, what was the release before is live again.
    let live = situation.live.is_some() || situation.old.is_some();
    let keeps_old = situation.live.is_some() && situation.old.is_some();
    let steps = [
        (builds, Step::Build),
        (true, Step::Look),
        (changes && !has_image, Step::Transfer),
        (changes, Step::Lock),
        (changes && !situation.repairs().is_empty(), Step::Repair),
        (changes && app.hooks.before.is_some(), Step::Hook),
        (changes && !app.secrets.is_empty(), Step::Secrets),
        (release(false), Step::Release),
        (changes, Step::Create),
        (changes && keeps_old, Step::Rename),
        (changes && live, Step::Stop),
        (changes && live, Step::Rename),
        (release(true), Step::Release),
        (changes, Step::Start),
        (changes, Step::Health),
        (changes && !app.bake.is_zero(), Step::Bake),
        (changes, Step::Switch),
        (changes && app.hooks.after.is_some(), Step::Hook),
        (changes && tidies, Step::Tidy),
    ];
    coming(&steps)
}

/// The same of a swap between two slots.
pub(super) fn swap_steps(
    app: &App,
    situation: &Situation,
    change: Change,
    builds: bool,
    has_image: bool,
    tidies: bool,
) -> Vec<Step> {
    let changes = change != Change::None;
    let live = situation.live.is_some() || situation.old.is_some();
    let runs = situation.live.as_ref().or(situation.old.as_ref()).is_some_and(|live| live.running);
    let steps = [
        (builds, Step::Build),
        (true, Step::Look),
        (changes && !has_image, Step::Transfer),
        (changes, Step::Lock),
        (changes && situation.interruption().is_some(), Step::Repair),
        (changes && app.hooks.before.is_some(), Step::Hook),
        (changes && !app.secrets.is_empty(), Step::Secrets),
        (changes && app.release.is_some(), Step::Release),
        (changes, Step::Create),
        (changes, Step::Start),
        (changes, Step::Health),
        (changes, Step::Route),
        (changes && !app.bake.is_zero(), Step::Bake),
        (changes && live, Step::Rename),
        (changes, Step::Switch),
        (changes && runs, Step::Drain),
        (changes && runs, Step::Stop),
        (changes && app.hooks.after.is_some(), Step::Hook),
        (changes && tidies, Step::Tidy),
    ];
    coming(&steps)
}

/// The steps of a rollback.
pub(super) fn steps_back(
    situation: &Situation,
    target: Option<&Record>,
    how: How,
    by_slots: bool,
) -> Vec<Step> {
    let release = target.map(|target| &target.release);
    let repairs = situation.interruption().is_some();
    let changes = how != How::Repair;
    let starts = how == How::Start;
    let runs = situation.live.as_ref().is_some_and(|live| live.running);
    let old = situation.old.as_ref().map(|old| &old.record.release);
    let old_stays = old.is_some() && old != release;
    let live = situation.live.is_some();
    let steps = [
        (true, Step::Look),
        (true, Step::Lock),
        (repairs, Step::Repair),
        (changes && starts, Step::Rename),
        (changes && !starts, Step::Create),
        (changes && !by_slots && old_stays, Step::Rename),
        (changes && !by_slots && live, Step::Stop),
        (changes && !by_slots && live, Step::Rename),
        (changes, Step::Start),
        (changes, Step::Health),
        (changes && by_slots, Step::Route),
        (changes && by_slots && old_stays, Step::Rename),
        (changes && by_slots && live, Step::Rename),
        (changes, Step::Switch),
        (changes && by_slots && runs, Step::Drain),
        (changes && by_slots && runs, Step::Stop),
    ];
    coming(&steps)
}

fn coming(steps: &[(bool, Step)]) -> Vec<Step> {
    steps.iter().filter_map(|(comes, step)| comes.then_some(*step)).collect()
}
