//! Reading a TOML tree that knows where everything stands: a [`Section`] hands out its keys as [`Field`]s, a field turns
//! into a value or into a problem, and [`Section::finish`] names the keys that nobody asked for.
//!
//! The vocabulary of a section is simply what its reader asked for, so it cannot fall out of step with the reader.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::problem::Problem;
use super::report::Report;
use super::suggest::advice;
use crate::fleet::duration;
use crate::fleet::text::{printable, quoted};

/// A table with a fixed vocabulary.
#[derive(Debug)]
pub(super) struct Section<'t> {
    /// As TOML would head it, without the brackets: `app.shop`; empty for the document itself.
    name: String,
    table: &'t DeTable<'t>,
    /// Its vocabulary.
    asked: Vec<&'static str>,
    /// Keys that get an answer of their own, but must never be suggested.
    refused: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The document itself.
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Self { name: String::new(), table, asked: Vec::new(), refused: Vec::new() }
    }

    /// The field `key`, when the section has it.
    pub(super) fn field(&mut self, key: &'static str) -> Option<Field<'t>> {
        self.asked.push(key);
        let (found, value) = self.table.get_key_value(key)?;
        Some(Field::new(&self.name, found, value))
    }

    /// Refuses a key that a person may well expect here, with the reason and a way around.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, label: &str, report: &mut Report<'_>) {
        self.refused.push(key);
        if let Some((found, _)) = self.table.get_key_value(key) {
            report.add(&found.span(), message, label);
        }
    }

    /// Names the keys that nobody asked for; whether there were none.
    pub(super) fn finish(self, report: &mut Report<'_>) -> bool {
        let mut clean = true;
        let place =
            if self.name.is_empty() { "at the top level".to_owned() } else { format!("in [{}]", self.name) };
        for (key, _) in self.table {
            let word = key.get_ref().as_ref();
            if !self.asked.contains(&word) && !self.refused.contains(&word) {
                clean = false;
                let message = format!("unknown key {} {place}", quoted(word));
                report.add(&key.span(), message, advice(word, &self.asked));
            }
        }
        clean
    }
}

/// A key with its value, or one entry of an array.
#[derive(Debug, Clone)]
pub(super) struct Field<'t> {
    /// The key; for an entry of an array, the array's.
    pub(super) key: &'t str,
    /// Where the key stands; for an entry, where the entry does.
    pub(super) key_span: Range<usize>,
    /// Where the value stands.
    pub(super) span: Range<usize>,
    /// How messages call it.
    called: String,
    /// The section that its table would be: `app.shop.heal`.
    path: String,
    value: &'t DeValue<'t>,
}

impl<'t> Field<'t> {
    fn new(
        section: &str,
        key: &'t Spanned<std::borrow::Cow<'t, str>>,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Self {
        let name = key.get_ref().as_ref();
        let dot = if section.is_empty() { "" } else { "." };
        Self {
            key: name,
            key_span: key.span(),
            span: value.span(),
            path: format!("{section}{dot}{}", printable(name, 60)),
            called: quoted(name),
            value: value.get_ref(),
        }
    }

    fn mistyped(&self, wanted: &str, report: &mut Report<'_>) {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        report.add(&self.span, format!("{} must be {wanted}, not {found}", self.called), "");
    }

    /// Notes a problem with the value.
    pub(super) fn wrong(&self, message: impl Display, label: impl Into<String>, report: &mut Report<'_>) {
        report.add(&self.span, message.to_string(), label);
    }

    /// How messages call it: `` `port` ``, or `` an entry of `to` ``.
    pub(super) fn called(&self) -> &str {
        &self.called
    }

    /// The value as text.
    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<&'t str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.mistyped("text in quotes", report);
        }
        text
    }

    /// The value as text that another type can be parsed from.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, report: &mut Report<'_>) -> Option<T> {
        let text = self.text(report)?;
        text.parse().map_err(|error| self.wrong(error, "", report)).ok()
    }

    /// The key itself, as a name of something.
    pub(super) fn name<T: FromStr<Err: Display>>(&self, report: &mut Report<'_>) -> Option<T> {
        let parsed = self.key.parse::<T>();
        parsed.map_err(|error| report.add(&self.key_span, error.to_string(), "")).ok()
    }

    /// The value as a whole number within a range.
    pub(super) fn integer(&self, range: RangeInclusive<i64>, report: &mut Report<'_>) -> Option<i64> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(digits) = self.value.as_integer() else {
            self.mistyped(&wanted, report);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let fits = number.filter(|number| range.contains(number));
        if fits.is_none() {
            self.wrong(format!("{} must be {wanted}", self.called), "", report);
        }
        fits
    }

    /// The value as a port.
    pub(super) fn port(&self, report: &mut Report<'_>) -> Option<u16> {
        self.integer(1..=65_535, report).and_then(|port| u16::try_from(port).ok())
    }

    /// The value as a duration within a range.
    pub(super) fn duration(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut Report<'_>,
    ) -> Option<Duration> {
        let Some(text) = self.value.as_str() else {
            self.mistyped("a duration in quotes, like \"20s\"", report);
            return None;
        };
        let parsed = duration::parse(text).map_err(|error| self.wrong(error, "", report)).ok()?;
        if range.contains(&parsed) {
            return Some(parsed);
        }
        let (least, most) = (duration::format(*range.start()), duration::format(*range.end()));
        self.wrong(format!("{} must be from {least} to {most}", self.called), "", report);
        None
    }

    /// Whether the value is a text, for a key that can be written in two ways.
    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// The value as yes or no; no when it is neither, which is noted.
    pub(super) fn flag(&self, report: &mut Report<'_>) -> bool {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.mistyped("true or false", report);
        }
        flag.unwrap_or_default()
    }

    /// Notes a problem unless the value is `true`: the only thing such a key can say.
    pub(super) fn must_be_true(&self, report: &mut Report<'_>) {
        match self.value.as_bool() {
            Some(true) => {}
            Some(false) => self.wrong(format!("{} can only be true", self.called), "or leave it out", report),
            None => self.mistyped("true", report),
        }
    }

    /// The value as one of some words.
    pub(super) fn choice<T: Copy>(
        &self,
        kind: &str,
        choices: &[(&str, T)],
        report: &mut Report<'_>,
    ) -> Option<T> {
        let text = self.text(report)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.wrong(format!("{} is not a {kind}", quoted(text)), advice(text, &words), report);
        }
        found.map(|(_, value)| *value)
    }

    /// The value as something an environment variable can hold.
    pub(super) fn scalar(&self, report: &mut Report<'_>) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.clone().into_owned()),
            DeValue::Boolean(value) => Some(value.to_string()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .map(|number| number.to_string())
                .or_else(|| {
                    self.wrong(format!("{} is too large a number", self.called), "put it in quotes", report);
                    None
                }),
            _ => {
                self.mistyped("text, a whole number, true or false", report);
                None
            }
        }
    }

    /// The entries of a list.
    pub(super) fn list(&self, wanted: &str, report: &mut Report<'_>) -> Option<Vec<Field<'t>>> {
        let Some(array) = self.value.as_array() else {
            self.mistyped(wanted, report);
            return None;
        };
        let entries = array.iter().map(|entry| Field {
            key: self.key,
            key_span: entry.span(),
            span: entry.span(),
            called: format!("an entry of {}", self.called),
            path: self.path.clone(),
            value: entry.get_ref(),
        });
        Some(entries.collect())
    }

    /// The value as a table with a fixed vocabulary.
    pub(super) fn section(&self, report: &mut Report<'_>) -> Option<Section<'t>> {
        let Some(table) = self.value.as_table() else {
            self.mistyped("a table", report);
            return None;
        };
        Some(Section { name: self.path.clone(), table, asked: Vec::new(), refused: Vec::new() })
    }

    /// The value as a table whose keys are names that its owner chose, in the order of the file.
    pub(super) fn entries(&self, report: &mut Report<'_>) -> Vec<Field<'t>> {
        let Some(table) = self.value.as_table() else {
            self.mistyped("a table", report);
            return Vec::new();
        };
        let mut entries: Vec<Field<'t>> =
            table.iter().map(|(key, value)| Field::new(&self.path, key, value)).collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }
}

/// Parses a document and hands its tree to `read`, which notes what is wrong with it.
///
/// # Errors
/// Every problem that was noted, in the order of the file. When the TOML itself is broken, only that: what the parser
/// made of the rest would be guesswork.
pub(super) fn parse<T>(
    document: &Document,
    read: impl FnOnce(Section<'_>, &mut Report<'_>) -> T,
) -> Result<T, Vec<Problem>> {
    let mut report = Report::new(document);
    let (tree, errors) = DeTable::parse_recoverable(&document.text);
    for error in errors {
        report.add(&error.span().unwrap_or_default(), error.message(), "");
    }
    if !report.is_empty() {
        return Err(report.into_problems());
    }
    let value = read(Section::root(tree.get_ref()), &mut report);
    if report.is_empty() { Ok(value) } else { Err(report.into_problems()) }
}
