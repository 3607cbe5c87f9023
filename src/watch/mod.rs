//! A host's streams → ordered, complete, bounded observations.
//!
//! [`Watcher`] has a task per [`host`], which connects, listens to the engine's [`events`], and keeps a [`roster`] of
//! what runs there, corrected by [`survey`]s. Each [`container`] has a task of its own, where what the engine tells
//! of it and what it logs come together in order. Its log is a [`tail`]: a [`cursor`] says where it was left, a
//! [`feed`] brings what is new since then, frame by frame ([`entry`]), a joiner ([`join`]) makes lines of that, and an
//! assembler ([`trace`]) puts the lines of a stack trace together.
//! Everything leaves through the [`outlet`], which says how fresh it is. Without following, [`history`] reads logs once.
//! [`LogReader`] is the same way for bytes that are there already.

mod backoff;
mod bookmark;
mod container;
mod cursor;
mod entry;
mod events;
mod feed;
#[cfg(fuzzing)]
pub mod fuzzing;
mod history;
mod host;
mod join;
mod keeper;
mod known;
mod lag;
mod outlet;
mod places;
mod reader;
mod roster;
mod sample;
mod stamp;
mod survey;
mod tail;
mod trace;
mod watcher;

pub use join::Line;
pub use places::Places;
pub use reader::LogReader;
pub use trace::Assembler;
pub use watcher::{Logs, Options, Sampling, Watcher};
