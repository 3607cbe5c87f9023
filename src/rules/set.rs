//! A set of rules: everything that was loaded, compiled together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::{self, Index};
use super::log::LogMatch;
use super::precedence::{self, Standing};
use super::problem::{Error, Problem, Source};
use super::read::{self, Sink};
use super::report::TestReport;
use super::rule::{Rule, Trigger};
use super::structured::Structured;
use super::{ansi, builtin, lint, trial};

/// Rules that were read, found sound, and compiled.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    sources: Vec<Source>,
    index: Index,
    event_rules: Vec<usize>,
}

/// A rule whose `log` trigger a line matches, whatever else the rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineMatch {
    /// The rule, as an index into [`RuleSet::rules`].
    pub rule: usize,
    /// What its patterns captured.
    pub captures: Vec<(String, String)>,
    /// Which pattern of its `any` list matched.
    pub alternative: Option<usize>,
}

impl RuleSet {
    /// Reads rule files, each a name for messages and a text.
    ///
    /// # Errors
    /// When anything in any file is not understood, could never work, or would be unsafe; the error lists all of it.
    pub fn load(files: &[(String, String)]) -> Result<Self, Error> {
        let sources: Vec<Source> =
            files.iter().map(|(file, text)| Source { file: file.clone(), text: text.clone() }).collect();
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let sink = Sink::new(source);
            rules.extend(read::read(source, index, &sink));
            problems.extend(sink.into_problems());
        }
        problems.extend(duplicates(&rules, &sources));
        problems.extend(rules.iter().flat_map(|rule| lint::unsafe_parts(rule, &sources)));
        if problems.is_empty() {
            Self::compile(rules, sources)
        } else {
            problems.sort_by_key(|problem| (place_of(&sources, problem), problem.line, problem.column));
            Err(Error(problems))
        }
    }

    fn compile(rules: Vec<Rule>, sources: Vec<Source>) -> Result<Self, Error> {
        let log_rules = rules.iter().enumerate().filter_map(|(number, rule)| match &rule.trigger {
            Trigger::Log(pattern) => Some((number, pattern.gates())),
            Trigger::Event { .. } => None,
        });
        let index = Index::new(log_rules).map_err(|message| {
            let problem = sources.first().map(|source| source.problem(&(0..0), message));
            Error(problem.into_iter().collect())
        })?;
        let is_event = |rule: &Rule| matches!(rule.trigger, Trigger::Event { .. });
        let event_rules = (0..rules.len()).filter(|&number| is_event(&rules[number])).collect();
        Ok(Self { rules, sources, index, event_rules })
    }

    /// The rules that come with Arcane.
    #[must_use]
    pub fn builtin() -> Self {
        Self::load(&Self::builtin_files()).expect("the built-in rules are sound: a test loads them")
    }

    /// The built-in rule files, for loading them together with a user's own.
    #[must_use]
    pub fn builtin_files() -> Vec<(String, String)> {
        builtin::FILES.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
    }

    /// The rules, in the order of their files.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What a careful author would still change: rules without tests, alternatives without a sample, rules that are
    /// tried on every line.
    #[must_use]
    pub fn lint(&self) -> Vec<Problem> {
        let careless = self.rules.iter().flat_map(|rule| lint::careless_parts(rule, &self.sources));
        careless.chain(lint::unknown_companions(&self.rules, &self.sources)).collect()
    }

    /// Plays the tests of every rule against the whole set.
    #[must_use]
    pub fn test(&self) -> TestReport {
        trial::run(self, None)
    }

    /// Plays the tests of one rule, given as an index into [`Self::rules`], against the whole set.
    #[must_use]
    pub fn test_one(&self, rule: usize) -> TestReport {
        trial::run(self, Some(rule))
    }

    /// What each of a line's matches, all within scope, is worth beside the others.
    #[must_use]
    pub fn standing(&self, matches: &[LineMatch], of: usize) -> Standing {
        precedence::standing(&self.rules, matches.iter().map(|found| found.rule), of)
    }

    /// The name of the rule that is most like `word`, when one is like it at all.
    #[must_use]
    pub fn nearest(&self, word: &str) -> Option<&str> {
        let names = self.rules.iter().flat_map(|rule| [rule.id.as_str(), rule.name()]);
        super::problem::nearest(word, names)
    }

    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The rules that events make fire.
    pub(super) fn event_rules(&self) -> &[usize] {
        &self.event_rules
    }

    /// The rules whose `log` trigger matches, in order. Of those that are not `admitted`, by number, nothing is asked.
    pub(super) fn match_line(
        &self,
        line: &str,
        admitted: impl Fn(usize) -> bool,
        scratch: &mut Scratch,
    ) -> Vec<LineMatch> {
        let line = Structured::of(ansi::strip(line, &mut scratch.plain));
        let mut matches = Vec::new();
        let counts = &mut scratch.counts;
        counts.lines += 1;
        let gates = self.index.candidates(line.line(), &mut scratch.index);
        for gates in gates.chunk_by(|&left, &right| self.index.rule(left) == self.index.rule(right)) {
            let rule = self.index.rule(gates[0]);
            let Trigger::Log(pattern) = &self.rules[rule].trigger else { continue };
            if !admitted(rule) {
                continue;
            }
            let alternatives = gates.iter().map(|&gate| self.index.alternative(gate));
            counts.tried += 1;
            // The gates of a rule are all of its `any`, or none of them.
            let alternatives = self.index.alternative(gates[0]).map(|_| alternatives.flatten());
            if let Some(LogMatch { captures, alternative }) = pattern.matches(&line, alternatives) {
                counts.matched += 1;
                matches.push(LineMatch { rule, captures, alternative });
            }
        }
        matches
    }
}

/// Room to work in, kept between lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// The line without colours.
    plain: String,
    index: index::Scratch,
    counts: Counts,
}

/// Matches single lines against a set: what `rules explain` shows, what `rules bench` measures.
#[derive(Debug, Clone)]
pub struct Scanner {
    rules: Arc<RuleSet>,
    scratch: Scratch,
}

/// What matching has cost so far: how well the index chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that were matched.
    pub lines: u64,
    /// Rules that were tried, each on one line.
    pub tried: u64,
    /// Those that matched.
    pub matched: u64,
}

impl Scanner {
    /// A scanner over these rules.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self { rules, scratch: Scratch::default() }
    }

    /// The rules whose `log` trigger matches this line, in order; windows, scopes and guards are not asked.
    pub fn matches(&mut self, line: &str) -> Vec<LineMatch> {
        self.rules.match_line(line, |_| true, &mut self.scratch)
    }

    /// What the lines so far have cost.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.scratch.counts
    }

    /// Those of them that count: none when a benign rule explains the line, no fallback beside a rule that knows it.
    pub fn counted(&mut self, line: &str) -> Vec<LineMatch> {
        let matches = self.matches(line);
        let counts = |found: &LineMatch| {
            let benign = self.rules.rules()[found.rule].is_suppressor();
            !benign && self.rules.standing(&matches, found.rule) == Standing::Counts
        };
        matches.iter().filter(|found| counts(found)).cloned().collect()
    }
}

fn duplicates(rules: &[Rule], sources: &[Source]) -> Vec<Problem> {
    let mut first: BTreeMap<&str, &Rule> = BTreeMap::new();
    let mut problems = Vec::new();
    for rule in rules {
        match first.get(rule.name()) {
            Some(other) => {
                let there = sources[other.place.source].problem(&other.place.span, "");
                let message =
                    format!("rule `{}` is there already, at {}:{}", rule.name(), there.file, there.line);
                problems.push(sources[rule.place.source].problem(&rule.place.span, message));
            }
            None => {
                first.insert(rule.name(), rule);
            }
        }
    }
    problems
}

fn place_of(sources: &[Source], problem: &Problem) -> usize {
    sources.iter().position(|source| source.file == problem.file).unwrap_or(usize::MAX)
}
