//! The sentence that a rule says: text with `{captures}`.

use std::collections::BTreeMap;

use super::rule::Rule;
use crate::fleet::{HostName, Subject};

/// Names that are always known, whatever a rule's patterns capture.
pub(super) const KNOWN: [&str; 7] = ["app", "host", "release", "container", "rule", "count", "repeats"];

/// What stands where a capture has no value.
const MISSING: &str = "?";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Capture { name: String, optional: bool },
}

/// A compiled sentence. `{name}` is replaced by a value, `{name?}` by one that may be missing, `{{` is a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// Reads a template; the error is a sentence for the rule's author.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            match c {
                '{' | '}' if characters.next_if(|&(_, next)| next == c).is_some() => plain.push(c),
                '{' => {
                    let length =
                        text[at..].find('}').ok_or("a `{` without its `}`; write `{{` for a brace")?;
                    let inside = &text[at + 1..at + length];
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(capture(inside)?);
                    while characters.next_if(|&(next, _)| next <= at + length).is_some() {}
                }
                '}' => return Err("a `}` without its `{`; write `}}` for a brace".to_owned()),
                other => plain.push(other),
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The captures it names, and whether each may be missing.
    pub(super) fn captures(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Capture { name, optional } => Some((name.as_str(), *optional)),
        })
    }

    /// The sentence with values filled in.
    pub(super) fn fill(&self, values: &BTreeMap<&str, String>) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Capture { name, .. } => values.get(name.as_str()).map_or(MISSING, String::as_str),
            })
            .collect()
    }
}

fn capture(inside: &str) -> Result<Part, String> {
    let (name, optional) = inside.strip_suffix('?').map_or((inside, false), |name| (name, true));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("between `{` and `}` stands the name of a capture".to_owned());
    }
    Ok(Part::Capture { name: name.to_owned(), optional })
}

/// The rule's sentence, filled in. Repeats that were kept quiet are told even when the sentence does not ask.
pub(super) fn sentence(
    rule: &Rule,
    host: &HostName,
    subject: &Subject,
    captures: &BTreeMap<String, String>,
) -> String {
    let mut values: BTreeMap<&str, String> =
        captures.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    values.insert("app", subject.app.to_string());
    values.insert("host", host.to_string());
    values.insert("release", subject.release.to_string());
    values.insert("container", subject.container.short().to_owned());
    values.insert("rule", rule.name.clone());
    let mut say = rule.say.fill(&values);
    let repeats = values.get("repeats").map_or("0", String::as_str);
    if repeats != "0" && !rule.say.captures().any(|(name, _)| name == "repeats") {
        say.push_str(&format!(" ({repeats} more since the last time)"));
    }
    say
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let values = BTreeMap::from([("app", "shop".to_owned()), ("var", "KEY".to_owned())]);
        for (template, expected) in [
            ("{app}: {var} is missing", "shop: KEY is missing"),
            ("{app}{var}", "shopKEY"),
            ("größe {none?}", "größe ?"),
            ("{{app}} {app}", "{app} shop"),
            ("", ""),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&values), expected);
        }
        for template in ["{app", "app}", "{}", "{?}", "{a b}", "{größe}"] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
