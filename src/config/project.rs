//! arcane.toml: the apps of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::app::{self, Described};
use super::document::Document;
use super::environment::Overlay;
use super::error::{Error, Result};
use super::hosts::Fleet;
use super::problem::Problem;
use super::report::Report;
use super::search;
use super::section::{self, Section};
use super::suggest::advice;
use super::target::Target;
use crate::fleet::text::{printable, quoted};
use crate::fleet::{App, AppName, EnvironmentName, HostName};

/// The apps that one arcane.toml describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The file.
    pub path: PathBuf,
    /// The apps, as they are outside of any environment.
    pub apps: BTreeMap<AppName, App>,
    /// What is allowed but unwise, for instance a variable that looks like a secret.
    pub warnings: Vec<Problem>,
    overlays: BTreeMap<AppName, BTreeMap<EnvironmentName, Overlay>>,
    ports: Vec<Published>,
    targets: Vec<Target>,
    document: Document,
}

/// An app that publishes a host port, and where it may go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Published {
    app: AppName,
    port: u16,
    span: std::ops::Range<usize>,
    /// Every host or group that any of its `to` names; none means that it may go anywhere.
    to: BTreeSet<HostName>,
}

const EXAMPLE: &str = "\
[app.shop]
build  = \".\"
to     = [\"web1\"]
port   = 8080
ports  = [80]
health = { http = \"/healthz\", within = \"20s\" }
";

impl Project {
    /// The name of the file.
    pub const FILE: &str = "arcane.toml";

    /// Reads the nearest arcane.toml in `start` or a directory above it.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it has problems.
    pub fn find(start: &Path) -> Result<Self> {
        let looked = search::upward(start, Self::FILE);
        match search::first(&looked)? {
            Some(document) => Self::read(document),
            None => Err(Self::missing(looked)),
        }
    }

    /// Reads this file.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it has problems.
    pub fn load(path: &Path) -> Result<Self> {
        match Document::load(path)? {
            Some(document) => Self::read(document),
            None => Err(Self::missing(vec![path.to_owned()])),
        }
    }

    /// Takes the bytes of a file that is, or would be, at `path`.
    ///
    /// # Errors
    /// When they have problems.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        Self::read(Document::from_bytes(path, bytes.to_vec())?)
    }

    fn missing(looked: Vec<PathBuf>) -> Error {
        Error::Missing { file: Self::FILE, looked, example: EXAMPLE }
    }

    fn read(document: Document) -> Result<Self> {
        let directory = document.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut warnings = Report::new(&document);
        let described =
            section::parse(&document, |root, report| apps(root, &directory, report, &mut warnings))
                .map_err(Error::Invalid)?;
        let warnings = warnings.into_problems();
        let ports = described.iter().flat_map(published).collect();
        let targets = described.iter().flat_map(targets).cloned().collect();
        let mut overlays = BTreeMap::new();
        let mut apps = BTreeMap::new();
        for entry in described {
            overlays.insert(entry.app.name.clone(), entry.overlays);
            apps.insert(entry.app.name.clone(), entry.app);
        }
        Ok(Self { path: document.path.clone(), apps, warnings, overlays, ports, targets, document })
    }

    /// The app `name` as it is in `environment`.
    ///
    /// # Errors
    /// When there is no such app, or the app has no such environment; the hint says which there are.
    pub fn app(&self, name: &str, environment: Option<&EnvironmentName>) -> Result<App> {
        let app = self.apps.iter().find(|(known, _)| known.as_str() == name);
        let (_, app) = app.ok_or_else(|| Error::Unknown {
            kind: "app",
            name: name.to_owned(),
            place: self.place(),
            known: self.apps.keys().map(ToString::to_string).collect(),
        })?;
        let Some(environment) = environment else {
            return Ok(app.clone());
        };
        let overlays = self.overlays.get(&app.name);
        let overlay = overlays.and_then(|overlays| overlays.get(environment));
        // For such an app an environment is first of all one of the vault, which says whether it exists.
        if overlay.is_none() && !app.secrets.is_empty() {
            return Ok(app.clone());
        }
        let overlay = overlay.ok_or_else(|| Error::Unknown {
            kind: "environment",
            name: environment.to_string(),
            place: format!("app {}", quoted(name)),
            known: overlays.into_iter().flat_map(BTreeMap::keys).map(ToString::to_string).collect(),
        })?;
        Ok(overlay.over(app))
    }

    /// Whether `[app.NAME.environment.E]` says itself where the app goes in this environment.
    #[must_use]
    pub fn says_where(&self, name: &AppName, environment: &EnvironmentName) -> bool {
        let overlay = self.overlays.get(name).and_then(|overlays| overlays.get(environment));
        overlay.is_some_and(|overlay| overlay.to.is_some())
    }

    /// The name of the only app, for when none was given.
    ///
    /// # Errors
    /// When there are several; the hint lists them.
    pub fn only_app(&self) -> Result<&AppName> {
        let mut names = self.apps.keys();
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(name),
            _ => Err(Error::SeveralApps {
                place: self.place(),
                known: self.apps.keys().map(ToString::to_string).collect(),
            }),
        }
    }

    /// Checks against the fleet what arcane.toml alone cannot know: that every `to` exists, and that no two apps
    /// publish the same port of the same host.
    ///
    /// # Errors
    /// Every problem, with its place in arcane.toml.
    pub fn check_targets(&self, fleet: &Fleet) -> Result<()> {
        let mut report = Report::new(&self.document);
        let known = fleet.names();
        for target in &self.targets {
            if fleet.expand(&target.name).is_none() {
                let file = printable(&fleet.path.to_string_lossy(), 200);
                let message = format!("{file} has no host or group {}", quoted(target.name.as_str()));
                report.add(&target.span, message, advice(target.name.as_str(), &known));
            }
        }
        collisions(&self.ports, &mut report, |names| {
            names.iter().filter_map(|name| fleet.expand(name)).flatten().collect()
        });
        if report.is_empty() { Ok(()) } else { Err(Error::Invalid(report.into_problems())) }
    }

    fn place(&self) -> String {
        printable(&self.path.to_string_lossy(), 200)
    }
}

fn apps(
    mut root: Section<'_>,
    directory: &Path,
    report: &mut Report<'_>,
    warnings: &mut Report<'_>,
) -> Vec<Described> {
    let table = root.field("app");
    root.refuse("host", "`host` belongs in fleet.toml", "arcane.toml has apps only", report);
    root.refuse("group", "`group` belongs in fleet.toml", "arcane.toml has apps only", report);
    root.finish(report);
    let entries = table.as_ref().map(|field| field.entries(report)).unwrap_or_default();
    if entries.is_empty() && report.is_empty() {
        report.add(&(0..0), "no app is described", "add a section like [app.shop]");
    }
    let described: Vec<Described> =
        entries.iter().filter_map(|entry| app::read(entry, directory, report, warnings)).collect();
    let ports: Vec<Published> = described.iter().flat_map(published).collect();
    collisions(&ports, report, |names| names.iter().collect());
    described
}

fn targets(entry: &Described) -> impl Iterator<Item = &Target> {
    let overlaid = entry.overlays.values().filter_map(|overlay| overlay.to.as_ref());
    entry.to.iter().chain(overlaid.flatten())
}

fn published(entry: &Described) -> Vec<Published> {
    let to: BTreeSet<HostName> = targets(entry).map(|target| target.name.clone()).collect();
    let published = entry.published.iter().map(|(port, span)| Published {
        app: entry.app.name.clone(),
        port: *port,
        span: span.clone(),
        to: to.clone(),
    });
    published.collect()
}

/// Notes every pair of apps that publish the same port and may meet on a host, as far as `expand` can tell.
fn collisions<'p>(
    ports: &'p [Published],
    report: &mut Report<'_>,
    expand: impl Fn(&'p BTreeSet<HostName>) -> BTreeSet<&'p HostName>,
) {
    for (index, first) in ports.iter().enumerate() {
        for second in &ports[index + 1..] {
            let anywhere = first.to.is_empty() || second.to.is_empty();
            let meet = anywhere || !expand(&first.to).is_disjoint(&expand(&second.to));
            if first.app != second.app && first.port == second.port && meet {
                let (one, other) = (quoted(first.app.as_str()), quoted(second.app.as_str()));
                let message = format!("apps {one} and {other} both publish host port {}", first.port);
                report.add_pair(message, (&second.span, "here"), (&first.span, "and here"));
            }
        }
    }
}
