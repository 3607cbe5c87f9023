//! The end of a log, read once.

use super::cursor::Cursor;
use super::feed::Log;
use super::join::{Joiner, Line};
use super::survey::{Selection, survey};
use crate::clock;
use crate::deploy::Remote;
use crate::docker;
use crate::fleet::{AppName, Fact, Freshness, HostName, Observation, Role};

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The app is not live on the host.
    #[error("{app} is not deployed on {host}")]
    NotDeployed {
        /// Which app.
        app: AppName,
        /// Which host.
        host: HostName,
    },
    /// The engine refused or failed.
    #[error(transparent)]
    Docker(#[from] docker::Error),
}

/// The last lines of an app's live container, oldest first, at most `count` of them.
///
/// # Errors
/// When the app is not live on the host, or its log cannot be read.
pub async fn history(remote: &Remote, app: &AppName, count: usize) -> Result<Vec<Observation>, Error> {
    let selection = Selection::Only([app.clone()].into());
    let mut apps = survey(&remote.engine, &selection, clock::now()).await?;
    let containers = apps.remove(app).unwrap_or_default().containers;
    let live = containers
        .into_iter()
        .find(|(subject, _)| subject.role == Role::Live);
    let Some((subject, container)) = live else {
        return Err(Error::NotDeployed {
            app: app.clone(),
            host: remote.name().clone(),
        });
    };
    let log = Log::of(&container, remote.engine.clone());
    let entries = log.history(&mut Cursor::default(), count).await?;
    let mut joiner = Joiner::default();
    let mut lines: Vec<Line> = Vec::new();
    for entry in &entries {
        joiner.push(entry, &mut lines);
    }
    joiner.end(&mut lines);
    let observe = |Line { at, stream, text }| Observation {
        at,
        host: remote.name().clone(),
        subject: Some(subject.clone()),
        freshness: Freshness::Backlog,
        fact: Fact::Line { stream, text },
    };
    Ok(lines.into_iter().map(observe).collect())
}
