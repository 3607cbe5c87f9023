//! Which containers a rule is about: globs over names, so that a rule never meets what lies outside.

use crate::fleet::{AppName, HostName, Stream};

/// A glob: `*` is any run of characters, `?` any one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(String);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Linear in the name for each `*`: the classic two-pointer walk that only ever returns to the last star.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&byte) if byte == b'?' || byte == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((star_p, star_n)) => {
                        p = star_p + 1;
                        n = star_n + 1;
                        star = Some((star_p, n));
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|&byte| byte == b'*')
    }
}

/// Names to take and names to leave out. No names to take means every name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) only: Vec<Glob>,
    pub(super) not: Vec<Glob>,
}

impl Names {
    fn admit(&self, name: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|glob| glob.matches(name)))
            && !self.not.iter().any(|glob| glob.matches(name))
    }
}

/// What a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) app: Names,
    pub(super) host: Names,
    /// Lines of this stream only; events have none.
    pub(super) stream: Option<Stream>,
}

impl Scope {
    pub(super) fn admits(&self, host: &HostName, app: &AppName, stream: Option<Stream>) -> bool {
        let stream_fits = match (self.stream, stream) {
            (Some(wanted), Some(stream)) => wanted == stream,
            _ => true,
        };
        stream_fits && self.app.admit(app.as_str()) && self.host.admit(host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, expected) in [
            ("*", "shop", true),
            ("worker*", "worker-1", true),
            ("worker*", "my-worker", false),
            ("*-db", "shop-db", true),
            ("s?op", "shop", true),
            ("s?op", "sop", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "", true),
            ("", "x", false),
            ("shop", "shopping", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }
}
