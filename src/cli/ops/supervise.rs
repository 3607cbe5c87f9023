//! `arcane watch` and `arcane heal`: the same eyes; the ceiling on what may be done differs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::rules::{self, RuleWatch, replaced};
use super::vault::VaultSource;
use super::{context, masking};
use crate::cli::args::{Arguments, Heal, Watch};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::config::{self, Project};
use crate::deploy::remote::Pool;
use crate::diagnose::Novelties;
use crate::fleet::text::{plural, printable, printable_block};
use crate::fleet::{Board, Evidence, Fact, Host, Incident, Mode, Observation, Timestamp, Turn};
use crate::heal::{self, Announcement, News, RuleSource, Settings, Shell, Supervisor, Told, Until};
use crate::journal::{DecisionRecord, Journal};
use crate::rules::{Engine, RuleSet};
use crate::watch::{Options, Places, Sampling, Watcher};

/// `--once` ends when nothing new was found for this long.
const QUIET: Duration = Duration::from_secs(15);

pub(super) async fn watch(
    ui: &Ui,
    arguments: &Arguments,
    options: &Watch,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let until = Until { duration: options.duration, ..Until::default() };
    supervise(ui, arguments, options, Mode::Suggest, until, cancel).await
}

pub(super) async fn heal(
    ui: &Ui,
    arguments: &Arguments,
    options: &Heal,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let ceiling = if options.auto { Mode::Auto } else { Mode::Approve };
    let quiet = options.once.then_some(QUIET);
    let until = Until { duration: options.watch.duration, quiet, approval: None };
    supervise(ui, arguments, &options.watch, ceiling, until, cancel).await
}

async fn supervise(
    ui: &Ui,
    arguments: &Arguments,
    options: &Watch,
    ceiling: Mode,
    until: Until,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    let fleet = context::fleet(arguments)?;
    let hosts = context::hosts(&fleet, options.to.as_deref())?;
    let sampling = Sampling::default();
    let (watch, rules) = RuleWatch::begin(&arguments.directory, &options.rules, sampling.clone())?;
    let what = match ceiling {
        Mode::Auto => "healing unattended, within each app's policy",
        Mode::Approve => "healing what is approved with `arcane approve ID`",
        _ => "watching; nothing will be changed",
    };
    ui.note(&format!(
        "{}: {what}. {} loaded.",
        plural(hosts.len(), "host"),
        plural(rules.rules().len(), "rule")
    ));
    in_force(ui, options.json, &rules);
    let board = Mutex::new(Board::default());
    let show = |told: Told| show(ui, options.json, &board, &told);
    let (is_limited, is_check) = (until.duration.is_some(), until.quiet.is_some());
    let settings = settings(arguments, ceiling)?;
    // Who only watches brings nothing, and need not type a passphrase.
    let acts = matches!(ceiling, Mode::Auto | Mode::Approve);
    let source = Arc::new(if acts { VaultSource::ready(arguments) } else { VaultSource::new(arguments) });
    if acts {
        masking::renew(ui, arguments);
    }
    let engine = Engine::new(Arc::new(rules));
    let reader = Some(if acts { "heal" } else { "watch" });
    let rules: Option<Arc<dyn RuleSource>> = Some(Arc::new(watch));
    let supervision =
        Supervision { ui, hosts: &hosts, engine, rules, sampling, settings, until, source, reader };
    let supervisor = supervision.run(&show, cancel).await?;
    if cancel.is_cancelled() && !is_limited {
        ui.note("stopped; nothing is left running");
    }
    let open = supervisor.incidents().filter(|incident| !incident.state.is_over()).count();
    Ok(if is_check && open > 0 { exit::FOUND } else { exit::DONE })
}

/// A supervisor that is about to run.
struct Supervision<'a> {
    ui: &'a Ui,
    hosts: &'a [Host],
    engine: Engine,
    rules: Option<Arc<dyn RuleSource>>,
    sampling: Sampling,
    settings: Settings,
    until: Until,
    source: Arc<VaultSource>,
    /// Under which name it is kept how far logs were read, if it is.
    reader: Option<&'static str>,
}

impl Supervision<'_> {
    /// Runs it until it is told to stop.
    async fn run(
        self,
        tell: &(dyn Fn(Told) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Supervisor, Failure> {
        let journal = open_journal(self.ui)?;
        let pool = Pool::new(self.ui.redactor());
        // The watcher outlives the shell by a moment: an action in flight is waited for.
        let watching = CancellationToken::new();
        let options = Options { stats_every: Some(SAMPLES), sampling: self.sampling, ..Options::default() };
        let hosts = self.hosts.to_vec();
        let (watcher, mut observations) = match self.reader {
            Some(reader) => {
                let places = Places::new(open_journal(self.ui)?, reader);
                Watcher::resume(hosts, pool.clone(), options, places, watching.clone())
            }
            None => Watcher::start(hosts, pool.clone(), options, watching.clone()),
        };
        let shell = Shell {
            ceiling: self.settings.ceiling,
            supervisor: Supervisor::new(self.settings),
            engine: self.engine,
            rules: self.rules,
            novelties: Novelties::default(),
            journal: Arc::new(Mutex::new(journal)),
            hosts: self
                .hosts
                .iter()
                .map(|host| (host.name.clone(), host.clone()))
                .collect::<BTreeMap<_, _>>(),
            pool,
            source: self.source,
            by: context::who(),
            until: self.until,
        };
        let ended = shell.run(&mut observations, tell, cancel).await;
        watching.cancel();
        watcher.join().await;
        ended.map_err(|error| failure(&error))
    }
}

fn failure(error: &heal::Error) -> Failure {
    use heal::Error;
    match error {
        Error::Rival { .. } => Failure::from_error(exit::REFUSED, error)
            .hint("stop that one first, or name other hosts with `--to`; `arcane watch` may run beside it"),
        Error::Refused { .. } => Failure::from_error(exit::REFUSED, error),
        Error::Unreachable { .. } => Failure::from_error(exit::UNREACHABLE, error),
        Error::Unseen { .. } => {
            Failure::from_error(exit::FAILED, error).hint("`arcane status` tells what is deployed there")
        }
        Error::Unsettled { .. } => Failure::from_error(exit::FAILED, error)
            .hint("`arcane incidents` tells how far it got; `arcane heal` goes on with it"),
        Error::Journal(_) => Failure::from_error(exit::FAILED, error),
    }
}

/// What a supervisor that was started here goes by. The policies of the arcane.toml here, if there is one, hold at
/// once, without a push.
pub(super) fn settings(arguments: &Arguments, ceiling: Mode) -> Result<Settings, Failure> {
    let apps = match Project::find(&arguments.directory) {
        Ok(project) => project.apps,
        Err(config::Error::Missing { .. }) => BTreeMap::new(),
        Err(error) => return Err(error.into()),
    };
    let policies = apps.into_iter().map(|(name, app)| (name, app.heal)).collect();
    let seed = crate::clock::now().as_nanos().unsigned_abs();
    Ok(Settings { ceiling, policies, seed, ..Settings::default() })
}

/// The journal of this machine, into which no value goes that is masked here.
pub(super) fn open_journal(ui: &Ui) -> Result<Journal, Failure> {
    let failed = |error: crate::journal::Error| {
        let hint = error.hint();
        let failure = Failure::from_error(exit::FAILED, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    };
    let journal = Journal::open(&Journal::default_path().map_err(failed)?).map_err(failed)?;
    Ok(journal.masking(ui.redactor()))
}

/// How often memory and processor are sampled, while some rule needs it.
const SAMPLES: Duration = Duration::from_secs(15);

/// How much of a log line is shown with an incident.
const LINE: usize = 200;

fn show(ui: &Ui, json: bool, board: &Mutex<Board>, told: &Told) {
    match told {
        Told::Seen(observation) => {
            let now = crate::clock::now();
            let turn = board.lock().ok().and_then(|mut board| board.note(now, observation));
            match notable(observation).or_else(|| turn.map(|turn| turned(now, &turn))) {
                Some(_) if json => ui.json(observation),
                None if json && matches!(observation.fact, Fact::Log { .. }) => ui.json(observation),
                Some(line) => ui.out(&line),
                None => {}
            }
        }
        Told::Signal(signal) => {
            if json {
                ui.json(&serde_json::json!({ "event": "signal", "signal": signal }));
            }
        }
        Told::Rules(found) => rules_changed(ui, json, found),
        Told::Dropped(count) => {
            if json {
                ui.json(&serde_json::json!({ "event": "dropped", "count": count }));
            } else {
                ui.note(&format!("the rules had to forget {count} things to stay within their memory"));
            }
        }
        Told::Announced(announcement, incident) => {
            if json {
                ui.json(&serde_json::json!({
                    "event": news(announcement.news), "incident": announcement.incident, "host": announcement.host,
                    "app": announcement.app, "text": announcement.text,
                }));
            } else {
                announced(ui, announcement, incident.as_deref());
            }
        }
    }
}

/// Which rules are in force: in words only what somebody may not expect.
fn in_force(ui: &Ui, json: bool, rules: &RuleSet) {
    if json {
        ui.json(&replaced::shape(rules));
    }
    for note in replaced::notes(rules) {
        ui.note(&note);
    }
}

/// Rule files were changed while a supervisor runs.
fn rules_changed(ui: &Ui, json: bool, found: &Result<Arc<RuleSet>, String>) {
    match found {
        Ok(rules) => {
            if !json {
                let count = plural(rules.rules().len(), "rule");
                ui.note(&format!("the rules were changed: {count} in force"));
            }
            in_force(ui, json, rules);
        }
        Err(why) if json => ui.json(&serde_json::json!({ "event": "rules", "error": why })),
        Err(why) => ui.note(&format!(
            "the rules were changed and cannot be used, so those before stay in force: {why}"
        )),
    }
}

fn announced(ui: &Ui, announcement: &Announcement, incident: Option<&Incident>) {
    let now = crate::clock::now().clock_time();
    let number = announcement.incident.map(|id| format!("#{id} ")).unwrap_or_default();
    ui.out(&format!("{now}  {number}{}: {}", news(announcement.news), printable(&announcement.text, 500)));
    if announcement.news != News::Opened {
        return;
    }
    for Evidence { at, text } in incident.map(|incident| &incident.evidence[..]).unwrap_or_default() {
        let text = printable_block(text, LINE, &" ".repeat(28));
        ui.out(&format!("              {}  {text}", at.clock_time()));
    }
}

pub(super) const fn news(news: News) -> &'static str {
    match news {
        News::Opened => "incident",
        News::Proposed => "proposed",
        News::Waiting => "waiting",
        News::Acting => "acting",
        News::Verifying => "verifying",
        News::Healed => "healed",
        News::NotHealed => "not healed",
        News::Escalated => "escalated",
        News::Refused => "refused",
        News::Closed => "closed",
        News::Ignored => "ignored",
        News::Frozen => "frozen",
        News::Thawed => "thawed",
    }
}

/// How a log is read from now on.
fn turned(now: Timestamp, turn: &Turn) -> String {
    let now = now.clock_time();
    match turn {
        Turn::Behind(host, app, by) => {
            let by = by.as_secs();
            format!(
                "{now}  {host} {app} is {by} s behind: more is logged than can be taken; what comes late heals nothing"
            )
        }
        Turn::CaughtUp(host, app) => format!("{now}  {host} {app} has caught up"),
    }
}

/// State changes that a person following along wants to see; log lines are for `arcane logs`.
fn notable(observation: &Observation) -> Option<String> {
    let what = match &observation.fact {
        Fact::Died { exit_code } => format!("exited with code {exit_code}"),
        Fact::OutOfMemory => "ran out of memory".to_owned(),
        Fact::Started => "started".to_owned(),
        Fact::Health { state } => format!("health is {state:?}").to_lowercase(),
        Fact::Gap { reason } => format!("gap in its log: {}", printable(reason, LINE)),
        Fact::HostUnreachable { reason } => format!("unreachable: {}", printable(reason, LINE)),
        Fact::HostReachable => "reachable".to_owned(),
        _ => return None,
    };
    let subject = observation
        .subject
        .as_ref()
        .map_or_else(String::new, |subject| format!(" {} {}", subject.app, subject.release));
    Some(format!("{}  {}{subject} {what}", observation.at.clock_time(), observation.host))
}

/// Runs a supervisor for one approval: for `arcane approve` when no supervisor is running.
pub(super) async fn run_for(
    ui: &Ui,
    arguments: &Arguments,
    host: &Host,
    approval: DecisionRecord,
    cancel: &CancellationToken,
) -> Result<Supervisor, Failure> {
    let until = Until { approval: Some(approval), ..Until::default() };
    let show = |told: Told| {
        if let Told::Announced(announcement, incident) = &told {
            announced(ui, announcement, incident.as_deref());
        }
    };
    let engine = Engine::new(Arc::new(rules::load(&arguments.directory, &[])?));
    let settings = settings(arguments, Mode::Approve)?;
    let source = Arc::new(VaultSource::ready(arguments));
    masking::renew(ui, arguments);
    let hosts = std::slice::from_ref(host);
    let never = Sampling::default();
    never.turn(false);
    Supervision { ui, hosts, engine, rules: None, sampling: never, settings, until, source, reader: None }
        .run(&show, cancel)
        .await
}
