//! What of ours is on a host: its containers, the part that each plays, and what is deployed of each app.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::deploy::labels::{self, Record};
use crate::deploy::situation::{self, Found, Situation};
use crate::docker::{self, Container, Engine, Status};
use crate::fleet::{AppName, ContainerId, Deployment, Subject, Timestamp};

/// Containers that are looked at side by side.
const AT_ONCE: usize = 8;

/// Which apps are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// Every one with our label.
    All,
    /// These. Of an empty set that is none.
    Only(BTreeSet<AppName>),
}

impl Selection {
    /// Whether an app is among them.
    pub(super) fn has(&self, app: &AppName) -> bool {
        match self {
            Self::All => true,
            Self::Only(apps) => apps.contains(app),
        }
    }
}

/// An app on a host.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    /// Its containers.
    pub(super) containers: Vec<(Arc<Subject>, Container)>,
    /// What is live, if anything is.
    pub(super) deployment: Option<Deployment>,
}

impl Surveyed {
    /// The live container.
    pub(super) fn live(&self) -> Option<&Arc<Subject>> {
        let live = |subject: &&Arc<Subject>| subject.role == crate::fleet::Role::Live;
        self.containers.iter().map(|(subject, _)| subject).find(live)
    }
}

/// Looks at the apps selected, at `now` by the host's clock.
pub(super) async fn survey(
    engine: &Engine,
    selection: &Selection,
    now: Timestamp,
) -> Result<BTreeMap<AppName, Surveyed>, docker::Error> {
    let label = match selection {
        Selection::Only(apps) if apps.len() == 1 => {
            apps.iter().map(|app| format!("{}={app}", labels::APP)).collect()
        }
        _ => labels::APP.to_owned(),
    };
    let summaries = engine.list_containers(true, &[&label]).await?;
    let selected = summaries.into_iter().filter(|summary| {
        let app = summary.labels.get(labels::APP).map(|name| AppName::parse(name));
        matches!(app, Some(Ok(app)) if selection.has(&app))
    });
    // Gone since it was listed: then it is not there.
    let containers: Vec<Option<Container>> = stream::iter(selected)
        .map(|summary| async move { engine.inspect(&summary.id.0).await })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(sort(containers.into_iter().flatten(), now))
}

fn sort(containers: impl Iterator<Item = Container>, now: Timestamp) -> BTreeMap<AppName, Surveyed> {
    let mut apps: BTreeMap<AppName, (Surveyed, Vec<Found>)> = BTreeMap::new();
    for container in containers {
        let record = match Record::from_labels(&container.labels) {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(container = container.name, %error, "not understood, so not watched");
                continue;
            }
        };
        let (app, found) = apps.entry(record.app.name.clone()).or_default();
        let subject = Arc::new(subject(&record, &container.id, &container.name, &container.labels));
        found.push(judged(&container, record));
        app.containers.push((subject, container));
    }
    let complete = |(name, (mut app, found)): (AppName, (Surveyed, Vec<Found>))| {
        app.deployment = Situation::of(&name, found).deployment(now);
        (name, app)
    };
    apps.into_iter().map(complete).collect()
}

/// The container of a record.
pub(super) fn subject(
    record: &Record,
    id: &ContainerId,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Subject {
    Subject {
        app: record.app.name.clone(),
        release: record.release.clone(),
        container: id.clone(),
        role: situation::role(&record.app.name, name),
        profile: record.profile(labels),
    }
}

fn judged(container: &Container, record: Record) -> Found {
    Found {
        id: container.id.clone(),
        name: container.name.clone(),
        record,
        running: container.state.is_running() || container.state.status == Status::Restarting,
        created: container.created.unwrap_or_default(),
        started_at: container.state.started_at,
        finished_at: container.state.finished_at,
    }
}
