//! The names of what has arrived of an image that is not whole yet: `arcane/APP:partial-20261128-5f70bf18a086007e`. The day
//! is that of the upload, the rest stands for the layers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::pack::digest_of;
use crate::docker::Image;
use crate::fleet::{AppName, Timestamp};

const PREFIX: &str = "partial-";
/// Nobody goes on with an upload after this.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The name for these layers, or for whatever else tells images apart.
pub(super) fn name(app: &AppName, layers: &[String], now: Timestamp) -> String {
    // RFC 3339 begins with the day.
    let day: String = now.to_string().chars().take(10).filter(char::is_ascii_digit).collect();
    format!("arcane/{app}:{PREFIX}{day}-{}", mark(layers))
}

/// The pattern of all such names of an app.
pub(super) fn pattern(app: &AppName) -> String {
    format!("arcane/{app}:{PREFIX}*")
}

/// The ends of all names that an upload of this image may use.
pub(super) fn marks(image: &Image) -> BTreeSet<String> {
    let heights = (1..=image.layers.len()).filter_map(|height| image.layers.get(..height));
    heights.chain([std::slice::from_ref(&image.id)]).map(mark).collect()
}

/// Whether a name ends so.
pub(super) fn is_marked(name: &str, marks: &BTreeSet<String>) -> bool {
    name.rsplit_once('-').is_some_and(|(_, mark)| marks.contains(mark))
}

/// Whose unfinished upload a reference names, and whether it has been given up.
pub fn upload(reference: &str, now: Timestamp) -> Option<(AppName, bool)> {
    let (repository, tag) = reference.rsplit_once(':')?;
    let app = AppName::parse(repository.strip_prefix("arcane/")?).ok()?;
    let (day, _) = tag.strip_prefix(PREFIX)?.split_once('-')?;
    let (year, month, day) = (day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    let midnight = Timestamp::parse(&format!("{year}-{month}-{day}T00:00:00Z")).ok()?;
    Some((app, now.since(midnight) > DAY + KEPT))
}

fn mark(layers: &[String]) -> String {
    let digest = digest_of(layers.join(" ").as_bytes());
    digest.trim_start_matches("sha256:").chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> AppName {
        AppName::parse("my-shop").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn what_arrived_is_named_by_its_chain() {
        let layers = ["sha256:a", "sha256:b", "sha256:c"].map(str::to_owned);
        let now = at("2026-11-28T23:59:59.5Z");
        let two = name(&app(), &layers[..2], now);
        assert!(two.starts_with("arcane/my-shop:partial-20261128-"), "{two}");
        assert_eq!(two, name(&app(), &[layers[0].clone(), layers[1].clone()], at("2026-11-28T00:00:00Z")));
        assert_ne!(two, name(&app(), &layers, now));
        let marks: BTreeSet<String> = [mark(&layers[..2])].into();
        assert!(is_marked(&two, &marks) && !is_marked(&name(&app(), &layers, now), &marks));
    }

    #[test]
    fn an_upload_is_given_up_after_a_whole_day() {
        let name = name(&app(), &["sha256:a".to_owned()], at("2026-11-28T23:00:00Z"));
        for (now, given_up) in
            [("2026-11-28T23:00:00Z", false), ("2026-11-29T23:00:00Z", false), ("2026-11-30T00:00:01Z", true)]
        {
            assert_eq!(upload(&name, at(now)), Some((app(), given_up)), "{now}");
        }
        // A clock that was wrong gives nothing up.
        assert_eq!(upload(&name, Timestamp::EPOCH), Some((app(), false)));
        for foreign in [
            "arcane/shop:20261128-184203-3f2c",
            "arcane/shop:partial-",
            "arcane/shop:partial-2026112é-x",
            "arcane/shop:partial-20261399-x",
            "other/shop:partial-20261128-x",
            "arcane/Shop!:partial-20261128-x",
        ] {
            assert_eq!(upload(foreign, at("2027-01-01T00:00:00Z")), None, "{foreign}");
        }
    }
}
