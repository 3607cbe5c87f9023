//! Why a Caddyfile is left alone: the line, and what to write there.

use crate::fleet::text::{printable, quoted};

/// Where Debian's package, and Caddy's own, keep it.
pub const PATH: &str = "/etc/caddy/Caddyfile";

/// Why no upstream could be singled out. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is not text.
    #[error("{PATH} is not UTF-8 text")]
    NotText,
    /// The file cannot be taken apart.
    #[error("{PATH}:{line}: {what}")]
    Syntax {
        /// Where.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// There is no site with the address.
    #[error("{PATH} has no site {site}{}", elsewhere_text(elsewhere))]
    NoSite {
        /// The address.
        site: String,
        /// Lines with an import or a placeholder that may stand for the site.
        elsewhere: Vec<(usize, String)>,
    },
    /// Two sites have the address.
    #[error("{PATH}:{first} and :{second} both are the site {site}; keep one of them")]
    TwoSites {
        /// The address.
        site: String,
        /// The line of one.
        first: usize,
        /// The line of the other.
        second: usize,
    },
    /// None of the site's upstreams is a slot.
    #[error(
        "{PATH}:{line}: no upstream of this site is localhost:{} or localhost:{}{}; write `reverse_proxy localhost:{}`",
        ports[0], ports[1], instead_text(instead), ports[0]
    )]
    NoUpstream {
        /// The line of the site.
        line: usize,
        /// The slots.
        ports: [u16; 2],
        /// What is there instead: the line, and what of it cannot be used.
        instead: Vec<(usize, String)>,
    },
    /// More than one upstream of the site is a slot.
    #[error(
        "{PATH}:{first} and :{second} both lead to a slot of this app; let one `reverse_proxy` do it, so that there \
         is one to move"
    )]
    Several {
        /// The line of the first.
        first: usize,
        /// The line of the second.
        second: usize,
    },
}

fn elsewhere_text(elsewhere: &[(usize, String)]) -> String {
    let Some((line, word)) = elsewhere.first() else {
        return "; write one with `arcane init --caddy`".to_owned();
    };
    format!(
        "; if it is what line {line} stands for ({}), write the site itself into {PATH}, where it can be edited",
        printable(word, 60)
    )
}

fn instead_text(instead: &[(usize, String)]) -> String {
    let Some((line, word)) = instead.first() else { return String::new() };
    format!(", and {} on line {line} cannot be moved", quoted(word))
}
