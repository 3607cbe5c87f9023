//! "Did you mean …?": the nearest of the words that would have been right.

use crate::fleet::text::{printable, quoted};

/// Longer words are no typing mistakes, and comparing them would cost time that a hostile file could multiply.
const LONGEST: usize = 80;

/// The choice that `word` most likely stands for, if any is near enough to be worth saying.
pub(super) fn nearest<'c>(word: &str, choices: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    choices
        .into_iter()
        .map(|choice| (strsim::osa_distance(&lower, &choice.to_lowercase()), choice))
        .filter(|&(distance, choice)| {
            distance <= (choice.chars().count().max(lower.chars().count()) / 3).max(1)
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, choice)| choice)
}

/// The sentence that goes beside a wrong word: the nearest choice, or else all of them, or nothing when there is none.
pub(super) fn advice(word: &str, choices: &[&str]) -> String {
    match nearest(word, choices.iter().copied()) {
        Some(choice) => format!("did you mean {}?", quoted(choice)),
        None if choices.is_empty() => String::new(),
        None => format!("choose from {}", listed(choices)),
    }
}

/// How many names are listed before the rest is only counted.
const LISTED: usize = 24;

/// Names as a list: `a, b, c`, escaped, and cut when there are too many to read.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let shown = names.iter().take(LISTED).map(|name| printable(name.as_ref(), LONGEST));
    let shown: Vec<String> = shown.collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 { format!(", … ({rest} more)") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["health", "build", "to", "heal", "port", "ports", "web1", "production"];
        for (word, expected) in [
            ("helth", Some("health")),
            ("hael", Some("heal")),
            ("Port", Some("port")),
            ("prots", Some("ports")),
            ("wbe1", Some("web1")),
            ("prodcution", Some("production")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
        assert_eq!(nearest(&"health".repeat(1000), keys), None);
    }

    #[test]
    fn advice_falls_back_to_the_list() {
        assert_eq!(advice("zebra", &["off", "auto"]), "choose from off, auto");
        assert_eq!(advice("aut", &["off", "auto"]), "did you mean `auto`?");
        assert_eq!(advice("aut", &[]), "");
        let many: Vec<String> = (0..30).map(|n| format!("h{n}")).collect();
        assert!(listed(&many).ends_with("h23, … (6 more)"));
    }
}
