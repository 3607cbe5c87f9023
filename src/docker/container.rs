//! What can be done with containers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::engine::Engine;
use super::error::Error;
use super::http::{Call, DEADLINE, segment};
use super::inspect::{Container, ContainerSummary, Inspected, Listed};
use super::spec::ContainerSpec;
use crate::fleet::ContainerId;

/// Stopping and restarting first wait for the container; this is for the engine.
const MARGIN: Duration = Duration::from_secs(30);
/// Removing a large container takes its time.
const REMOVE: Duration = Duration::from_secs(120);

/// A signal for a container's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Please end.
    Term,
    /// End now.
    Kill,
    /// Reload, by convention.
    Hup,
    /// As if interrupted from a keyboard.
    Int,
}

impl Signal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
        }
    }
}

impl Engine {
    /// Containers, running ones only or all, that have every one of these labels (`key` or `key=value`).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list_containers(&self, all: bool, labels: &[&str]) -> Result<Vec<ContainerSummary>, Error> {
        let mut call =
            Call::get("/containers/json", "list containers").query("all", if all { "1" } else { "0" });
        if !labels.is_empty() {
            call = call.query("filters", json!({ "label": labels }).to_string());
        }
        let listed: Vec<Listed> = self.http.json(call, DEADLINE).await?;
        Ok(listed.into_iter().map(Into::into).collect())
    }

    /// A container, by its name or id; `None` when there is none.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn inspect(&self, container: &str) -> Result<Option<Container>, Error> {
        let call = on(Call::get, container, "json", "inspect");
        let found: Option<Inspected> = self.http.find(call, DEADLINE).await?;
        Ok(found.map(Into::into))
    }

    /// Makes a container; does not start it.
    ///
    /// # Errors
    /// When the name is taken (`Conflict`), the image or network does not exist (`NotFound`), or the engine refuses.
    pub async fn create_container(&self, name: &str, spec: &ContainerSpec) -> Result<ContainerId, Error> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "Id")]
            id: String,
        }
        let call = Call::post("/containers/create", format!("create container {name}"))
            .query("name", name)
            .json(&spec.to_json());
        let created: Created = self.http.json(call, MARGIN * 2).await?;
        Ok(ContainerId(created.id))
    }

    /// Starts a container; one that runs is left alone.
    ///
    /// # Errors
    /// When a host port is taken (`PortInUse`), there is no such container, or it cannot be started.
    pub async fn start(&self, container: &str) -> Result<(), Error> {
        self.http.done(on(Call::post, container, "start", "start"), MARGIN * 2).await
    }

    /// Stops a container: SIGTERM (or what its image says), after `timeout` SIGKILL. One that does not run is left
    /// alone. The engine will not restart it by its restart policy.
    ///
    /// # Errors
    /// When there is no such container or it cannot be stopped.
    pub async fn stop(&self, container: &str, timeout: Duration) -> Result<(), Error> {
        let call = on(Call::post, container, "stop", "stop").query("t", seconds(timeout).to_string());
        self.http.done(call, timeout + MARGIN).await
    }

    /// Restarts a container, as [`Self::stop`] and [`Self::start`] would.
    ///
    /// # Errors
    /// As these.
    pub async fn restart(&self, container: &str, timeout: Duration) -> Result<(), Error> {
        let call = on(Call::post, container, "restart", "restart").query("t", seconds(timeout).to_string());
        self.http.done(call, timeout + MARGIN * 2).await
    }

    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    /// When there is no such container or it does not run (`Conflict`).
    pub async fn kill(&self, container: &str, signal: Signal) -> Result<(), Error> {
        let call = on(Call::post, container, "kill", "kill").query("signal", signal.as_str());
        self.http.done(call, DEADLINE).await
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// When there is no such container or the name is taken (`Conflict`).
    pub async fn rename(&self, container: &str, name: &str) -> Result<(), Error> {
        self.http.done(on(Call::post, container, "rename", "rename").query("name", name), DEADLINE).await
    }

    /// Removes a container that does not run; one that does not exist is fine. Its volumes stay, the anonymous ones
    /// too: they may hold what its app wrote.
    ///
    /// # Errors
    /// When it runs (`Conflict`) or cannot be removed.
    pub async fn remove(&self, container: &str) -> Result<(), Error> {
        self.delete(container, "0").await
    }

    /// Kills and removes a container with its anonymous volumes; one that does not exist is fine. For one whose data
    /// nobody wants.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn discard(&self, container: &str) -> Result<(), Error> {
        self.delete(container, "1").await
    }

    async fn delete(&self, container: &str, with_all: &str) -> Result<(), Error> {
        let path = format!("/containers/{}", segment(container));
        let call = Call::delete(path, format!("remove container {container}"))
            .query("v", with_all)
            .query("force", with_all);
        match self.http.done(call, REMOVE).await {
            Err(error) if error.is_not_found() => Ok(()),
            result => result,
        }
    }
}

/// The engine counts in whole seconds: rounded up, for 0 means "kill at once".
pub(super) fn seconds(timeout: Duration) -> u64 {
    timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)
}

/// A request about one container.
pub(super) fn on(method: fn(String, String) -> Call, container: &str, action: &str, verb: &str) -> Call {
    method(format!("/containers/{}/{action}", segment(container)), format!("{verb} container {container}"))
}
