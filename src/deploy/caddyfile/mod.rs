//! A Caddyfile as text: which of a site's upstreams is one of an app's two slots, and the same file with the other
//! slot in its place. Pure: bytes in, judgement or bytes out.
//!
//! A Caddyfile is somebody's own writing, so nothing in it moves but the digits of one port, and where it is not plain
//! which port that is, nothing moves at all: the answer is then the line, and what to write there. The [`lexer`] splits
//! words as Caddy does, the [`tree`] groups them into sites and directives, [`site`] finds the one word that is meant.
//! Caddy itself has the last word: whoever uses an edit compares what Caddy makes of the file before and after it.

mod lexer;
mod problem;
mod site;
#[cfg(test)]
mod tests;
mod tree;

pub use problem::{PATH, Problem};
pub use site::{Upstream, block, find, site_line, slot_of_dial, with_block};
