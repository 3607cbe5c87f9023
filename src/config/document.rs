//! A file of ours as text, and the way from a byte offset in it to a line that a person can look at.

use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::problem::{Excerpt, Problem};

/// No honest file comes near it; it keeps a wrong path (a log, a disk image) from being read into memory.
const LIMIT: u64 = 1024 * 1024;

/// A file's text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// The path, as errors show it.
    pub(super) path: PathBuf,
    /// The text.
    pub(super) text: String,
}

impl Document {
    /// Reads a file; `None` when there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::from_bytes(path, bytes).map(Some)
    }

    /// Takes the bytes of a file.
    ///
    /// # Errors
    /// When they are more than the limit, or no UTF-8.
    pub(super) fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let path = path.to_owned();
        if bytes.len() as u64 > LIMIT {
            return Err(Error::TooLarge { path });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let document = Self { path, text };
                let problem =
                    document.problem(&(at..at + 1), "the file is not UTF-8 text".to_owned(), String::new());
                Err(Error::Invalid(vec![problem]))
            }
        }
    }

    /// A problem at `span`, in bytes; spans outside the text are moved into it.
    pub(super) fn problem(&self, span: &Range<usize>, message: String, label: String) -> Problem {
        let (excerpt, column) = self.locate(span, label);
        Problem { file: self.path.clone(), line: excerpt.line, column, message, excerpts: vec![excerpt] }
    }

    /// The line in which `span` begins, with the part of `span` that lies in it underlined.
    pub(super) fn excerpt(&self, span: &Range<usize>, label: String) -> Excerpt {
        self.locate(span, label).0
    }

    fn locate(&self, span: &Range<usize>, label: String) -> (Excerpt, usize) {
        let start = floor(&self.text, span.start);
        let end = floor(&self.text, span.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let number = self.text[..line_start].matches('\n').count() + 1;
        let rest = &self.text[line_start..];
        let line = rest.lines().next().unwrap_or_default();
        let column = |offset: usize| line[..floor(line, offset - line_start)].chars().count();
        let from = column(start);
        (Excerpt::new(number, line, from, column(end), label), from + 1)
    }
}

/// The largest character boundary that is not beyond `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let document = Document { path: "a.toml".into(), text: "eins\r\nzwei = 'ä' x\n\n".to_owned() };
        for (offset, expected) in
            [(0, (1, 1)), (3, (1, 4)), (6, (2, 1)), (18, (2, 12)), (20, (3, 1)), (99, (4, 1))]
        {
            let problem = document.problem(&(offset..offset + 1), String::new(), String::new());
            assert_eq!((problem.line, problem.column), expected, "offset {offset}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_where_they_stand() {
        let error =
            Document::from_bytes(Path::new("a.toml"), b"a = 1\nb = '\xff\xfe'\n".to_vec()).unwrap_err();
        let expected = "a.toml:2:6: the file is not UTF-8 text\n  2 | b = '\u{fffd}\u{fffd}'\n    |      ^";
        assert_eq!(error.to_string(), expected);
        let error = Document::from_bytes(Path::new("a.toml"), vec![b'#'; 1024 * 1024 + 1]).unwrap_err();
        assert_eq!(error.to_string(), "a.toml is larger than 1 MiB");
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_can_be_shown(text in "(?s).{0,80}", start in 0_usize..100, length in 0_usize..100) {
            let document = Document { path: "a.toml".into(), text };
            let shown = document.problem(&(start..start + length), String::new(), String::new()).to_string();
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            prop_assert_eq!(shown.matches('\n').count(), 2);
        }
    }
}
