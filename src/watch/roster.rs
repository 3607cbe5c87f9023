//! The containers of a host that are watched: a task for each, what is known of it, and its part in its app. Told by
//! events as things change, and corrected by surveys.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::bookmark::Bookmark;
use super::container::{Follow, Follower, Message};
use super::known::{self, Known};
use super::outlet::{Closed, Outlet};
use super::places::Places;
use super::survey::{self, Selection, Surveyed};
use super::tail::{Begin, Tail};
use super::watcher::Options;
use crate::deploy::labels::Record;
use crate::deploy::secrets;
use crate::docker::{Container, Engine, Event};
use crate::fleet::{AppName, ContainerId, Deployment, Fact, Role, Subject, Timestamp};

/// News that may wait for a container's task.
const INBOX: usize = 64;

/// An event that has not come after this will not come.
const LATE: Duration = Duration::from_secs(5);

/// The containers of a host.
#[derive(Debug)]
pub(super) struct Roster {
    outlet: Outlet,
    options: Options,
    selection: Selection,
    engine: watch::Sender<Option<Engine>>,
    containers: HashMap<ContainerId, Watched>,
    deployments: BTreeMap<AppName, Deployment>,
    tasks: JoinSet<Result<(), Closed>>,
    last_event: Option<Timestamp>,
    places: Option<Places>,
    /// Where another run of ours left the logs of this host, as far as they were not taken up.
    left: HashMap<ContainerId, Vec<u8>>,
}

#[derive(Debug)]
struct Watched {
    subject: Arc<Subject>,
    known: Known,
    /// When it was first seen, by the host's clock.
    seen_at: Timestamp,
    /// Whether it was last seen without the secrets that it needs to start.
    gone: bool,
    inbox: mpsc::Sender<Message>,
}

/// Why a host was surveyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It was connected to, or events were lost: everything is told anew.
    Connected,
    /// Something changed, or some time has passed: only what is new is told.
    Review,
}

impl Roster {
    /// Of a host where nothing is known yet.
    pub(super) fn new(outlet: Outlet, options: Options, places: Option<Places>) -> Self {
        let selection = options.apps.clone().map_or(Selection::All, Selection::Only);
        Self {
            outlet,
            options,
            selection,
            engine: watch::Sender::new(None),
            containers: HashMap::new(),
            deployments: BTreeMap::new(),
            tasks: JoinSet::new(),
            last_event: None,
            places,
            left: HashMap::new(),
        }
    }

    /// Finds out where logs were left.
    pub(super) async fn remember(&mut self) {
        if let Some(places) = &self.places {
            self.left = places.of_host(self.outlet.host()).await;
        }
    }

    /// Ends all tasks. Where they are in their logs is kept.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// What of the host is watched.
    pub(super) const fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The stamp of the last event that was heard.
    pub(super) const fn last_event(&self) -> Option<Timestamp> {
        self.last_event
    }

    /// Lets logs be read from this engine, or from none.
    pub(super) fn connect(&self, engine: Option<Engine>) {
        self.engine.send_replace(engine);
    }

    /// The live containers that run.
    pub(super) fn running(&self) -> Vec<(ContainerId, mpsc::Sender<Message>)> {
        let live = |watched: &&Watched| watched.subject.role == Role::Live && watched.known.is_running();
        let watched = self.containers.values().filter(live);
        watched.map(|watched| (watched.subject.container.clone(), watched.inbox.clone())).collect()
    }

    /// Takes note of an event. Returns the app whose situation it may have changed.
    pub(super) async fn hear(&mut self, event: &Event) -> Result<Option<AppName>, Closed> {
        self.last_event = self.last_event.max(Some(event.at));
        let id = ContainerId(event.actor.clone());
        if !self.containers.contains_key(&id) {
            let Some(subject) = self.subject_of(&id, event) else {
                return Ok(None);
            };
            let begin = if event.action == "create" { Begin::First } else { Begin::Tail(self.options.tail) };
            self.add(Arc::new(subject), Known::new(), event.at, begin);
        }
        if event.action == "rename"
            && let Some(subject) = self.subject_of(&id, event)
        {
            self.change(subject).await;
        }
        let Some(watched) = self.containers.get_mut(&id) else {
            return Ok(None);
        };
        let app = watched.subject.app.clone();
        if let Some(fact) = watched.known.hear(event) {
            self.send(&id, Message::Event(event.at, fact)).await?;
        }
        if event.action == "destroy" {
            self.containers.remove(&id);
        }
        let changes = matches!(event.action.as_str(), "create" | "start" | "rename" | "destroy");
        Ok(changes.then_some(app))
    }

    /// Whose container an event is about, if that is watched. Events bring the labels and the name along.
    fn subject_of(&self, id: &ContainerId, event: &Event) -> Option<Subject> {
        if !matches!(event.action.as_str(), "create" | "start" | "rename") {
            return None;
        }
        let record = Record::from_labels(&event.attributes).ok()?;
        let name = event.attributes.get("name")?;
        self.selection.has(&record.app.name).then(|| survey::subject(&record, id, name, &event.attributes))
    }

    /// Compares with what was found on the host at `read_at`, of the apps in `scope`.
    pub(super) async fn review(
        &mut self,
        apps: BTreeMap<AppName, Surveyed>,
        scope: &Selection,
        read_at: Timestamp,
        occasion: Occasion,
    ) -> Result<(), Closed> {
        self.forget_missing(&apps, scope, read_at).await?;
        let is_all = occasion == Occasion::Connected;
        for (app, surveyed) in apps {
            self.deployed(app, &surveyed, occasion).await?;
            for (subject, container) in surveyed.containers {
                self.compare(subject, &container, read_at, occasion).await?;
            }
        }
        if is_all {
            // What is left of it is of containers that are gone.
            self.left = HashMap::new();
        }
        Ok(())
    }

    async fn forget_missing(
        &mut self,
        apps: &BTreeMap<AppName, Surveyed>,
        scope: &Selection,
        read_at: Timestamp,
    ) -> Result<(), Closed> {
        let found = apps.values().flat_map(|app| &app.containers);
        let found: Vec<_> = found.map(|(subject, _)| &subject.container).collect();
        let missing = self.containers.values().filter(|watched| {
            let subject = &watched.subject;
            scope.has(&subject.app) && watched.seen_at <= read_at && !found.contains(&&subject.container)
        });
        let missing: Vec<_> = missing.map(|watched| watched.subject.container.clone()).collect();
        for id in missing {
            self.send(&id, Message::Missed(read_at, Fact::Destroyed)).await?;
            self.containers.remove(&id);
        }
        self.deployments.retain(|app, _| !scope.has(app) || apps.contains_key(app));
        Ok(())
    }

    async fn deployed(
        &mut self,
        app: AppName,
        surveyed: &Surveyed,
        occasion: Occasion,
    ) -> Result<(), Closed> {
        let Some(deployment) = &surveyed.deployment else {
            self.deployments.remove(&app);
            return Ok(());
        };
        let before = self.deployments.insert(app, deployment.clone());
        if occasion == Occasion::Connected || before.as_ref() != Some(deployment) {
            let deployment = deployment.clone();
            self.outlet.tell_now(surveyed.live(), Fact::Deployed { deployment }).await?;
        }
        Ok(())
    }

    async fn compare(
        &mut self,
        subject: Arc<Subject>,
        container: &Container,
        read_at: Timestamp,
        occasion: Occasion,
    ) -> Result<(), Closed> {
        let id = container.id.clone();
        let mut tell = occasion == Occasion::Connected;
        let gone = subject.role == Role::Live && has_lost_secrets(container);
        match self.containers.get_mut(&id) {
            None => {
                tell = true;
                let begin = Begin::Tail(self.options.tail);
                self.add(subject, Known::from_container(container), read_at, begin);
            }
            Some(watched) => {
                let until = match occasion {
                    Occasion::Connected => Timestamp::from_nanos(i64::MAX),
                    Occasion::Review => read_at - LATE,
                };
                let missed = watched.known.catch_up(container, until);
                tell = (tell || !missed.is_empty()) && !watched.known.is_newer_than(read_at);
                if watched.subject != subject {
                    self.change(Arc::unwrap_or_clone(subject)).await;
                }
                for (at, fact) in missed {
                    self.send(&id, Message::Missed(at, fact)).await?;
                }
            }
        }
        if tell {
            self.send(&id, Message::State(known::state(container))).await?;
        }
        let known = self.containers.get_mut(&id).map(|watched| std::mem::replace(&mut watched.gone, gone));
        if gone && (known == Some(false) || occasion == Occasion::Connected) {
            self.send(&id, Message::State(Fact::SecretsGone)).await?;
        }
        Ok(())
    }

    fn add(&mut self, subject: Arc<Subject>, known: Known, seen_at: Timestamp, begin: Begin) {
        let (inbox, receiver) = mpsc::channel(INBOX);
        let id = subject.container.clone();
        let mut tail = Tail::new(id.clone(), begin, self.outlet.redactor().clone());
        let left = self.left.remove(&id);
        if let Some(place) = &left {
            tail.take_up(place);
        }
        let follower = Follower {
            subject: Arc::clone(&subject),
            outlet: self.outlet.clone(),
            inbox: receiver,
            engine: self.engine.subscribe(),
            logs: self.options.logs,
            log: Follow::new(tail, left.is_some()),
            bookmark: Bookmark::new(self.places.clone(), self.outlet.clone(), id.clone()),
        };
        self.tasks.spawn(follower.run());
        self.containers.insert(id, Watched { subject, known, seen_at, gone: false, inbox });
    }

    async fn change(&mut self, subject: Subject) {
        if let Some(watched) = self.containers.get_mut(&subject.container) {
            watched.subject = Arc::new(subject);
            let message = Message::Subject(Arc::clone(&watched.subject));
            // A task that has ended is noticed by the next fact.
            let _ = watched.inbox.send(message).await;
        }
    }

    /// Sends news to a container's task. One that has failed is replaced at the next survey.
    async fn send(&mut self, id: &ContainerId, message: Message) -> Result<(), Closed> {
        let Some(watched) = self.containers.get(id) else {
            return Ok(());
        };
        if watched.inbox.send(message).await.is_err() {
            let subject = Arc::clone(&watched.subject);
            self.containers.remove(id);
            let reason = "watching it failed, and is begun anew".to_owned();
            self.outlet.tell_now(Some(&subject), Fact::Gap { reason }).await?;
        }
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "the task of a container failed");
            }
        }
        Ok(())
    }
}

/// Whether it could not be started for want of its secrets.
fn has_lost_secrets(container: &Container) -> bool {
    Record::from_labels(&container.labels).is_ok_and(|record| secrets::are_gone(&record, container))
}
