//! `arcane doctor`: everything that a host needs, in the order in which it is needed, and what to do about what is
//! missing.

use serde::Serialize;

use super::{context, doctor_secrets};
use crate::cli::args::{Arguments, Doctor};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::deploy::caddy::{Caddyfile, Route, loses_connections};
use crate::deploy::lock::Lock;
use crate::deploy::rollout::{AT_ONCE, on_each};
use crate::deploy::transfer::takes_zstd;
use crate::deploy::{Error as DeployError, Remote};
use crate::docker::{Engine, Transport};
use crate::fleet::text::printable;
use crate::fleet::{Host, duration};
use crate::secrets::Redactor;
use crate::ssh::{ChannelFailure, Error, Session, Target};

/// Clocks further apart than this make ages and backoffs wrong.
const SKEW: std::time::Duration = std::time::Duration::from_secs(5);
/// Less free space than this will not hold the next image.
const LOW_SPACE: u64 = 2 << 30;
/// How much of what was found is shown, in characters.
const FOUND: usize = 500;

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, ok: true, found: found.into(), fix: None }
    }

    fn bad(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, ok: false, found: found.into(), fix: Some(fix.into()) }
    }
}

pub(super) async fn run(ui: &Ui, arguments: &Arguments, options: &Doctor) -> Result<u8, Failure> {
    let fleet = context::fleet(arguments)?;
    let hosts = fleet.select(&options.to)?;
    let examined = on_each(&hosts, AT_ONCE, |host| async move { examine(&host).await }).await;
    let mut codes = Vec::new();
    for (host, (checks, code)) in hosts.iter().zip(examined) {
        if options.json {
            ui.json(&serde_json::json!({ "host": host.name, "ok": code == exit::DONE, "checks": checks }));
        } else {
            let prefix = if hosts.len() > 1 { format!("{} ", host.name) } else { String::new() };
            show(ui, &prefix, &checks);
        }
        codes.push(code);
    }
    Ok(context::common_code(&codes))
}

fn show(ui: &Ui, prefix: &str, checks: &[Check]) {
    for check in checks {
        let (verdict, found) = (if check.ok { "ok  " } else { "FAIL" }, printable(&check.found, FOUND));
        ui.out(&format!("{prefix}{verdict} {:<10} {found}", check.check));
        if let Some(fix) = &check.fix {
            ui.out(&format!("{prefix}                {fix}"));
        }
    }
}

async fn examine(host: &Host) -> (Vec<Check>, u8) {
    let mut checks = Vec::new();
    let target = match Target::resolve(host).await {
        Ok(target) => target,
        Err(error) => {
            checks.push(broken("address", &error, error.hint()));
            return (checks, exit::UNREACHABLE);
        }
    };
    checks.push(Check::good("address", format!("{}@{}", target.user, target.endpoint())));
    let session = match Session::connect(&target).await {
        Ok(session) => session,
        Err(error) => {
            checks.push(broken("ssh", &error, error.hint()));
            return (checks, exit::UNREACHABLE);
        }
    };
    checks.push(Check::good("ssh", "connected; the host's key is in known_hosts"));
    let engine = match Engine::over_ssh(&session).await {
        Ok(engine) => engine,
        Err(error) => {
            checks.push(broken("docker", &error, error.hint()));
            return (checks, exit::FAILED);
        }
    };
    checks.push(transport(&engine));
    engine_checks(&engine, &mut checks).await;
    checks.push(probes(&session).await);
    tools(&session, &engine, &mut checks).await;
    checks.extend(caddy(host, &session, &engine).await);
    checks.push(secrets(&session).await);
    checks.push(lock(&session).await);
    let code = if checks.iter().all(|check| check.ok) { exit::DONE } else { exit::FAILED };
    (checks, code)
}

fn broken(check: &'static str, error: &dyn std::error::Error, hint: Option<String>) -> Check {
    let mut found = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        found = format!("{found}: {cause}");
        source = cause.source();
    }
    Check { check, ok: false, found: printable(&found, FOUND), fix: hint }
}

fn transport(engine: &Engine) -> Check {
    match engine.transport() {
        Transport::DialStdio { .. } => Check::good(
            "transport",
            format!(
                "{}; slower, and limited by sshd's MaxSessions. Allow AllowStreamLocalForwarding for the fast way",
                engine.transport()
            ),
        ),
        transport => Check::good("transport", transport.to_string()),
    }
}

async fn engine_checks(engine: &Engine, checks: &mut Vec<Check>) {
    let version = engine.version();
    let takes = if takes_zstd(version) { "takes zstd itself" } else { "needs `zstd -d` on the host" };
    checks.push(Check::good(
        "engine",
        format!(
            "{} (API {}, {}/{}), {takes}",
            version.version, version.negotiated, version.os, version.architecture
        ),
    ));
    match engine.info().await {
        Ok(info) => {
            checks
                .push(Check::good("storage", format!("{} in {}", info.storage_driver, info.root.display())));
            let now = crate::clock::now();
            if let Some(theirs) = info.system_time {
                let skew = now.since(theirs).max(theirs.since(now));
                let found = format!("{} apart from this machine's", duration::brief(skew));
                checks.push(if skew > SKEW {
                    Check::bad("clock", found, "run an NTP client on both, for instance systemd-timesyncd")
                } else {
                    Check::good("clock", found)
                });
            }
        }
        Err(error) => checks.push(broken("engine", &error, error.hint())),
    }
}

/// Health probes go through TCP forwarding. Connecting to sshd itself shows whether it is allowed.
async fn probes(session: &Session) -> Check {
    match session.open_tcp("127.0.0.1", 22).await {
        Err(Error::Channel { failure: ChannelFailure::Prohibited, .. }) => Check::bad(
            "probes",
            "the server forbids TCP forwarding, so http and tcp health checks cannot be asked",
            "set `AllowTcpForwarding yes` for this user, or use docker, command or stays_up health checks",
        ),
        _ => Check::good("probes", "http and tcp health checks can be asked through the connection"),
    }
}

const TOOLS: &str = r#"for t in flock timeout head dd sed zstd docker; do command -v "$t" >/dev/null 2>&1 && echo "have $t"; done
df -Pk "$(docker info -f '{{.DockerRootDir}}' 2>/dev/null || echo /var/lib/docker)" 2>/dev/null | awk 'NR==2 {print "free " $4}'"#;

async fn tools(session: &Session, engine: &Engine, checks: &mut Vec<Check>) {
    let output = match session.run(TOOLS, b"").await {
        Ok(output) => output,
        Err(error) => return checks.push(broken("tools", &error, error.hint())),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let have = |tool: &str| text.lines().any(|line| line == format!("have {tool}"));
    let missing: Vec<_> =
        ["flock", "timeout", "head", "dd", "sed"].into_iter().filter(|tool| !have(tool)).collect();
    checks.push(if missing.is_empty() {
        Check::good("tools", "everything that the deploy lock needs is there")
    } else {
        Check::bad("tools", format!("missing: {}", missing.join(", ")), "install util-linux and coreutils")
    });
    if !takes_zstd(engine.version()) && (!have("zstd") || !have("docker")) {
        checks.push(Check::bad(
            "transfer",
            "no zstd there, so images are sent as gzip: larger and slower",
            "install zstd",
        ));
    }
    let free =
        text.lines().find_map(|line| line.strip_prefix("free ")).and_then(|free| free.parse::<u64>().ok());
    if let Some(free) = free.map(|kibibytes| kibibytes.saturating_mul(1024)) {
        let found = format!("{} free where images are kept", super::steps::bytes(free));
        checks.push(if free < LOW_SPACE {
            Check::bad("disk", found, "remove what is not needed, for instance with `docker image prune`")
        } else {
            Check::good("disk", found)
        });
    }
}

/// Caddy, and where it leads the apps of this host that are swapped blue/green. A host without either needs none.
async fn caddy(host: &Host, session: &Session, engine: &Engine) -> Vec<Check> {
    let redactor = Redactor::default();
    let remote = Remote { host: host.clone(), session: session.clone(), engine: engine.clone(), redactor };
    let problem = |error: DeployError| {
        let hint = error.hint();
        broken("caddy", &error, hint)
    };
    let apps = match remote.apps().await {
        Ok(apps) => apps,
        Err(error) => return vec![problem(error)],
    };
    let live = apps.into_iter().filter_map(|(name, deployed)| Some((name, deployed.situation.live?)));
    let mut checks = Vec::new();
    for (name, live) in live {
        let Some(slots) = &live.record.app.blue_green else { continue };
        let found = async {
            let route = Route::look(&remote, slots).await?;
            route.may_write()?;
            Ok((route.live()?, route))
        };
        checks.push(match found.await {
            Ok((port, _)) if Some(port) != live.record.slot => Check::bad(
                "caddy",
                format!("{} leads to localhost:{port}, where {name} is not live", slots.domain),
                format!("`arcane push {name} --to {}` settles that", host.name),
            ),
            Ok((port, route)) => {
                let losses = loses_connections(&remote).await.ok().flatten().map(str::to_owned);
                let warnings = route.cuts_streams().into_iter().chain(losses);
                let warnings: String = warnings.map(|warning| format!("; {warning}")).collect();
                Check::good(
                    "caddy",
                    format!("{} leads to {name} on localhost:{port}{warnings}", slots.domain),
                )
            }
            Err(error) => problem(error),
        });
    }
    if checks.is_empty() {
        match Caddyfile::read(&remote).await {
            Ok(_) => {
                checks.push(Check::good("caddy", "its Caddyfile is valid; no app here is swapped blue/green"))
            }
            // Without an app that needs it, nothing is missing.
            Err(error) => {
                checks.push(Check::good("caddy", format!("not ready, and not needed yet: {error}")))
            }
        }
    }
    checks
}

/// Where secrets would lie.
async fn secrets(session: &Session) -> Check {
    match doctor_secrets::look(session).await {
        Ok(kept) if kept.is_safe => Check::good("secrets", kept.found),
        Ok(kept) => Check::bad("secrets", kept.found, doctor_secrets::FIX),
        Err(error) => broken("secrets", &error, error.hint()),
    }
}

async fn lock(session: &Session) -> Check {
    match Lock::holder(session).await {
        Ok(None) => Check::good("lock", "free"),
        Ok(Some(holder)) => Check::good("lock", format!("held by {holder}")),
        Err(error) => broken("lock", &error, error.hint()),
    }
}
