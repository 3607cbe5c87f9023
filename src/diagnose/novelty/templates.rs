//! Lines → templates. Lines with as many tokens and the same first word are compared; one that shares enough words in
//! place with a template belongs to it, and where they differ the template has a `*` from then on.

use std::collections::HashMap;

use super::tokens::{self, MOST, Token, VALUE};

/// Templates of one app.
pub(super) const TEMPLATES: usize = 300;
/// Templates that a line is compared with at most: with as many tokens and the same first word.
const COMPARED: usize = 15;
/// The share of tokens that a line must have in common with its template, in percent.
const ALIKE: usize = 50;

/// What lines of a kind have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template<T> {
    /// Each token's hash, and its text; [`VALUE`] where lines differ.
    words: Vec<(u64, Box<str>)>,
    /// When it was used, by a count of lines.
    used: u64,
    /// What is known of such lines.
    pub(super) about: T,
}

impl<T> Template<T> {
    /// In words.
    pub(super) fn text(&self) -> String {
        let words = self.words.iter().map(|(hash, word)| if *hash == VALUE { "*" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }

    fn likeness(&self, line: &[Token]) -> usize {
        let same = self.words.iter().zip(line).filter(|((hash, _), token)| *hash == token.hash);
        same.count()
    }

    fn generalise(&mut self, line: &[Token]) {
        for ((hash, word), token) in self.words.iter_mut().zip(line) {
            if *hash != token.hash {
                *hash = VALUE;
                *word = Box::default();
            }
        }
    }
}

/// Where a line belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sorted<'t, T> {
    /// To a template.
    Known(&'t mut T),
    /// To none; a template can be made with [`Templates::add`].
    Unknown,
}

/// The templates of a log.
#[derive(Debug)]
pub(super) struct Templates<T> {
    /// Slots; a slot keeps its number.
    all: Vec<Template<T>>,
    /// By the number of tokens and the hash of the first one.
    groups: HashMap<(usize, u64), Vec<usize>>,
    line: Vec<Token>,
    clock: u64,
    evicted: u64,
}

impl<T> Default for Templates<T> {
    fn default() -> Self {
        Self { all: Vec::new(), groups: HashMap::new(), line: Vec::new(), clock: 0, evicted: 0 }
    }
}

impl<T> Templates<T> {
    /// Finds the template of a line.
    pub(super) fn sort(&mut self, line: &str) -> Sorted<'_, T> {
        self.clock += 1;
        tokens::split(line, &mut self.line);
        let group = self.groups.get(&key(&self.line));
        let best = group.and_then(|slots| {
            let likeness = |&slot: &usize| (self.all[slot].likeness(&self.line), slot);
            slots.iter().map(likeness).max_by_key(|&(likeness, _)| likeness)
        });
        match best {
            Some((likeness, slot)) if likeness * 100 >= self.line.len() * ALIKE => {
                let template = &mut self.all[slot];
                template.generalise(&self.line);
                template.used = self.clock;
                Sorted::Known(&mut template.about)
            }
            _ => Sorted::Unknown,
        }
    }

    /// Makes a template of the line that was sorted last. The one used least recently makes room.
    pub(super) fn add(&mut self, line: &str, about: T) {
        let words = self.line.iter().map(|token| (token.hash, line[token.span.clone()].into()));
        let words = words
            .map(|(hash, word): (u64, Box<str>)| (hash, if hash == VALUE { Box::default() } else { word }));
        let template = Template { words: words.collect(), used: self.clock, about };
        self.insert(template);
    }

    fn insert(&mut self, template: Template<T>) {
        let key = (template.words.len(), template.words.first().map_or(VALUE, |(hash, _)| *hash));
        let least_used = |slots: &mut dyn Iterator<Item = usize>, all: &[Template<T>]| {
            slots.min_by_key(|&slot| all[slot].used)
        };
        let group = self.groups.entry(key).or_default();
        let victim = if group.len() >= COMPARED {
            least_used(&mut group.iter().copied(), &self.all)
        } else if self.all.len() >= TEMPLATES {
            least_used(&mut (0..self.all.len()), &self.all)
        } else {
            None
        };
        let slot = match victim {
            None => {
                self.all.push(template);
                self.all.len() - 1
            }
            Some(slot) => {
                self.evicted += 1;
                let old = &self.all[slot].words;
                let old_key = (old.len(), old.first().map_or(VALUE, |(hash, _)| *hash));
                for group in [self.groups.get_mut(&old_key)].into_iter().flatten() {
                    group.retain(|&other| other != slot);
                }
                if self.groups.get(&old_key).is_some_and(Vec::is_empty) {
                    self.groups.remove(&old_key);
                }
                self.all[slot] = template;
                slot
            }
        };
        self.groups.entry(key).or_default().push(slot);
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Template<T>> {
        self.all.iter()
    }

    /// What is known of each.
    pub(super) fn about_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.iter_mut().map(|template| &mut template.about)
    }

    /// How many had to make room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Puts back what [`Template::text`] and what was known of it say; hostile input is cut to size.
    pub(super) fn restore(&mut self, text: &str, about: T) {
        let word = |word: &str| match word {
            "*" => (VALUE, Box::default()),
            word => (tokens::hash(word.as_bytes()), word.into()),
        };
        let words = text.split(' ').filter(|text| !text.is_empty()).take(MOST).map(word);
        self.clock += 1;
        let template = Template { words: words.collect(), used: self.clock, about };
        self.insert(template);
    }
}

fn key(line: &[Token]) -> (usize, u64) {
    (line.len(), line.first().map_or(VALUE, |token| token.hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(templates: &mut Templates<u32>, line: &str) {
        match templates.sort(line) {
            Sorted::Known(count) => *count += 1,
            Sorted::Unknown => templates.add(line, 1),
        }
    }

    fn texts(templates: &Templates<u32>) -> Vec<(String, u32)> {
        let mut texts: Vec<_> = templates.iter().map(|template| (template.text(), template.about)).collect();
        texts.sort();
        texts
    }

    #[test]
    fn lines_of_a_kind_share_a_template() {
        let mut templates = Templates::default();
        for line in [
            "connected to db-1 in 12 ms",
            "connected to db-2 in 7 ms",
            "user ada logged in",
            "user bob logged in",
            "user bob logged out again",
            "",
        ] {
            learn(&mut templates, line);
        }
        assert_eq!(
            texts(&templates),
            [
                (String::new(), 1),
                ("connected to * in * ms".to_owned(), 2),
                ("user * logged in".to_owned(), 2),
                ("user bob logged out again".to_owned(), 1),
            ]
        );
    }

    #[test]
    fn what_is_used_least_makes_room() {
        let mut templates = Templates::default();
        learn(&mut templates, "the one that stays");
        for number in 0..2 * TEMPLATES {
            let word: String =
                format!("{number:04}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
            learn(&mut templates, &format!("{word} is another kind of line"));
            learn(&mut templates, "the one that stays");
        }
        assert_eq!(templates.iter().count(), TEMPLATES);
        assert_eq!(templates.evicted(), u64::try_from(2 * TEMPLATES + 1 - TEMPLATES).unwrap());
        assert!(texts(&templates).iter().any(|(text, _)| text == "the one that stays"));
        let slots: usize = templates.groups.values().map(Vec::len).sum();
        assert_eq!(slots, TEMPLATES);
    }

    #[test]
    fn a_group_is_bounded() {
        let mut templates = Templates::default();
        for word in 0..100_u8 {
            let word = format!("{}{}", char::from(b'a' + word / 26), char::from(b'a' + word % 26));
            learn(&mut templates, &format!("start {word} {word}x {word}y"));
        }
        assert_eq!(templates.iter().count(), COMPARED);
    }

    #[test]
    fn restored_templates_know_their_lines() {
        let mut templates = Templates::default();
        learn(&mut templates, "job 12 of queue mail done");
        let texts = texts(&templates);
        let mut again = Templates::default();
        for (text, count) in texts {
            again.restore(&text, count);
        }
        assert!(matches!(again.sort("job 99 of queue mail done"), Sorted::Known(1)));
        again.restore(&"x ".repeat(10_000), 0);
        assert!(again.iter().all(|template| template.words.len() <= MOST));
    }
}
