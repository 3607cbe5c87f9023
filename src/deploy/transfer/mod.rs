//! Brings an image to a host, and of it only the layers that the host lacks.
//!
//! [`arrive`] looks what the host has, chooses how the lacking layers come out of this machine's engine ([`registry`],
//! or [`export`] for a whole image), lets [`pack`] compress them into [`spool`]s, and [`send`] bring them over the
//! [`line`], on a [`leash`]. No registry on the host, no file of ours on its disk.

mod arrive;
mod export;
mod leash;
mod line;
mod memory;
mod missing;
mod pack;
mod package;
mod partial;
mod registry;
mod send;
mod shelf;
mod spool;
mod unpack;

pub use arrive::{Arrived, Transferred, ensure};
pub use line::takes_zstd;
pub(super) use memory::unguessable;
pub use missing::{Lacking, look};
pub use partial::upload;
