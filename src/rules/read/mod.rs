//! Reading rule files: TOML into [`Rule`](super::Rule)s, with every problem of a file found in one go. A key that is
//! not known is a problem, never ignored: a guard with a typing error would otherwise be no guard.

mod case;
mod counting;
mod event;
mod extend;
mod fields;
mod heal;
mod pack;
mod require;
mod rule;
mod scope;
mod sequence;
mod trigger;

pub(super) use pack::{Read, read};
