//! Why Caddy cannot be, or was not, made to lead to another slot.

use crate::deploy::caddyfile;

/// What is wrong. Each says what to do about it, unless Caddy's own words do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no Caddy.
    #[error("there is no `caddy` command; install Caddy, for instance with `apt-get install caddy`")]
    NoCaddy,
    /// The file is missing, or not one to be replaced.
    #[error("{} {why}", caddyfile::PATH)]
    File {
        /// What it is.
        why: &'static str,
    },
    /// What is in the file cannot be edited.
    #[error(transparent)]
    Caddyfile(#[from] caddyfile::Problem),
    /// The user may not replace the file.
    #[error(
        "{user} may not replace {path}; connect as root, or give it to the user with \
         `sudo chown {user} /etc/caddy {path}`",
        path = caddyfile::PATH
    )]
    Unwritable {
        /// Who we are there.
        user: String,
    },
    /// There is no room for the file.
    #[error("a new {} could not be written beside the old one; is the disk full?", caddyfile::PATH)]
    Short,
    /// Caddy does not take the file that is there.
    #[error("{} is not valid: {why}", caddyfile::PATH)]
    Invalid {
        /// Caddy's words.
        why: String,
    },
    /// Caddy does not answer.
    #[error("it does not answer at {address} ({why}); start it, for instance with `systemctl start caddy`")]
    Down {
        /// The address of its administration.
        address: String,
        /// Why not.
        why: String,
    },
    /// It cannot be asked or told anything.
    #[error("its administration ({address}) cannot be used: {why}")]
    Admin {
        /// The address, or `off`.
        address: String,
        /// Why not.
        why: &'static str,
    },
    /// It runs something else than the file says.
    #[error(
        "it runs another configuration than {} says, they differ in {at}; see which is right, then `caddy reload \
         --config {}`",
        caddyfile::PATH,
        caddyfile::PATH
    )]
    Drifted {
        /// The first difference.
        at: String,
    },
    /// It leads to no slot, or to both.
    #[error("it leads to {what} of this app's slots, so that none is live; see {}", caddyfile::PATH)]
    Unclear {
        /// `neither` or `both`.
        what: &'static str,
    },
    /// Something besides the app's site leads to the slot that would be stopped.
    #[error(
        "more than the site leads to localhost:{port} ({at}), which would be stopped; let only the site {site} lead there"
    )]
    Elsewhere {
        /// The slot.
        port: u16,
        /// Where Caddy's configuration still has it.
        at: String,
        /// The site's address.
        site: String,
    },
    /// The edit would change more than the one upstream.
    #[error("moving the upstream would also change {at}, so it was left alone")]
    Surprise {
        /// What else.
        at: String,
    },
    /// Somebody edited the file while we were at it.
    #[error("somebody changed {} meanwhile; it was left as they wrote it", caddyfile::PATH)]
    Changed,
    /// It would not load the file.
    #[error("it could not be reloaded: {why}")]
    Reload {
        /// Its words.
        why: String,
    },
    /// It said that it had loaded the file, but it leads elsewhere.
    #[error("it was reloaded, but does not lead to localhost:{port}")]
    NotTaken {
        /// Where it should lead.
        port: u16,
    },
    /// It leads to a container that is not the live one by its name.
    #[error(
        "it leads to localhost:{port}, where {container} runs, but {live} is live; stop {container}, or rename it, when \
         you know which of them is right"
    )]
    Disputed {
        /// The slot.
        port: u16,
        /// Who runs there.
        container: String,
        /// Who is live by its name.
        live: String,
    },
}

impl Problem {
    /// Whether it only means that no Caddy runs.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self, Self::Down { .. })
    }
}
