//! Names that reach a server, a shell, a label or a file: parsed once, at the door, into types that cannot hold
//! anything hostile. A rejected name says which character or length is wrong and what is allowed. Names go with every
//! observation, so a clone of one shares its text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {} {problem}; {rule}", quoted(value))]
pub struct NameError {
    /// What the name was meant to name, for instance `app name`.
    pub kind: &'static str,
    /// What was given. Rendered escaped and shortened.
    pub value: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What is allowed, in words.
    pub rule: &'static str,
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing was given.
    Empty,
    /// More characters than the limit.
    TooLong {
        /// Characters given.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that is not allowed where it stands.
    Character {
        /// The character.
        found: char,
        /// Its position, counted in characters from 1.
        at: usize,
    },
    /// The parts do not fit together, for instance an image with an empty tag.
    Shape(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong { length, limit } => write!(f, "has {length} characters, {limit} are allowed"),
            Self::Character { found, at } => {
                write!(f, "has {} at character {at}", quoted(&found.to_string()))
            }
            Self::Shape(what) => f.write_str(what),
        }
    }
}

/// The grammar of one kind of name.
struct Grammar {
    kind: &'static str,
    rule: &'static str,
    limit: usize,
    first: fn(char) -> bool,
    rest: fn(char) -> bool,
    last: fn(char) -> bool,
}

impl Grammar {
    fn check(&self, value: &str) -> Result<(), NameError> {
        self.problem(value).map_or(Ok(()), |problem| {
            Err(NameError { kind: self.kind, value: value.to_owned(), problem, rule: self.rule })
        })
    }

    fn problem(&self, value: &str) -> Option<Problem> {
        if value.is_empty() {
            return Some(Problem::Empty);
        }
        let wrong = value
            .chars()
            .enumerate()
            .find(|&(index, c)| if index == 0 { !(self.first)(c) } else { !(self.rest)(c) });
        if let Some((index, found)) = wrong {
            return Some(Problem::Character { found, at: index + 1 });
        }
        let length = value.chars().count();
        if length > self.limit {
            return Some(Problem::TooLong { length, limit: self.limit });
        }
        let found = value.chars().next_back()?;
        (!(self.last)(found)).then_some(Problem::Character { found, at: length })
    }
}

fn lower(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $grammar:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name.
            ///
            /// # Errors
            /// When it is empty, too long, or holds a character that is not allowed; the error says which.
            pub fn parse(value: &str) -> Result<Self, NameError> {
                $grammar.check(value)?;
                Ok(Self(value.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                Self::parse(&value)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.as_str().to_owned()
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, NameError> {
                Self::parse(value)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// An app. Becomes a container name, a label, an image repository and a DNS name, so it has the strictest
    /// grammar of them all; `_` and `.` are kept for the suffixes that Arcane adds itself.
    AppName,
    Grammar {
        kind: "app name",
        rule: "use up to 40 of a-z, 0-9 and -, starting and ending with a letter or digit",
        limit: 40,
        first: lower,
        rest: |c| lower(c) || c == '-',
        last: lower,
    }
);

name!(
    /// A host of the fleet, as the operator calls it.
    HostName,
    Grammar {
        kind: "host name",
        rule: "use up to 63 of a-z, A-Z, 0-9, ., _ and -, starting with a letter or digit",
        limit: 63,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
        last: |_| true,
    }
);

name!(
    /// A group of hosts.
    GroupName,
    Grammar {
        kind: "group name",
        rule: "use up to 63 of a-z, A-Z, 0-9, ., _ and -, starting with a letter or digit",
        limit: 63,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
        last: |_| true,
    }
);

name!(
    /// An environment such as `staging` or `production`.
    EnvironmentName,
    Grammar {
        kind: "environment name",
        rule: "use up to 40 of a-z, 0-9 and -, starting and ending with a letter or digit",
        limit: 40,
        first: lower,
        rest: |c| lower(c) || c == '-',
        last: lower,
    }
);

name!(
    /// An environment variable.
    VariableName,
    Grammar {
        kind: "variable name",
        rule: "use up to 128 of A-Z, a-z, 0-9 and _, not starting with a digit",
        limit: 128,
        first: |c| c.is_ascii_alphabetic() || c == '_',
        rest: |c| c.is_ascii_alphanumeric() || c == '_',
        last: |_| true,
    }
);

name!(
    /// Somebody who may read secrets: a teammate, or a machine such as `ci`. Names a file of the vault.
    MemberName,
    Grammar {
        kind: "member name",
        rule: "use up to 63 of a-z, A-Z, 0-9, ., _, @ and -, starting and ending with a letter or digit",
        limit: 63,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-'),
        last: |c| c.is_ascii_alphanumeric(),
    }
);

/// A reference to an image: `[registry[:port]/]path[:tag][@sha256:…]`, as Docker's reference grammar has it
/// (<https://pkg.go.dev/github.com/distribution/reference>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

const IMAGE_KIND: &str = "image";
const IMAGE_RULE: &str = "write it like shop:1.4, registry.example.com/team/shop:1.4 or shop@sha256:…";

impl ImageRef {
    /// Parses a reference.
    ///
    /// # Errors
    /// When it does not follow Docker's grammar; the error says where.
    pub fn parse(value: &str) -> Result<Self, NameError> {
        let fail =
            |problem| NameError { kind: IMAGE_KIND, value: value.to_owned(), problem, rule: IMAGE_RULE };
        if value.is_empty() {
            return Err(fail(Problem::Empty));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
        if let Some((index, found)) = value.chars().enumerate().find(|&(_, c)| !allowed(c)) {
            return Err(fail(Problem::Character { found, at: index + 1 }));
        }
        if value.len() > 255 {
            return Err(fail(Problem::TooLong { length: value.len(), limit: 255 }));
        }
        Self::shape(value).map_err(|what| fail(Problem::Shape(what)))?;
        Ok(Self(value.to_owned()))
    }

    fn shape(value: &str) -> Result<(), &'static str> {
        let (named, digest) = value.split_once('@').map_or((value, None), |(n, d)| (n, Some(d)));
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").ok_or("has a digest that is not sha256")?;
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("has a digest that is not 64 hexadecimal digits");
            }
        }
        let (path, tag) = split_tag(named);
        if let Some(tag) = tag {
            let first = tag.chars().next().ok_or("has an empty tag")?;
            if !(first.is_ascii_alphanumeric() || first == '_') || tag.contains(['/', ':']) {
                return Err("has a malformed tag");
            }
            if tag.len() > 128 {
                return Err("has a tag longer than 128 characters");
            }
        }
        let mut components = path.split('/').peekable();
        let mut first = true;
        while let Some(component) = components.next() {
            let registry = first && components.peek().is_some() && component.contains(['.', ':']);
            first = false;
            if registry {
                continue;
            }
            let edges = [component.chars().next(), component.chars().next_back()];
            if edges.iter().any(|edge| !edge.is_some_and(lower)) {
                return Err("has a path component that is empty or does not start and end with a-z or 0-9");
            }
            if !component.chars().all(|c| lower(c) || matches!(c, '.' | '_' | '-')) {
                return Err("has a path component with characters other than a-z, 0-9, ., _ and -");
            }
        }
        Ok(())
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The repository and the tag, when it has one: `shop:1.4` is `("shop", Some("1.4"))`.
    #[must_use]
    pub fn repository_and_tag(&self) -> (&str, Option<&str>) {
        split_tag(self.0.split_once('@').map_or(self.0.as_str(), |(named, _)| named))
    }
}

/// Splits a tag off, minding that a registry's port also follows a colon.
fn split_tag(named: &str) -> (&str, Option<&str>) {
    match named.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (named, None),
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        Self::parse(&value)
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> String {
        image.0
    }
}

impl std::str::FromStr for ImageRef {
    type Err = NameError;
    fn from_str(value: &str) -> Result<Self, NameError> {
        Self::parse(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        for name in ["shop", "a", "web-1", "0"] {
            assert_eq!(AppName::parse(name).unwrap().as_str(), name);
        }
        for name in ["web1", "web1.example.com", "Web_1"] {
            HostName::parse(name).unwrap();
        }
        for name in ["shop", "shop:1.4", "localhost:5000/team/shop:1", "ghcr.io/a/b", "a__b/c-d"] {
            ImageRef::parse(name).unwrap();
        }
        ImageRef::parse(&format!("shop@sha256:{}", "a".repeat(64))).unwrap();
    }

    #[test]
    fn hostile_names_are_refused_with_the_reason() {
        let long = "a".repeat(300);
        let cases = [
            ("a'b", "app name `a'b` has `'` at character 2"),
            ("$(id)", "app name `$(id)` has `$` at character 1"),
            ("a\nb", r"app name `a\nb` has `\n` at character 2"),
            ("", "app name `` is empty"),
            ("größe", r"app name `gr\u{f6}\u{df}e` has `\u{f6}` at character 3"),
            ("shop-", "app name `shop-` has `-` at character 5"),
            ("-rf", "app name `-rf` has `-` at character 1"),
            ("shop_old", "app name `shop_old` has `_` at character 5"),
        ];
        for (name, expected) in cases {
            let error = AppName::parse(name).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = AppName::parse(&long).unwrap_err().to_string();
        assert!(error.contains("has 300 characters, 40 are allowed"), "{error}");
        assert!(error.len() < 250, "a hostile name must not flood the error: {error}");
    }

    #[test]
    fn hostile_images_hosts_and_variables_are_refused() {
        for image in
            ["a'b", "$(id)", "a b", "shop:", ":1", "shop:a/b:c:d", "Shop", "a//b", "shop@sha256:12", "a\n"]
        {
            assert!(ImageRef::parse(image).is_err(), "{image}");
        }
        for host in ["-oProxyCommand=id", "a b", "a;b", "$(id)", "a\0"] {
            assert!(HostName::parse(host).is_err(), "{host}");
        }
        for variable in ["A=B", "1A", "A B", "A\n", ""] {
            assert!(VariableName::parse(variable).is_err(), "{variable}");
        }
    }

    #[test]
    fn a_registry_port_is_no_tag() {
        let image = ImageRef::parse("localhost:5000/shop").unwrap();
        assert_eq!(image.repository_and_tag(), ("localhost:5000/shop", None));
        let image = ImageRef::parse("localhost:5000/shop:2").unwrap();
        assert_eq!(image.repository_and_tag(), ("localhost:5000/shop", Some("2")));
    }
}
