//! What is kept of a trace beyond what fits: the lines that say what happened, the last of which is mostly the root
//! cause. The others are counted where they are missing.

use std::collections::VecDeque;

use super::head::is_head;
use super::shape::Shape;

/// Lines that say what happened are kept so many, the last …
const HEADS: usize = 20;
/// … and of each so much, in bytes.
const HEAD: usize = 400;
/// Stands where a line was cut.
const CUT: &str = "…";
/// The longest that says how many lines are missing: `… 10000 more lines` and its newline.
const COUNT: usize = 24;
/// The most text that all this is.
pub(super) const MOST: usize = (HEADS + 1) * COUNT + HEADS * (1 + HEAD + CUT.len());

/// Lines that did not fit.
#[derive(Debug, Default)]
pub(super) struct Rest {
    count: usize,
    /// Lines that say what happened, each with how many are missing before it.
    heads: VecDeque<(usize, String)>,
    /// Lines that are missing after the last of them.
    missing: usize,
}

impl Rest {
    /// How many lines there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a line, of a trace of this shape.
    pub(super) fn add(&mut self, shape: Shape, line: &str) {
        self.count += 1;
        if !is_head(shape, line.as_bytes()) {
            self.missing += 1;
            return;
        }
        self.heads.push_back((std::mem::take(&mut self.missing), shortened(line)));
        if self.heads.len() > HEADS
            && let Some((before, _)) = self.heads.pop_front()
            && let Some((missing, _)) = self.heads.front_mut()
        {
            *missing += before + 1;
        }
    }

    /// Appends what is kept, and how much is not.
    pub(super) fn tell(&self, text: &mut String) {
        let heads = self.heads.iter().map(|(missing, head)| (*missing, Some(head)));
        for (missing, head) in heads.chain([(self.missing, None)]) {
            if missing > 0 {
                let lines = if missing == 1 { "line" } else { "lines" };
                text.push_str(&format!("\n… {missing} more {lines}"));
            }
            if let Some(head) = head {
                text.push('\n');
                text.push_str(head);
            }
        }
    }
}

fn shortened(line: &str) -> String {
    if line.len() <= HEAD {
        return line.to_owned();
    }
    let end = (0..=HEAD).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{CUT}", line.get(..end).unwrap_or_default())
}
