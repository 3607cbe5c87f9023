//! A host that is being looked at or changed: its connection, its engine, and what of ours is on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Error;
use super::labels::{self, Record};
use super::situation::{Found, Situation};
use crate::docker::{Container, Engine, Status};
use crate::fleet::{AppName, Host, HostName};
use crate::ssh::{Session, Target};

/// A connected host.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Which.
    pub host: Host,
    /// The connection.
    pub session: Session,
    /// Its engine, reached through the connection.
    pub engine: Engine,
}

/// Connections kept open, one per host, shared by everything in this process that talks to it.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<HashMap<HostName, Arc<Slot>>>>);

/// A host's connection, once there is one. Held while it is being made, so that two askers share it.
type Slot = tokio::sync::Mutex<Option<Remote>>;

impl Pool {
    /// The connection to a host: the one there is, or a new one if it is gone.
    ///
    /// # Errors
    /// As [`Remote::connect`].
    pub async fn get(&self, host: &Host) -> Result<Remote, Error> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(host.name.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(remote) = slot.as_ref().filter(|remote| !remote.session.is_closed()) {
            return Ok(remote.clone());
        }
        let remote = Remote::connect(host).await?;
        *slot = Some(remote.clone());
        Ok(remote)
    }
}

/// An app on a host.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// What is there.
    pub situation: Situation,
    /// The live container as the engine describes it.
    pub live: Option<Container>,
    /// Containers with our label that cannot be understood: their name, and why.
    pub strange: Vec<(String, String)>,
}

impl Remote {
    /// Connects to a host and its engine.
    ///
    /// # Errors
    /// When the host cannot be reached, does not let us in, or has no engine that we may use.
    pub async fn connect(host: &Host) -> Result<Self, Error> {
        let target = Target::resolve(host).await?;
        let session = Session::connect(&target).await?;
        let engine = Engine::over_ssh(&session).await?;
        Ok(Self {
            host: host.clone(),
            session,
            engine,
        })
    }

    /// The host's name.
    #[must_use]
    pub const fn name(&self) -> &HostName {
        &self.host.name
    }

    /// Everything on the host of one app.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn app(&self, app: &AppName) -> Result<Deployed, Error> {
        let mut apps = self.containers(&format!("{}={app}", labels::APP)).await?;
        Ok(apps.remove(app).unwrap_or_else(|| Deployed {
            situation: Situation::default(),
            live: None,
            strange: Vec::new(),
        }))
    }

    /// Every app on the host.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn apps(&self) -> Result<BTreeMap<AppName, Deployed>, Error> {
        self.containers(labels::APP).await
    }

    async fn containers(&self, label: &str) -> Result<BTreeMap<AppName, Deployed>, Error> {
        let summaries = self
            .engine
            .list_containers(true, &[label])
            .await?;
        let mut found: BTreeMap<AppName, (Vec<Found>, Option<Container>, Vec<(String, String)>)> =
            BTreeMap::new();
        for summary in summaries {
            // Gone since the listing: then it is not there.
            let Some(container) = self
                .engine
                .inspect(&summary.id.0)
                .await?
            else {
                continue;
            };
            let Some(app) = container
                .labels
                .get(labels::APP)
                .and_then(|name| AppName::parse(name).ok())
            else {
                continue;
            };
            let entry = found.entry(app.clone()).or_default();
            match Record::from_labels(&container.labels) {
                Ok(record) => {
                    entry.0.push(Found {
                        id: container.id.clone(),
                        name: container.name.clone(),
                        record,
                        running: container.state.is_running() || container.state.status == Status::Restarting,
                        created: container.created.unwrap_or_default(),
                        started_at: container.state.started_at,
                        finished_at: container.state.finished_at,
                    });
                    if container.name == app.as_str() {
                        entry.1 = Some(container);
                    }
                }
                Err(error) => entry.2.push((container.name.clone(), error.to_string())),
            }
        }
        Ok(found
            .into_iter()
            .map(|(app, (containers, live, strange))| {
                let situation = Situation::of(&app, containers);
                (
                    app,
                    Deployed {
                        situation,
                        live,
                        strange,
                    },
                )
            })
            .collect())
    }
}
