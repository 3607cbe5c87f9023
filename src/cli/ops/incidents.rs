//! `arcane incidents`, `approve`, `dismiss`, `freeze`, `thaw`: what was found, and a human's word on it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context;
use super::supervise::{self, open_journal};
use crate::cli::args::{Approve, Arguments, Dismiss, Freeze, Incidents, Thaw};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui, table};
use crate::fleet::text::{plural, printable, printable_block};
use crate::fleet::{Incident, IncidentId, IncidentState, Remedy, duration};
use crate::heal;
use crate::journal::{Decision, Error, Journal};

/// How many incidents are listed.
const LISTED: usize = 100;
/// How long `approve` waits for a running supervisor to take a decision up.
const TAKEN_UP: Duration = Duration::from_secs(5);
/// A running supervisor has looked for decisions within this time.
const LOOKS: Duration = Duration::from_millis(600);
/// How much of a line is shown.
const LINE: usize = 300;
/// Before the lines of a trace, which stand below each other.
const EVIDENCE: &str = "                  ";

fn failed(error: Error) -> Failure {
    Failure::from_error(exit::FAILED, &error)
}

pub(super) fn list(ui: &Ui, options: &Incidents) -> Result<u8, Failure> {
    let journal = open_journal(ui)?;
    if let Some(id) = options.id {
        let incident = find(&journal, id)?;
        if options.json {
            ui.json(&[&incident])
        } else {
            ui.out(&describe(&incident))
        }
        return Ok(exit::DONE);
    }
    let incidents = journal.incidents(!options.all, LISTED).map_err(failed)?;
    let open = incidents.iter().any(|incident| !incident.state.is_over());
    if options.json {
        ui.json(&incidents);
    } else if incidents.is_empty() {
        ui.out("Nothing is open.");
    } else {
        let now = crate::clock::now();
        let row = |incident: &Incident| {
            vec![
                incident.id.to_string(),
                incident.host.to_string(),
                incident.app.to_string(),
                incident.class.to_string(),
                incident.state.to_string(),
                duration::brief(now.since(incident.opened_at)),
                printable(&incident.say, 100),
            ]
        };
        let rows: Vec<_> = incidents.iter().map(row).collect();
        ui.out(&table(&["ID", "HOST", "APP", "CLASS", "STATE", "AGE", "WHAT"], &rows));
        if incidents.iter().any(|incident| incident.state == IncidentState::AwaitingApproval) {
            ui.tagged(
                Tag::Hint,
                "look at one with `arcane incidents ID`, then `arcane approve ID` or `arcane dismiss ID`",
            );
        }
    }
    Ok(if options.check && open { exit::FOUND } else { exit::DONE })
}

fn find(journal: &Journal, id: IncidentId) -> Result<Incident, Failure> {
    journal.incident(id).map_err(failed)?.ok_or_else(|| {
        Failure::new(exit::USAGE, format!("there is no incident {id}"))
            .hint("`arcane incidents --all` lists them")
    })
}

fn describe(incident: &Incident) -> String {
    let mut lines = vec![
        format!("incident {} on {}: {} {}", incident.id, incident.host, incident.app, incident.release),
        format!("  {}", printable(&incident.say, LINE)),
        format!("  class    {} (rule {}, fired {} times)", incident.class, incident.rule, incident.signals),
        format!("  state    {}", incident.state),
        format!("  opened   {}", incident.opened_at),
    ];
    if let Some(note) = &incident.note {
        lines.push(format!("  note     {}", printable(note, LINE)));
    }
    lines.push("  evidence".to_owned());
    lines.extend(incident.evidence.iter().map(|line| {
        format!("    {}  {}", line.at.clock_time(), printable_block(&line.text, LINE, EVIDENCE))
    }));
    if !incident.novelty.is_empty() {
        lines.push("  new in the log".to_owned());
    }
    lines.extend(incident.novelty.iter().map(|novelty| {
        let (at, text) = (novelty.sample.at.clock_time(), printable(&novelty.sample.text, LINE));
        let lines = plural(usize::try_from(novelty.lines).unwrap_or(usize::MAX), "line");
        format!("    {at}  {text} ({}; {lines})", novelty.what)
    }));
    if !incident.proposals.is_empty() {
        lines.push("  proposed".to_owned());
    }
    lines.extend(incident.proposals.iter().map(|proposal| {
        format!("    {} ({}): {}", proposal.remedy, proposal.mode, printable(&proposal.reason, LINE))
    }));
    if !incident.actions.is_empty() {
        lines.push("  done".to_owned());
    }
    lines.extend(incident.actions.iter().map(|action| {
        let outcome = format!("{:?}", action.outcome).to_lowercase();
        let (at, by) = (action.at.clock_time(), printable(&action.by, 100));
        format!("    {at}  {} by {by}, {outcome}: {}", action.remedy, printable(&action.detail, LINE))
    }));
    lines.join("\n")
}

pub(super) async fn approve(
    ui: &Ui,
    arguments: &Arguments,
    options: &Approve,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let mut journal = open_journal(ui)?;
    let incident = find(&journal, options.id)?;
    if incident.state.is_over() {
        return Err(Failure::new(exit::REFUSED, format!("incident {} is {}", incident.id, incident.state)));
    }
    if let Some(remedy) = options.remedy
        && !incident.proposals.iter().any(|proposal| proposal.remedy == remedy)
    {
        let proposed: Vec<_> = incident.proposals.iter().map(|proposal| proposal.remedy.as_str()).collect();
        return Err(Failure::new(
            exit::USAGE,
            format!("{remedy} is not proposed for incident {}", incident.id),
        )
        .hint(format!("proposed: {}", proposed.join(", "))));
    }
    let now = crate::clock::now();
    let by = context::who();
    let decision = Decision::Approve { remedy: options.remedy };
    let running = heal::running(&journal, now)
        .map_err(failed)?
        .into_iter()
        .any(|beat| beat.hosts.contains(&incident.host) && beat.mode >= crate::fleet::Mode::Approve);
    if running {
        journal.decide(incident.id, decision, &by, now).map_err(failed)?;
        return taken_up(ui, &journal, &incident, options.remedy).await;
    }
    // Nobody is there to act on it: do it here, with the same supervisor and the same guards.
    let fleet = context::fleet(arguments)?;
    let host = fleet.host(incident.host.as_str())?.clone();
    let approval = journal.decide(incident.id, decision, &by, now).map_err(failed)?;
    drop(journal);
    ui.note("no supervisor is running for this host, so this command carries it out and watches what becomes of it");
    let supervisor = supervise::run_for(ui, arguments, &host, approval, cancel).await?;
    Ok(match supervisor.incident(incident.id).map(|incident| incident.state) {
        Some(IncidentState::Healed) => exit::DONE,
        _ if cancel.is_cancelled() => exit::INTERRUPTED,
        _ => exit::FAILED,
    })
}

/// Waits until the running supervisor has taken the decision up, and says what it made of it.
async fn taken_up(
    ui: &Ui,
    journal: &Journal,
    before: &Incident,
    remedy: Option<Remedy>,
) -> Result<u8, Failure> {
    let deadline = tokio::time::Instant::now() + TAKEN_UP;
    // What is written down before it can have looked is about something else.
    tokio::time::sleep(LOOKS).await;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let incident = find(journal, before.id)?;
        if incident.updated_at != before.updated_at {
            let note = incident
                .note
                .as_deref()
                .map(|note| format!(": {}", printable(note, LINE)))
                .unwrap_or_default();
            ui.out(&format!("Incident {} is {}{note}", incident.id, incident.state));
            let begun = incident.actions.len() > before.actions.len();
            let asks = matches!(remedy, Some(Remedy::Wait | Remedy::Escalate));
            let refused = !begun && !asks && !incident.state.is_over();
            return Ok(if refused { exit::REFUSED } else { exit::DONE });
        }
    }
    Err(Failure::new(
        exit::FAILED,
        format!("the running supervisor did not take incident {} up within 5 s", before.id),
    )
    .hint("the approval stands; look again with `arcane incidents`"))
}

pub(super) fn dismiss(ui: &Ui, options: &Dismiss) -> Result<u8, Failure> {
    let mut journal = open_journal(ui)?;
    let mut incident = find(&journal, options.id)?;
    if incident.state.is_over() {
        return Err(Failure::new(exit::REFUSED, format!("incident {} is {}", incident.id, incident.state)));
    }
    let now = crate::clock::now();
    let by = context::who();
    journal.decide(incident.id, Decision::Dismiss, &by, now).map_err(failed)?;
    let running = heal::running(&journal, now).map_err(failed)?;
    if !running.iter().any(|beat| beat.hosts.contains(&incident.host)) {
        incident.state = IncidentState::Dismissed;
        incident.updated_at = now;
        incident.note = Some(format!("dismissed by {by}"));
        journal.save_incident(&incident).map_err(failed)?;
    }
    ui.out(&format!("Dismissed incident {}", incident.id));
    Ok(exit::DONE)
}

pub(super) fn freeze(ui: &Ui, options: &Freeze) -> Result<u8, Failure> {
    let mut journal = open_journal(ui)?;
    journal
        .freeze(options.app.as_ref(), &context::who(), crate::clock::now(), &options.why)
        .map_err(failed)?;
    let what = options.app.as_ref().map_or_else(|| "everything".to_owned(), ToString::to_string);
    let thaw =
        options.app.as_ref().map_or_else(|| "arcane thaw".to_owned(), |app| format!("arcane thaw {app}"));
    ui.out(&format!("Froze {what}: no supervisor on this machine starts an action until `{thaw}`"));
    Ok(exit::DONE)
}

pub(super) fn thaw(ui: &Ui, options: &Thaw) -> Result<u8, Failure> {
    let mut journal = open_journal(ui)?;
    journal.thaw(options.app.as_ref()).map_err(failed)?;
    let what = options.app.as_ref().map_or_else(|| "everything".to_owned(), ToString::to_string);
    let rest = journal.freezes().map_err(failed)?;
    ui.out(&format!("Thawed {what}"));
    if !rest.is_empty() {
        let names: Vec<_> =
            rest.iter().map(|freeze| freeze.app.as_ref().map_or("everything", |app| app.as_str())).collect();
        ui.note(&format!("still frozen: {}", names.join(", ")));
    }
    Ok(exit::DONE)
}
