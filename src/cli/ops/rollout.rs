//! A change to several hosts, as its operator sees it: each host's end as it comes, and one summary of all.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde::Serialize;
use serde_json::json;

use super::steps::Steps;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::deploy::event::seconds;
use crate::deploy::rollout::{AT_ONCE, Course, Ended, OnFailure, Stage, Standing};
use crate::fleet::{AppName, Host, HostName, ReleaseId, duration};

/// How a change ended on one host.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// What the host runs now, where that is known.
    pub(super) release: Option<ReleaseId>,
    /// What it ran before.
    pub(super) before: Option<ReleaseId>,
    /// How long it took.
    pub(super) took: Duration,
    /// The exit code and the words of a failure.
    pub(super) failed: Option<(u8, String)>,
}

/// What a host's part in a change came to; a word of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It has the new release.
    Released,
    /// It had it already.
    Unchanged,
    /// It was brought back to a kept release, as asked.
    RolledBack,
    /// It failed.
    Failed,
    /// It had the new release and was given back what it ran before, since others failed.
    Returned,
    /// It has the new release, and could not be given back what it ran before.
    NotReturned,
    /// It was not begun.
    NotBegun,
}

impl Outcome {
    const fn words(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Unchanged => "unchanged",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Returned => "returned",
            Self::NotReturned => "not returned",
            Self::NotBegun => "not begun",
        }
    }
}

/// The ends of all hosts, as they come in.
pub(super) struct Tally<'a> {
    pub(super) ui: &'a Ui,
    pub(super) json: bool,
    pub(super) app: &'a AppName,
    pub(super) steps: &'a Steps<'a>,
    /// What a host that was changed is called.
    pub(super) changed: Outcome,
    begun: Instant,
    ends: Mutex<BTreeMap<HostName, End>>,
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a HostName,
    target: &'a str,
    stage: &'static str,
    outcome: Outcome,
    release: Option<&'a ReleaseId>,
    seconds: f64,
    reason: Option<&'a str>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(
        ui: &'a Ui,
        json: bool,
        app: &'a AppName,
        steps: &'a Steps<'a>,
        changed: Outcome,
    ) -> Self {
        Self { ui, json, app, steps, changed, begun: Instant::now(), ends: Mutex::default() }
    }

    /// Takes note of how it ended on a host.
    pub(super) fn note(&self, host: &Host, end: End) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(host.name.clone(), end);
    }

    /// Shows a failure at once, so that it can be read while other hosts are still worked on, and takes note of it.
    pub(super) fn fail(&self, host: &Host, failure: &Failure, took: Duration) {
        self.fail_because(host, failure, failure.line(), took);
    }

    /// The same, with a shorter reason for the summary, which says what and where by itself.
    pub(super) fn fail_because(&self, host: &Host, failure: &Failure, reason: String, took: Duration) {
        self.steps.clear(&host.name);
        self.steps.aside(|| failure.render_about(self.ui, self.json, &host.name, self.app));
        let end = self.end(&host.name);
        self.note(host, End { took, failed: Some((failure.code(), reason)), ..end });
    }

    /// How it ended on a host, as far as that is known.
    pub(super) fn end(&self, host: &HostName) -> End {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned().unwrap_or_default()
    }

    /// Does the work on one host. A bug that ends it there ends nothing elsewhere: other hosts may be in the middle of a
    /// switch.
    pub(super) async fn guard(&self, host: &Host, work: impl Future<Output = Ended>) -> Ended {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(ended) => ended,
            Err(_) => {
                let failure =
                    Failure::new(exit::BUG, format!("a bug in arcane ended the work on {}", host.name))
                        .hint(format!("see what runs there with `arcane status --to {}`", host.name));
                self.fail(host, &failure, self.begun.elapsed());
                Ended::Failed
            }
        }
    }

    /// Shows the summary, if there is more than one host to sum up, and returns the exit code.
    pub(super) fn finish(&self, course: &Course, interrupted: bool) -> u8 {
        let hosts: Vec<_> = course
            .hosts()
            .map(|(host, stage, standing)| (host, stage, standing, self.end(&host.name)))
            .collect();
        let codes: Vec<_> = hosts
            .iter()
            .map(|(_, _, standing, end)| (*standing, end.failed.as_ref().map(|(code, _)| *code)))
            .collect();
        let code = exit_code(&codes, interrupted);
        if let [(host, _, standing, _)] = &hosts[..] {
            if *standing == Standing::Waiting {
                let failure =
                    Failure::new(exit::INTERRUPTED, format!("interrupted; {} was not begun", host.name));
                failure.render_about(self.ui, self.json, &host.name, self.app);
            }
            return code;
        }
        let lines: Vec<_> = hosts
            .iter()
            .map(|(host, stage, standing, end)| Line {
                host: &host.name,
                target: &stage.gate,
                stage: stage.kind.as_str(),
                outcome: self.outcome(*standing),
                release: end.release.as_ref(),
                seconds: seconds(end.took),
                reason: end.failed.as_ref().map(|(_, reason)| reason.as_str()),
            })
            .collect();
        if self.json {
            self.ui.json(&json!({
                "event": "summary", "app": self.app, "code": code, "seconds": seconds(self.begun.elapsed()),
                "hosts": lines,
            }));
        } else {
            self.ui.out(&self.text(&lines));
        }
        code
    }

    const fn outcome(&self, standing: Standing) -> Outcome {
        match standing {
            Standing::Changed => self.changed,
            Standing::Unchanged => Outcome::Unchanged,
            Standing::Failed | Standing::UnderWay | Standing::GoingBack => Outcome::Failed,
            Standing::Returned => Outcome::Returned,
            Standing::Stuck => Outcome::NotReturned,
            Standing::Waiting => Outcome::NotBegun,
        }
    }

    fn text(&self, lines: &[Line<'_>]) -> String {
        let row = |line: &Line<'_>| {
            let dash = || "-".to_owned();
            let took = Duration::from_secs_f64(line.seconds);
            vec![
                line.host.to_string(),
                line.target.to_owned(),
                line.outcome.words().to_owned(),
                line.release.map_or_else(dash, ToString::to_string),
                if line.seconds > 0.0 { duration::brief(took) } else { dash() },
                line.reason.unwrap_or_default().to_owned(),
            ]
        };
        let rows: Vec<_> = lines.iter().map(row).collect();
        let mut text = table(&["HOST", "TARGET", "OUTCOME", "RUNS", "TOOK", "WHY"], &rows);
        text.push_str(&format!(
            "\n{} on {} hosts in {}: {}.",
            self.app,
            lines.len(),
            duration::brief(self.begun.elapsed()),
            counts(lines)
        ));
        text
    }

    /// The names of the hosts that were changed and ran something before, for the command that undoes it; `None` when
    /// there are none.
    pub(super) fn to_undo(&self, course: &Course) -> Option<String> {
        let undoable = |(host, _, standing): &(&Host, &Stage, Standing)| {
            matches!(standing, Standing::Changed | Standing::Stuck) && self.end(&host.name).before.is_some()
        };
        let all = course.hosts().all(|host| undoable(&host));
        let mut names: Vec<&str> = course
            .hosts()
            .filter(undoable)
            // All of them are shorter said by what they were called.
            .map(|(host, stage, _)| if all { stage.gate.as_str() } else { host.name.as_str() })
            .collect();
        names.dedup();
        (!names.is_empty()).then(|| names.join(","))
    }
}

/// How many hosts came to what, in the order in which outcomes are declared.
fn counts(lines: &[Line<'_>]) -> String {
    use Outcome::*;
    let count = |outcome| lines.iter().filter(|line| line.outcome == outcome).count();
    [Released, Unchanged, RolledBack, Failed, Returned, NotReturned, NotBegun]
        .into_iter()
        .map(|outcome| (outcome, count(outcome)))
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| format!("{count} {}", outcome.words()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The exit code of a change to several hosts: each host's standing, and the code of its failure if it failed.
///
/// A fleet on which nothing changed in the end has failed as its first host did; one whose hosts all have what they
/// ran before was rolled back; one that is of two minds has failed in part.
fn exit_code(hosts: &[(Standing, Option<u8>)], interrupted: bool) -> u8 {
    let any = |is_it: fn(Standing) -> bool| hosts.iter().any(|(standing, _)| is_it(*standing));
    let is_done = |standing| matches!(standing, Standing::Changed | Standing::Unchanged);
    if interrupted && !hosts.iter().all(|(standing, _)| is_done(*standing)) {
        return exit::INTERRUPTED;
    }
    let failures: Vec<u8> = hosts
        .iter()
        .filter(|(standing, _)| matches!(standing, Standing::Failed | Standing::Stuck))
        .map(|(_, code)| code.unwrap_or(exit::FAILED))
        .collect();
    match failures[..] {
        [] => exit::DONE,
        [code] if hosts.len() == 1 => code,
        _ if any(is_done) || any(|standing| standing == Standing::Stuck) => exit::SOME_FAILED,
        _ if any(|standing| standing == Standing::Returned) => exit::ROLLED_BACK,
        [first, ref rest @ ..] if rest.iter().all(|code| *code == first) => first,
        _ => exit::SOME_FAILED,
    }
}

/// The order of a change to several hosts, for `--plan`.
pub(super) fn show_order(ui: &Ui, json: bool, app: &AppName, stages: &[Stage], on_failure: OnFailure) {
    let names =
        |stage: &Stage| -> Vec<String> { stage.hosts.iter().map(|host| host.name.to_string()).collect() };
    if json {
        let stages: Vec<_> = stages
            .iter()
            .map(|stage| json!({ "target": stage.gate, "kind": stage.kind, "hosts": names(stage) }))
            .collect();
        ui.json(&json!({
            "event": "order", "app": app, "at_once": AT_ONCE,
            "all_or_nothing": on_failure == OnFailure::GiveBack, "stages": stages,
        }));
        return;
    }
    for (stage, number) in stages.iter().zip(1_usize..) {
        ui.out(&format!("{number:>3}. {} {}: {}", stage.gate, stage.kind.as_str(), names(stage).join(", ")));
    }
    ui.out(&format!(
        "Each stage begins when every host of the one before has the release; at most {AT_ONCE} hosts at once.\n{}",
        match on_failure {
            OnFailure::GiveBack =>
                "When a host fails, no further one is begun, and those already switched get back what they ran.",
            OnFailure::GoOn | OnFailure::Stop => "When a host fails, no further one is begun.",
        }
    ));
}

/// Tells the way back from a change that reached some or all of its hosts.
pub(super) fn hint_undo(ui: &Ui, json: bool, app: &AppName, to: &str) {
    if !json {
        ui.tagged(Tag::Hint, &format!("undo with `arcane rollback {app} --to {to}`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Changed, Failed, Returned, Stuck, Unchanged, Waiting};

    #[test]
    fn the_code_tells_whether_the_fleet_is_of_one_mind() {
        let four = Some(exit::ROLLED_BACK);
        let six = Some(exit::UNREACHABLE);
        for (hosts, interrupted, expected) in [
            (&[(Changed, None), (Unchanged, None)][..], false, exit::DONE),
            (&[(Failed, four)], false, exit::ROLLED_BACK),
            (&[(Failed, four), (Waiting, None)], false, exit::ROLLED_BACK),
            (&[(Failed, six), (Failed, six)], false, exit::UNREACHABLE),
            (&[(Failed, six), (Failed, four)], false, exit::SOME_FAILED),
            (&[(Changed, None), (Failed, four), (Waiting, None)], false, exit::SOME_FAILED),
            (&[(Unchanged, None), (Failed, six)], false, exit::SOME_FAILED),
            (&[(Returned, None), (Failed, six), (Waiting, None)], false, exit::ROLLED_BACK),
            (&[(Returned, None), (Stuck, six), (Failed, four)], false, exit::SOME_FAILED),
            (&[(Changed, None), (Failed, Some(exit::INTERRUPTED)), (Waiting, None)], true, exit::INTERRUPTED),
            (&[(Returned, None), (Waiting, None)], true, exit::INTERRUPTED),
            (&[(Waiting, None)], true, exit::INTERRUPTED),
            // Too late to keep anything from happening.
            (&[(Changed, None), (Changed, None)], true, exit::DONE),
        ] {
            assert_eq!(exit_code(hosts, interrupted), expected, "{hosts:?}");
        }
    }
}
