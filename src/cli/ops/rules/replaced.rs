//! Which rules are not in force because a file of a higher layer replaces them or switches them off. A project's files
//! may do that to the built-in rules, so whoever has them watched is told.

use serde_json::{Value, json};

use crate::fleet::text::printable;
use crate::rules::{Replacement, RuleSet};

/// Replacements that are told one by one.
const TOLD: usize = 5;
/// How much of a name or path is shown, in characters.
const SHORT: usize = 200;

/// A replacement in words.
pub(super) fn words(one: &Replacement) -> String {
    let how = if one.off { "switched off" } else { "replaced" };
    let [rule, was, by] = [&one.rule, &one.was, &one.by].map(|text| printable(text, SHORT));
    format!("{rule} ({was}) is {how} by {by}")
}

/// What to tell of a set in words: the first replacements, and how many more there are.
pub(in crate::cli::ops) fn notes(rules: &RuleSet) -> Vec<String> {
    let all = rules.replacements();
    let mut notes: Vec<String> = all.iter().take(TOLD).map(words).collect();
    if all.len() > TOLD {
        let more = all.len() - TOLD;
        notes.push(format!("… and {more} more; `arcane rules list` tells all"));
    }
    notes
}

/// The rules in force, as `watch` and `heal` print them in JSON.
pub(in crate::cli::ops) fn shape(rules: &RuleSet) -> Value {
    let all = rules.replacements();
    let of = |one: &Replacement| json!({ "rule": one.rule, "was": one.was, "by": one.by, "off": one.off });
    let replaced: Vec<Value> = all.iter().take(TOLD).map(of).collect();
    json!({
        "event": "rules", "rules": rules.rules().len(), "replaced": replaced,
        "more_replaced": all.len() - replaced.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(count: usize, file: &str) -> RuleSet {
        let rule = |number| format!("[[rule]]\nextends = \"t/r{number}\"\noff = true\n");
        let below = |number| {
            format!("[[rule]]\nid = \"r{number}\"\nclass = \"hang\"\nlog = {{ any = [\"boom {number}\"] }}\n")
        };
        let text = |rules: String| format!("pack = \"t\"\nschema = 1\n{rules}");
        let low = ("low.toml".to_owned(), text((0..9).map(below).collect()));
        let high = (file.to_owned(), text((0..count).map(rule).collect()));
        RuleSet::layered(&[vec![low], vec![high]]).unwrap()
    }

    #[test]
    fn the_first_are_told_and_the_others_counted() {
        assert_eq!(notes(&over(0, "a.toml")), Vec::<String>::new());
        assert_eq!(notes(&over(1, "a.toml")), ["t/r0 (low.toml:4) is switched off by a.toml:4"]);
        let many = over(8, "a.toml");
        assert_eq!(notes(&many).len(), 6);
        assert_eq!(notes(&many)[5], "… and 3 more; `arcane rules list` tells all");
        let shape = shape(&many);
        assert_eq!((&shape["rules"], &shape["more_replaced"]), (&1.into(), &3.into()));
        assert_eq!(shape["replaced"].as_array().unwrap().len(), 5);
        assert_eq!(shape["replaced"][0]["rule"], "t/r0");
    }

    #[test]
    fn a_file_name_that_means_harm_does_none() {
        let told = notes(&over(1, "a\u{1b}[2J\n.toml")).concat();
        assert!(!told.chars().any(char::is_control), "{told:?}");
    }
}
