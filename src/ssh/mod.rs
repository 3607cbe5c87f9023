//! One SSH connection per host: who the host is, who we are, and byte streams to what it offers. Knows nothing of
//! Docker or of apps.
//!
//! A [`Target`] is everything that is known about a host before anything is sent to it: it comes from fleet.toml and
//! the operator's own SSH configuration. [`Session::connect`] turns it into a connection: through its jump hosts, to
//! a host whose key is in known_hosts (an unknown or changed key is refused, there is no way to accept it here), as
//! a user whose key an agent or a file holds. A [`Session`] then opens channels: a Unix socket or a TCP port of the
//! host as a [`ByteStream`], or a command as an [`Exec`].

mod auth;
mod client;
mod config;
mod error;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod host_key;
pub mod known_hosts;
mod quote;
mod retry;
mod session;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod transport;

pub use error::{ChannelFailure, Error, Offer};
pub use exec::{Exec, ExitStatus, Output};
pub use host_key::{HostKeyError, HostKeyProblem, RecordedKey};
pub use quote::quote;
pub use session::Session;
pub use stream::{ByteStream, Reader, Writer};
pub use target::{Address, AddressProblem, Agent, Environment, Target};
