//! Matching alone, beside other ways to do it: every regular expression by itself, and all of them in one automaton. The
//! others are only asked whether anything matches, not what it captured.

use std::hint::black_box;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use arcane::rules::Scanner;
use regex::{Regex, RegexSet, RegexSetBuilder};

use crate::clock::Stopwatch;
use crate::lines::{self, Log};
use crate::row::{self, Sample};
use crate::{ROUNDS, patterns};

/// How many seconds each is measured in a round; some of them are slow.
const ENOUGH: f64 = 0.7;
/// Lines between two looks at the clock.
const BATCH: usize = 64;
/// Memory for the automaton of a set.
const LARGE: usize = 64 << 20;

pub(crate) fn measure(logs: &[Log]) {
    let rules = patterns::rules();
    let expressions = patterns::expressions();
    let lines = lines::mixed(logs);
    let mut scanner = Scanner::new(Arc::clone(&rules));
    let alone: Vec<Regex> = expressions.iter().map(|one| Regex::new(one).unwrap()).collect();
    let small = set(&expressions, 2 << 20);
    let large = set(&expressions, LARGE);
    let mut speeds: [Vec<f64>; 4] = Default::default();
    for round in 0..=ROUNDS {
        let of_round = [
            speed(&lines, |line| scanner.matches(line).len()),
            speed(&lines, |line| alone.iter().filter(|one| one.is_match(line)).count()),
            speed(&lines, |line| usize::from(small.is_match(line))),
            speed(&lines, |line| usize::from(large.is_match(line))),
        ];
        // The first round is for automata that are made as they are used.
        if round > 0 {
            speeds.iter_mut().zip(of_round).for_each(|(all, one)| all.push(one));
        }
    }
    let [ours, alone, small, large] = speeds.map(Sample::from);
    let what = format!(
        "matching alone, {} rules with {} patterns: {}",
        rules.rules().len(),
        expressions.len(),
        lines::describe(logs)
    );
    row::versus_rate(&what, &ours, "each pattern's `Regex::is_match`", &alone, "lines/s");
    row::versus_rate("the same", &ours, "one `RegexSet::is_match`, as it comes", &small, "lines/s");
    row::versus_rate(
        "the same",
        &ours,
        "one `RegexSet::is_match` with 64 MiB for its automaton",
        &large,
        "lines/s",
    );
    let counts = scanner.counts();
    let per_line = |count: u64| count as f64 / counts.lines as f64;
    row::print(
        "the same: rules tried on a line, and those that matched",
        "–",
        &format!(
            "{} tried, {} matched",
            row::number(per_line(counts.tried)),
            row::number(per_line(counts.matched))
        ),
        "–",
        ROUNDS,
    );
    find_texts(&lines);
}

/// The first step alone: which of the texts that patterns need are in a line.
fn find_texts(lines: &[&str]) {
    let rules = patterns::rules();
    let texts = rules.texts();
    let automaton =
        |kind| AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(kind)).build(&texts).unwrap();
    let automata = [AhoCorasickKind::ContiguousNFA, AhoCorasickKind::DFA].map(automaton);
    for line in lines {
        let ours = rules.count_texts(line);
        assert!(automata.iter().all(|one| one.find_overlapping_iter(line).count() == ours), "{line}");
    }
    let mut speeds: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        speeds[0].push(speed(lines, |line| rules.count_texts(line)));
        for (speeds, automaton) in speeds[1..].iter_mut().zip(&automata) {
            speeds.push(speed(lines, |line| automaton.find_overlapping_iter(line).count()));
        }
    }
    let [ours, small, large] = speeds.map(Sample::from);
    let [nfa, dfa] = automata.map(|one| one.memory_usage() as f64 / 1e6);
    let what = format!("finding the {} texts that patterns need", texts.len());
    let against = format!("Aho-Corasick, an NFA of {nfa:.0} MB");
    row::versus_rate(&what, &ours, &against, &small, "lines/s");
    let against = format!("Aho-Corasick, a DFA of {dfa:.0} MB");
    row::versus_rate("the same", &ours, &against, &large, "lines/s");
}

fn set(expressions: &[String], cache: usize) -> RegexSet {
    RegexSetBuilder::new(expressions).size_limit(usize::MAX).dfa_size_limit(cache).build().unwrap()
}

/// Lines in a second.
fn speed(lines: &[&str], mut work: impl FnMut(&str) -> usize) -> f64 {
    let (mut count, started) = (0, Stopwatch::start());
    for batch in lines.chunks(BATCH).cycle() {
        for line in batch {
            black_box(work(line));
        }
        count += batch.len();
        if started.seconds() > ENOUGH {
            break;
        }
    }
    count as f64 / started.seconds()
}
