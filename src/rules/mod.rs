//! Heal rules: parse, compile, match. Pure: observations in, signals out.
//!
//! A rule file is read (`read/`) into [`Rule`]s; a [`RuleSet`] holds all of them with one index over their literals;
//! an [`Engine`] runs observations through the set and remembers what rules need to remember, within bounds.
//! Nothing here does I/O or reads a clock, so a replay decides what live decided. `docs/rules.md` describes the
//! language for those who write rules.

mod ansi;
mod bounded;
mod builtin;
mod candidate;
mod engine;
mod event;
mod grams;
mod hit;
mod index;
mod labelled;
mod lint;
mod literal;
mod log;
mod memory;
mod pattern;
mod precedence;
mod problem;
mod rarity;
mod read;
mod report;
mod require;
mod rule;
mod say;
mod scope;
mod set;
mod structured;
mod trace;
mod trial;
mod window;

#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use event::{EventKind, ExitCodes};
pub use labelled::{Excerpt, Recognised, Score, recognise, scores};
pub use precedence::Standing;
pub use problem::{Error, Problem};
pub use report::{TestReport, TestResult};
pub use rule::Rule;
pub use set::{Counts, LineMatch, RuleSet, Scanner};
pub use trace::{Note, Outcome};
