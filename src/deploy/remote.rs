//! A host that is being looked at or changed: its connection, its engine, and what of ours is on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::try_join_all;

use super::error::Error;
use super::labels::{self, Record};
use super::situation::{Found, Situation, is_ours};
use crate::docker::{Container, Engine, Status};
use crate::fleet::{AppName, Host, HostName};
use crate::secrets::Redactor;
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
    /// What masks the values of the vault in whatever comes from there.
    pub redactor: Redactor,
}

/// Connections kept open, one per host, shared by everything in this process that talks to it.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    slots: Arc<Mutex<HashMap<HostName, Arc<Slot>>>>,
    redactor: Redactor,
}

/// A host's connection, once there is one. Held while it is being made, so that two askers share it.
type Slot = tokio::sync::Mutex<Option<Remote>>;

impl Pool {
    /// None yet. What comes over them is masked by this.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { slots: Arc::default(), redactor }
    }

    /// What masks the values of the vault.
    #[must_use]
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The connection to a host: the one there is, or a new one if it is gone.
    ///
    /// # Errors
    /// As [`Remote::connect`].
    pub async fn get(&self, host: &Host) -> Result<Remote, Error> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(host.name.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(remote) = slot.as_ref().filter(|remote| !remote.session.is_closed()) {
            return Ok(remote.clone());
        }
        let remote = Remote { redactor: self.redactor.clone(), ..Remote::connect(host).await? };
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
    /// Connects to a host and its engine. Nothing is masked of what comes from there, as it is over a [`Pool`].
    ///
    /// # Errors
    /// When the host cannot be reached, does not let us in, or has no engine that we may use.
    pub async fn connect(host: &Host) -> Result<Self, Error> {
        let target = Target::resolve(host).await?;
        let session = Session::connect(&target).await?;
        let engine = Engine::over_ssh(&session).await?;
        Ok(Self { host: host.clone(), session, engine, redactor: Redactor::default() })
    }

    /// Connects anew to the same host.
    ///
    /// # Errors
    /// As [`Remote::connect`].
    pub async fn again(&self) -> Result<Self, Error> {
        Ok(Self { redactor: self.redactor.clone(), ..Self::connect(&self.host).await? })
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
        let summaries = self.engine.list_containers(true, &[label]).await?;
        let inspected =
            try_join_all(summaries.iter().map(|summary| self.engine.inspect(&summary.id.0))).await?;
        let mut gathered: BTreeMap<AppName, Gathered> = BTreeMap::new();
        // One that is gone since the listing is not there.
        for container in inspected.into_iter().flatten() {
            let name = container.labels.get(labels::APP).and_then(|name| AppName::parse(name).ok());
            if let Some(app) = name {
                gathered.entry(app.clone()).or_default().add(&app, container);
            }
        }
        Ok(gathered.into_iter().map(|(app, gathered)| (app.clone(), gathered.judge(&app))).collect())
    }
}

/// An app's containers, as they are found.
#[derive(Default)]
struct Gathered {
    containers: Vec<Found>,
    live: Option<Container>,
    strange: Vec<(String, String)>,
}

impl Gathered {
    fn add(&mut self, app: &AppName, container: Container) {
        let record = match Record::from_labels(&container.labels) {
            Ok(record) => record,
            Err(error) => return self.strange.push((container.name, error.to_string())),
        };
        if !is_ours(app, &container.name, &record.release) {
            return self.strange.push((container.name, format!("has the labels of {app}, but not its name")));
        }
        self.containers.push(Found {
            id: container.id.clone(),
            name: container.name.clone(),
            record,
            running: container.state.is_running() || container.state.status == Status::Restarting,
            created: container.created.unwrap_or_default(),
            started_at: container.state.started_at,
            finished_at: container.state.finished_at,
        });
        if container.name == app.as_str() {
            self.live = Some(container);
        }
    }

    fn judge(self, app: &AppName) -> Deployed {
        Deployed { situation: Situation::of(app, self.containers), live: self.live, strange: self.strange }
    }
}
