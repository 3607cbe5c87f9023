//! What happens to containers, as it happens.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::engine::Engine;
use super::error::Error;
use super::http::{Call, DEADLINE, Http};
use super::logs::reader;
use crate::fleet::Timestamp;

/// What is asked for. Without the filter every health probe would be three events, and the engine keeps only 256.
const ACTIONS: [&str; 12] = [
    "create",
    "start",
    "die",
    "oom",
    "kill",
    "stop",
    "restart",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "health_status",
];
/// The longest event that is believed; labels are part of it.
const EVENT_LIMIT: usize = 1 << 20;

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// What: `die`, `oom`, `kill`, `start`, … or `health_status: unhealthy`.
    pub action: String,
    /// The container's id.
    pub actor: String,
    /// Its labels, its `name` and `image`, and what belongs to the action: `exitCode`, `signal`.
    pub attributes: BTreeMap<String, String>,
}

/// A stream of [`Event`]s. It has no end of its own: an end or an error means that events may be missed from now on.
pub struct EventStream {
    events: Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>,
    _admitted: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl Stream for EventStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

const WHAT: &str = "watch events";

impl Engine {
    /// What happens to containers from now on, or from `since` on as far as the engine remembers (256 events, none
    /// from before its own start). Read it on a task that never waits for anything else: the engine drops a slow
    /// reader's events.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn events(&self, since: Option<Timestamp>) -> Result<EventStream, Error> {
        let admitted = self.admit_stream(WHAT)?;
        let filters = json!({ "type": ["container"], "event": ACTIONS });
        let call = Call::get("/events", WHAT)
            .query("filters", filters.to_string())
            .query_if("since", since.map(Timestamp::as_engine_parameter));
        let response = self.http.send(call, DEADLINE).await?;
        let lines =
            FramedRead::new(reader(response.into_body()), LinesCodec::new_with_max_length(EVENT_LIMIT));
        let http = self.http.clone();
        let events = lines.map(move |line| decode(&http, line));
        Ok(EventStream { events: Box::pin(events), _admitted: admitted })
    }
}

fn decode(http: &Http, line: Result<String, LinesCodecError>) -> Result<Event, Error> {
    let line = line.map_err(|error| match error {
        LinesCodecError::Io(error) => Error::broken(http.host(), WHAT, error),
        error @ LinesCodecError::MaxLineLengthExceeded => http.malformed(WHAT, &error),
    })?;
    let wire: Wire = serde_json::from_str(&line).map_err(|error| http.malformed(WHAT, &error))?;
    Ok(wire.into())
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor", default)]
    actor: WireActor,
    #[serde(default)]
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireActor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes")]
    attributes: Option<BTreeMap<String, String>>,
}

impl From<Wire> for Event {
    fn from(wire: Wire) -> Self {
        Self {
            at: wire.time_nano.map_or_else(|| Timestamp::from_seconds(wire.time), Timestamp::from_nanos),
            action: wire.action,
            actor: wire.actor.id,
            attributes: wire.actor.attributes.unwrap_or_default(),
        }
    }
}
