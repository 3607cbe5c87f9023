//! Hooks: a line for a shell before the switch and one after it, on this machine or on the host, under the deploy lock.
//!
//! A hook has a time limit, and so has all that it starts: it is a process group of its own, which is ended with SIGTERM
//! and 5 s later with SIGKILL when its time is up, when the operator interrupts, and, on the host, when we die or the line
//! drops. It is told what it is run for, and [`lend::VARIABLE`] lets an arcane that it starts work under our lock.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::event::{Speaker, Step};
use super::lend;
use super::output::Output;
use super::push::{Order, image_tag};
use super::switch::{Change, chain};
use crate::fleet::{Hook, Place, duration};
use crate::ssh::quote;

const SCRIPT: &str = include_str!("hook.sh");
/// Must be well below the 20 s after which the host ends a hook that nobody answers for.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Between asking a group to end and ending it.
const GRACE: Duration = Duration::from_secs(5);
/// How long the host may take to report the end of a hook that was ended.
const REPORT: Duration = Duration::from_secs(10);

/// How a hook failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) why: String,
    /// The last lines that it wrote.
    pub(super) last_lines: Vec<String>,
    /// Whether the operator interrupted.
    pub(super) interrupted: bool,
}

/// What ended a hook before its time.
#[derive(Clone, Copy)]
enum Cut {
    Limit,
    Interruption,
}

impl Change<'_> {
    /// Runs a hook to its end.
    pub(super) async fn hook(&self, hook: &Hook, which: Speaker, order: &Order<'_>) -> Result<(), Failed> {
        let place = if hook.on == Place::Host { "on the host" } else { "here" };
        let failed = |why| Failed { why, last_lines: Vec::new(), interrupted: false };
        let step = format!("`{}` {place}: {}", which.as_str(), hook.run);
        self.guarded(Step::Hook, step).await.map_err(|error| failed(chain(&error)))?;
        let variables = self.variables(hook, order);
        let mut output = self.output(which);
        let ended = match &hook.on {
            Place::Here(directory) => self.here(hook, directory, &variables, &mut output).await,
            Place::Host => self.there(hook, &variables, &mut output).await,
        };
        let last_lines = output.end();
        let (why, interrupted) = match ended {
            Ok((None, code)) if code == "exit code 0" => return Ok(()),
            Ok((None, code)) => (format!("it ended with {code}"), false),
            Ok((Some(Cut::Limit), _)) => (
                format!("it took longer than {} (`within`) and was ended", duration::format(hook.within)),
                false,
            ),
            Ok((Some(Cut::Interruption), _)) => ("it was ended".to_owned(), true),
            Err(why) => (why, false),
        };
        Err(Failed { why, last_lines, interrupted })
    }

    /// What a hook is told, and how an arcane that it starts may use our lock.
    fn variables(&self, hook: &Hook, order: &Order<'_>) -> Vec<(&'static str, String)> {
        let (host, app) = (self.remote.name(), &self.app.name);
        // The name by which the engine where it runs knows the image.
        let image = match hook.on {
            Place::Here(_) => order.image_name.clone(),
            Place::Host => image_tag(app, self.release),
        };
        vec![
            ("ARCANE_APP", app.to_string()),
            ("ARCANE_RELEASE", self.release.to_string()),
            ("ARCANE_HOST", host.to_string()),
            ("ARCANE_IMAGE", image),
            (lend::VARIABLE, lend::Lent { host: host.clone(), number: self.lock.number() }.to_string()),
        ]
    }

    async fn here(
        &self,
        hook: &Hook,
        directory: &Path,
        variables: &[(&'static str, String)],
        output: &mut Output<'_>,
    ) -> Result<(Option<Cut>, String), String> {
        let mut command = Command::new("sh");
        command
            // One stream, so that its lines come in their order.
            .args(["-c", &format!("exec 2>&1\n{}", hook.run)])
            .current_dir(directory)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| format!("it could not be started: {error}"))?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let mut stdout = child.stdout.take().ok_or("its output cannot be read")?;
        let mut pipe = [0; 8 * 1024];
        let (mut cut, mut deadline) = (None, Instant::now() + hook.within);
        loop {
            tokio::select! {
                read = stdout.read(&mut pipe) => match read {
                    Ok(read) if read > 0 => output.take(&pipe[..read]),
                    // It and all that it started have closed their output, which is its end.
                    _ => break,
                },
                () = sleep_until(deadline) => {
                    if cut.is_some() {
                        break;
                    }
                    (cut, deadline) = (Some(Cut::Limit), Instant::now() + GRACE);
                    group.signal(Signal::TERM);
                }
                () = self.cancel.cancelled(), if cut.is_none() => {
                    (cut, deadline) = (Some(Cut::Interruption), Instant::now() + GRACE);
                    group.signal(Signal::TERM);
                }
            }
        }
        if cut.is_some() {
            group.signal(Signal::KILL);
        }
        // A hook that closed its output and goes on has what is left of its time.
        let status = match timeout(
            deadline.saturating_duration_since(Instant::now()).max(GRACE),
            child.wait(),
        )
        .await
        {
            Ok(status) => status.map_err(|error| format!("its end cannot be seen: {error}"))?,
            Err(_) => {
                group.signal(Signal::KILL);
                return Ok((cut.or(Some(Cut::Limit)), String::new()));
            }
        };
        group.over();
        use std::os::unix::process::ExitStatusExt as _;
        let code = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        Ok((cut, code))
    }

    async fn there(
        &self,
        hook: &Hook,
        variables: &[(&'static str, String)],
        output: &mut Output<'_>,
    ) -> Result<(Option<Cut>, String), String> {
        let text = |error: &dyn std::error::Error| chain(error);
        let mut exec = self.remote.session.exec(SCRIPT).await.map_err(|error| text(&error))?;
        let exports: String =
            variables.iter().map(|(name, value)| format!("export {name}={}\n", quote(value))).collect();
        let script = format!("{exports}{}", hook.run);
        let input = format!("{}\n{script}", script.len());
        exec.stdin.write_all(input.as_bytes()).await.map_err(|error| text(&error))?;
        exec.stdin.flush().await.map_err(|error| text(&error))?;
        let mut pipe = [0; 8 * 1024];
        let mut beat = interval(HEARTBEAT);
        let (mut cut, mut deadline) = (None, Instant::now() + hook.within);
        loop {
            let reason = tokio::select! {
                read = exec.stdout.read(&mut pipe) => match read.map_err(|error| text(&error))? {
                    0 => break,
                    read => {
                        output.take(&pipe[..read]);
                        continue;
                    }
                },
                _ = beat.tick(), if cut.is_none() => {
                    // A line that is gone is noticed by reading.
                    let _ = exec.stdin.write_all(b".").await;
                    let _ = exec.stdin.flush().await;
                    continue;
                }
                () = sleep_until(deadline) => Cut::Limit,
                () = self.cancel.cancelled(), if cut.is_none() => Cut::Interruption,
            };
            if cut.is_some() {
                return Ok((cut, String::new()));
            }
            (cut, deadline) = (Some(reason), Instant::now() + GRACE + REPORT);
            // The end of its input tells the host to end the hook.
            let _ = exec.stdin.shutdown().await;
        }
        let status = timeout(REPORT, exec.wait()).await.map_err(|_| "its end was not reported".to_owned())?;
        Ok((cut, status.map_err(|error| text(&error))?.to_string()))
    }
}

/// The processes of a hook on this machine. Whatever becomes of us, unless the hook is over they are ended.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // One that is gone needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }

    /// The hook ended by itself: what it left running on purpose is left alone.
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
