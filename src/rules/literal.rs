//! Which literal texts every match of a pattern must contain. The index looks for these first, all at once, and only
//! asks the pattern itself about lines that have one of them.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::rarity::rarity;

/// Shorter literals would let almost every line through.
pub(super) const SHORTEST: usize = 3;
/// An alternation of more literals than this is no useful filter.
const MOST: usize = 64;
/// A part of a pattern that can be more texts than this ends a run of literal text.
const VARIANTS: usize = 24;
/// Longer literals are cut: they find nothing that shorter ones do not.
const LONGEST: usize = 48;

/// A set of literals, in the form of [`fold`], of which every match contains at least one.
pub(super) type Required = Vec<String>;

/// Text as the index compares it: ASCII lower case, and the two other letters that a regular expression without regard
/// to case takes for an ASCII one, the Kelvin sign and the long s, as that one.
pub(super) fn fold(text: &str) -> String {
    text.chars().map(folded).collect()
}

/// One letter of [`fold`].
pub(super) fn folded(letter: char) -> char {
    match letter {
        KELVIN_SIGN => 'k',
        LONG_S => 's',
        other => other.to_ascii_lowercase(),
    }
}

/// Is a K to a regular expression without regard to case.
pub(super) const KELVIN_SIGN: char = '\u{212a}';
/// Is an s to it.
pub(super) const LONG_S: char = '\u{17f}';

/// The sets for a regex, the best first: of each every match contains one. Case is ignored, as the index does.
pub(super) fn of_regex(pattern: &str) -> Vec<Required> {
    let Ok(hir) = regex_syntax::parse(pattern) else { return Vec::new() };
    let mut run = Run::default();
    run.walk(&hir);
    best_first(run.finish())
}

/// The set for a literal text.
pub(super) fn of_literal(text: &str) -> Option<Required> {
    usable(vec![fold(text)])
}

/// Sets, the one that lets the fewest lines through first.
pub(super) fn best_first(mut sets: Vec<Required>) -> Vec<Required> {
    sets.sort_by_key(|set| std::cmp::Reverse(selectivity(set)));
    sets
}

/// The union of sets of which one is met; `None` when some alternative has no set of its own.
pub(super) fn union(sets: impl IntoIterator<Item = Option<Required>>) -> Option<Required> {
    usable(sets.into_iter().collect::<Option<Vec<_>>>()?.concat())
}

/// Higher is rarer: judged by the set's most common literal, then by how few there are.
pub(super) fn selectivity(set: &Required) -> (u32, usize) {
    let worst = set.iter().map(|literal| rarity(literal)).min().unwrap_or(0);
    (worst, MOST.saturating_sub(set.len()))
}

fn usable(mut set: Required) -> Option<Required> {
    for literal in &mut set {
        let end = (0..=LONGEST.min(literal.len())).rev().find(|&end| literal.is_char_boundary(end));
        literal.truncate(end.unwrap_or(0));
    }
    set.sort_unstable();
    set.dedup();
    let fits = !set.is_empty() && set.len() <= MOST && set.iter().all(|literal| literal.len() >= SHORTEST);
    fits.then_some(set)
}

/// Literal text as it is put together from neighbouring parts of a pattern: all the texts that stand there in some
/// match. They end where the pattern allows more than a few.
struct Run {
    current: Vec<String>,
    done: Vec<Required>,
}

impl Default for Run {
    fn default() -> Self {
        Self { current: vec![String::new()], done: Vec::new() }
    }
}

impl Run {
    /// Adds a part of a pattern.
    fn walk(&mut self, part: &Hir) {
        if let Some(texts) = texts(part) {
            return self.extend(&texts);
        }
        match part.kind() {
            HirKind::Capture(capture) => self.walk(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.walk(part)),
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                self.walk(&repetition.sub);
                self.cut();
            }
            HirKind::Alternation(branches) => {
                self.cut();
                let sets = branches.iter().map(|branch| {
                    let mut run = Self::default();
                    run.walk(branch);
                    best_first(run.finish()).into_iter().next()
                });
                self.done.extend(union(sets));
            }
            _ => self.cut(),
        }
    }

    fn extend(&mut self, texts: &[String]) {
        if self.current.len() * texts.len() > MOST {
            self.cut();
        }
        self.current = product(&self.current, texts);
    }

    fn cut(&mut self) {
        self.done.extend(usable(std::mem::replace(&mut self.current, vec![String::new()])));
    }

    fn finish(mut self) -> Vec<Required> {
        self.cut();
        self.done
    }
}

fn product(left: &[String], right: &[String]) -> Vec<String> {
    left.iter().flat_map(|start| right.iter().map(move |end| format!("{start}{end}"))).collect()
}

/// All texts that a part of a pattern matches, when there are few. Look-around has no width.
fn texts(part: &Hir) -> Option<Vec<String>> {
    let texts = match part.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![fold(std::str::from_utf8(&literal.0).ok()?)],
        HirKind::Class(class) => letters(class)?,
        HirKind::Capture(capture) => texts(&capture.sub)?,
        HirKind::Repetition(repetition) => repeated(repetition)?,
        HirKind::Concat(parts) => parts.iter().try_fold(vec![String::new()], |before, part| {
            let all = product(&before, &texts(part)?);
            (all.len() <= VARIANTS).then_some(all)
        })?,
        HirKind::Alternation(branches) => branches.iter().map(texts).collect::<Option<Vec<_>>>()?.concat(),
    };
    (texts.len() <= VARIANTS).then_some(texts)
}

fn repeated(repetition: &Repetition) -> Option<Vec<String>> {
    let most = repetition.max.filter(|&most| most <= 8)?;
    let once = texts(&repetition.sub)?;
    if once.iter().any(|text| text.len() > LONGEST) {
        return None;
    }
    let mut all = Vec::new();
    let mut power = vec![String::new()];
    for times in 0..=most {
        if times >= repetition.min {
            all.extend_from_slice(&power);
        }
        power = product(&power, &once);
        if all.len() + power.len() > 4 * VARIANTS {
            return None;
        }
    }
    Some(all)
}

/// The letters of a class, folded, when there are few.
fn letters(class: &Class) -> Option<Vec<String>> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) if class.is_ascii() => {
            class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
        }
        Class::Bytes(_) => return None,
    };
    let mut letters: Vec<char> = ranges
        .into_iter()
        .flat_map(|(first, last)| first..=last)
        .take(2 * VARIANTS + 1)
        .map(folded)
        .collect();
    if letters.len() > 2 * VARIANTS {
        return None;
    }
    letters.sort_unstable();
    letters.dedup();
    Some(letters.into_iter().map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_match_contains_one_of_these() {
        let cases: [(&str, Option<&[&str]>); 22] = [
            (r"address already in use", Some(&["address already in use"])),
            (r"(?i)No Space left", Some(&["no space left"])),
            (r"(?i)disk", Some(&["disk"])),
            (r"\bpanic\b: .*", Some(&["panic: "])),
            (r"error .* deadlock", Some(&[" deadlock"])),
            (r"(?:EADDRINUSE|EACCES)", Some(&["eacces", "eaddrinuse"])),
            (r"(?:EADDRINUSE|.+)", None),
            (r"port (?<port>\d+) is allocated", Some(&[" is allocated"])),
            (r"(?:refused)?", None),
            (r"(?:refused)+ by", Some(&["refused"])),
            (r".*", None),
            (r"[ab]c", None),
            (r"[ab]cd", Some(&["acd", "bcd"])),
            (r"(?:no|not)", None),
            (r"colou?r", Some(&["color", "colour"])),
            (r"(?<what>deadlock) (?:found|seen)", Some(&["deadlock found", "deadlock seen"])),
            (r"x{3}y{1,2}", Some(&["xxxy", "xxxyy"])),
            (r"a{8}b{8}", Some(&["aaaaaaaabbbbbbbb"])),
            (r"(?:(?:deadlock|\d+)|wedged)", None),
            (r"(?:deadlock \d+|wedged)", Some(&["deadlock ", "wedged"])),
            ("un\u{212a}nown \u{17f}chema", Some(&["unknown schema"])),
            (r"(?i-u:disk)\s+full", Some(&["disk"])),
        ];
        for (pattern, expected) in cases {
            let found = of_regex(pattern).into_iter().next();
            let found: Option<Vec<&str>> = found.as_ref().map(|set| set.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn every_match_contains_one_of_each() {
        for (pattern, expected) in [
            (r"error .* deadlock", vec![vec![" deadlock"], vec!["error "]]),
            (
                r"(?:worker|task)\s+is (?:stuck|hung)",
                vec![vec!["is hung", "is stuck"], vec!["task", "worker"]],
            ),
            (r"(?:deadlock .* found|wedged)", vec![vec!["deadlock ", "wedged"]]),
            (r"refused (?:by .*)?host", vec![vec!["refused "], vec!["host"]]),
        ] {
            assert_eq!(of_regex(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn no_pattern_has_more_literals_than_are_of_use() {
        let pattern = "(?:aa|bb|cc|dd|ee|ff|gg|hh)".repeat(12);
        let set = of_regex(&pattern).remove(0);
        assert!(set.len() <= MOST && set.iter().all(|literal| literal.len() <= LONGEST), "{set:?}");
        assert_eq!(of_literal(&"é".repeat(100)).unwrap()[0].len(), LONGEST);
    }
}
