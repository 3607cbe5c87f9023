//! `arcane record`: what is observed of an app, into a file that can be judged again later. The watcher has masked the
//! values of the vault before anything gets here; what is written is masked once more.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context;
use super::rules::args::Record;
use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::clock;
use crate::deploy::remote::Pool;
use crate::fleet::recording::VERSION;
use crate::fleet::text::plural;
use crate::fleet::{AppName, End, Fact, Header, Observation, Recorded, duration};
use crate::secrets::Redactor;
use crate::watch::{Options, Watcher};

/// Observations that are written together when they come quicker than they can be written.
const TOGETHER: usize = 256;
/// Room that is kept for the last line.
const END_ROOM: u64 = 256;
/// Less holds no recording worth the name.
const SMALLEST: u64 = 4096;
/// How often memory and processor are sampled.
const STATS: Duration = Duration::from_secs(15);

pub(super) async fn run(
    ui: &Ui,
    arguments: &Arguments,
    options: &Record,
    cancel: &CancellationToken,
) -> Result<u8, Failure> {
    if options.max_bytes < SMALLEST {
        return Err(Failure::new(exit::USAGE, format!("--max-bytes is less than {SMALLEST}")));
    }
    let app = context::app_name(ui, arguments, options.app.as_ref())?;
    let fleet = context::fleet(arguments)?;
    let hosts = context::hosts(&fleet, options.to.as_deref())?;
    let path = options.output.clone().unwrap_or_else(|| named_after(&app));
    let mut tape = Tape::create(&path, options, ui.redactor())?;
    let from = hosts.iter().map(|host| host.name.clone()).collect();
    tape.write(&Header { arcane_recording: VERSION, app: app.clone(), from, at: clock::now() })?;
    ui.note(&format!(
        "recording {app} on {} into {}; Ctrl-C ends it",
        context::names(&hosts),
        path.display()
    ));
    let watch = Options { apps: Some([app].into()), stats_every: Some(STATS), ..Options::default() };
    let watching = cancel.child_token();
    let pool = Pool::new(ui.redactor());
    let (watcher, mut observations) = Watcher::start(hosts, pool, watch, watching.clone());
    let began = clock::now();
    let ended = tape.record(&mut observations, options.duration, cancel).await;
    watching.cancel();
    drop(observations);
    watcher.join().await;
    let why = ended?;
    tape.close(&why)?;
    let took = duration::brief(clock::now().since(began));
    if options.json {
        ui.json(&json!({
            "file": path.display().to_string(), "observations": tape.written, "bytes": tape.bytes,
            "seconds": clock::now().since(began).as_secs_f64(), "why": why,
        }));
    } else {
        ui.out(&format!(
            "{} ({} bytes) in {took}, in {}: {why}",
            plural(tape.written, "observation"),
            tape.bytes,
            path.display()
        ));
    }
    Ok(if tape.reached { exit::DONE } else { exit::UNREACHABLE })
}

/// The file that is being written. What was written is whole up to the last line, whenever we are killed.
struct Tape {
    file: File,
    path: PathBuf,
    redactor: Redactor,
    limit: u64,
    bytes: u64,
    written: usize,
    /// Whether any host has told anything.
    reached: bool,
}

impl Tape {
    /// Makes the file, for nobody else's eyes: logs hold what they hold.
    fn create(path: &Path, options: &Record, redactor: Redactor) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let failure = Failure::new(exit::USAGE, format!("cannot write {}: {error}", path.display()));
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    failure.hint("name another with -o, or write over it with --force")
                }
                _ => failure,
            }
        };
        if options.force {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            redactor,
            limit: options.max_bytes,
            bytes: 0,
            written: 0,
            reached: false,
        })
    }

    /// Writes what comes in until it is enough; says why it is.
    async fn record(
        &mut self,
        observations: &mut mpsc::Receiver<Observation>,
        duration: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let over = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut batch = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok("interrupted".to_owned()),
                () = &mut over => return Ok("its time was over".to_owned()),
                count = observations.recv_many(&mut batch, TOGETHER) => {
                    if count == 0 {
                        return Ok("nothing more can come".to_owned());
                    }
                    if !self.keep(batch.drain(..))? {
                        return Ok(format!("it has {} bytes, and --max-bytes allows {}", self.bytes, self.limit));
                    }
                }
            }
        }
    }

    /// Writes observations down; says whether there is room for more.
    fn keep(&mut self, observations: impl Iterator<Item = Observation>) -> Result<bool, Failure> {
        let seen = clock::now();
        let mut lines = Vec::new();
        for observation in observations {
            self.reached |= !matches!(observation.fact, Fact::HostUnreachable { .. });
            let line = self.line(&Recorded { seen, observation });
            if self.bytes + (lines.len() + line.len()) as u64 + END_ROOM > self.limit {
                self.put(&lines)?;
                return Ok(false);
            }
            lines.extend_from_slice(line.as_bytes());
            self.written += 1;
        }
        self.put(&lines)?;
        Ok(true)
    }

    fn close(&mut self, why: &str) -> Result<(), Failure> {
        self.write(&End { end: clock::now(), why: why.to_owned() })?;
        self.file.sync_all().map_err(|error| self.failed(&error))
    }

    fn write(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = self.line(value);
        self.put(line.as_bytes())
    }

    fn line(&self, value: &impl Serialize) -> String {
        let json = serde_json::to_string(value).unwrap_or_default();
        format!("{}\n", self.redactor.redact_json(&json))
    }

    fn put(&mut self, lines: &[u8]) -> Result<(), Failure> {
        self.file.write_all(lines).map_err(|error| self.failed(&error))?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::new(exit::FAILED, format!("cannot write {}: {error}", self.path.display()))
    }
}

/// A name that no other recording of the app has.
fn named_after(app: &AppName) -> PathBuf {
    let at = clock::now().to_string();
    let stamp: String = at.chars().filter(char::is_ascii_digit).take(14).collect();
    PathBuf::from(format!("{app}-{stamp}.recording"))
}
