//! A TOML table read key by key. What was asked for is what is known: the rest are unknown keys.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::problem::{Problem, Source, nearest};
use crate::fleet::text::quoted;

/// Where problems of one file are collected.
pub(super) struct Sink<'s> {
    source: &'s Source,
    problems: RefCell<Vec<Problem>>,
}

impl<'s> Sink<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, problems: RefCell::default() }
    }

    pub(super) fn report(&self, span: &Range<usize>, message: impl Into<String>) {
        self.report_with_hint(span, message, None);
    }

    pub(super) fn report_with_hint(
        &self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let mut problem = self.source.problem(span, message);
        problem.hint = hint;
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Text<'t> {
    pub(super) value: &'t str,
    pub(super) span: Range<usize>,
}

/// A table being read.
pub(super) struct Fields<'t> {
    table: &'t DeTable<'t>,
    pub(super) span: Range<usize>,
    /// How messages call it: ``rule `x` ``.
    pub(super) what: String,
    pub(super) sink: &'t Sink<'t>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Fields<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, span: Range<usize>, what: String, sink: &'t Sink<'t>) -> Self {
        Self { table, span, what, sink, asked: RefCell::default() }
    }

    fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.sink.report(&value.span(), format!("`{key}` of {} is {wanted}, not {found}", self.what));
    }

    /// Reports that `key` is missing.
    pub(super) fn missing(&self, key: &str) {
        self.sink.report(&self.span, format!("{} has no `{key}`", self.what));
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Keys that are known, and read elsewhere.
    pub(super) fn known(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend_from_slice(keys);
    }

    /// The keys that are there.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'t str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// All of it, as it stands there.
    pub(super) fn whole(&self) -> &'t DeTable<'t> {
        self.table
    }

    /// Whether a table stands there.
    pub(super) fn is_table(&self, key: &'static str) -> bool {
        self.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// Whether it has no key at all.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The text, when a text stands there; something else is somebody else's to read.
    pub(super) fn only_text(&self, key: &'static str) -> Option<Text<'t>> {
        as_text(self.get(key)?)
    }

    /// A number, whole or not.
    pub(super) fn float(&self, key: &'static str) -> Option<f64> {
        let value = self.get(key)?;
        let inner = value.get_ref();
        let digits = inner
            .as_float()
            .map(|float| float.as_str())
            .or_else(|| inner.as_integer().map(|whole| whole.as_str()));
        let number = digits.and_then(|digits| digits.replace('_', "").parse::<f64>().ok());
        if number.is_none() {
            self.wrong_type(key, value, "a number");
        }
        number.filter(|number| number.is_finite())
    }

    pub(super) fn text(&self, key: &'static str) -> Option<Text<'t>> {
        let value = self.get(key)?;
        let text = as_text(value);
        if text.is_none() {
            self.wrong_type(key, value, "a string");
        }
        text
    }

    pub(super) fn required_text(&self, key: &'static str) -> Option<Text<'t>> {
        if self.get(key).is_none() {
            self.missing(key);
        }
        self.text(key)
    }

    /// A string read by `parse`; its error is reported where the string stands.
    pub(super) fn parsed<T, E: ToString>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        self.read(&text, parse)
    }

    /// Reads `text` by `parse`; its error is reported where the text stands.
    pub(super) fn read<T, E: ToString>(
        &self,
        text: &Text<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text.value).map_err(|error| self.sink.report(&text.span, error.to_string())).ok()
    }

    /// A whole number within `range`.
    pub(super) fn number(&self, key: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.get(key)?;
        let number = value.get_ref().as_integer().and_then(|integer| {
            i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
        });
        let Some(number) = number else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        if !range.contains(&number) {
            let (low, high) = range.into_inner();
            self.sink.report(&value.span(), format!("`{key}` of {} lies within {low} and {high}", self.what));
            return None;
        }
        Some(number)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        flag
    }

    /// A string, or a list of them.
    pub(super) fn texts(&self, key: &'static str) -> Vec<Text<'t>> {
        self.get(key).map(|value| self.list(key, value)).unwrap_or_default()
    }

    fn list(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Vec<Text<'t>> {
        if let Some(text) = as_text(value) {
            return vec![text];
        }
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a string or a list of strings");
            return Vec::new();
        };
        let texts = array.iter().filter_map(|item| {
            let text = as_text(item);
            if text.is_none() {
                self.wrong_type(key, item, "a list of strings");
            }
            text
        });
        texts.collect()
    }

    /// A table within.
    pub(super) fn table(&self, key: &'static str) -> Option<Fields<'t>> {
        let value = self.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        Some(Fields::new(table, value.span(), format!("`{key}` of {}", self.what), self.sink))
    }

    /// A list of tables within.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Fields<'t>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of tables");
            return Vec::new();
        };
        let tables = array.iter().filter_map(|item| {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong_type(key, item, "a list of tables");
                return None;
            };
            Some(Fields::new(table, item.span(), format!("`{key}` of {}", self.what), self.sink))
        });
        tables.collect()
    }

    /// Where a list stands that has nothing in it.
    pub(super) fn empty_list(&self, key: &'static str) -> Option<Range<usize>> {
        let value = self.get(key)?;
        value.get_ref().as_array().is_some_and(|array| array.is_empty()).then(|| value.span())
    }

    /// Every key with its string; for tables whose keys are the author's own.
    pub(super) fn entries(&self) -> Vec<(&'t str, Text<'t>)> {
        let entries = self.table.iter().filter_map(|(key, value)| {
            let text = as_text(value);
            if text.is_none() {
                self.wrong_type(key.get_ref(), value, "a string");
            }
            Some((key.get_ref().as_ref(), text?))
        });
        entries.collect()
    }

    /// Every key with its string or list of strings; for tables whose keys are the author's own.
    pub(super) fn lists(&self) -> Vec<(&'t str, Vec<Text<'t>>)> {
        let lists =
            self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), self.list(key.get_ref(), value)));
        lists.collect()
    }

    /// Every key with its table; for tables whose keys are the author's own.
    pub(super) fn named_tables(&self) -> Vec<(Text<'t>, Fields<'t>)> {
        let tables = self.table.iter().filter_map(|(key, value)| {
            let name: &str = key.get_ref();
            let Some(table) = value.get_ref().as_table() else {
                self.wrong_type(name, value, "a table");
                return None;
            };
            let what = format!("{} of {}", quoted(name), self.what);
            Some((Text { value: name, span: key.span() }, Fields::new(table, value.span(), what, self.sink)))
        });
        tables.collect()
    }

    /// Reports every key that was never asked for.
    pub(super) fn close(self) {
        let known = self.asked.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let meant = nearest(name, known.iter().copied());
            self.sink.report_with_hint(
                &key.span(),
                format!("unknown key {} in {}", quoted(name), self.what),
                meant.map(|meant| format!("did you mean `{meant}`?")),
            );
        }
    }
}

fn as_text<'t>(value: &'t Spanned<DeValue<'t>>) -> Option<Text<'t>> {
    let text = value.get_ref().as_str()?;
    Some(Text { value: text, span: value.span() })
}
