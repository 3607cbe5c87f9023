//! Where the two files are looked for.

use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::Result;

/// `name` in `start` and in every directory above it, nearest first.
pub(super) fn upward(start: &Path, name: &str) -> Vec<PathBuf> {
    let start = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    start.ancestors().map(|directory| directory.join(name)).collect()
}

/// The first of `places` that exists.
pub(super) fn first(places: &[PathBuf]) -> Result<Option<Document>> {
    for place in places {
        if let Some(document) = Document::load(place)? {
            return Ok(Some(document));
        }
    }
    Ok(None)
}

/// The directory of the user's configuration: `$XDG_CONFIG_HOME`, or `~/.config`. `None` when neither is known. A
/// relative path is ignored, as the XDG base directory specification has it.
#[must_use]
pub fn config_home() -> Option<PathBuf> {
    home("XDG_CONFIG_HOME", ".config")
}

/// The directory of what can be made anew: `$XDG_CACHE_HOME`, or `~/.cache`.
#[must_use]
pub fn cache_home() -> Option<PathBuf> {
    home("XDG_CACHE_HOME", ".cache")
}

fn home(variable: &str, otherwise: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(otherwise)))
}
