//! Layers and inheritance: which rule replaces which, and what a rule that extends another is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::problem::{Source, nearest};
use super::super::rule::{Place, Replaced};
use super::fields::Sink;
use super::pack::Raw;
use crate::fleet::text::quoted;

/// How long a chain of rules that extend each other may be.
const DEEPEST: usize = 8;
/// Keys that a rule does not pass on.
const OWN: [&str; 3] = ["id", "extends", "off"];

/// Which rules are in force, and what each is based on.
pub(super) struct Layout {
    /// Numbers of rules.
    pub(super) in_force: BTreeSet<usize>,
    /// For each rule, the number of the one that it extends.
    pub(super) bases: Vec<Option<usize>>,
    /// Those of which the base is not there, so that they cannot be read.
    pub(super) baseless: BTreeSet<usize>,
    pub(super) replaced: Vec<Replaced>,
}

/// Lays the rules of all files out: those of a later layer over those of the earlier ones.
pub(super) fn lay_out(raws: &[Raw<'_>], sources: &[Source], sinks: &[Sink<'_>]) -> Layout {
    let mut visible: BTreeMap<&str, usize> = BTreeMap::new();
    let mut bases = vec![None; raws.len()];
    let mut replaced = Vec::new();
    let mut baseless = BTreeSet::new();
    let layers: BTreeSet<usize> = sources.iter().map(|source| source.layer).collect();
    for layer in layers {
        let here: Vec<usize> =
            (0..raws.len()).filter(|&number| sources[raws[number].source].layer == layer).collect();
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for &number in &here {
            let raw = &raws[number];
            if let Some(&other) = first.get(raw.name.as_str()) {
                duplicate(raw, &raws[other], sources, sinks);
            } else {
                first.insert(&raw.name, number);
            }
        }
        for &number in &here {
            let raw = &raws[number];
            let Some(extends) = &raw.extends else { continue };
            // A rule that extends its own name means the one of the layer below.
            let beside = first.get(extends.value).filter(|&&other| raws[other].name != raw.name);
            let base = beside.or_else(|| visible.get(extends.value)).copied();
            if base.is_none() {
                baseless.insert(number);
                let known = visible.keys().chain(first.keys()).copied().filter(|name| *name != raw.name);
                let hint = nearest(extends.value, known).map(|meant| format!("did you mean `{meant}`?"));
                let message = format!("{} is no rule that could be extended", quoted(extends.value));
                sinks[raw.source].report_with_hint(&extends.span, message, hint);
            }
            bases[number] = base;
        }
        for (name, number) in first {
            let raw = &raws[number];
            let below = visible.get(name).copied();
            if let Some(below) = below {
                replaced.push(Replaced {
                    name: raw.name.clone(),
                    was: place(&raws[below]),
                    by: place(raw),
                    off: raw.off,
                });
            } else if raw.off && raw.extends.is_none() {
                let message = format!("there is no rule {} to switch off", quoted(name));
                sinks[raw.source].report(&raw.place, message);
            }
            if raw.off {
                visible.remove(name);
            } else {
                visible.insert(&raw.name, number);
            }
        }
    }
    for (number, raw) in raws.iter().enumerate() {
        if chain(&bases, number).is_none() {
            let message = format!("rule {} extends itself, or too many others", quoted(&raw.name));
            sinks[raw.source].report(&raw.place, message);
            baseless.insert(number);
        }
    }
    Layout { in_force: visible.into_values().collect(), bases, baseless, replaced }
}

fn place(raw: &Raw<'_>) -> Place {
    Place { source: raw.source, span: raw.place.clone() }
}

fn duplicate(raw: &Raw<'_>, other: &Raw<'_>, sources: &[Source], sinks: &[Sink<'_>]) {
    let there = sources[other.source].problem(&other.place, "");
    let message = format!("rule `{}` is there already, at {}:{}", raw.name, there.file, there.line);
    sinks[raw.source].report(&raw.place, message);
}

/// A rule and those that it is based on, nearest first; `None` when there is no end to it.
fn chain(bases: &[Option<usize>], number: usize) -> Option<Vec<usize>> {
    let mut chain = vec![number];
    let mut last = number;
    while let Some(base) = bases[last] {
        if chain.len() == DEEPEST {
            return None;
        }
        chain.push(base);
        last = base;
    }
    Some(chain)
}

/// Everything that a rule is made of: its own keys, and those it does not give from what it extends. What is inherited
/// stands, for messages, where the rule names its base.
pub(super) fn merged<'t>(raws: &[Raw<'t>], bases: &[Option<usize>], number: usize) -> DeTable<'t> {
    let mut merged: DeTable<'t> = raws[number].table.clone();
    let span = raws[number].place.clone();
    let chain = chain(bases, number).unwrap_or_default();
    for &base in chain.iter().skip(1) {
        for (key, value) in raws[base].table.iter() {
            let name: &str = key.get_ref();
            if !OWN.contains(&name) && merged.get(name).is_none() {
                merged.insert(Spanned::new(span.clone(), key.get_ref().clone()), at(value, &span));
            }
        }
    }
    merged
}

/// A value as if it stood elsewhere.
fn at<'t>(value: &Spanned<DeValue<'t>>, span: &Range<usize>) -> Spanned<DeValue<'t>> {
    let moved = match value.get_ref() {
        DeValue::Array(array) => DeValue::Array(array.iter().map(|item| at(item, span)).collect()),
        DeValue::Table(table) => {
            let mut moved = DeTable::new();
            for (key, value) in table.iter() {
                moved.insert(Spanned::new(span.clone(), key.get_ref().clone()), at(value, span));
            }
            DeValue::Table(moved)
        }
        other => other.clone(),
    };
    Spanned::new(span.clone(), moved)
}

/// Tells one definition of a rule from another, whatever its tests are and wherever it stands.
pub(super) fn digest(table: &DeTable<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, value) in table.iter() {
        let name: &str = key.get_ref();
        if name != "test" && !OWN.contains(&name) {
            name.hash(&mut hasher);
            feed(value.get_ref(), &mut hasher);
        }
    }
    hasher.finish()
}

fn feed(value: &DeValue<'_>, hasher: &mut DefaultHasher) {
    value.type_str().hash(hasher);
    match value {
        DeValue::String(text) => text.hash(hasher),
        DeValue::Integer(number) => number.as_str().hash(hasher),
        DeValue::Float(number) => number.as_str().hash(hasher),
        DeValue::Boolean(flag) => flag.hash(hasher),
        DeValue::Datetime(time) => time.to_string().hash(hasher),
        DeValue::Array(array) => {
            array.len().hash(hasher);
            array.iter().for_each(|item| feed(item.get_ref(), hasher));
        }
        DeValue::Table(table) => {
            table.len().hash(hasher);
            for (key, value) in table.iter() {
                let name: &str = key.get_ref();
                name.hash(hasher);
                feed(value.get_ref(), hasher);
            }
        }
    }
}
