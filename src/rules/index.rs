//! The index over all rules' literals: one pass of an Aho-Corasick automaton over a line says which few rules are
//! worth trying. Figures and reasons: most lines meet no rule at all, so what counts is the cost of a miss.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};

use super::literal::Required;

/// Up to this many bytes of literals the automaton is a full DFA: about 1 KiB of table for each byte.
const DFA_LIMIT: usize = 16 << 10;

/// Which rules to try on a line.
#[derive(Debug, Clone)]
pub(super) struct Index {
    automaton: Option<AhoCorasick>,
    /// The rules of each literal.
    owners: Vec<Vec<usize>>,
    /// Rules without any literal: tried on every line.
    always: Vec<usize>,
    rules: usize,
}

/// Room to work in, kept between lines so that a line costs no allocation. Which rules were seen on this line is told
/// by the line's number instead of being cleared each time.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    line: u64,
    seen: Vec<u64>,
    pub(super) found: Vec<usize>,
}

impl Index {
    /// Builds the index from each log rule's number and literals. The error is what the automaton's builder says.
    pub(super) fn new(
        rules: usize,
        log_rules: impl IntoIterator<Item = (usize, Option<Required>)>,
    ) -> Result<Self, String> {
        let mut literals: Vec<String> = Vec::new();
        let mut owners: Vec<Vec<usize>> = Vec::new();
        let mut always = Vec::new();
        for (rule, required) in log_rules {
            let Some(required) = required else {
                always.push(rule);
                continue;
            };
            for literal in required {
                match literals.iter().position(|known| *known == literal) {
                    Some(known) => owners[known].push(rule),
                    None => {
                        literals.push(literal);
                        owners.push(vec![rule]);
                    }
                }
            }
        }
        let automaton = if literals.is_empty() { None } else { Some(build(&literals)?) };
        Ok(Self { automaton, owners, always, rules })
    }

    /// Leaves in `scratch.found` the rules to try, in order.
    pub(super) fn candidates(&self, line: &str, scratch: &mut Scratch) {
        scratch.line += 1;
        scratch.seen.resize(self.rules, 0);
        scratch.found.clear();
        scratch.found.extend_from_slice(&self.always);
        if let Some(automaton) = &self.automaton {
            for hit in automaton.find_overlapping_iter(line) {
                for &rule in &self.owners[hit.pattern().as_usize()] {
                    if scratch.seen[rule] != scratch.line {
                        scratch.seen[rule] = scratch.line;
                        scratch.found.push(rule);
                    }
                }
            }
        }
        scratch.found.sort_unstable();
    }
}

fn build(literals: &[String]) -> Result<AhoCorasick, String> {
    let bytes: usize = literals.iter().map(String::len).sum();
    let kind = if bytes <= DFA_LIMIT { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .kind(Some(kind))
        .build(literals)
        .map_err(|error| error.to_string())
}
