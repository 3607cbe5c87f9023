//! The worst that a pattern and a line can do to each other: patterns that cost other engines exponential time, on lines
//! of the greatest length that come here.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arcane::rules::{RuleSet, Scanner};

use crate::patterns;
use crate::row::{self, Sample};

/// The longest line, in bytes.
const LONGEST: usize = 64 << 10;

/// How often each is measured.
const LOOKS: usize = 21;

/// A pattern, what its line is made of, and what the line ends with.
const SETS: [(&str, &str, &str); 12] = [
    ("(a+)+$", "a", "!"),
    ("(?:a|aa|a)*b", "a", ""),
    ("(.*)*=(.*)*=(?<v>.*)x", "=", ""),
    (".*.*=.*;", "x=x", ""),
    ("(x+x+)+y", "x", ""),
    ("(?:.*,){11}P", "1,", ""),
    ("(?:a?){50}a{50}$", "a", "b"),
    (r"\pL{20}!", "é", "?"),
    (r"(?<k>\w+)\s*=\s*(?<v>[^;]*;)*$", "key=value;", "!"),
    ("[01]*1[01]{12}x", "01", ""),
    (r"^(?:(?<key>[^=]+)=(?<val>[^ ]*) )+$", "k=v ", ""),
    (r"(?<all>.*)end", "of the line ", "end"),
];

pub(crate) fn measure() {
    let mut worst = (0.0, String::new());
    let mut growth: f64 = 0.0;
    for (pattern, piece, end) in SETS {
        let rules = rule(pattern);
        let mut scanner = Scanner::new(rules);
        let [half, whole] =
            [LONGEST / 2, LONGEST].map(|length| times(&mut scanner, &line(piece, end, length)));
        let [half, whole] = [half.quantile(0.0), whole.quantile(0.0)];
        growth = growth.max(whole / half);
        if whole > worst.0 {
            worst = (whole, pattern.to_owned());
        }
    }
    let figure = format!("{} ms (`{}`)", row::number(worst.0), worst.1.replace('|', "\\|"));
    let what = format!("worst of {} adversarial patterns on a line of 64 KiB", SETS.len());
    row::print(&what, "–", &figure, "–", LOOKS);
    row::print("the same: time of 64 KiB by that of 32 KiB, at most", "–", &row::number(growth), "–", LOOKS);
    all_at_once();
}

/// A line that has as many of the rules' own words as fit into it.
fn all_at_once() {
    let rules = patterns::rules();
    let mut text = String::new();
    for expression in patterns::expressions() {
        let words = expression.replace("\\b", " ");
        text.extend(words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | ':' | '-' | '_')));
        text.push(' ');
    }
    let mut scanner = Scanner::new(rules);
    let line = line(&text, "", LONGEST);
    row::alone("all rules on 64 KiB of their own words", &times(&mut scanner, &line), "ms");
}

fn rule(pattern: &str) -> Arc<RuleSet> {
    let text = format!(
        "pack = \"t\"\nschema = 1\n[[rule]]\nid = \"r\"\nclass = \"app_crash\"\nlog = {{ any = ['re:{pattern}'] }}\n"
    );
    Arc::new(
        RuleSet::load(&[("t.toml".to_owned(), text)]).unwrap_or_else(|error| panic!("{pattern}: {error}")),
    )
}

fn line(piece: &str, end: &str, length: usize) -> String {
    let mut line = piece.repeat(length / piece.len() + 1);
    let cut = (0..=length - end.len()).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
    line.truncate(cut);
    line + end
}

/// Milliseconds for a line, the first time left out. Too short to be told in time of the processor, so rounds are many,
/// and the least is what to read on a busy machine.
fn times(scanner: &mut Scanner, line: &str) -> Sample {
    black_box(scanner.matches(line));
    Sample::of(LOOKS, |_| {
        let started = Instant::now();
        black_box(scanner.matches(line));
        started.elapsed().as_secs_f64() * 1e3
    })
}
