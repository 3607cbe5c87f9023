//! What can be typed to write heal rules. The doc comments are the help texts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::fleet::{AppName, Class, HostName, Kind, Mode, Stream, duration};

fn parse_duration(text: &str) -> Result<Duration, duration::DurationError> {
    duration::parse(text)
}

/// Rules to judge by, besides those that are in force anyway.
#[derive(Debug, Args)]
pub(in crate::cli) struct MoreRules {
    /// Rules besides the built-in ones: a file or a directory.
    #[arg(long = "rules", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

fn parse_label(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("a label is written NAME=VALUE")?;
    if name.is_empty() {
        return Err("a label has a name: NAME=VALUE");
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// What to take for granted of the app that wrote a log file; a recording tells it itself.
#[derive(Debug, Args)]
pub(in crate::cli) struct SettingOptions {
    /// The app that wrote the lines.
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// The host that it ran on.
    #[arg(long, value_name = "NAME")]
    pub host: Option<HostName>,
    /// Where it wrote the lines: stdout or stderr.
    #[arg(long, default_value = "stdout")]
    pub stream: StreamName,
    /// How long before the first line its release was deployed.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30d")]
    pub deploy_age: Duration,
    /// How long before the first line its process was started; as long as the release is deployed when left out.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub uptime: Option<Duration>,
    /// How long the release before ran; 0s when there was none.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30d")]
    pub previous: Duration,
    /// The image that it was made of; it tells the role, too.
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// A label of its container; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_label)]
    pub label: Vec<(String, String)>,
    /// The environment that it was pushed for.
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// What it does for other apps: database, cache, broker, search, proxy, or another role.
    #[arg(long, value_name = "NAME", value_parser = Kind::parse)]
    pub role: Option<Kind>,
}

/// A stream, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl From<StreamName> for Stream {
    fn from(name: StreamName) -> Self {
        match name {
            StreamName::Stdout => Self::Stdout,
            StreamName::Stderr => Self::Stderr,
        }
    }
}

/// Options of `arcane rules explain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// A log line, a file of them, a recording, or - for standard input.
    #[arg(value_name = "LINE|FILE|-")]
    pub source: String,
    #[command(flatten)]
    pub(in crate::cli) rules: MoreRules,
    #[command(flatten)]
    pub(in crate::cli) setting: SettingOptions,
    /// Explain every line that a rule knows, not the first of each kind.
    #[arg(long)]
    pub all: bool,
    /// Print a line of JSON per line that a rule knows, and one that sums up.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane rules why-not`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhyNot {
    /// The rule, as ID or PACK/ID.
    pub rule: String,
    /// A file of log lines, a recording, or - for standard input.
    #[arg(value_name = "FILE|-")]
    pub source: String,
    #[command(flatten)]
    pub(in crate::cli) rules: MoreRules,
    #[command(flatten)]
    pub(in crate::cli) setting: SettingOptions,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane rules replay`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Replay {
    /// The recording, as `arcane record` wrote it, or - for standard input.
    #[arg(value_name = "RECORDING|-")]
    pub recording: String,
    #[command(flatten)]
    pub(in crate::cli) rules: MoreRules,
    /// As `arcane heal --auto` would have done; the same as --mode auto.
    #[arg(long, conflicts_with = "mode")]
    pub auto: bool,
    /// What may be done: suggest as `arcane watch`, approve as `arcane heal`, auto as `arcane heal --auto`.
    #[arg(long, default_value = "approve")]
    pub mode: Mode,
    /// Print a line of JSON per happening, and one that sums up.
    #[arg(long)]
    pub json: bool,
}

/// Options of `arcane rules new`.
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// The log line that shows the problem, a file that begins with it, or - for standard input.
    #[arg(value_name = "LINE|FILE|-")]
    pub source: String,
    /// What the rule is called; made from the line when left out.
    #[arg(long)]
    pub id: Option<String>,
    /// The class of the problem; guessed when left out.
    #[arg(long)]
    pub class: Option<Class>,
    /// The pack that the rule is in.
    #[arg(long, default_value = "local")]
    pub pack: String,
    /// Write a new file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `arcane record`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Record {
    /// The app; may be left out when arcane.toml has just one.
    pub app: Option<AppName>,
    /// Hosts and groups, separated by commas; all when left out.
    #[arg(long, value_name = "HOST|GROUP,…")]
    pub to: Option<String>,
    /// Stop after this long.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// The file to write; named after the app and the time when left out.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Stop when the file has so many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100 << 20)]
    pub max_bytes: u64,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Print JSON at the end.
    #[arg(long)]
    pub json: bool,
}
