//! A pattern made from a message: the words as they are, captures and wildcards for what varies.

use super::super::literal::SHORTEST;
use super::super::say;
use super::neighbour::is_level;
use super::tokens::{Kind, Token, tokens, words};
use super::write;
use crate::fleet::text::printable;

/// Captures of one rule.
const MOST_CAPTURES: usize = 4;
/// Words of a message that a pattern is made of.
const MOST_WORDS: usize = 14;
/// Characters of a captured value that the test asks for.
const ASKED: usize = 100;
/// Words after which a number has a meaning of its own.
const MEANINGFUL: [&str; 9] =
    ["http", "status", "code", "errno", "signal", "exit", "sqlstate", "error", "ora"];

/// A part of a drafted pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A regular expression without a name, and what stood there.
    Wild(&'static str, String),
    /// A regular expression with a name, and what stood there.
    Capture {
        name: String,
        expression: &'static str,
        value: String,
    },
}

/// A drafted pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drafted {
    parts: Vec<Part>,
}

/// What could be made of a message, the best first: from behind times and levels on; from the beginning on; and its
/// longest run of words alone.
pub(super) fn drafts(message: &str) -> Vec<Drafted> {
    let all = tokens(message);
    let core = behind_the_head(&all);
    let mut drafts = vec![Drafted::new(&core), Drafted::new(&all)];
    let runs = core.iter().chain(&all).filter(|token| token.kind == Kind::Text);
    let longest = runs.max_by_key(|token| words(token.text).map(str::len).sum::<usize>());
    drafts.extend(longest.map(|token| Drafted::new(std::slice::from_ref(token))));
    drafts.retain(Drafted::has_words);
    drafts
}

/// Without what stands in front of messages: times, levels, process numbers.
fn behind_the_head<'l>(tokens: &[Token<'l>]) -> Vec<Token<'l>> {
    let mut rest = Vec::new();
    for token in tokens {
        if !rest.is_empty() {
            rest.push(*token);
        } else if token.kind == Kind::Text {
            let text = behind_levels(token.text);
            if !text.is_empty() {
                rest.push(Token { kind: Kind::Text, text });
            }
        } else if !matches!(token.kind, Kind::Time | Kind::Number | Kind::Id) {
            rest.push(*token);
        }
    }
    rest
}

/// Without levels and punctuation in front.
fn behind_levels(text: &str) -> &str {
    let mut rest = text;
    loop {
        let bare = rest.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '"' | '\''));
        let end = bare.find(|c: char| !c.is_alphanumeric()).unwrap_or(bare.len());
        if end == 0 || !is_level(&bare[..end]) {
            return bare;
        }
        rest = &bare[end..];
    }
}

impl Drafted {
    fn new(tokens: &[Token<'_>]) -> Self {
        let mut drafted = Self { parts: Vec::new() };
        let mut left = MOST_WORDS;
        for token in tokens {
            if left == 0 {
                break;
            }
            match token.kind {
                Kind::Text => {
                    let text = first_words(token.text, left);
                    left -= words(text).count().min(left);
                    drafted.text(text);
                }
                Kind::Number if drafted.means_something() => drafted.text(token.text),
                Kind::Number => {
                    let is_whole = token.text.bytes().all(|byte| byte.is_ascii_digit());
                    let expression = if is_whole { r"\d+" } else { r"\d[\d.,]*" };
                    drafted.parts.push(Part::Wild(expression, token.text.to_owned()));
                }
                Kind::Time => {
                    drafted.parts.push(Part::Wild(r"[0-9A-Z][0-9A-Za-z:.,/ +-]*", token.text.to_owned()))
                }
                Kind::Keyed => drafted.keyed(token.text),
                Kind::Quoted => drafted.quoted(token.text),
                _ => drafted.capture(token),
            }
        }
        drafted.trim();
        drafted
    }

    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Whether the last word makes the number after it one that must stay: an exit code, a status.
    fn means_something(&self) -> bool {
        match self.parts.last() {
            Some(Part::Text(text)) => words(text)
                .last()
                .is_some_and(|word| MEANINGFUL.contains(&word.to_ascii_lowercase().as_str())),
            _ => false,
        }
    }

    fn capture(&mut self, token: &Token<'_>) {
        let (name, expression) = match token.kind {
            Kind::Url => ("url", r"\S+"),
            Kind::Id => ("id", "[0-9A-Za-z-]+"),
            Kind::Place => ("place", r"[\w./:-]+"),
            Kind::Peer => ("peer", r"[0-9A-Za-z.:\[\]-]+"),
            Kind::Path => ("path", r#"[^\s'"]+"#),
            _ => ("who", r"\S+"),
        };
        self.named(name, expression, token.text);
    }

    /// `name=value`: the name stays.
    fn keyed(&mut self, text: &str) {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        self.text(&format!("{key}="));
        let name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        self.named(&name.to_ascii_lowercase(), r#"[^\s,;"'\])}]+"#, value);
    }

    fn quoted(&mut self, text: &str) {
        let (quote, inside) = (&text[..1], &text[1..text.len() - 1]);
        self.text(quote);
        let expression = match quote {
            "\"" => "[^\"]*",
            "'" => "[^']*",
            _ => "[^`]*",
        };
        self.named("value", expression, inside);
        self.text(quote);
    }

    fn named(&mut self, name: &str, expression: &'static str, value: &str) {
        let names: Vec<&str> = self.captures().map(|(name, ..)| name).collect();
        if names.len() == MOST_CAPTURES {
            self.parts.push(Part::Wild(expression, value.to_owned()));
            return;
        }
        let taken = |name: &str| names.contains(&name) || say::KNOWN.contains(&name);
        let free = (2..).map(|n| format!("{name}{n}")).find(|other| !taken(other));
        let name = if taken(name) { free.unwrap_or_default() } else { name.to_owned() };
        self.parts.push(Part::Capture { name, expression, value: value.to_owned() });
    }

    /// Without blanks around, and without wildcards that say nothing at either end.
    fn trim(&mut self) {
        while matches!(self.parts.first(), Some(Part::Wild(..))) {
            self.parts.remove(0);
        }
        while matches!(self.parts.last(), Some(Part::Wild(..))) {
            self.parts.pop();
        }
        if let Some(Part::Text(text)) = self.parts.first_mut() {
            *text = text.trim_start().to_owned();
        }
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            *text = text.trim_end().to_owned();
        }
        self.parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    }

    fn captures(&self) -> impl Iterator<Item = (&str, &'static str, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Capture { name, expression, value } => Some((name.as_str(), *expression, value.as_str())),
            _ => None,
        })
    }

    /// The words that it knows a line by.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.flat_map(words)
    }

    /// Whether some word is more than a level: a rule that every error fires is none.
    fn has_words(&self) -> bool {
        self.words()
            .any(|word| word.len() >= SHORTEST && !is_level(word) && word.chars().any(char::is_alphabetic))
    }

    /// As a regular expression.
    fn expression(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => escaped(text),
            Part::Wild(expression, _) => (*expression).to_owned(),
            Part::Capture { name, expression, .. } => format!("(?P<{name}>{expression})"),
        };
        self.parts.iter().map(part).collect()
    }

    /// As a pattern for a whole line.
    pub(super) fn for_line(&self) -> String {
        match &self.parts[..] {
            [Part::Text(text)] if !text.starts_with("re:") => text.clone(),
            _ => self.for_field(),
        }
    }

    /// As a pattern for a part of a field.
    pub(super) fn for_field(&self) -> String {
        format!("re:{}", self.expression())
    }

    /// What it may be called.
    pub(super) fn id(&self) -> String {
        let fits = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let words: Vec<String> = self.words().filter(fits).take(4).map(str::to_ascii_lowercase).collect();
        let id: String = words.join("-").chars().take(48).collect();
        let id = id.trim_end_matches('-').to_owned();
        if id.is_empty() { "my-rule".to_owned() } else { id }
    }

    /// What it says to people.
    pub(super) fn say(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Part::Wild(..) => "…".to_owned(),
            Part::Capture { name, .. } => format!("{{{name}}}"),
        };
        format!("{{app}}: {}", self.parts.iter().map(part).collect::<String>())
    }

    /// What became of what varies, a sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let remark = |part: &Part| match part {
            Part::Text(_) => None,
            Part::Wild(_, text) => {
                Some(format!("`{}` varies, and may be anything like it.", printable(text, 60)))
            }
            Part::Capture { name, value, .. } => {
                Some(format!("`{}` varies, and is captured as {name}.", printable(value, 60)))
            }
        };
        self.parts.iter().filter_map(remark).collect()
    }

    /// What its test asks the captures to be: an inline table, or nothing.
    pub(super) fn captured(&self) -> String {
        // What would be escaped or cut when it is shown is not asked for.
        let plain = |value: &str| printable(value, ASKED) == value;
        let asked: Vec<String> = self
            .captures()
            .filter(|(_, _, value)| plain(value))
            .map(|(name, _, value)| format!("{name} = {}", write::text(value)))
            .collect();
        if asked.is_empty() { String::new() } else { format!("{{ {} }}", asked.join(", ")) }
    }
}

/// A text as a regular expression means it. Only what has a meaning there is escaped: an author is to read it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The text up to its `count`-th word.
fn first_words(text: &str, count: usize) -> &str {
    let ends = text.char_indices().zip(text.chars().skip(1).map(Some).chain([None]));
    let mut seen = 0;
    for ((at, c), next) in ends {
        if c.is_alphanumeric() && next.is_none_or(|next| !next.is_alphanumeric() && next != '\'') {
            seen += 1;
            if seen == count {
                return &text[..at + c.len_utf8()];
            }
        }
    }
    text
}
