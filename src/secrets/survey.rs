//! What can be said against a value without knowing what it is for.

use std::fmt;

use super::value::Value;

/// Shorter than this a secret can be guessed.
const SHORT: usize = 8;
/// What people type when they mean to set the real one later, in lower case.
const COMMON: &[&str] = &[
    "12345678",
    "123456789",
    "1234567890",
    "admin123",
    "changeit",
    "changeme",
    "change-me",
    "change_me",
    "default",
    "example",
    "foobar",
    "hunter2",
    "iloveyou",
    "letmein",
    "password",
    "password1",
    "password123",
    "passw0rd",
    "placeholder",
    "postgres",
    "qwertyuiop",
    "replaceme",
    "secret",
    "secret123",
    "supersecret",
    "test1234",
    "your-key-here",
];

/// Why a value is a poor secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It has no bytes.
    Empty,
    /// It has few.
    Short,
    /// Everybody tries it first.
    Common,
    /// Hardly any two of its characters differ.
    Monotonous,
    /// White space around it, which a paste or an `echo` brings along.
    Surrounded,
}

impl Weakness {
    /// A word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Short => "short",
            Self::Common => "common",
            Self::Monotonous => "monotonous",
            Self::Surrounded => "surrounded",
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Short => "is shorter than 8 bytes",
            Self::Common => "is what everybody tries first",
            Self::Monotonous => "hardly varies",
            Self::Surrounded => "has white space around it",
        })
    }
}

/// What is to be said against a value, if anything is.
#[must_use]
pub fn weakness(value: &Value) -> Option<Weakness> {
    if value.is_empty() {
        return Some(Weakness::Empty);
    }
    if let Some(text) = value.text() {
        let lower = text.trim().to_ascii_lowercase();
        if COMMON.contains(&lower.as_str()) {
            return Some(Weakness::Common);
        }
        // A text of several lines, a PEM key for instance, ends with a newline as it should.
        if text.trim() != text && text.trim().lines().count() == 1 {
            return Some(Weakness::Surrounded);
        }
    }
    if value.len() < SHORT {
        return Some(Weakness::Short);
    }
    let mut seen = [false; 256];
    for byte in value.expose() {
        if let Some(flag) = seen.get_mut(usize::from(*byte)) {
            *flag = true;
        }
    }
    (seen.iter().filter(|flag| **flag).count() < 4).then_some(Weakness::Monotonous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poor_values_are_told_from_good_ones() {
        for (value, expected) in [
            ("", Some(Weakness::Empty)),
            ("abc", Some(Weakness::Short)),
            ("ChangeMe", Some(Weakness::Common)),
            (" password\n", Some(Weakness::Common)),
            ("aaaaaaaaaaaaaaab", Some(Weakness::Monotonous)),
            ("s9d8f7s9d8f7\n", Some(Weakness::Surrounded)),
            ("s9d8f7s9d8f7", None),
            ("-----BEGIN X-----\nabcdefgh\n-----END X-----\n", None),
        ] {
            assert_eq!(weakness(&Value::from(value)), expected, "{value:?}");
        }
        assert_eq!(weakness(&Value::new(vec![0, 159, 146, 150, 1, 2, 3, 4])), None);
    }
}
