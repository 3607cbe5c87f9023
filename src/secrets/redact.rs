//! The redactor: no value of the vault in what is shown or kept.
//!
//! One automaton goes over a text once and knows every form of every value by its first [`HEAD`] bytes; the rest is
//! compared where a head was found. So a value of megabytes costs no more memory than its forms, and a text that a value
//! was cut off in, with a `…`, is known by what is left of it. What matches is replaced by a mark with the secret's name,
//! all of it where several values overlap. Lines that are read piece by piece are cut where no value is: [`Redactor::cut`].

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

use super::forms::{self, Form, SHORTEST};
use super::value::Value;
use crate::fleet::VariableName;

/// By how much of a form the automaton knows it.
const HEAD: usize = SHORTEST;
/// A longer form is looked for in pieces of this size, so that a part of it is found as well. The last one is longer.
const PIECE: usize = 1024;
/// Stands where a text was cut.
const CUT: &[u8] = "…".as_bytes();
/// So much of a value's beginning is masked where a text was cut. Less is in too many texts by chance.
const REMNANT: usize = 4;
/// Up to so many forms, the fastest kind of automaton is not too large.
const FAST: usize = 8_000;
/// What marks begin with. A value with this in it makes all marks [`NAMELESS`].
const MARK: &str = "[secret ";
/// Too few different bytes for any form of a value to be in it.
const NAMELESS: &str = "•••";

/// Masks the values of a vault. Cheap to clone; one without values masks nothing and costs nothing.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<Known>>);

struct Known {
    /// The heads, and [`CUT`] as the last pattern.
    heads: AhoCorasick,
    cut: usize,
    /// Sorted by their text, each once.
    needles: Vec<Needle>,
    marks: Vec<String>,
}

/// Something to look for.
struct Needle {
    text: Form,
    name: usize,
}

/// What is to be masked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: usize,
    end: Reverse<usize>,
    name: usize,
}

/// Where heads were found in a text, and cuts.
#[derive(Default)]
struct Sight {
    heads: Vec<usize>,
    cuts: Vec<usize>,
}

impl Redactor {
    /// Masks these values. `None` when there are more than an automaton can hold.
    #[must_use]
    pub fn new<'v>(values: impl Iterator<Item = (&'v VariableName, &'v Value)>) -> Option<Self> {
        let mut names: BTreeMap<&VariableName, usize> = BTreeMap::new();
        let mut needles = Vec::new();
        for (variable, value) in values {
            let next = names.len();
            let name = *names.entry(variable).or_insert(next);
            for form in forms::of(value.expose()).into_iter().chain(forms::of_lines(value.expose())) {
                add(form, name, &mut needles);
            }
        }
        if needles.is_empty() {
            return Some(Self::default());
        }
        needles.sort_unstable_by(|a, b| (a.text.as_slice(), a.name).cmp(&(b.text.as_slice(), b.name)));
        needles.dedup_by(|later, earlier| later.text == earlier.text);
        let mut heads: Vec<&[u8]> = needles.iter().map(Needle::head).collect();
        heads.dedup();
        let cut = heads.len();
        heads.push(CUT);
        let kind = (heads.len() <= FAST).then_some(AhoCorasickKind::DFA);
        let heads = AhoCorasick::builder().match_kind(MatchKind::Standard).kind(kind).build(&heads).ok()?;
        let mut marks = vec![String::new(); names.len()];
        for (variable, name) in names {
            if let Some(mark) = marks.get_mut(name) {
                *mark = format!("{MARK}{variable}]");
            }
        }
        let mut known = Known { heads, cut, needles, marks };
        if known.takes_marks() {
            known.marks.fill(NAMELESS.to_owned());
        }
        Some(Self(Some(Arc::new(known))))
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// A text without values. Not copied when there are none in it.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Binary values may begin or end within a character.
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        }
    }

    /// The same of any bytes.
    #[must_use]
    pub fn redact_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        self.0.as_ref().map_or(Cow::Borrowed(text), |known| known.mask(text, false))
    }

    /// The same of a text whose end is missing: the beginning of a value that it ends with is masked as well.
    #[must_use]
    pub fn redact_cut<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        self.0.as_ref().map_or(Cow::Borrowed(text), |known| known.mask(text, true))
    }

    /// A text whose beginning is missing, without the end of a value that it begins with. Whole values are left.
    #[must_use]
    pub fn redact_rest<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let Some(known) = &self.0 else { return Cow::Borrowed(text) };
        known.rest(text).map_or(Cow::Borrowed(text), |(end, name)| {
            Cow::Owned([known.mark(name), text.get(end..).unwrap_or_default()].concat())
        })
    }

    /// Where to cut a text that goes on, so that no value is cut: at `limit`, or before it. What stands behind the cut has
    /// to be put before what comes. It is 0 when the whole text may be the beginning of a value.
    #[must_use]
    pub fn cut(&self, text: &[u8], limit: usize) -> usize {
        let limit = limit.min(text.len());
        self.0.as_ref().map_or(limit, |known| known.cut(text, limit))
    }

    /// JSON without values in its strings, which is still JSON.
    #[must_use]
    pub fn redact_json<'t>(&self, json: &'t str) -> Cow<'t, str> {
        if self.is_empty() {
            return Cow::Borrowed(json);
        }
        let mut masked = String::new();
        let mut kept = 0;
        for literal in literals(json) {
            let Some(written) = json.get(literal.clone()) else { continue };
            // Few strings have escapes; the others are their own text.
            let inside = written.trim_matches('"');
            let text = match inside.contains('\\').then(|| serde_json::from_str::<String>(written)) {
                None => self.redact(inside),
                Some(Ok(text)) => Cow::Owned(match self.redact(&text) {
                    Cow::Owned(text) => text,
                    Cow::Borrowed(_) => continue,
                }),
                Some(Err(_)) => continue,
            };
            if let Cow::Owned(text) = text {
                masked.push_str(json.get(kept..literal.start).unwrap_or_default());
                masked.push_str(&serde_json::to_string(&text).unwrap_or_default());
                kept = literal.end;
            }
        }
        if kept == 0 {
            return Cow::Borrowed(json);
        }
        masked.push_str(json.get(kept..).unwrap_or_default());
        Cow::Owned(masked)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.as_ref().map_or(0, |known| known.marks.len()))
    }
}

impl Needle {
    fn head(&self) -> &[u8] {
        self.text.get(..HEAD).unwrap_or(&self.text)
    }
}

/// Takes a form up, in pieces if it is long.
fn add(form: Form, name: usize, needles: &mut Vec<Needle>) {
    if form.len() <= 2 * PIECE {
        return needles.push(Needle { text: form, name });
    }
    let mut rest = form.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(if rest.len() < 2 * PIECE { rest.len() } else { PIECE });
        rest = after;
        // A stretch of nothing but zeros is in other files, too.
        if forms::varied(piece) {
            needles.push(Needle { text: piece.to_vec().into(), name });
        }
    }
}

impl Known {
    /// Whether a value could be found in a mark, or a mark in a value.
    fn takes_marks(&self) -> bool {
        let mark = MARK.trim_end().as_bytes();
        self.needles.iter().any(|needle| needle.text.windows(mark.len()).any(|window| window == mark))
            || self.marks.iter().any(|mark| !self.spans(mark.as_bytes(), false).is_empty())
    }

    fn look(&self, text: &[u8]) -> Sight {
        let mut sight = Sight::default();
        // Most texts have nothing in them, and end here.
        let Some(first) = self.heads.find(text) else { return sight };
        let from = first.end().saturating_sub(HEAD);
        for found in self.heads.find_overlapping_iter(Input::new(text).range(from..)) {
            if found.pattern().as_usize() == self.cut {
                sight.cuts.push(found.start());
            } else {
                sight.heads.push(found.start());
            }
        }
        sight
    }

    /// The longest needle that a text begins with.
    fn needle_at(&self, text: &[u8]) -> Option<&Needle> {
        let mut probe = text;
        loop {
            let after = self.needles.partition_point(|needle| needle.text.as_slice() <= probe);
            let needle = self.needles.get(after.checked_sub(1)?)?;
            let common = needle.text.iter().zip(probe).take_while(|(a, b)| a == b).count();
            if common == needle.text.len() {
                return Some(needle);
            }
            // Whatever else it begins with is a beginning of what these two have in common.
            probe = probe.get(..common).filter(|probe| probe.len() >= HEAD)?;
        }
    }

    /// A needle that begins with all of a text and goes on.
    fn beginning_with(&self, text: &[u8]) -> Option<&Needle> {
        let at = self.needles.partition_point(|needle| needle.text.as_slice() <= text);
        self.needles.get(at).filter(|needle| needle.text.starts_with(text))
    }

    /// The longest end of a text, of `least` bytes or more, that a needle begins with and goes on.
    fn remnant(&self, text: &[u8], heads: &[usize], least: usize) -> Option<(usize, &Needle)> {
        let end = text.len();
        let near = heads.partition_point(|start| start + 2 * PIECE < end);
        let long = heads.get(near..).unwrap_or_default().iter().copied();
        let short = (least..HEAD).rev().filter_map(|length| end.checked_sub(length));
        long.take_while(|start| start + HEAD <= end)
            .chain(short)
            .find_map(|start| Some((start, self.beginning_with(text.get(start..)?)?)))
    }

    /// What is to be masked, in order; spans may touch, but not overlap.
    fn spans(&self, text: &[u8], is_cut: bool) -> Vec<Span> {
        let mut sight = self.look(text);
        if is_cut {
            sight.cuts.push(text.len());
        }
        let mut spans = Vec::new();
        for &start in &sight.heads {
            if let Some(needle) = text.get(start..).and_then(|text| self.needle_at(text)) {
                spans.push(Span { start, end: Reverse(start + needle.text.len()), name: needle.name });
            }
        }
        for &cut in &sight.cuts {
            let before = text.get(..cut).unwrap_or_default();
            if let Some((start, needle)) = self.remnant(before, &sight.heads, REMNANT) {
                spans.push(Span { start, end: Reverse(cut), name: needle.name });
            }
        }
        spans.sort_unstable();
        let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match apart.last_mut() {
                Some(last) if span.start < last.end.0 => last.end = last.end.min(span.end),
                _ => apart.push(span),
            }
        }
        apart
    }

    fn mask<'t>(&self, text: &'t [u8], is_cut: bool) -> Cow<'t, [u8]> {
        let spans = self.spans(text, is_cut);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut last: Option<Span> = None;
        for span in spans {
            let from = last.map_or(0, |last| last.end.0);
            masked.extend_from_slice(text.get(from..span.start).unwrap_or_default());
            // The pieces of a long value are one value.
            if last.is_none_or(|last| (last.end.0, last.name) != (span.start, span.name)) {
                masked.extend_from_slice(self.mark(span.name));
            }
            last = Some(span);
        }
        masked.extend_from_slice(text.get(last.map_or(0, |last| last.end.0)..).unwrap_or_default());
        Cow::Owned(masked)
    }

    fn mark(&self, name: usize) -> &[u8] {
        self.marks.get(name).map_or(NAMELESS, |mark| mark).as_bytes()
    }

    /// The longest beginning of a text that is the end of a needle, and not all of it. Slow: for texts that are few.
    fn rest(&self, text: &[u8]) -> Option<(usize, usize)> {
        let head = text.get(..HEAD)?;
        let ends = self.needles.iter().flat_map(|needle| {
            let begins = (1..needle.text.len().saturating_sub(HEAD - 1)).filter(|at| {
                let end = needle.text.get(*at..).unwrap_or_default();
                end.starts_with(head) && text.starts_with(end)
            });
            begins.map(|at| (needle.text.len() - at, needle.name))
        });
        ends.max()
    }

    fn cut(&self, text: &[u8], limit: usize) -> usize {
        let sight = self.look(text);
        let open = self.remnant(text, &sight.heads, 1).map_or(limit, |(start, _)| start.min(limit));
        let across = self.spans(text, false).into_iter().find(|span| span.start < open && open < span.end.0);
        match across {
            None => open,
            // Values that overlap all the way: rather in two than never.
            Some(span) if span.start == 0 && span.end.0 >= limit => limit,
            Some(span) => span.start,
        }
    }
}

/// Where the strings of a JSON text are, quotes included.
fn literals(json: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|byte| *byte == b'"')?;
        at = start + 1;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        at += 1;
        Some(start..at)
    })
}
