//! The one upstream of a site that is a slot of an app, and the same file with another port there.

use std::fmt::Write as _;
use std::ops::Range;

use super::lexer::{Token, line_at};
use super::problem::Problem;
use super::tree::{Directive, File, Site, parse};
use crate::fleet::{BlueGreen, SiteAddress, duration};

/// The port of an upstream, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The port: one of the two slots.
    pub port: u16,
    /// Its line, counted from 1.
    pub line: usize,
    /// Whether its `reverse_proxy` lets streams live on for a while when Caddy loads another configuration.
    pub keeps_streams: bool,
    digits: Range<usize>,
}

impl Upstream {
    /// The file that this was found in, with another port in this one's place. Every other byte stays.
    #[must_use]
    pub fn moved(&self, text: &str, port: u16) -> String {
        let (before, after) = (text.get(..self.digits.start), text.get(self.digits.end..));
        format!("{}{port}{}", before.unwrap_or_default(), after.unwrap_or_default())
    }

    /// The line that it is on, without the white space around it.
    #[must_use]
    pub fn shown<'t>(&self, text: &'t str) -> &'t str {
        text.lines().nth(self.line - 1).unwrap_or_default().trim()
    }
}

/// Finds the upstream of the app's site that is one of its slots.
///
/// # Errors
/// When the file cannot be taken apart, has no such site or has it twice, or when not exactly one upstream of the site
/// is a slot.
pub fn find(text: &str, app: &BlueGreen) -> Result<Upstream, Problem> {
    let file = parse(text)?;
    let site = only(text, &file, &app.domain)?;
    let mut found = Found::default();
    found.look(text, app, &site.directives);
    let line = site.keys.first().map_or(1, |key| line_at(text, key.span.start));
    match (found.upstreams.pop(), found.upstreams.pop()) {
        (Some(upstream), None) => Ok(upstream),
        (Some(second), Some(first)) => Err(Problem::Several { first: first.line, second: second.line }),
        (None, _) => Err(Problem::NoUpstream { line, ports: app.ports, instead: found.instead }),
    }
}

/// The line of the site with this address, if the file has one.
///
/// # Errors
/// When the file cannot be taken apart, or has the site twice.
pub fn site_line(text: &str, address: &SiteAddress) -> Result<Option<usize>, Problem> {
    let file = parse(text)?;
    match only(text, &file, address) {
        Ok(site) => Ok(site.keys.first().map(|key| line_at(text, key.span.start))),
        Err(Problem::NoSite { .. }) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The block of a site that leads to the first slot. `keeps_streams` says whether this Caddy knows how to keep them.
#[must_use]
pub fn block(app: &BlueGreen, keeps_streams: bool) -> String {
    let mut text = format!("{} {{\n\treverse_proxy localhost:{} {{\n", app.domain, app.ports[0]);
    if keeps_streams {
        // One second at least: 0 would mean "at once".
        let delay = duration::format(app.drain.max(std::time::Duration::from_secs(1)));
        let _ = writeln!(text, "\t\tstream_close_delay {delay}");
    }
    // With a transport of its own, Caddy closes idle connections to a slot that it leads to no more. Any option makes it
    // its own; this is the one that costs nothing.
    text + "\t\ttransport http {\n\t\t\tkeepalive 30s\n\t\t}\n\t}\n}\n"
}

/// The file with a block behind everything else.
///
/// # Errors
/// When the file cannot be taken apart, or is a single site without braces, which everything behind it would belong to.
pub fn with_block(text: &str, block: &str) -> Result<String, Problem> {
    let file = parse(text)?;
    if let Some(site) = file.sites.iter().find(|site| !site.braced) {
        let line = site.keys.first().map_or(1, |key| line_at(text, key.span.start));
        let what =
            "this site has no braces, so that no other can follow; put its directives in braces".to_owned();
        return Err(Problem::Syntax { line, what });
    }
    let between = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Ok(format!("{text}{between}{block}"))
}

fn only<'f>(text: &str, file: &'f File, address: &SiteAddress) -> Result<&'f Site, Problem> {
    let is = |key: &Token| SiteAddress::parse(&key.text).is_ok_and(|found| found == *address);
    let line = |site: &Site| site.keys.first().map_or(1, |key| line_at(text, key.span.start));
    let mut sites = file.sites.iter().filter(|site| site.keys.iter().any(is));
    match (sites.next(), sites.next()) {
        (Some(site), None) => Ok(site),
        (Some(first), Some(second)) => {
            Err(Problem::TwoSites { site: address.to_string(), first: line(first), second: line(second) })
        }
        (None, _) => {
            let placeholders =
                file.sites.iter().flat_map(|site| &site.keys).filter(|key| key.text.contains("{$"));
            let files = file.imports.iter().filter(|word| word.text != "import");
            let elsewhere = placeholders.chain(files);
            Err(Problem::NoSite {
                site: address.to_string(),
                elsewhere: elsewhere
                    .map(|word| (line_at(text, word.span.start), word.text.clone()))
                    .collect(),
            })
        }
    }
}

#[derive(Default)]
struct Found {
    upstreams: Vec<Upstream>,
    /// What may lead to a slot and cannot be moved: line and word.
    instead: Vec<(usize, String)>,
}

impl Found {
    fn look(&mut self, text: &str, app: &BlueGreen, directives: &[Directive]) {
        for directive in directives {
            match directive.name() {
                "reverse_proxy" => self.proxy(text, app, directive),
                // A snippet or a file; what is in it cannot be moved from here.
                "import" => self.note(text, directive.words.get(1)),
                _ => {}
            }
            self.look(text, app, &directive.block);
        }
    }

    fn proxy(&mut self, text: &str, app: &BlueGreen, directive: &Directive) {
        let is_matcher = |word: &&Token| word.text == "*" || word.text.starts_with(['/', '@']);
        let arguments = directive.words.get(1..).unwrap_or_default();
        let skip = usize::from(arguments.first().filter(is_matcher).is_some());
        let inside = directive.block.iter().filter(|sub| sub.name() == "to");
        let upstreams = arguments.iter().skip(skip).chain(inside.flat_map(|sub| sub.words.iter().skip(1)));
        let keeps_streams = directive.block.iter().any(|sub| sub.name() == "stream_close_delay");
        for word in upstreams {
            match slot(text, word, app) {
                Some((port, digits)) => {
                    let line = line_at(text, word.span.start);
                    self.upstreams.push(Upstream { port, line, keeps_streams, digits });
                }
                None => self.note(text, Some(word)),
            }
        }
        if let Some(dynamic) = directive.block.iter().find(|sub| sub.name() == "dynamic") {
            self.note(text, dynamic.words.first());
        }
    }

    fn note(&mut self, text: &str, word: Option<&Token>) {
        self.instead.extend(word.map(|word| (line_at(text, word.span.start), word.text.clone())));
    }
}

/// The slot that an upstream leads to, and where its port stands.
fn slot(text: &str, word: &Token, app: &BlueGreen) -> Option<(u16, Range<usize>)> {
    let address = ["http://", "https://", "h2c://"].iter().find_map(|scheme| word.text.strip_prefix(scheme));
    let port = slot_of_dial(address.unwrap_or(&word.text), app)?;
    let raw = text.get(word.span.clone())?;
    let bare = if word.quoted { raw.get(1..raw.len().checked_sub(1)?)? } else { raw };
    // A word with escapes in it, or with a carriage return, is not what it looks like: leave it alone.
    if bare != word.text {
        return None;
    }
    let end = word.span.end - usize::from(word.quoted);
    let digits = end.checked_sub(port.to_string().len())?..end;
    Some((port, digits))
}

/// The slot that Caddy dials with this address, if it is one: a port of the host's loopback address, in decimals
/// without decoration, so that `:80010` and `:08001` are not `:8001`.
#[must_use]
pub fn slot_of_dial(address: &str, app: &BlueGreen) -> Option<u16> {
    let (host, digits) = address.rsplit_once(':')?;
    let port = app.ports.into_iter().find(|port| port.to_string() == digits)?;
    matches!(host, "" | "localhost" | "127.0.0.1").then_some(port)
}
