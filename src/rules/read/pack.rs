//! Reading whole files: their headers, which rules there are, what each extends, and what replaces what.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::super::problem::{Problem, Source};
use super::super::rule::{Place, Replaced, Rule};
use super::extend;
use super::fields::{Fields, Sink, Text};
use super::rule;
use crate::fleet::duration;
use crate::fleet::text::quoted;

/// The only version of the language so far.
const SCHEMA: i64 = 1;
/// The longest window: longer ones would outlive the memory they rest on.
pub(super) const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What was read of all files.
pub(in super::super) struct Read {
    pub(in super::super) rules: Vec<Rule>,
    pub(in super::super) replaced: Vec<Replaced>,
    pub(in super::super) problems: Vec<Problem>,
}

/// What a rule is called and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) digest: u64,
    pub(super) place: Place,
}

/// A rule's table, before it is read.
pub(super) struct Raw<'t> {
    pub(super) table: &'t DeTable<'t>,
    /// The file, as an index into the sources.
    pub(super) source: usize,
    pub(super) name: String,
    /// Where it is named.
    pub(super) place: Range<usize>,
    pub(super) extends: Option<Text<'t>>,
    pub(super) off: bool,
}

/// Reads the rules of all files; later layers of files replace what earlier ones have.
pub(in super::super) fn read(sources: &[Source]) -> Read {
    let sinks: Vec<Sink<'_>> = sources.iter().map(Sink::new).collect();
    let documents: Vec<Option<Spanned<DeTable<'_>>>> =
        sources.iter().zip(&sinks).map(|(source, sink)| document(source, sink)).collect();
    let mut raws = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        if let Some(document) = document {
            raws.extend(tables(document.get_ref(), index, &sinks[index]));
        }
    }
    let layout = extend::lay_out(&raws, sources, &sinks);
    let merged: Vec<DeTable<'_>> =
        (0..raws.len()).map(|number| extend::merged(&raws, &layout.bases, number)).collect();
    let mut rules = Vec::new();
    for (number, raw) in raws.iter().enumerate().filter(|(_, raw)| !raw.off) {
        if layout.baseless.contains(&number) {
            continue;
        }
        let what = format!("rule {}", quoted(raw.name.rsplit('/').next().unwrap_or(&raw.name)));
        let fields = Fields::new(&merged[number], raw.place.clone(), what, &sinks[raw.source]);
        let header = Header {
            id: raw.name.rsplit('/').next().unwrap_or(&raw.name).to_owned(),
            name: raw.name.clone(),
            digest: extend::digest(&merged[number]),
            place: Place { source: raw.source, span: raw.place.clone() },
        };
        // One that is replaced is read as well: what is wrong with it is wrong.
        rules.extend(rule::rule(fields, &header).filter(|_| layout.in_force.contains(&number)));
    }
    drop(merged);
    drop(raws);
    let problems = sinks.into_iter().flat_map(Sink::into_problems).collect();
    Read { rules, replaced: layout.replaced, problems }
}

fn document<'s>(source: &'s Source, sink: &Sink<'_>) -> Option<Spanned<DeTable<'s>>> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        sink.report(&span, format!("not valid TOML: {}", error.message().replace('\n', ", ")));
    }
    errors.is_empty().then_some(document)
}

/// Reads a file's header, and finds its rules.
fn tables<'t>(document: &'t DeTable<'t>, source: usize, sink: &'t Sink<'t>) -> Vec<Raw<'t>> {
    let file = Fields::new(document, 0..0, "the file".to_owned(), sink);
    let pack = file.required_text("pack").and_then(|text| file.read(&text, |text| name(text, "pack")));
    if !file.has("schema") {
        file.missing("schema");
    }
    if file.number("schema", 0..=i64::MAX).is_some_and(|schema| schema != SCHEMA) {
        sink.report(&file.span, format!("this version reads schema {SCHEMA}"));
    }
    let pack = pack.unwrap_or_default();
    let raws = file.tables("rule").into_iter().filter_map(|table| raw(&table, &pack, source)).collect();
    file.close();
    raws
}

/// What a rule's table is called, and what it extends.
fn raw<'t>(fields: &Fields<'t>, pack: &str, source: usize) -> Option<Raw<'t>> {
    let id = fields.text("id");
    let named = id.as_ref().map(|text| fields.read(text, |text| name(text, "id")));
    let extends = fields.text("extends");
    let off = fields.flag("off").unwrap_or(false);
    if id.is_none() && extends.is_none() {
        if !fields.has("id") && !fields.has("extends") {
            fields.sink.report(&fields.span, "a rule has no `id`");
        }
        return None;
    }
    let place = id.as_ref().or(extends.as_ref()).map_or(fields.span.clone(), |text| text.span.clone());
    let name = match (named, &extends) {
        (Some(id), _) => format!("{pack}/{}", id?),
        (None, Some(base)) => base.value.to_owned(),
        (None, None) => return None,
    };
    if off && id.is_some() && extends.is_some() {
        fields.sink.report(&place, "a rule that is off has one of `id` and `extends`");
    }
    if off && fields.keys().any(|key| !["id", "extends", "off"].contains(&key)) {
        fields.sink.report(&place, format!("rule {} is off, so it says nothing else", quoted(&name)));
    }
    Some(Raw { table: fields.whole(), source, name, place, extends, off })
}

/// A pack's or rule's name: it ends up in file names, commands and the journal.
fn name(text: &str, kind: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is no {kind}; use up to 64 of a-z, 0-9 and -", quoted(text)))
    }
}

/// A time that a rule or its test may span.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(|error| error.to_string())?;
    if time > LONGEST { Err(format!("{} is longer than 7d", quoted(text))) } else { Ok(time) }
}
