//! Patterns, rules and lines drawn from an input, made of the same few words so that they meet.

use std::fmt::Write as _;

use crate::plain::{Log, Pattern, Wanted};
use crate::{Draw, in_toml};

/// Among them letters that fold to ASCII ones, and parts of what escapes, members and fields are made of.
const WORDS: [&str; 32] = [
    "disk",
    "full",
    "task",
    "S",
    "\u{212a}",
    "\u{17f}",
    "K",
    "eof",
    "out of",
    "=",
    ":",
    "\"",
    "0",
    "42",
    "größe",
    " ",
    "err",
    "deadlock",
    "\n",
    "\\",
    "{\"msg\":\"",
    "\"}",
    "a",
    "b",
    "ab",
    "-",
    ".",
    "\t",
    "\u{1b}[31m",
    "\u{1b}",
    "\r",
    "refused",
];

/// Words, or what the input says itself.
pub fn text(draw: &mut Draw<'_>) -> String {
    let mut text = String::new();
    for _ in 0..1 + draw.below(5) {
        match draw.byte() {
            raw @ 200.. => text.push_str(&draw.text(usize::from(raw - 199) % 16)),
            word => text.push_str(WORDS[usize::from(word) % WORDS.len()]),
        }
    }
    match draw.byte() % 8 {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        _ => text,
    }
}

/// A regular expression, most of the time a sound one.
fn expression(draw: &mut Draw<'_>, depth: usize) -> String {
    let part = |draw: &mut Draw<'_>| expression(draw, depth + 1);
    let kind = if depth < 4 { draw.byte() % 16 } else { draw.byte() % 5 };
    match kind {
        0..=2 => regex::escape(&text(draw)),
        3 => (*draw.pick(&[".", "[ab]", r"\d", r"\w+", r"\s*", "[^k]", r"[ks]", r"\pL", r"[[:upper:]]"]))
            .to_owned(),
        4 => (*draw.pick(&["^", "$", r"\b", r"\B", r"\A", r"\z", "x?", r"\x{212a}", "(?:)"])).to_owned(),
        5..=8 => part(draw) + &part(draw),
        9 | 10 => format!("(?:{}|{})", part(draw), part(draw)),
        11 => {
            let times = draw.pick(&["?", "*", "+", "{2}", "{0,3}", "{1,}", "+?"]);
            format!("(?:{}){times}", part(draw))
        }
        12 => {
            let flags = draw.pick(&["i", "s", "-m", "U", "i-s", "R", "x"]);
            format!("(?{flags}:{})", part(draw))
        }
        13 => format!("(?<{}>{})", draw.pick(&["v", "w", "u"]), part(draw)),
        14 => format!("({})", part(draw)),
        _ => {
            let length = draw.below(24);
            draw.text(length)
        }
    }
}

/// A pattern as it stands in a rule file, and what it means; `None` when a rule may not have it.
fn pattern(draw: &mut Draw<'_>) -> Option<(String, Pattern)> {
    let text = if draw.byte() % 2 == 0 { text(draw) } else { format!("re:{}", expression(draw, 0)) };
    let plain = Pattern::new(&text)?;
    Some((text, plain))
}

fn patterns(draw: &mut Draw<'_>, key: &str, most: usize, out: &mut String) -> Vec<Pattern> {
    let count = draw.below(most + 1);
    let (texts, patterns): (Vec<String>, Vec<Pattern>) = (0..count).filter_map(|_| pattern(draw)).unzip();
    if !texts.is_empty() {
        let texts: Vec<String> = texts.iter().map(|text| in_toml(text)).collect();
        let _ = write!(out, "{key} = [{}], ", texts.join(", "));
    }
    patterns
}

/// A rule file with some `log` rules, and what each of them means.
pub fn rules(draw: &mut Draw<'_>) -> (String, Vec<Log>) {
    let mut file = "pack = \"t\"\nschema = 1\n".to_owned();
    let mut logs = Vec::new();
    for _ in 0..1 + draw.below(4) {
        let mut keys = String::new();
        let mut log = Log { any: patterns(draw, "any", 4, &mut keys), ..Log::default() };
        log.all = patterns(draw, "all", 2, &mut keys);
        if draw.byte() % 4 == 0 {
            let text = match pattern(draw) {
                Some((text, _)) if text.starts_with("re:") => text,
                _ => text(draw),
            };
            if let Some(wanted) = Wanted::new(&text) {
                let path = *draw.pick(&["msg", "err.code", "a"]);
                let _ = write!(keys, "json = {{ {} = {} }}, ", in_toml(path), in_toml(&text));
                log.json.push((path.to_owned(), wanted));
            }
        }
        // A rule asks for something that a line must have.
        if keys.is_empty() {
            continue;
        }
        log.not = patterns(draw, "not", 1, &mut keys);
        let id = logs.len();
        let _ = write!(
            file,
            "[[rule]]\nid = \"r{id}\"\nclass = \"app_crash\"\nlog = {{ {} }}\n",
            keys.trim_end_matches(", ")
        );
        logs.push(log);
    }
    (file, logs)
}

/// A line, or the lines of a trace.
pub fn line(draw: &mut Draw<'_>) -> String {
    let count = 1 + draw.below(4);
    let said: String = (0..count).map(|_| text(draw)).collect();
    match draw.byte() % 8 {
        0 => serde_json::json!({ "msg": said, "err": { "code": draw.byte() } }).to_string(),
        1 => format!("{{\"msg\":\"{}\"}}", said.replace('k', r"\u006b").replace(' ', r"\u0020")),
        2 => format!("{}{said}", "x ".repeat(draw.below(200))),
        _ => said,
    }
}
