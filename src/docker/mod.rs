//! The Engine API over any byte stream, in our own types. Nothing outside this room sees HTTP.
//!
//! An [`Engine`] is reached through the socket of its host, forwarded by SSH; where sshd forbids that, through
//! `docker system dial-stdio`; or on this machine's own socket. Above that it is plain requests: one file
//! per noun of the API.
//!
//! The API is spoken directly, without a client library. What was looked at takes the `since` of a log in whole
//! seconds (a log cannot be resumed without loss by that), panics on the frames with which the engine reports a log
//! that it cannot read, guesses from the bytes whether a container has a terminal, and puts its deadline on the
//! headers of an answer only.

mod attach;
mod connect;
mod container;
mod engine;
mod error;
mod events;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod frame;
mod http;
mod image;
mod inspect;
mod logs;
mod made;
mod registry;
mod spec;
mod stats;
pub mod tar;
#[cfg(test)]
mod tests;
mod transfer;

pub use attach::Attached;
pub use connect::Transport;
pub use container::Signal;
pub use engine::{Engine, EngineInfo, EngineVersion};
pub use error::{Error, Kind};
pub use events::{Event, EventStream};
pub use exec::{Exec, ExecControl, ExecInput, ExecOptions, ExecOutput};
pub use frame::{FrameDecoder, LogFrame, Source};
pub use image::{Image, ImageSummary};
pub use inspect::{Container, ContainerSummary, PublishedPort, State, Status};
pub use logs::{LogOptions, LogStream};
pub use made::{Made, Mounted};
pub use registry::{PushStream, Pushing};
pub use spec::{ContainerSpec, Mount, MountKind, Network, Privilege, Publish, RestartPolicy};
pub use stats::Stats;
pub use transfer::{ByteChunks, Loaded};
