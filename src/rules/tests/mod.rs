//! Tests of the room as a whole.

mod behaviour;
mod builtin;
mod hostile;
mod messages;
mod precedence;
mod prefilter;
mod world;
