//! The index over the literals of all rules never changes what matches: any rules on any lines give what a loop over plain
//! regular expressions gives, captures and all.

#![no_main]

use std::sync::Arc;

use arcane::rules::{RuleSet, Scanner};
use arcane_fuzz::plain::{self, Match};
use arcane_fuzz::{Draw, drawn};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut draw = Draw::new(input);
    let (file, logs) = drawn::rules(&mut draw);
    // Refused as a whole, for instance for a regular expression that is too large.
    let Ok(rules) = RuleSet::load(&[("t.toml".to_owned(), file.clone())]) else { return };
    assert_eq!(rules.rules().len(), logs.len(), "{file}");
    let mut scanner = Scanner::new(Arc::new(rules));
    for _ in 0..8 {
        if draw.is_empty() {
            break;
        }
        let line = drawn::line(&mut draw);
        let found = scanner.matches(&line);
        let found: Vec<(usize, Match)> =
            found.into_iter().map(|found| (found.rule, (found.captures, found.alternative))).collect();
        let plain = plain::stripped(&line);
        let expected: Vec<(usize, Match)> =
            logs.iter().enumerate().filter_map(|(rule, log)| Some((rule, log.matches(&plain)?))).collect();
        assert_eq!(found, expected, "{line:?}\n{file}");
    }
});
