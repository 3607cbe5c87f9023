//! What can be typed. The doc comments are the help texts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "ops")]
use super::ops::rules::args::{Explain, New, Record, Replay, WhyNot};
pub(super) use super::vault::args::{Git, InitVault, Run, Scan, Secrets, Team};
use crate::fleet::{AppName, Batch, EnvironmentName, HostName, IncidentId, ReleaseId, Remedy, duration};

/// A hacker's PaaS in one binary: deploys containers over SSH, watches them, and heals them.
///
/// Nothing is installed on the servers. Apps are described in arcane.toml beside their code, hosts in fleet.toml.
#[derive(Debug, Parser)]
#[command(name = "arcane", version, max_term_width = 100, arg_required_else_help = false, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Read hosts and groups from this file instead of looking for fleet.toml.
    #[arg(long, global = true, env = "ARCANE_FLEET", value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// Start looking for arcane.toml in this directory.
    #[arg(short = 'C', long, global = true, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 some hosts failed, 4 failed and \
rolled back, 5 a check found something, 6 unreachable or not let in, 7 refused by a guard or a held lock, 70 bug, \
130 interrupted

Environment: ARCANE_LOG=off|error|warn|info|debug|trace says how much arcane tells on standard error of its own work; \
warn when it is not set";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Deploy an app: send its image, swap it in, swap back if it does not get healthy.
    #[cfg(feature = "ops")]
    Push(Push),
    /// Make a vault for secrets and a key of your own; with --caddy, write an app's site on its hosts.
    Init(Init),
    /// Keep secrets, encrypted, in the repository.
    #[command(subcommand)]
    Secrets(Secrets),
    /// Say who may read which environment's secrets.
    #[command(subcommand)]
    Team(Team),
    /// Run a command here with an environment's secrets.
    Run(Run),
    /// Find secrets that lie in the open, in files or in what is about to be committed.
    Scan(Scan),
    /// Let git encrypt, show and merge.
    #[command(subcommand)]
    Git(Git),
    /// Go back to a kept release.
    #[cfg(feature = "ops")]
    Rollback(Rollback),
    /// Remove releases and images of ours that nobody needs any more.
    #[cfg(feature = "ops")]
    Prune(Prune),
    /// List the releases of an app that are on its hosts, or were.
    #[cfg(feature = "ops")]
    Releases(Releases),
    /// Show what runs where.
    #[cfg(feature = "ops")]
    Status(Status),
    /// Show an app's log, from every host it runs on.
    #[cfg(feature = "ops")]
    Logs(Logs),
    /// Run a command in an app's live container.
    #[cfg(feature = "ops")]
    Exec(Exec),
    /// Show who holds a host's deploy lock, and with --yes take it away.
    #[cfg(feature = "ops")]
    Unlock(Unlock),
    /// Check everything that a host needs, and say what to do about what is missing.
    #[cfg(feature = "ops")]
    Doctor(Doctor),
    /// Watch the fleet and say what is wrong; changes nothing.
    #[cfg(feature = "ops")]
    Watch(Watch),
    /// Watch the fleet and heal it: asks, or with --auto acts within each app's policy.
    #[cfg(feature = "ops")]
    Heal(Heal),
    /// Record what is observed of an app, to judge it again later.
    #[cfg(feature = "ops")]
    Record(Record),
    /// List what was found wrong.
    #[cfg(feature = "ops")]
    Incidents(Incidents),
    /// Approve the remedy that an incident waits for.
    #[cfg(feature = "ops")]
    Approve(Approve),
    /// Say that an incident is nothing to act on.
    #[cfg(feature = "ops")]
    Dismiss(Dismiss),
    /// Stop every action of the supervisor, for one app or altogether.
    #[cfg(feature = "ops")]
    Freeze(Freeze),
    /// Let the supervisor act again.
    #[cfg(feature = "ops")]
    Thaw(Thaw),
    /// Check heal rules and run their tests.
    #[cfg(feature = "ops")]
    #[command(subcommand)]
    Rules(Rules),
    /// Check the configuration files.
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

fn parse_duration(text: &str) -> Result<Duration, duration::DurationError> {
    duration::parse(text)
}

fn parse_ports(text: &str) -> Result<[u16; 2], String> {
    let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
    match text.split(',').map(port).collect::<Vec<Option<u16>>>()[..] {
        [Some(first), Some(second)] if first != second => Ok([first, second]),
        _ => Err("write two different ports, like 8001,8002".to_owned()),
    }
}

/// Options of `arcane push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The app; may be left out when arcane.toml has just one.
    pub app: Option<AppName>,
    /// Hosts and groups, separated by commas, in this order: each has the release before the next is begun.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// How many hosts of a group follow its first one at once: a share of the group, or a number.
    #[arg(long, value_name = "SHARE|NUMBER", default_value_t = Batch::DEFAULT)]
    pub batch: Batch,
    /// When a host fails, give those already switched back what they ran.
    #[arg(long)]
    pub all_or_nothing: bool,
    /// The environment whose settings apply.
    #[arg(long, value_name = "NAME")]
    pub env: Option<EnvironmentName>,
    /// The two slots of an app that is swapped blue/green, instead of those in arcane.toml.
    #[arg(long, value_name = "A,B", value_parser = parse_ports)]
    pub ports: Option<[u16; 2]>,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub plan: bool,
    /// Make a new release even when nothing differs from the live one.
    #[arg(long)]
    pub force: bool,
    /// Wait this long for a lock that somebody else holds.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub wait: Duration,
    /// Print a line of JSON per step.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane init`.
#[derive(Debug, Args)]
pub struct Init {
    #[cfg(feature = "ops")]
    #[command(flatten)]
    pub(super) site: InitSite,
    #[command(flatten)]
    pub(super) vault: InitVault,
}

/// Options of `arcane init --caddy`.
#[cfg(feature = "ops")]
#[derive(Debug, Args)]
pub struct InitSite {
    /// With --caddy, the app; may be left out when arcane.toml has just one.
    #[arg(requires = "caddy")]
    pub app: Option<AppName>,
    /// Write the app's site into /etc/caddy/Caddyfile, and have Caddy load it.
    #[arg(long)]
    pub caddy: bool,
    /// With --caddy, hosts and groups, separated by commas.
    #[arg(long, value_name = "HOST|GROUP,…", requires = "caddy")]
    pub to: Option<String>,
    /// With --caddy, show what would be written, and write nothing.
    #[arg(long, requires = "caddy")]
    pub plan: bool,
    /// With --caddy, print a line of JSON per host.
    #[arg(long, requires = "caddy")]
    pub json: bool,
}

/// Options of `arcane rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The app; may be left out when arcane.toml has just one.
    pub app: Option<AppName>,
    /// The release to go back to; when left out, of the older ones the one that was live last.
    #[arg(long, value_name = "ID")]
    pub release: Option<ReleaseId>,
    /// Go back even to a release that is older than the app's data, which a release with `migrates` has changed since.
    #[arg(long)]
    pub across_migration: bool,
    /// Hosts and groups, separated by commas.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// How many hosts at once: a share of them, or a number; 8 at most.
    #[arg(long, value_name = "SHARE|NUMBER", default_value_t = Batch::DEFAULT)]
    pub batch: Batch,
    /// Show what would be done on each host, and do nothing.
    #[arg(long)]
    pub plan: bool,
    /// Wait this long for a lock that somebody else holds.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub wait: Duration,
    /// Print a line of JSON per step.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// The app; every one that has anything on the hosts when left out.
    pub app: Option<AppName>,
    /// Hosts and groups, separated by commas; all when left out.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// Show what would be removed, and remove nothing.
    #[arg(long)]
    pub plan: bool,
    /// Wait this long for a lock that somebody else holds.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub wait: Duration,
    /// Print a line of JSON per app and host.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane releases`.
#[derive(Debug, Args)]
pub struct Releases {
    /// The app; may be left out when arcane.toml has just one.
    pub app: Option<AppName>,
    /// Hosts and groups, separated by commas.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Hosts and groups, separated by commas; all when left out.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// Exit with 5 when anything is not as it was recorded, or a change was cut off half-way.
    #[arg(long)]
    pub check: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The app; may be left out when arcane.toml has just one.
    pub app: Option<AppName>,
    /// Hosts and groups, separated by commas.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// Keep following, across restarts, releases and lost connections.
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines to begin with.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    pub tail: usize,
    /// Put the time in front of each line.
    #[arg(short, long)]
    pub timestamps: bool,
    /// Print a JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// The app.
    pub app: AppName,
    /// The host, when the app runs on several.
    #[arg(long, value_name = "HOST")]
    pub on: Option<HostName>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Options of `arcane unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    /// The host.
    pub host: HostName,
    /// Take the lock away from whoever holds it.
    #[arg(long)]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Hosts and groups, separated by commas.
    #[arg(value_name = "HOST|GROUP,…")]
    pub to: String,
    /// Print a line of JSON per host.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Hosts and groups, separated by commas; all when left out.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// Further heal rules: a file or a directory.
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Stop after this long.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Print a line of JSON per happening.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane heal`.
#[derive(Debug, Args)]
pub struct Heal {
    #[command(flatten)]
    pub(super) watch: Watch,
    /// Act unattended, within each app's policy.
    #[arg(long)]
    pub auto: bool,
    /// Stop when every incident found has come to an end and nothing new was found for a while.
    #[arg(long)]
    pub once: bool,
}

/// Options of `arcane incidents`.
#[derive(Debug, Args)]
pub struct Incidents {
    /// One incident, with all its evidence.
    pub id: Option<IncidentId>,
    /// Those that are over, too.
    #[arg(long)]
    pub all: bool,
    /// Exit with 5 when any is open.
    #[arg(long)]
    pub check: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// The incident.
    pub id: IncidentId,
    /// Another of the proposed remedies than the first.
    #[arg(long)]
    pub remedy: Option<Remedy>,
}

/// Options of `arcane dismiss`.
#[derive(Debug, Args)]
pub struct Dismiss {
    /// The incident.
    pub id: IncidentId,
}

/// Options of `arcane freeze`.
#[derive(Debug, Args)]
pub struct Freeze {
    /// The app; all when left out.
    pub app: Option<AppName>,
    /// Why, for whoever wonders.
    #[arg(long, default_value = "")]
    pub why: String,
}

/// Options of `arcane thaw`.
#[derive(Debug, Args)]
pub struct Thaw {
    /// The app; the freeze of everything when left out.
    pub app: Option<AppName>,
}

#[cfg(feature = "ops")]
#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Check rule files for mistakes and dangers.
    Lint(RuleFiles),
    /// Run the tests that rules carry.
    Test(RuleTest),
    /// List the rules.
    List(RuleFiles),
    /// Make a rule from a log line, with its tests.
    New(New),
    /// Say which rules know a log line, by which words, and what they would make of it.
    Explain(Explain),
    /// Say why a rule does not fire on a log: the first condition that fails, where it comes nearest.
    WhyNot(WhyNot),
    /// Run rules and supervisor over a recording: what would have fired, and what would have been done.
    Replay(Replay),
    /// Measure how fast rules judge the lines of a file.
    Bench(RuleBench),
}

/// Options of `arcane rules bench`.
#[derive(Debug, Args)]
pub struct RuleBench {
    /// The log lines.
    pub file: PathBuf,
    /// Rules besides the built-in ones: a file or a directory.
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane rules test`.
#[derive(Debug, Args)]
pub struct RuleTest {
    /// Which rules.
    #[command(flatten)]
    pub files: RuleFiles,
    /// Only the tests of this rule, against all that are loaded: ID or PACK/ID.
    #[arg(long, value_name = "RULE", conflicts_with = "labelled")]
    pub rule: Option<String>,
    /// Instead, say how well the rules recognise these labelled excerpts of logs: a JSON object a line, with `id`,
    /// `class`, `also_ok` and `log`.
    #[arg(long, value_name = "FILE")]
    pub labelled: Option<PathBuf>,
}

/// Options of `arcane rules`.
#[derive(Debug, Args)]
pub struct RuleFiles {
    /// Rule files or directories; the built-in rules when left out.
    pub paths: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Check arcane.toml and fleet.toml, and show what was understood.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Arguments {
    /// Whether the command was asked for JSON.
    pub(super) fn json(&self) -> bool {
        match &self.command {
            #[cfg(feature = "ops")]
            Some(Command::Push(Push { json, .. }))
            | Some(Command::Init(Init { site: InitSite { json, .. }, .. }))
            | Some(Command::Rollback(Rollback { json, .. }))
            | Some(Command::Prune(Prune { json, .. }))
            | Some(Command::Releases(Releases { json, .. }))
            | Some(Command::Status(Status { json, .. }))
            | Some(Command::Logs(Logs { json, .. }))
            | Some(Command::Unlock(Unlock { json, .. }))
            | Some(Command::Doctor(Doctor { json, .. }))
            | Some(Command::Watch(Watch { json, .. }))
            | Some(Command::Record(Record { json, .. }))
            | Some(Command::Heal(Heal { watch: Watch { json, .. }, .. }))
            | Some(Command::Incidents(Incidents { json, .. })) => *json,
            Some(Command::Config(Config::Check { json })) => *json,
            Some(Command::Secrets(command)) => command.json(),
            Some(Command::Scan(Scan { json, .. })) => *json,
            Some(Command::Team(Team::List { json })) => *json,
            _ => false,
        }
    }
}
