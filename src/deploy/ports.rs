//! Whether a release may have a port of its host, and who has it if not.
//!
//! A listening port that no running container publishes is mostly a program of somebody's, and then waiting helps
//! nobody. But for some seconds after an engine was killed it is none: the engine has started the proxy of a container's
//! port and does not list the container as running yet, or is just taking the proxies of its last life away. That is
//! waited for, and whatever the container turns out to be decides. A proxy that outlived its engine may stay for good,
//! though. It answers nobody and nothing will ever stop it, so it is named with its process, which only has to be ended.
//! And an engine that was killed in the middle of a start may keep the port itself when it comes back (seen with 20.10:
//! the proxy is there anew, "port is already allocated", and no container): that ends with its next restart only.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::Error;
use super::labels::APP;
use super::remote::Remote;
use crate::docker::ContainerSummary;
use crate::fleet::AppName;
use crate::fleet::text::printable;

const WHO: &str = include_str!("ports.sh");
const POLL: Duration = Duration::from_millis(500);
/// How long an engine that comes back may take to say whose a port is: it brings its containers back one by one.
const RESTORING: Duration = Duration::from_secs(30);
/// How long whoever cannot be named, or should be gone already, may take to turn out to be the engine, or to go.
const DOUBT: Duration = Duration::from_secs(5);

/// Who listens on a port that no running container publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holder {
    /// Nobody.
    Nobody,
    /// The engine, or a proxy that it has started.
    Engine,
    /// A proxy whose engine is gone.
    Orphan(u32),
    /// Another program.
    Program(String, u32),
    /// Somebody whom this user may not see.
    Unknown,
}

/// Makes sure that a port of the host is free for an app, or the app's own.
///
/// # Errors
/// [`Error::Preflight`] with who has it. Others when the host or its engine cannot be asked.
pub(super) async fn is_open(remote: &Remote, app: &AppName, port: u16) -> Result<(), Error> {
    let refuse = |why| Err(Error::Preflight { host: remote.name().clone(), why });
    let begun = Instant::now();
    loop {
        // Asked first: a proxy that is seen after that belongs to a container which the next look finds.
        let containers = remote.engine.list_containers(false, &[]).await?;
        let mut publishing = containers.iter().filter(|container| publishes(container, port)).peekable();
        let is_published = publishing.peek().is_some();
        let foreign = |it: &&ContainerSummary| it.labels.get(APP).map(String::as_str) != Some(app.as_str());
        if let Some(container) = publishing.find(foreign) {
            return refuse(format!("port {port} is taken by container {}", container.name));
        }
        if is_published {
            return Ok(());
        }
        let input = format!("{port} {port:04X}\n");
        let holder = holder(&remote.session.run(WHO, input.as_bytes()).await?.text());
        if holder == Holder::Nobody {
            return Ok(());
        }
        if begun.elapsed() >= holder.patience() {
            return refuse(holder.told(port));
        }
        tracing::debug!(host = %remote.name(), port, ?holder, "a port is held that no container has");
        sleep(POLL).await;
    }
}

fn publishes(container: &ContainerSummary, port: u16) -> bool {
    container.ports.iter().any(|published| published.host_port == port)
}

impl Holder {
    const fn patience(&self) -> Duration {
        match self {
            Self::Engine => RESTORING,
            Self::Orphan(_) | Self::Unknown => DOUBT,
            Self::Nobody | Self::Program(..) => Duration::ZERO,
        }
    }

    fn told(&self, port: u16) -> String {
        match self {
            Self::Orphan(pid) => format!(
                "port {port} is held by a docker-proxy (process {pid}) that an engine left behind when it died; no \
                 container has that port any more: free it with `kill {pid}` on the host"
            ),
            Self::Engine => format!(
                "port {port} is kept by the host's engine for a container that does not run, and has been for {} s; an \
                 engine that was killed while it started one does that, and only a restart frees the port: `systemctl \
                 restart docker` on the host, or take another port meanwhile",
                RESTORING.as_secs()
            ),
            Self::Program(name, pid) => {
                let name = printable(name, 40);
                format!("port {port} is taken by a program that is no container: {name} (process {pid})")
            }
            Self::Nobody | Self::Unknown => format!(
                "port {port} is taken by a program that is no container; `ss -ltnp` on the host, as root, shows which"
            ),
        }
    }
}

/// Understands what the host says.
fn holder(said: &str) -> Holder {
    let mut lines = said.lines();
    if lines.next() != Some("taken") {
        return Holder::Nobody;
    }
    let (mut engine, mut orphan, mut program) = (false, None, None);
    for line in lines {
        if let Some(proxy) = line.strip_prefix("proxy ") {
            // One of an engine's own at the same port, which it can only have if it is about to take its place.
            let mut words = proxy.splitn(3, ' ');
            match (words.next().and_then(|pid| pid.parse().ok()), words.next(), words.next()) {
                (_, _, Some("dockerd")) => engine = true,
                // Whoever starts a proxy and dies leaves it to the first process. Any other may be another engine's.
                (Some(pid), Some("1"), _) => orphan = orphan.or(Some(pid)),
                _ => {}
            }
        } else if program.is_none() {
            program = listener(line);
        }
    }
    match program {
        Some((name, _)) if name == "dockerd" => Holder::Engine,
        // Whoever is seen to listen is who has the port, whatever else says that it is there for it: the proxy may be
        // that of an engine in a container.
        Some((name, pid)) if name != "docker-proxy" => Holder::Program(name, pid),
        _ if engine => Holder::Engine,
        _ => orphan.map_or(Holder::Unknown, Holder::Orphan),
    }
}

/// The first program and process in a line of `ss`: `… users:(("caddy",pid=12,fd=4))`.
fn listener(line: &str) -> Option<(String, u32)> {
    let (_, users) = line.split_once("users:((\"")?;
    let (name, rest) = users.split_once("\",pid=")?;
    let pid = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((name.to_owned(), pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_port_is_told_apart() {
        let ss = |name: &str, pid: u32| {
            format!("LISTEN 0 4096 127.0.0.1:8001 0.0.0.0:* users:((\"{name}\",pid={pid},fd=4))\n")
        };
        let program = |name: &str, pid| Holder::Program(name.to_owned(), pid);
        for (said, expected) in [
            (String::new(), Holder::Nobody),
            ("bash: ports: not found\n".to_owned(), Holder::Nobody),
            ("taken\n".to_owned(), Holder::Unknown),
            // As another user than root sees it.
            ("taken\nLISTEN 0 4096 127.0.0.1:8001 0.0.0.0:*\n".to_owned(), Holder::Unknown),
            (format!("taken\n{}", ss("caddy", 7)), program("caddy", 7)),
            (format!("taken\n{}", ss("a\u{1b}[31m\",pid=1", 7)), program("a\u{1b}[31m", 1)),
            ("taken\nproxy 12 3 dockerd\n".to_owned(), Holder::Engine),
            (format!("taken\nproxy 12 3 dockerd\n{}", ss("docker-proxy", 12)), Holder::Engine),
            // An engine in a container has a proxy for its own port of that number.
            (format!("taken\nproxy 12 3 dockerd\n{}", ss("nginx", 9)), program("nginx", 9)),
            // Without proxies the engine listens itself.
            (format!("taken\n{}", ss("dockerd", 3)), Holder::Engine),
            ("taken\nproxy 12 1 systemd\n".to_owned(), Holder::Orphan(12)),
            // Of an engine without root, whose proxies belong to another program.
            ("taken\nproxy 12 9 rootlesskit-doc\n".to_owned(), Holder::Unknown),
            (format!("taken\nproxy 12 1 \n{}", ss("docker-proxy", 12)), Holder::Orphan(12)),
            ("taken\nproxy 12 1 boot\nproxy 20 3 dockerd\n".to_owned(), Holder::Engine),
            // What is there for the port on another address is not who listens.
            (format!("taken\nproxy 12 1 systemd\n{}", ss("nginx", 9)), program("nginx", 9)),
            ("taken\nproxy x\nproxy\n".to_owned(), Holder::Unknown),
        ] {
            assert_eq!(holder(&said), expected, "{said}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_type() {
        assert!(Holder::Orphan(4242).told(8001).contains("free it with `kill 4242` on the host"));
        assert!(!Holder::Program("a\u{1b}[31m".to_owned(), 1).told(8001).contains('\u{1b}'));
    }
}
