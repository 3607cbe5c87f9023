//! Whatever a server or an app says, shown it cannot move the cursor, pass for a row of ours, or go on for ever; and of a line
//! of it a rule can be made that loads, knows the line, and says so.

#![no_main]

use std::sync::{Arc, LazyLock};

use arcane::fleet::text::{printable, printable_block, printable_lines, quoted};
use arcane::rules::{DraftError, RuleSet, Scanner, Wish, draft};
use arcane_fuzz::Draw;
use libfuzzer_sys::fuzz_target;

/// A few rules that are there already.
static KNOWN: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let mut files = RuleSet::builtin_files();
    files.retain(|(file, _)| file.ends_with("network.toml"));
    assert_eq!(files.len(), 1);
    Arc::new(RuleSet::load(&files).unwrap_or_else(|error| panic!("{error}")))
});

// What is made once takes no input's time.
fuzz_target!(init: { LazyLock::force(&KNOWN); }, |input: &[u8]| {
    let mut draw = Draw::new(input);
    let (kind, limit) = (draw.byte(), draw.below(300));
    let text = String::from_utf8_lossy(draw.rest()).into_owned();
    if kind % 2 == 0 {
        shown(&text, limit);
    } else {
        drafted(text.lines().next().unwrap_or_default());
    }
});

/// Nothing of the kind that moves a cursor or turns the direction of writing, but for what may.
fn still(shown: &str, but: &[char]) {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(shown.chars().all(|c| but.contains(&c) || !moves(c)), "{shown:?}");
}

fn shown(text: &str, limit: usize) {
    let short = quoted(text);
    still(&short, &[]);
    assert!(short.chars().count() <= 60 * 10 + 3, "{short}");
    assert_eq!(short.matches('\n').count(), 0);

    let line = printable(text, limit);
    still(&line, &[]);
    assert!(line.chars().count() <= limit * 10 + 40, "{line}");
    let harmless = text.chars().all(|c| !c.is_control() && c >= ' ') && text.is_ascii();
    if harmless && text.len() <= limit {
        assert_eq!(line, text);
    }

    let block = printable_block(text, limit, "    ");
    still(&block, &['\n']);
    assert!(block.split('\n').skip(1).all(|row| row.starts_with("    ")), "{block:?}");
    assert_eq!(block.matches('\n').count(), text.matches('\n').count());

    let whole = printable_lines(text);
    still(&whole, &['\n', '\t']);
    assert_eq!(printable_lines(&whole), whole);
}

fn drafted(line: &str) {
    let wish = Wish { id: None, class: None, pack: "mine".to_owned() };
    let file = match draft(line, &wish, &KNOWN) {
        Ok(file) => file,
        // No words to go by, or nothing that would stand its own tests.
        Err(DraftError::NoWords | DraftError::Refused(_)) => return,
    };
    assert_eq!(draft(line, &wish, &KNOWN).as_ref(), Ok(&file), "the same line gives the same draft");
    still(&file, &['\n']);
    let rules = RuleSet::load(&[("mine.toml".to_owned(), file.clone())]);
    let rules = rules.unwrap_or_else(|error| panic!("{error} of {line:?}"));
    let known = Scanner::new(Arc::new(rules)).matches(&line.chars().take(2048).collect::<String>());
    assert!(line.chars().count() > 2048 || known.len() == 1, "{line:?}\n{file}");
}
