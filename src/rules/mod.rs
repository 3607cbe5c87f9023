//! Heal rules: parse, compile, match. Pure: observations in, signals out.
//!
//! A rule file is read (`read/`) into [`Rule`]s; a [`RuleSet`] holds all of them with one index over their literals;
//! an [`Engine`] runs observations through the set and remembers what rules need to remember, within bounds.
//! Nothing here does I/O or reads a clock, so a replay decides what live decided. `docs/rules.md` describes the
//! language for those who write rules.

mod absence;
mod ansi;
mod bounded;
mod budget;
mod builtin;
mod candidate;
mod case;
mod clocks;
mod compare;
mod cost;
mod draft;
mod engine;
mod event;
mod explain;
mod expression;
mod grams;
mod history;
mod hit;
mod hold;
mod index;
mod inhibition;
mod inspect;
mod judge;
mod labelled;
mod level;
mod lint;
mod literal;
mod log;
mod memory;
mod near;
mod needs;
mod pattern;
mod precedence;
mod problem;
mod progress;
mod rarity;
mod read;
mod reload;
mod report;
mod require;
mod rule;
mod say;
mod scope;
mod set;
mod stage;
mod stat;
mod structured;
mod trace;
mod transcript;
mod trial;
mod vain;
mod why_not;
mod window;

#[cfg(test)]
mod tests;

pub use case::Setting;
pub use draft::{DraftError, Wish, draft, telling_line};
pub use engine::Engine;
pub use event::{EventKind, ExitCodes};
pub use explain::{Explained, Explainer, Match};
pub use inspect::{Condition, Finding, Inspection, Verdict};
pub use labelled::{Excerpt, Recognised, Score, recognise, scores};
pub use near::Near;
pub use precedence::Standing;
pub use problem::{Error, Problem};
pub use report::{TestReport, TestResult};
pub use rule::Rule;
pub use set::{Counts, LineMatch, Replacement, RuleSet, Scanner};
pub use trace::{Note, Outcome};
pub use transcript::{LogLine, Times, Transcript};
pub use why_not::{Obstacle, WhyNot, why_not};
