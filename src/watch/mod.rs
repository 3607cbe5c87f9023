//! A host's streams → ordered, complete, bounded observations.

mod cursor;
mod entry;
mod join;
mod stamp;
