//! Whatever stands in a rule file: it is read or refused. What is refused is refused with places that are in the file, in words
//! that cannot move a cursor; what is read can be linted, tested and run, and says the same when it is read again.

#![no_main]

use std::sync::{Arc, LazyLock};

use arcane::rules::{Problem, RuleSet, Scanner};
use arcane_fuzz::Draw;
use libfuzzer_sys::fuzz_target;

/// The built-in rules one by one, each a file.
static RULES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut rules = Vec::new();
    for (_, text) in RuleSet::builtin_files() {
        let mut parts = text.split("\n[[rule]]");
        let head = parts.next().unwrap_or_default().to_owned();
        rules.extend(parts.map(|rule| format!("{head}\n[[rule]]{rule}")));
    }
    rules
});

const HEAD: &str = "pack = \"t\"\nschema = 1\n[[rule]]\nid = \"r\"\nclass = \"app_crash\"\n";

// What is made once takes no input's time.
fuzz_target!(init: { LazyLock::force(&RULES); }, |input: &[u8]| {
    let mut draw = Draw::new(input);
    let files = match draw.byte() % 5 {
        0 => vec![("t.toml".to_owned(), rest(&mut draw))],
        1 => vec![("t.toml".to_owned(), format!("{HEAD}{}", rest(&mut draw)))],
        2 | 3 => vec![("a.toml".to_owned(), damaged(&mut draw))],
        _ => {
            let first = damaged(&mut draw);
            vec![("a.toml".to_owned(), first), ("b.toml".to_owned(), damaged(&mut draw))]
        }
    };
    let split = files.len() / 2;
    let layers = [files[..split].to_vec(), files[split..].to_vec()];
    match RuleSet::layered(&layers) {
        Err(error) => {
            assert!(!error.0.is_empty());
            error.0.iter().for_each(|problem| check(problem, &files));
            assert_eq!(RuleSet::layered(&layers).err(), Some(error));
        }
        Ok(rules) => {
            rules.lint().iter().for_each(|problem| check(problem, &files));
            // A test may play a line ten thousand times; most of them would only take time here.
            let repeats = files.iter().any(|(_, text)| text.contains("repeat") || text.contains("advance"));
            if !repeats {
                let report = rules.test();
                report
                    .failures()
                    .filter_map(|failure| failure.problem.as_ref())
                    .for_each(|one| check(one, &files));
                still(&report.to_string());
                assert_eq!(rules.test(), report);
            }
            let rules = Arc::new(rules);
            let mut scanner = Scanner::new(Arc::clone(&rules));
            for line in files.iter().flat_map(|(_, text)| text.lines()) {
                assert!(scanner.matches(line).iter().all(|found| found.rule < rules.rules().len()));
            }
        }
    }
});

fn rest(draw: &mut Draw<'_>) -> String {
    String::from_utf8_lossy(draw.rest()).into_owned()
}

/// Built-in rules with stretches cut out, doubled and written over: mostly TOML, mostly wrong.
fn damaged(draw: &mut Draw<'_>) -> String {
    let mut text: Vec<char> = RULES[draw.number() % RULES.len()].chars().collect();
    for _ in 0..draw.below(6) {
        let at = draw.number() % (text.len() + 1);
        let end = (at + draw.below(80)).min(text.len());
        match draw.byte() % 4 {
            0 => drop(text.drain(at..end)),
            1 => {
                let copy = text[at..end].to_vec();
                let to = draw.number() % (text.len() + 1);
                text.splice(to..to, copy);
            }
            2 => {
                let other = &RULES[draw.number() % RULES.len()];
                let from = draw.number() % (other.chars().count() + 1);
                let other: Vec<char> = other.chars().skip(from).take(end - at).collect();
                text.splice(at..end, other);
            }
            _ => {
                let length = draw.below(24);
                text.splice(at..at, draw.text(length).chars());
            }
        }
    }
    text.into_iter().collect()
}

/// A problem is about a place that is there, and can be shown.
fn check(problem: &Problem, files: &[(String, String)]) {
    let (_, text) = files.iter().find(|(name, _)| *name == problem.file).expect("a file that was read");
    let line = text.split('\n').nth(problem.line - 1).unwrap_or_else(|| panic!("no such line: {problem:?}"));
    assert_eq!(line.trim_end_matches('\r'), problem.text, "{problem:?}");
    assert!((1..=line.chars().count() + 1).contains(&problem.column) && problem.width >= 1, "{problem:?}");
    let shown = problem.to_string();
    still(&shown);
    assert!(shown.split('\n').count() == 3 && shown.len() < 16_000, "{shown:?}");
}

/// Moves no cursor.
fn still(shown: &str) {
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
}
