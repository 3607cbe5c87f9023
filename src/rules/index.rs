//! The index over all rules' patterns: one pass over a line says which few patterns are worth trying. Most lines meet no
//! rule at all, so what counts is the cost of a miss.
//!
//! A rule is entered by its **gates**: the patterns of one of its parts, of which every line that the rule matches must
//! match one. A gate with a literal is found by the literal; those without are all looked for at once, by one automaton.

use regex::RegexSet;

use super::expression::Expression;
use super::grams::Grams;
use super::literal::{self, Required};
use super::pattern;

/// A pattern by which a rule is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gate {
    /// Which pattern of `any` it is, unless it belongs to another part.
    pub(super) alternative: Option<usize>,
    pub(super) key: Key,
    /// Texts of which a line must have one as well.
    pub(super) also: Option<Required>,
}

/// What a line must have to be worth trying a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// One of these texts.
    Literals(Required),
    /// A match of this regular expression.
    Regex(String),
    /// Nothing that could be said of the line as a whole.
    Nothing,
}

impl Gate {
    /// Higher lets fewer lines through.
    pub(super) fn selectivity(&self) -> (u32, usize) {
        match &self.key {
            Key::Literals(required) => literal::selectivity(required),
            Key::Regex(_) | Key::Nothing => (0, 0),
        }
    }
}

/// Which patterns of which rules to try on a line.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// For each gate, its rule and which pattern of `any` it is; in the order of the rules, and of their patterns.
    gates: Vec<(usize, Option<usize>)>,
    grams: Grams,
    /// The gates of each literal.
    owners: Vec<Vec<u32>>,
    loose: Option<Loose>,
    /// Gates that are tried on every line.
    always: Vec<u32>,
    /// For each gate, what a line must have as well.
    also: Vec<Option<Expression>>,
}

/// Patterns without a literal.
#[derive(Debug, Clone)]
struct Loose {
    set: RegexSet,
    /// The gate of each expression of the set.
    gates: Vec<u32>,
}

/// Room to work in, kept between lines so that a line costs no allocation. What was seen on this line is told by the
/// line's number instead of being cleared each time.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    line: u64,
    seen: Vec<u64>,
    found: Vec<u32>,
    folded: String,
}

impl Index {
    /// Builds the index from the gates of each log rule, rules in order. The error is a sentence for their author.
    pub(super) fn new(rules: impl IntoIterator<Item = (usize, Vec<Gate>)>) -> Result<Self, String> {
        let mut entries: Vec<(String, u32)> = Vec::new();
        let (mut gates, mut always, mut also) = (Vec::new(), Vec::new(), Vec::new());
        let (mut expressions, mut loose) = (Vec::new(), Vec::new());
        for (rule, of_rule) in rules {
            for gate in of_rule {
                let number =
                    u32::try_from(gates.len()).map_err(|_| "these are too many patterns".to_owned())?;
                gates.push((rule, gate.alternative));
                also.push(gate.also.as_ref().map(|texts| Expression::of_literals(texts)));
                match gate.key {
                    Key::Literals(literals) => {
                        entries.extend(literals.into_iter().map(|text| (text, number)))
                    }
                    Key::Regex(expression) => {
                        expressions.push(expression);
                        loose.push(number);
                    }
                    Key::Nothing => always.push(number),
                }
            }
        }
        entries.sort_unstable();
        let groups: Vec<_> = entries.chunk_by(|(left, _), (right, _)| left == right).collect();
        let literals: Vec<String> = groups.iter().map(|group| group[0].0.clone()).collect();
        let owners = groups.iter().map(|group| group.iter().map(|(_, gate)| *gate).collect()).collect();
        let loose = if expressions.is_empty() {
            None
        } else {
            Some(Loose { set: pattern::set(&expressions)?, gates: loose })
        };
        Ok(Self { gates, grams: Grams::new(&literals), owners, loose, always, also })
    }

    /// The gates that may be worth trying, in order: by [`Index::rule`], and the patterns of a rule in theirs; and the line
    /// as [`Index::is_worth_it`] wants it.
    pub(super) fn candidates<'s>(&self, line: &'s str, scratch: &'s mut Scratch) -> (&'s [u32], &'s str) {
        let Scratch { line: number, seen, found, folded } = scratch;
        *number += 1;
        seen.resize(self.owners.len(), 0);
        found.clear();
        found.extend_from_slice(&self.always);
        let plain = plain(line, folded);
        self.grams.find(plain.as_bytes(), |literal| {
            if std::mem::replace(&mut seen[literal], *number) != *number {
                found.extend_from_slice(&self.owners[literal]);
            }
        });
        if let Some(loose) = &self.loose
            && loose.set.is_match(line)
        {
            found.extend(loose.set.matches(line).iter().map(|expression| loose.gates[expression]));
        }
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        (found, plain)
    }

    /// The texts by which gates are found.
    pub(super) fn texts(&self) -> Vec<String> {
        self.grams.literals().collect()
    }

    /// How often such a text is in a line.
    pub(super) fn count_texts(&self, line: &str) -> usize {
        let mut count = 0;
        self.grams.find(line.as_bytes(), |_| count += 1);
        count
    }

    /// Whether the line has what a gate's pattern needs as well: asked of few, and cheaper by far than the pattern.
    pub(super) fn is_worth_it(&self, gate: u32, plain: &str) -> bool {
        self.also[gate as usize].as_ref().is_none_or(|also| also.is_match(plain))
    }

    /// The rule of a gate.
    pub(super) fn rule(&self, gate: u32) -> usize {
        self.gates[gate as usize].0
    }

    /// Which pattern of its rule's `any` a gate is, if it is one.
    pub(super) fn alternative(&self, gate: u32) -> Option<usize> {
        self.gates[gate as usize].1
    }
}

/// The line as literals are looked for in it: but for case, which is not looked at, in the form of [`literal::fold`].
fn plain<'l>(line: &'l str, folded: &'l mut String) -> &'l str {
    if line.is_ascii() || !line.contains([literal::KELVIN_SIGN, literal::LONG_S]) {
        return line;
    }
    folded.clear();
    folded.extend(line.chars().map(literal::folded));
    folded
}
