//! A rule that names a field sees that field only, whole and as it was meant, whatever stands beside it.

#![no_main]

use std::sync::{Arc, LazyLock};

use arcane::rules::{RuleSet, Scanner};
use arcane_fuzz::{Draw, drawn, member, plain};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["msg", "err.code", "a", "level"];

/// For each name a rule that captures what stands there: as a member, as a field.
static RULES: LazyLock<[Arc<RuleSet>; 2]> = LazyLock::new(|| {
    ["json", "fields"].map(|kind| {
        let rule = |(id, name): (usize, &&str)| {
            format!("[[rule]]\nid = \"r{id}\"\nclass = \"overload\"\nlog = {{ {kind} = {{ \"{name}\" = 're:(?s)^(?<v>.+)\\z' }} }}\n")
        };
        let rules: String = NAMES.iter().enumerate().map(rule).collect();
        let file = format!("pack = \"t\"\nschema = 1\n{rules}");
        Arc::new(RuleSet::load(&[("t.toml".to_owned(), file)]).unwrap_or_else(|error| panic!("{error}")))
    })
});

/// What the rules of a kind see in a line, name by name.
fn seen(kind: usize, line: &str) -> Vec<Option<String>> {
    let found = Scanner::new(Arc::clone(&RULES[kind])).matches(line);
    let of = |rule: usize| found.iter().find(|one| one.rule == rule).map(|one| one.captures[0].1.clone());
    (0..NAMES.len()).map(of).collect()
}

fuzz_target!(|input: &[u8]| {
    let mut draw = Draw::new(input);
    match draw.byte() % 4 {
        0 => any(&String::from_utf8_lossy(draw.rest())),
        1 => any(&drawn::line(&mut draw)),
        2 => members(&mut draw),
        _ => fields(&mut draw),
    }
});

/// Any line: members as the documentation says, fields that are in it.
fn any(line: &str) {
    let line = plain::stripped(line);
    let expected = NAMES.map(|name| member(&line, name).filter(|value| !value.is_empty()));
    assert_eq!(seen(0, &line), expected, "{line:?}");
    for (name, value) in NAMES.iter().zip(seen(1, &line)) {
        let Some(value) = value else { continue };
        let words = value.split(['"', '\\', '\n', '\t']).all(|words| line.contains(words));
        assert!(words && line.contains(&format!("{name}=")), "{name} is {value:?} of {line:?}");
    }
}

/// An object, written with and without space.
fn members(draw: &mut Draw<'_>) {
    let mut object = serde_json::Map::new();
    for _ in 0..1 + draw.below(4) {
        let name = *draw.pick(&["msg", "err.code", "err", "a", "level", "b"]);
        let text = draw_value(draw);
        let value = match draw.byte() % 5 {
            0 => serde_json::json!({ "code": text, "a": 1 }),
            1 => serde_json::json!([text, null]),
            2 => serde_json::json!(draw.number()),
            _ => text.into(),
        };
        object.insert(name.to_owned(), value);
    }
    let line = serde_json::to_string(&object).expect("a map with texts as keys");
    any(&line);
    any(&format!(" {} ", serde_json::to_string_pretty(&object).expect("the same")));
}

/// What a program writes that knows how: what was meant is what is seen, and of two fields the first.
fn fields(draw: &mut Draw<'_>) {
    let mut line = String::new();
    let mut meant: [Option<String>; NAMES.len()] = Default::default();
    for _ in 0..1 + draw.below(6) {
        let number = draw.below(NAMES.len());
        let value = draw_value(draw);
        let bare = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
        if !line.is_empty() {
            line.push(' ');
        }
        if bare && draw.byte() % 2 == 0 {
            line += &format!("{}={value}", NAMES[number]);
        } else {
            let escaped =
                value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n").replace('\t', r"\t");
            line += &format!("{}=\"{escaped}\"", NAMES[number]);
        }
        meant[number].get_or_insert(value);
    }
    assert_eq!(seen(1, &line), meant.map(|value| value.filter(|value| !value.is_empty())), "{line:?}");
    any(&line);
}

/// Without what is taken for a colour before anything is read.
fn draw_value(draw: &mut Draw<'_>) -> String {
    drawn::text(draw).replace('\u{1b}', "")
}
