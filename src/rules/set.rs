//! A set of rules: everything that was loaded, compiled together.

use std::sync::Arc;

use super::budget::{Budget, Turn};
use super::index::{self, Index};
use super::log::{LogMatch, LogPattern};
use super::precedence::{Standing, Together};
use super::problem::{Error, Problem, Source};
use super::read::{self, Read};
use super::report::TestReport;
use super::rule::{Place, Replaced, Rule, StepTrigger, Trigger};
use super::structured::Structured;
use super::{ansi, builtin, lint, trial, vain};

/// Rules that were read, found sound, and compiled.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    sources: Vec<Source>,
    replaced: Vec<Replaced>,
    index: Index,
    /// What the index finds: patterns of rules, in the order of the rules.
    slots: Vec<Slot>,
    by_trigger: Triggers,
}

/// A pattern over lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    rule: usize,
    /// Which step of the rule's sequence it belongs to, if its rule has one.
    step: Option<usize>,
}

/// The rules of each kind of trigger but `log`, by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Triggers {
    pub(super) event: Vec<usize>,
    pub(super) stat: Vec<usize>,
    pub(super) absent: Vec<usize>,
    pub(super) signal: Vec<usize>,
    pub(super) sequence: Vec<usize>,
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
    /// Which step of a sequence it is, or 0 for a line that is missed when it does not come; `None` for what makes a
    /// rule look up by itself.
    pub(super) step: Option<usize>,
}

impl RuleSet {
    /// Reads rule files, each a name for messages and a text.
    ///
    /// # Errors
    /// When anything in any file is not understood, could never work, or would be unsafe; the error lists all of it.
    pub fn load(files: &[(String, String)]) -> Result<Self, Error> {
        Self::layered(&[files.to_vec()])
    }

    /// Reads layers of rule files, the lowest first: a rule of a later layer replaces the one of the same name in those
    /// before it, and may extend it.
    ///
    /// # Errors
    /// As [`RuleSet::load`].
    pub fn layered(layers: &[Vec<(String, String)>]) -> Result<Self, Error> {
        let sources: Vec<Source> = layers
            .iter()
            .enumerate()
            .flat_map(|(layer, files)| files.iter().map(move |file| (layer, file)))
            .map(|(layer, (file, text))| Source { file: file.clone(), text: text.clone(), layer })
            .collect();
        let Read { rules, replaced, mut problems } = read::read(&sources);
        problems.extend(rules.iter().flat_map(|rule| lint::unsafe_parts(rule, &sources)));
        problems.extend(lint::circles(&rules, &sources));
        if problems.is_empty() {
            Self::compile(rules, sources, replaced)
        } else {
            problems.sort_by_key(|problem| (place_of(&sources, problem), problem.line, problem.column));
            problems.dedup();
            Err(Error(problems))
        }
    }

    /// Reads rule files that may extend those of the layers below them, and leaves the rules of those out.
    ///
    /// # Errors
    /// As [`RuleSet::load`].
    pub fn over(below: &[Vec<(String, String)>], files: &[(String, String)]) -> Result<Self, Error> {
        let mut layers = below.to_vec();
        layers.push(files.to_vec());
        let Self { mut rules, sources, replaced, .. } = Self::layered(&layers)?;
        rules.retain(|rule| sources[rule.place.source].layer == below.len());
        Self::compile(rules, sources, replaced)
    }

    fn compile(rules: Vec<Rule>, sources: Vec<Source>, replaced: Vec<Replaced>) -> Result<Self, Error> {
        let patterns: Vec<(Slot, &LogPattern)> =
            rules.iter().enumerate().flat_map(|(number, rule)| patterns(number, rule)).collect();
        let slots = patterns.iter().map(|(slot, _)| *slot).collect();
        let entries = patterns.iter().enumerate().map(|(number, (_, pattern))| (number, pattern.gates()));
        let index = Index::new(entries).map_err(|message| {
            let problem = sources.first().map(|source| source.problem(&(0..0), message));
            Error(problem.into_iter().collect())
        })?;
        let mut by_trigger = Triggers::default();
        for (number, rule) in rules.iter().enumerate() {
            match &rule.trigger {
                Trigger::Log(_) => {}
                Trigger::Event(_) => by_trigger.event.push(number),
                Trigger::Stat(_) => by_trigger.stat.push(number),
                Trigger::Absent(_) => by_trigger.absent.push(number),
                Trigger::Signal(_) => by_trigger.signal.push(number),
                Trigger::Sequence(_) => by_trigger.sequence.push(number),
            }
        }
        Ok(Self { rules, sources, replaced, index, slots, by_trigger })
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
        let unknown = lint::unknown_companions(&self.rules, &self.sources);
        careless.chain(unknown).chain(vain::broad(self, &self.sources)).collect()
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

    /// What each of a line's matches, by number and all of them within scope, is worth beside the others.
    #[must_use]
    pub fn standing(&self, line: &str, matched: impl Iterator<Item = usize> + Clone, of: usize) -> Standing {
        Together { rules: &self.rules, sources: &self.sources, replaced: &self.replaced, text: line }
            .standing(matched, of)
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

    /// The rules of each kind of trigger but `log`.
    pub(super) fn by_trigger(&self) -> &Triggers {
        &self.by_trigger
    }

    /// Whether some rule needs samples of memory and processor.
    #[must_use]
    pub fn needs_stats(&self) -> bool {
        self.rules.iter().any(Rule::needs_samples)
    }

    /// The texts by which rules worth trying are found in a line, in lower case: for measuring other ways to find them.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.index.texts()
    }

    /// How often they are in a line, found in the way that is ours.
    #[must_use]
    pub fn count_texts(&self, line: &str) -> usize {
        self.index.count_texts(line)
    }

    /// The rules that were replaced or switched off by files of a higher layer, in order.
    #[must_use]
    pub fn replacements(&self) -> Vec<Replacement> {
        let file = |place: &Place| {
            let at = self.sources[place.source].problem(&place.span, "");
            format!("{}:{}", at.file, at.line)
        };
        let replacements = self.replaced.iter().map(|one| Replacement {
            rule: one.name.clone(),
            was: file(&one.was),
            by: file(&one.by),
            off: one.off,
        });
        replacements.collect()
    }

    fn pattern(&self, slot: Slot) -> Option<&LogPattern> {
        match (&self.rules[slot.rule].trigger, slot.step) {
            (Trigger::Log(pattern), None) => Some(pattern),
            (Trigger::Absent(absent), _) => Some(&absent.log),
            (Trigger::Sequence(steps), Some(step)) => match &steps.get(step)?.on {
                StepTrigger::Log(pattern) => Some(pattern),
                StepTrigger::Event(_) => None,
            },
            _ => None,
        }
    }

    fn turn(&self, rule: usize) -> Turn {
        let rule = &self.rules[rule];
        match self.sources[rule.place.source].layer {
            _ if rule.is_fallback() => Turn::Last,
            0 => Turn::Second,
            _ => Turn::First,
        }
    }

    /// The rules of which a pattern over lines matches, in order. Of those that are not `admitted`, by number, nothing is
    /// asked.
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
        let (gates, plain) = self.index.candidates(line.line(), &mut scratch.index);
        let mut budget = Budget::new(plain.len());
        // Whoever fills a line with the words of many rules does not choose which of them are left out.
        let turns: &[Option<Turn>] = if budget.is_ample(gates.len()) { &[None] } else { &Turn::ALL };
        let of_one = |left: &u32, right: &u32| self.index.rule(*left) == self.index.rule(*right);
        for (turn, gates) in turns.iter().flat_map(|turn| gates.chunk_by(of_one).map(move |one| (turn, one)))
        {
            let slot = self.slots[self.index.rule(gates[0])];
            if turn.is_some_and(|turn| turn != self.turn(slot.rule)) || !admitted(slot.rule) {
                continue;
            }
            let Some(pattern) = self.pattern(slot) else { continue };
            if !budget.ask(gates.len()) {
                counts.skipped += 1;
                continue;
            }
            scratch.worth.clear();
            scratch.worth.extend(gates.iter().filter(|gate| self.index.is_worth_it(**gate, plain)));
            let gates = &scratch.worth;
            if gates.is_empty() {
                continue;
            }
            if !budget.attempt(gates.len()) {
                counts.skipped += 1;
                continue;
            }
            let alternatives = gates.iter().map(|&gate| self.index.alternative(gate));
            counts.tried += 1;
            // The gates of a pattern are all of its `any`, or none of them.
            let alternatives = self.index.alternative(gates[0]).map(|_| alternatives.flatten());
            if let Some(LogMatch { captures, alternative }) = pattern.matches(&line, alternatives) {
                counts.matched += 1;
                matches.push(LineMatch { rule: slot.rule, captures, alternative, step: slot.step });
            }
        }
        if turns.len() > 1 {
            matches.sort_by_key(|found| (found.rule, found.step));
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
    /// The patterns of a rule that are worth trying.
    worth: Vec<u32>,
    pub(super) counts: Counts,
}

/// The patterns over lines of a rule. A line that is missed when it does not come is step 0.
fn patterns(number: usize, rule: &Rule) -> Vec<(Slot, &LogPattern)> {
    let slot = |step| Slot { rule: number, step };
    match &rule.trigger {
        Trigger::Log(pattern) => vec![(slot(None), &**pattern)],
        Trigger::Absent(absent) => vec![(slot(Some(0)), &absent.log)],
        Trigger::Sequence(steps) => {
            let steps = steps.iter().enumerate().filter_map(|(step, one)| match &one.on {
                StepTrigger::Log(pattern) => Some((slot(Some(step)), &**pattern)),
                StepTrigger::Event(_) => None,
            });
            steps.collect()
        }
        Trigger::Event(_) | Trigger::Stat(_) | Trigger::Signal(_) => Vec::new(),
    }
}

/// A rule that is not in force, for a file of a higher layer has one of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The rule, as `pack/id`.
    pub rule: String,
    /// Where the one stands that is not in force, as `file:line`.
    pub was: String,
    /// Where what replaces it stands.
    pub by: String,
    /// Whether it is switched off, so that nothing stands in its place.
    pub off: bool,
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
    /// Those that were not tried, for the line had made so much work already.
    pub skipped: u64,
}

impl Scanner {
    /// A scanner over these rules.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self { rules, scratch: Scratch::default() }
    }

    /// The rules whose `log` trigger matches this line, in order; windows, scopes and guards are not asked.
    pub fn matches(&mut self, line: &str) -> Vec<LineMatch> {
        let mut matches = self.rules.match_line(line, |_| true, &mut self.scratch);
        matches.retain(|found| found.step.is_none());
        matches
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
            let matched = matches.iter().map(|one| one.rule);
            !benign && self.rules.standing(line, matched, found.rule) == Standing::Counts
        };
        matches.iter().filter(|found| counts(found)).cloned().collect()
    }
}

fn place_of(sources: &[Source], problem: &Problem) -> usize {
    sources.iter().position(|source| source.file == problem.file).unwrap_or(usize::MAX)
}
