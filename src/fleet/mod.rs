//! The nouns: what a fleet is made of and what can be said about it.
//!
//! Everything else in the crate talks in these types. This room does no I/O and reads no clock: time comes in with
//! the data, which is what makes replay, simulation and exact tests possible. It depends on no other room.

pub mod app;
pub mod batch;
pub mod blue_green;
pub mod board;
pub mod class;
pub mod duration;
pub mod health;
pub mod hook;
pub mod host;
pub mod hours;
pub mod incident;
pub mod line;
pub mod name;
pub mod novelty;
pub mod observation;
pub mod profile;
pub mod recording;
pub mod release;
pub mod remedy;
pub mod secret;
pub mod signal;
pub mod site;
pub mod text;
pub mod time;

pub use app::{App, MemoryLimit, Source, Strategy, Volume};
pub use batch::{Batch, BatchError};
pub use blue_green::BlueGreen;
pub use board::{Board, HostSight, LogSight, Turn};
pub use class::Class;
pub use health::{HealthCheck, Probe};
pub use hook::{Hook, Hooks, Place, ReleaseCommand};
pub use host::{Gate, Host};
pub use hours::{QuietHours, QuietHoursError};
pub use incident::{ActionOutcome, ActionRecord, Incident, IncidentId, IncidentState, Proposal};
pub use line::LineText;
pub use name::{
    AppName, EnvironmentName, GroupName, HostName, ImageRef, MemberName, NameError, VariableName,
};
pub use novelty::{Newness, Novelty};
pub use observation::{
    ContainerId, Fact, Freshness, HealthState, LogState, Observation, Role, Stream, Subject,
};
pub use profile::{Kind, Profile};
pub use recording::{End, Header, Recorded, Recording, RecordingError};
pub use release::{Deployment, PreviousRelease, ReleaseId, SpecDigest};
pub use remedy::{HealPolicy, Mode, Remedy, Rung};
pub use secret::{AppSecret, SecretForm, SecretVersion};
pub use signal::{Evidence, OnFail, Signal, Symptom, Verify};
pub use site::SiteAddress;
pub use time::Timestamp;
