//! Where problems are collected while a document is read, so that all of them can be shown at once.

use std::ops::Range;

use super::document::Document;
use super::problem::Problem;

/// The problems found so far in one document.
#[derive(Debug)]
pub(super) struct Report<'d> {
    document: &'d Document,
    notes: Vec<Note>,
}

/// A problem before its line has been looked up: a hostile file has a million of them, and few are shown.
#[derive(Debug)]
struct Note {
    message: String,
    place: Place,
    also: Option<Place>,
}

/// A place, and what to write beside it.
type Place = (Range<usize>, String);

impl<'d> Report<'d> {
    /// How many problems are kept; the first ones, as those after them are often only their consequences.
    const MOST: usize = 100;

    pub(super) fn new(document: &'d Document) -> Self {
        Self { document, notes: Vec::new() }
    }

    /// Notes a problem: what is wrong, and beside the underline what to do about it (may be empty).
    pub(super) fn add(&mut self, span: &Range<usize>, message: impl Into<String>, label: impl Into<String>) {
        self.notes.push(Note { message: message.into(), place: (span.clone(), label.into()), also: None });
    }

    /// Notes a problem that lies between two places.
    pub(super) fn add_pair(
        &mut self,
        message: String,
        here: (&Range<usize>, &str),
        there: (&Range<usize>, &str),
    ) {
        let place = |(span, label): (&Range<usize>, &str)| (span.clone(), label.to_owned());
        self.notes.push(Note { message, place: place(here), also: Some(place(there)) });
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The problems in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.notes.sort_by_key(|note| note.place.0.start);
        self.notes.truncate(Self::MOST);
        let document = self.document;
        let problem = |note: Note| {
            let mut problem = document.problem(&note.place.0, note.message, note.place.1);
            problem.excerpts.extend(note.also.map(|(span, label)| document.excerpt(&span, label)));
            problem
        };
        self.notes.into_iter().map(problem).collect()
    }
}
