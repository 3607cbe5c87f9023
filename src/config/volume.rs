//! Volumes as Docker's `-v` has them: `data:/var/lib/app`, `/srv/app:/etc/app:ro`.

use crate::fleet::Volume;
use crate::fleet::text::quoted;

/// A text that is no volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("volume {} {problem}; write it like data:/var/lib/app or /srv/app:/etc/app:ro", quoted(text))]
pub(super) struct VolumeError {
    text: String,
    problem: &'static str,
}

const LONGEST_PATH: usize = 1024;

/// Parses `source:target[:ro]`.
pub(super) fn parse(text: &str) -> Result<Volume, VolumeError> {
    split(text).map_err(|problem| VolumeError { text: text.to_owned(), problem })
}

fn split(text: &str) -> Result<Volume, &'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [source, target] => (source, target, "rw"),
        [source, target, mode] => (source, target, mode),
        _ => return Err("does not have two or three parts"),
    };
    if source.starts_with('/') {
        path(source)?;
    } else if source.starts_with(['.', '~']) {
        return Err("starts with a relative path, which means nothing on a server");
    } else if !is_volume_name(source) {
        return Err("starts with neither an absolute path nor the name of a volume");
    }
    if !target.starts_with('/') || target == "/" {
        return Err("has no absolute path below / as its target");
    }
    path(target)?;
    let read_only = match mode {
        "ro" => true,
        "rw" => false,
        _ => return Err("ends in something other than ro or rw"),
    };
    Ok(Volume { source: source.to_owned(), target: target.to_owned(), read_only })
}

fn path(path: &str) -> Result<(), &'static str> {
    if path.chars().any(char::is_control) {
        Err("has a control character in a path")
    } else if path.len() > LONGEST_PATH {
        Err("has a path longer than 1024 bytes")
    } else if path.split('/').any(|component| component == "..") {
        Err("has .. in a path")
    } else {
        Ok(())
    }
}

/// Docker's grammar of volume and network names.
pub(super) fn is_volume_name(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(alphanumeric)
        && (2..=128).contains(&name.len())
        && name.chars().all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_two_or_three_parts() {
        for (text, source, target, read_only) in [
            ("data:/var/lib/x", "data", "/var/lib/x", false),
            ("/srv/x:/x:ro", "/srv/x", "/x", true),
            ("/srv/x:/x:rw", "/srv/x", "/x", false),
        ] {
            let volume = parse(text).unwrap();
            assert_eq!((&*volume.source, &*volume.target, volume.read_only), (source, target, read_only));
        }
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        for (text, problem) in [
            ("", "does not have"),
            ("data", "does not have"),
            ("a:/b:ro:x", "does not have"),
            ("./data:/b", "starts with a relative path"),
            ("~/data:/b", "starts with a relative path"),
            ("$(id):/b", "starts with neither"),
            ("a'b:/b", "starts with neither"),
            ("-v:/b", "starts with neither"),
            (":/b", "starts with neither"),
            ("data:b", "has no absolute path"),
            ("data:/", "has no absolute path"),
            ("data:/b:z", "ends in something"),
            ("/a/../b:/b", "has .. in a path"),
            ("/a\n:/b", "has a control character"),
            ("/a:/b\u{7f}", "has a control character"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.problem.starts_with(problem), "{text}: {error}");
        }
        let error = parse(&format!("/a:/{}", "b".repeat(2000))).unwrap_err().to_string();
        assert!(error.len() < 250, "{error}");
    }
}
