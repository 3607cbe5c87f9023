//! The Caddy in front of an app on its host: where it leads, and how it is made to lead to the other slot.
//!
//! Two things are looked at, and both must say the same: the Caddyfile, and the configuration that the running Caddy
//! has. A move is tried first: Caddy validates the edited file and says what it makes of it, and that may differ from
//! what it makes of the file now in the one upstream and in nothing else. Only then is the file replaced, if nobody
//! changed it meanwhile, and loaded; and Caddy is asked again, because only its answer says that requests go there.

mod admin;
mod config;
mod problem;

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::admin::{Admin, Answer};
use self::config::Leads;
pub use self::problem::Problem;
use super::caddyfile::{self, PATH, Upstream};
use super::error::Error;
use super::remote::Remote;
use crate::fleet::text::printable;
use crate::fleet::{BlueGreen, HostName};

const LOOK: &str = include_str!("look.sh");
const EDIT: &str = include_str!("edit.sh");
const RELOAD: &str = "caddy reload --config /etc/caddy/Caddyfile --adapter caddyfile";
/// The file that an edit is tried in, beside the real one.
const TRIED: &str = "/etc/caddy/.Caddyfile.arcane";
/// Caddy provisions everything anew when it loads a file, certificates included.
const LOAD: Duration = Duration::from_secs(60);
/// How much of Caddy's own words is shown, in characters.
const WORDS: usize = 400;
/// The first version that can let streams live on when it loads another configuration.
const KEEPS_STREAMS: (u32, u32) = (2, 7);

/// The Caddyfile of a host, and what Caddy makes of it.
#[derive(Debug, Clone)]
pub struct Caddyfile {
    host: HostName,
    /// The file.
    pub text: String,
    digest: String,
    config: Value,
    version: Option<(u32, u32)>,
    writable: bool,
    user: String,
}

/// Where a host's Caddy leads an app's requests.
#[derive(Debug, Clone)]
pub struct Route {
    file: Caddyfile,
    /// The app's upstream in the file.
    pub upstream: Upstream,
    /// The slot that the running Caddy leads to; `None` when no Caddy runs.
    pub running: Option<u16>,
    app: BlueGreen,
}

/// An edit that Caddy would take.
pub(super) struct Tried {
    text: String,
    port: u16,
}

impl Caddyfile {
    /// Reads it.
    ///
    /// # Errors
    /// When there is none, no Caddy, or Caddy does not take the file; changes nothing.
    pub async fn read(remote: &Remote) -> Result<Self, Error> {
        let host = remote.name();
        let output = remote.session.run(LOOK, b"").await?;
        let fail = |problem| Error::caddy(host, problem);
        let mut rest = output.stdout.as_slice();
        let file = |why| Problem::File { why };
        let writable = match line(&mut rest).as_str() {
            "found writable" => true,
            "found unwritable" => false,
            "nocaddy" => return Err(fail(Problem::NoCaddy)),
            "link" => return Err(fail(file("is a link; put the file itself there"))),
            "nofile" => return Err(fail(file("does not exist"))),
            "unreadable" => return Err(fail(file("is not a file that this user may read"))),
            "long" => return Err(fail(file("is longer than 256 KiB"))),
            _ => return Err(fail(file("could not be looked at; the host's shell did not answer"))),
        };
        let version = version(&line(&mut rest));
        let size: usize = line(&mut rest).parse().unwrap_or(usize::MAX);
        let Some((bytes, adapted)) = rest.split_at_checked(size) else {
            return Err(fail(file("could not be read to its end")));
        };
        let Ok(text) = String::from_utf8(bytes.to_vec()) else {
            return Err(fail(caddyfile::Problem::NotText.into()));
        };
        if !output.status.success() {
            return Err(fail(Problem::Invalid { why: words(&output.complaint()) }));
        }
        let config = serde_json::from_slice(adapted)
            .map_err(|error| fail(Problem::Invalid { why: words(&error.to_string()) }))?;
        let user = remote.session.target().user.clone();
        Ok(Self { host: host.clone(), digest: digest(&text), text, config, version, writable, user })
    }

    /// Whether this Caddy can keep streams when it loads another configuration. One that does not say its version is
    /// taken for a new one.
    #[must_use]
    pub fn can_keep_streams(&self) -> bool {
        self.version.is_none_or(|version| version >= KEEPS_STREAMS)
    }

    /// Whether the configuration answers for a host, wherever its file got that from.
    #[must_use]
    pub fn answers_for(&self, host: &str) -> bool {
        !host.is_empty() && config::answers_for(&self.config, host)
    }

    /// What the running Caddy has; `None` when none runs.
    async fn running(&self, remote: &Remote) -> Result<Option<Value>, Error> {
        let admin = Admin::of(&self.config).map_err(|problem| Error::caddy(&self.host, problem))?;
        match admin.ask(&remote.session).await? {
            Answer::Config(config) => Ok(Some(config)),
            Answer::Down(why) => {
                tracing::debug!(host = %self.host, %admin, %why, "Caddy does not answer");
                Ok(None)
            }
        }
    }

    /// The error that says that no Caddy runs.
    fn down(&self) -> Error {
        let address = Admin::of(&self.config).map_or_else(|_| "off".to_owned(), |admin| admin.to_string());
        Error::caddy(&self.host, Problem::Down { address, why: "nobody answers there".to_owned() })
    }

    /// Adds a block behind everything else, and has Caddy load it.
    ///
    /// # Errors
    /// When the file cannot take it, Caddy does not, or somebody else changed the file. It is then as it was.
    pub async fn add(&self, remote: &Remote, app: &BlueGreen, block: &str) -> Result<(), Error> {
        let fail = |problem| Error::caddy(&self.host, problem);
        let Some(running) = self.running(remote).await? else { return Err(self.down()) };
        if let Some(at) = config::drift(&running, &self.config, app) {
            return Err(fail(Problem::Drifted { at }));
        }
        let text = caddyfile::with_block(&self.text, block).map_err(|problem| fail(problem.into()))?;
        let config = self.attempt(remote, &text).await?;
        if !matches!(config::leads(&config, app), Leads::To(_)) {
            return Err(fail(Problem::Unclear { what: "neither" }));
        }
        self.replace(remote, &text).await?;
        if let Err(error) = reload(remote).await {
            Self::read(remote).await?.replace(remote, &self.text).await?;
            return Err(error);
        }
        Ok(())
    }

    /// What Caddy would make of another text in the file's place.
    async fn attempt(&self, remote: &Remote, text: &str) -> Result<Value, Error> {
        let output = self.edit(remote, "try", text).await?;
        let config: Value = serde_json::from_str(&output)
            .map_err(|error| Error::caddy(&self.host, Problem::Invalid { why: words(&error.to_string()) }))?;
        Ok(config::renamed(config, TRIED, PATH))
    }

    /// Puts another text into the file, atomically, unless somebody else changed it.
    async fn replace(&self, remote: &Remote, text: &str) -> Result<(), Error> {
        self.edit(remote, "replace", text).await.map(drop)
    }

    fn may_write(&self) -> Result<(), Error> {
        if self.writable {
            return Ok(());
        }
        Err(Error::caddy(&self.host, Problem::Unwritable { user: self.user.clone() }))
    }

    async fn edit(&self, remote: &Remote, what: &str, text: &str) -> Result<String, Error> {
        let fail = |problem| Error::caddy(&self.host, problem);
        self.may_write()?;
        let input = format!("{what}\n{}\n{text}", self.digest);
        let output = remote.session.run_within(EDIT, input.as_bytes(), LOAD).await?;
        let mut rest = output.stdout.as_slice();
        match line(&mut rest).as_str() {
            "ok" => Ok(String::from_utf8_lossy(rest).into_owned()),
            "changed" => Err(fail(Problem::Changed)),
            "blocked" => {
                let why =
                    "cannot be replaced: /etc/caddy/.Caddyfile.arcane is no file and in the way; remove it";
                Err(fail(Problem::File { why }))
            }
            "short" => Err(fail(Problem::Short)),
            "invalid" => Err(fail(Problem::Invalid { why: words(&output.complaint()) })),
            _ => Err(fail(Problem::Unwritable { user: self.user.clone() })),
        }
    }
}

impl Route {
    /// Looks where Caddy leads.
    ///
    /// # Errors
    /// When that is not plain: see [`Problem`]. A Caddy that does not run is no error here.
    pub async fn look(remote: &Remote, app: &BlueGreen) -> Result<Self, Error> {
        let file = Caddyfile::read(remote).await?;
        let fail = |problem| Error::caddy(remote.name(), problem);
        let upstream = caddyfile::find(&file.text, app).map_err(|problem| fail(problem.into()))?;
        let running = match file.running(remote).await? {
            None => None,
            Some(running) => {
                // That they lead to different slots is what a change leaves that was cut off between file and load.
                if let Some(at) = config::drift(&running, &file.config, app) {
                    return Err(fail(Problem::Drifted { at }));
                }
                match config::leads(&running, app) {
                    Leads::To(port) => Some(port),
                    Leads::Nowhere => return Err(fail(Problem::Unclear { what: "neither" })),
                    Leads::Both => return Err(fail(Problem::Unclear { what: "both" })),
                }
            }
        };
        Ok(Self { file, upstream, running, app: app.clone() })
    }

    /// The slot that requests are led to.
    ///
    /// # Errors
    /// When no Caddy runs.
    pub fn live(&self) -> Result<u16, Error> {
        self.running.ok_or_else(|| self.file.down())
    }

    /// Makes sure that the file may be replaced.
    ///
    /// # Errors
    /// [`Problem::Unwritable`].
    pub fn may_write(&self) -> Result<(), Error> {
        self.file.may_write()
    }

    /// The line of the file that would change, as it is.
    #[must_use]
    pub fn line(&self) -> String {
        printable(self.upstream.shown(&self.file.text), 200)
    }

    /// The same line as it would be.
    #[must_use]
    pub fn line_moved(&self, port: u16) -> String {
        printable(self.upstream.shown(&self.upstream.moved(&self.file.text, port)), 200)
    }

    /// Whether Caddy closes its idle connections to a slot that it leads to no more.
    pub(super) fn closes_idle(&self) -> bool {
        config::has_transport(&self.file.config, &self.app)
    }

    /// What becomes of websockets and other streams when Caddy loads the file, if they do not live on.
    #[must_use]
    pub fn cuts_streams(&self) -> Option<String> {
        let (line, drain) = (self.upstream.line, crate::fleet::duration::format(self.app.drain));
        if !self.file.can_keep_streams() {
            let (major, minor) = self.file.version.unwrap_or_default();
            Some(format!(
                "Caddy {major}.{minor} closes websockets when it loads a file; 2.7 and later can keep them"
            ))
        } else if !self.upstream.keeps_streams && !self.app.drain.is_zero() {
            Some(format!(
                "Caddy closes websockets when it loads a file; give `reverse_proxy` on line {line} the option \
                 `stream_close_delay {drain}`"
            ))
        } else {
            None
        }
    }

    /// Has Caddy try the file with another slot in it. Changes nothing.
    ///
    /// # Errors
    /// When Caddy would not take it, when more would change than the one upstream, or when something else leads to the
    /// slot that would be left.
    pub(super) async fn attempt(&self, remote: &Remote, port: u16) -> Result<Tried, Error> {
        let (from, app) = (self.upstream.port, &self.app);
        let fail = |problem| Error::caddy(&self.file.host, problem);
        let text = self.upstream.moved(&self.file.text, port);
        let config = self.file.attempt(remote, &text).await?;
        if let Some(at) = config::surprise(&self.file.config, &config, from, port, app) {
            return Err(fail(Problem::Surprise { at }));
        }
        if let Some(at) = config::place_of(&config, from, app).filter(|_| from != port) {
            return Err(fail(Problem::Elsewhere { port: from, at, site: app.domain.to_string() }));
        }
        Ok(Tried { text, port })
    }

    /// Replaces the file by one that was tried.
    ///
    /// # Errors
    /// When somebody changed it meanwhile, or it cannot be written. It is then as it was.
    pub(super) async fn replace(&self, remote: &Remote, tried: &Tried) -> Result<(), Error> {
        if tried.port == self.upstream.port {
            return Ok(());
        }
        self.file.replace(remote, &tried.text).await
    }

    /// Makes file and Caddy lead to a slot. One that already does is left alone; when no Caddy runs, the file is all.
    ///
    /// # Errors
    /// Those of [`Self::attempt`], [`Self::replace`] and [`load`].
    pub(super) async fn restore(&self, remote: &Remote, port: u16) -> Result<(), Error> {
        if self.upstream.port != port {
            let tried = self.attempt(remote, port).await?;
            self.replace(remote, &tried).await?;
        }
        match self.running {
            None => Ok(()),
            Some(running) if running == port => Ok(()),
            Some(_) => load(remote, &self.app, port).await,
        }
    }
}

/// How to keep a reload of Caddy from losing connections, if the host does not do it yet.
///
/// Caddy (2.6 and later) opens its ports anew when it loads a file, beside the old sockets, and closes those. The kernel
/// resets the connections that a closing socket has not accepted yet, unless it is told to hand them to the other one.
///
/// # Errors
/// When the host cannot be asked.
pub async fn loses_connections(remote: &Remote) -> Result<Option<&'static str>, Error> {
    let setting = remote.session.run("cat /proc/sys/net/ipv4/tcp_migrate_req", b"").await?;
    // A kernel before 5.14 has no such setting.
    Ok((setting.text().trim() == "0").then_some(
        "when Caddy loads a file, the kernel resets connections that are just being made; `sysctl -w \
         net.ipv4.tcp_migrate_req=1` keeps them",
    ))
}

/// Has Caddy load the file, and asks it whether it leads to the slot now.
///
/// # Errors
/// When it does not take the file, or leads elsewhere all the same.
pub(super) async fn load(remote: &Remote, app: &BlueGreen, port: u16) -> Result<(), Error> {
    reload(remote).await?;
    let route = Route::look(remote, app).await?;
    if route.live()? == port { Ok(()) } else { Err(Error::caddy(remote.name(), Problem::NotTaken { port })) }
}

async fn reload(remote: &Remote) -> Result<(), Error> {
    let output = remote.session.run_within(RELOAD, b"", LOAD).await?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::caddy(remote.name(), Problem::Reload { why: words(&output.complaint()) }))
}

/// The first line of what is left, and moves behind it.
fn line(rest: &mut &[u8]) -> String {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    String::from_utf8_lossy(line).trim().to_owned()
}

/// Major and minor number of `2.6.2`, or of `v2.10.0 h1:…`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The last thing that Caddy said: what comes before are messages about its own work.
fn words(complaint: &str) -> String {
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
    printable(last.trim().trim_start_matches("Error: "), WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_packages_write_them() {
        for (text, expected) in [
            ("2.6.2", Some((2, 6))),
            ("v2.10.0 h1:fonubSaQKF1YANl8TXqGcn4IbIRUDdfAkpcsfI/vX5U=", Some((2, 10))),
            ("(devel)", None),
            ("", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
        assert!((2, 10) >= KEEPS_STREAMS && (2, 6) < KEEPS_STREAMS);
    }

    #[test]
    fn of_what_caddy_says_the_last_line_counts() {
        let said = "{\"level\":\"info\"}\nError: adapting config: /etc/caddy/Caddyfile:1 - \u{1b}[31mno\n\n";
        assert_eq!(words(said), r"adapting config: /etc/caddy/Caddyfile:1 - \u{1b}[31mno");
        assert_eq!(words(""), "it did not say why");
    }
}
