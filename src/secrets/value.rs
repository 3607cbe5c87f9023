//! The bytes of one secret: wiped when dropped, and never shown by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A secret's value: any bytes, none included.
///
/// `Debug` tells its size only. There is no `Display` and no `Serialize`: whoever wants the bytes has to ask for them
/// with [`Value::expose`], which is easy to find in a review.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// The most bytes a value may have.
    pub const LIMIT: usize = 16 * 1024 * 1024;

    /// Takes bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, when it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Zeroizing<Vec<u8>>> for Value {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}
