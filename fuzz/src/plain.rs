//! Rules over lines as one would write them down: every pattern a regular expression by itself, all of them tried on every
//! line.

use std::sync::LazyLock;

use regex_automata::PatternID;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;

/// A pattern.
pub struct Pattern {
    regex: Regex,
    names: Vec<String>,
}

impl Pattern {
    /// Of a text as it stands in a rule file; `None` when it is no regular expression, or nothing that a rule may look for.
    /// Tried by the simplest engine there is, which takes little time to make and much to search.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let simple =
            Regex::config().auto_prefilter(false).hybrid(false).dfa(false).onepass(false).backtrack(false);
        Self::tried_by(simple, text)
    }

    /// The same, tried by engines that take much time to make: for patterns that many inputs have.
    #[must_use]
    pub fn lasting(text: &str) -> Option<Self> {
        // There are some fifteen hundred of them, and each would keep megabytes.
        Self::tried_by(Regex::config().hybrid_cache_capacity(128 << 10), text)
    }

    fn tried_by(engines: Config, text: &str) -> Option<Self> {
        let source = text
            .strip_prefix("re:")
            .map_or_else(|| text.chars().map(either_case).collect(), ascii_boundaries);
        let regex = Regex::builder()
            .configure(engines.nfa_size_limit(Some(1 << 20)))
            .syntax(syntax::Config::new().multi_line(true))
            .build(&source)
            .ok()?;
        let names = regex.group_info().pattern_names(PatternID::ZERO).flatten().map(str::to_owned).collect();
        (!text.trim().is_empty() && !regex.is_match("")).then_some(Self { regex, names })
    }

    fn captures(&self, text: &str) -> Option<Vec<(String, String)>> {
        let mut found = self.regex.create_captures();
        self.regex.captures(text, &mut found);
        let value =
            |name: &String| Some((name.clone(), text[found.get_group_by_name(name)?.range()].to_owned()));
        found.is_match().then(|| self.names.iter().filter_map(value).collect())
    }
}

/// With each `\b` about ASCII only, as rules mean it.
fn ascii_boundaries(source: &str) -> String {
    let mut text = String::new();
    let mut letters = source.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = if letter == '\\' { letters.next() } else { None };
        match escaped {
            Some('b') if letters.peek() != Some(&'{') => text.push_str(r"(?-u:\b)"),
            _ => text.extend([letter].into_iter().chain(escaped)),
        }
    }
    text
}

/// Literals are found in either case of ASCII letters only.
fn either_case(letter: char) -> String {
    if letter.is_ascii_alphabetic() {
        format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase())
    } else {
        regex::escape(letter.encode_utf8(&mut [0; 4]))
    }
}

/// A value of a member: one of several whole ones, or a pattern.
pub enum Wanted {
    /// `a|b`.
    OneOf(Vec<String>),
    /// `re:…`.
    Pattern(Pattern),
}

impl Wanted {
    /// Of a text as it stands in a rule file.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.starts_with("re:") {
            return Pattern::lasting(text).map(Self::Pattern);
        }
        let values: Vec<String> = text.split('|').map(|value| value.trim().to_owned()).collect();
        values.iter().all(|value| !value.is_empty()).then_some(Self::OneOf(values))
    }

    fn captures(&self, value: &str) -> Option<Vec<(String, String)>> {
        match self {
            Self::OneOf(values) => values.iter().any(|one| one.eq_ignore_ascii_case(value)).then(Vec::new),
            Self::Pattern(pattern) => pattern.captures(value),
        }
    }
}

/// A `log` trigger.
#[derive(Default)]
pub struct Log {
    /// One of these matches, unless there are none.
    pub any: Vec<Pattern>,
    /// All of these match.
    pub all: Vec<Pattern>,
    /// None of these matches.
    pub not: Vec<Pattern>,
    /// Members, and what they must be.
    pub json: Vec<(String, Wanted)>,
}

/// What a line gave: captures, and which pattern of `any` it was.
pub type Match = (Vec<(String, String)>, Option<usize>);

impl Log {
    /// What a line, which is [`stripped`], gives.
    #[must_use]
    pub fn matches(&self, line: &str) -> Option<Match> {
        let (mut captures, mut alternative) = (Vec::new(), None);
        if !self.any.is_empty() {
            // One that tells something counts before those that do not.
            let mut order: Vec<usize> = (0..self.any.len()).collect();
            order.sort_by_key(|&index| self.any[index].names.is_empty());
            let (index, found) =
                order.iter().find_map(|&index| Some((index, self.any[index].captures(line)?)))?;
            (captures, alternative) = (found, Some(index));
        }
        for pattern in &self.all {
            captures.extend(pattern.captures(line)?);
        }
        for (path, wanted) in &self.json {
            captures.extend(wanted.captures(&crate::member(line, path)?)?);
        }
        (!self.not.iter().any(|pattern| pattern.regex.is_match(line))).then_some((captures, alternative))
    }
}

/// A line without its escape sequences; of one that is unfinished only the ESC goes.
#[must_use]
pub fn stripped(line: &str) -> String {
    static SEQUENCE: LazyLock<regex::Regex> = LazyLock::new(|| {
        let source = r"\x1b(?:\[[\x20-\x3f]*[\x40-\x7e]|\][^\x07\x1b]*(?:\x07|\x1b\\))?";
        regex::Regex::new(source).expect("a constant expression is valid: every input with an ESC uses it")
    });
    SEQUENCE.replace_all(line, "").into_owned()
}
