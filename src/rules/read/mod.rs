//! Reading rule files: TOML into [`Rule`](super::Rule)s, with every problem of a file found in one go. A key that is
//! not known is a problem, never ignored: a guard with a typing error would otherwise be no guard.

mod case;
mod fields;
mod heal;
mod pack;
mod trigger;

pub(super) use fields::Sink;
pub(super) use pack::read;
