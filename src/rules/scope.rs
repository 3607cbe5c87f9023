//! Which containers a rule is about: globs over names, so that a rule never meets what lies outside.

use crate::fleet::profile::{Kind, bare_name};
use crate::fleet::{HostName, Profile, Stream, Subject};

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
        self.admit_any(&[name])
    }

    /// Of something that has several names, or none at all: what is not known is none of those asked for.
    fn admit_any(&self, names: &[&str]) -> bool {
        let one_of = |globs: &[Glob]| globs.iter().any(|glob| names.iter().any(|name| glob.matches(name)));
        (self.only.is_empty() || one_of(&self.only)) && !one_of(&self.not)
    }
}

/// What a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) app: Names,
    pub(super) host: Names,
    pub(super) image: Names,
    /// What it does for other apps.
    pub(super) role: Names,
    pub(super) environment: Names,
    /// For each label its name and the values asked for. A label that is not there has no value.
    pub(super) labels: Vec<(String, Names)>,
    /// Lines of this stream only; events have none.
    pub(super) stream: Option<Stream>,
}

impl Scope {
    pub(super) fn admits(&self, host: &HostName, subject: &Subject, stream: Option<Stream>) -> bool {
        let stream_fits = match (self.stream, stream) {
            (Some(wanted), Some(stream)) => wanted == stream,
            _ => true,
        };
        stream_fits
            && self.app.admit(subject.app.as_str())
            && self.host.admit(host.as_str())
            && self.fits(&subject.profile)
    }

    fn fits(&self, profile: &Profile) -> bool {
        let known = |value: Option<&str>, names: &Names| match value {
            Some(value) => names.admit(value),
            None => names.admit_any(&[]),
        };
        self.image.admit_any(&image_names(&profile.image))
            && known(profile.kind.as_ref().map(Kind::as_str), &self.role)
            && known(profile.environment.as_deref(), &self.environment)
            && self
                .labels
                .iter()
                .all(|(label, names)| known(profile.labels.get(label).map(String::as_str), names))
    }
}

/// What an image may be called by: in full and by its last part, each with and without its tag. A rule that says
/// `postgres*` means it from any registry.
fn image_names(image: &str) -> [&str; 4] {
    let last = image.rsplit('/').next().unwrap_or(image);
    let untagged = &image[..image.len() - last.len() + bare_name(last).len()];
    [image, untagged, last, bare_name(last)]
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

    #[test]
    fn images_have_several_names() {
        for (glob, image, expected) in [
            ("postgres*", "postgres:16", true),
            ("postgres", "registry.example:5000/team/postgres:16", true),
            ("postgres:16", "registry.example/postgres:16", true),
            ("registry.example/*", "registry.example/postgres:16", true),
            ("postgres", "registry.example/postgres@sha256:00", true),
            ("postgres", "my-postgres", false),
            ("postgres", "", false),
        ] {
            let names = Names { only: vec![Glob::new(glob)], not: Vec::new() };
            assert_eq!(names.admit_any(&image_names(image)), expected, "{glob} {image}");
        }
    }
}
