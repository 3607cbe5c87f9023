//! The text of a log line: made once, from the bytes as they came off the wire, and shared from then on.

use std::fmt;
use std::ops::Deref;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// The text of a log line. A clone shares it, and what it shares may be all that was read from the connection at once:
/// who keeps a line for long, keeps [`LineText::apart`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LineText(ByteString);

impl LineText {
    /// The text as such.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that shares nothing with what was read beside it.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::from(self.as_str())
    }
}

impl Deref for LineText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for LineText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<ByteString> for LineText {
    fn from(text: ByteString) -> Self {
        Self(text)
    }
}

impl From<String> for LineText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for LineText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<LineText> for String {
    fn from(text: LineText) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for LineText {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for LineText {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for LineText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for LineText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Fact, Stream};

    #[test]
    fn it_is_written_as_the_string_that_it_is() {
        let fact = Fact::Line { stream: Stream::Stderr, text: "größe \"1\"".into() };
        let json = r#"{"kind":"line","stream":"stderr","text":"größe \"1\""}"#;
        assert_eq!(serde_json::to_string(&fact).unwrap(), json);
        assert_eq!(serde_json::from_str::<Fact>(json).unwrap(), fact);
        assert_eq!(serde_json::from_slice::<Fact>(json.as_bytes()).unwrap(), fact);
        assert!(serde_json::from_str::<LineText>("7").is_err());
    }

    #[test]
    fn a_clone_shares_and_a_copy_does_not() {
        let text = LineText::from("boom".to_owned());
        assert_eq!(text.clone().as_ptr(), text.as_ptr());
        assert_ne!(text.apart().as_ptr(), text.as_ptr());
        assert_eq!(text.apart(), text);
    }
}
