//! Asks a new container whether it works, from the host it runs on: the probe goes through our own SSH connection to
//! the container's address, so neither the image nor the server needs any tool for it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep, timeout};

use super::error::Error;
use super::remote::Remote;
use super::secrets;
use crate::docker::{Container, ExecOptions, Status};
use crate::fleet::text::printable;
use crate::fleet::{App, ContainerId, HealthCheck, HealthState, Probe, duration};

/// The pause between two probes.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long one probe may take.
pub(super) const PROBE: Duration = Duration::from_secs(3);
/// How much of a command's output is kept.
const OUTPUT: usize = 8 * 1024;

/// What became of a container that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It works.
    Healthy,
    /// It does not, for this reason.
    Unhealthy(String),
}

/// Asks until the container is healthy, has failed, or its time is up.
///
/// # Errors
/// When the host or its engine cannot be asked any more: that says nothing about the container.
pub(super) async fn wait(remote: &Remote, id: &ContainerId, app: &App) -> Result<Verdict, Error> {
    let check = &app.health;
    let begun = Instant::now();
    loop {
        let container = match alive(remote, id).await? {
            Ok(container) => container,
            Err(why) => return Ok(Verdict::Unhealthy(why)),
        };
        if let Probe::StaysUp(window) = check.probe {
            if begun.elapsed() >= window {
                return Ok(Verdict::Healthy);
            }
        } else {
            // A command is run once at a time, and may take all the time there is.
            let limit = match check.probe {
                Probe::Command(_) => check.within.saturating_sub(begun.elapsed()).max(PROBE),
                _ => PROBE,
            };
            let last = match timeout(limit, probe(remote, &container, app)).await {
                Ok(Ok(())) => return Ok(Verdict::Healthy),
                Ok(Err(why)) => why,
                Err(_) => format!("no answer within {}", duration::format(limit)),
            };
            if begun.elapsed() >= check.within {
                return Ok(Verdict::Unhealthy(not_in_time(check, &last)));
            }
        }
        sleep(INTERVAL).await;
    }
}

fn not_in_time(check: &HealthCheck, last: &str) -> String {
    format!("it did not get healthy ({check}); the last probe said: {last}")
}

/// The container as it is now, or why it has failed. A restart counts as a failure: it is how a crash looks when the
/// engine's restart policy was quicker than we were.
pub(super) async fn alive(remote: &Remote, id: &ContainerId) -> Result<Result<Container, String>, Error> {
    let inspected = remote.engine.inspect(&id.0).await?;
    let Some(container) = inspected else {
        return Ok(Err("its container was removed by somebody".to_owned()));
    };
    let state = &container.state;
    if container.restart_count > 0 || state.status == Status::Restarting {
        // Of one that runs again the engine does not say any more what it ended with.
        let code = if state.is_running() { String::new() } else { format!(" with code {}", state.exit_code) };
        return Ok(Err(format!("it exited{code} and was restarted")));
    }
    if !state.is_running() {
        let memory = if state.oom_killed { ", out of memory" } else { "" };
        return Ok(Err(format!("it exited with code {}{memory}", state.exit_code)));
    }
    Ok(Ok(container))
}

pub(super) async fn probe(remote: &Remote, container: &Container, app: &App) -> Result<(), String> {
    match &app.health.probe {
        Probe::Http(path) => http(remote, container, app, path).await,
        Probe::Tcp => open(remote, container, app).await.map(drop),
        Probe::Docker => docker(remote, container),
        Probe::Command(command) => run(remote, container, &secrets::command(app, command)).await,
        Probe::StaysUp(_) => Ok(()),
    }
}

async fn open(remote: &Remote, container: &Container, app: &App) -> Result<crate::ssh::ByteStream, String> {
    let port = app.port.ok_or("the app declares no port")?;
    // A container on the host's own network has no address of its own.
    let address = match container.addresses.values().next() {
        Some(address) => *address,
        None if app.network.as_deref() == Some("host") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        None => return Err("the container has no address in any network".to_owned()),
    };
    remote.session.open_tcp(&address.to_string(), port).await.map_err(|error| error.to_string())
}

async fn http(remote: &Remote, container: &Container, app: &App, path: &str) -> Result<(), String> {
    let stream = open(remote, container, app).await?;
    let text = |error: &dyn std::fmt::Display| printable(&error.to_string(), 200);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    let request = hyper::Request::get(path)
        .header("host", "localhost")
        .header("user-agent", concat!("arcane/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| text(&error))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    connection.abort();
    let status = answer.map_err(|error| text(&error))?.status();
    if status.is_success() {
        return Ok(());
    }
    let why = if status.is_redirection() {
        "; a redirect is not health: point it at a path that answers 200"
    } else {
        ""
    };
    Err(format!("GET {path} answered {status}{why}"))
}

fn docker(remote: &Remote, container: &Container) -> Result<(), String> {
    match container.health {
        HealthState::Healthy => Ok(()),
        HealthState::None => Err("the image has no HEALTHCHECK".to_owned()),
        HealthState::Starting => Err("HEALTHCHECK says starting".to_owned()),
        HealthState::Unhealthy => {
            let log = container.health_output.as_deref().unwrap_or("nothing");
            // The engine itself keeps no more than 4 KiB of it.
            let log = remote.redactor.redact_cut(log.trim().as_bytes());
            Err(format!("HEALTHCHECK says unhealthy: {}", printable(&String::from_utf8_lossy(&log), 300)))
        }
    }
}

async fn run(remote: &Remote, container: &Container, command: &[String]) -> Result<(), String> {
    let options = ExecOptions { command: command.to_vec(), ..ExecOptions::default() };
    let text = |error: crate::docker::Error| error.to_string();
    let mut exec = remote.engine.exec(&container.id.0, &options).await.map_err(text)?;
    let mut output = Vec::new();
    while let Some(frame) = exec.output.next().await.transpose().map_err(text)? {
        let room = OUTPUT.saturating_sub(output.len());
        output.extend_from_slice(&frame.bytes[..frame.bytes.len().min(room)]);
    }
    let code = exec.control().exit_code().await.map_err(text)?;
    if code == 0 {
        return Ok(());
    }
    let masked = remote.redactor.redact_cut(output.trim_ascii());
    let said = String::from_utf8_lossy(&masked);
    Err(format!("the command exited with code {code}: {}", printable(said.trim(), 300)))
}
