//! The record of a release, kept in the labels of its container: whoever can reach the host can see what runs, who
//! put it there, and bring it back, without any file of ours.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fleet::{App, AppName, Profile, ReleaseId, SpecDigest, Timestamp};

/// Marks a container as ours, and says of which app.
pub const APP: &str = "arcane.app";
const RELEASE: &str = "arcane.release";
const SPEC: &str = "arcane.spec";
const SETTINGS: &str = "arcane.settings";
const IMAGE: &str = "arcane.image";
const BY: &str = "arcane.by";
const AT: &str = "arcane.at";
const STRATEGY: &str = "arcane.strategy";
const ENVIRONMENT: &str = "arcane.environment";
const SLOT: &str = "arcane.slot";
const MIGRATED: &str = "arcane.migrated";
const PAST: &str = "arcane.past";

/// How much of the releases before is carried, in bytes: a label is read with every look at a container.
const MOST_PAST: usize = 64 * 1024;

/// What a container's labels say of its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which release.
    pub release: ReleaseId,
    /// Digest of image and settings.
    pub spec: SpecDigest,
    /// The app as it was declared for this release.
    pub app: App,
    /// The image as the app's owner calls it.
    pub image: String,
    /// Who pushed it, as `user@machine`.
    pub by: String,
    /// When it was pushed, by the pusher's clock.
    pub at: Timestamp,
    /// The environment it was pushed for, if any was named.
    pub environment: Option<String>,
    /// The port of the host that it has as its slot, when it is swapped blue/green.
    pub slot: Option<u16>,
    /// The newest release up to this one that changed the app's data for good.
    pub migrated: Option<ReleaseId>,
    /// The releases before it, in the order in which they would be gone back to. They carry none themselves.
    pub past: Vec<Record>,
}

/// Labels that claim to be ours but cannot be understood: made by a newer version, or by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label {label} {problem}")]
pub struct LabelError {
    /// Which label.
    pub label: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Record {
    /// The port of the host that leads to the release's container, when one does.
    #[must_use]
    pub fn host_port(&self) -> Option<u16> {
        self.slot.or(self.app.publish)
    }

    /// What the container with these labels is.
    #[must_use]
    pub fn profile(&self, labels: &BTreeMap<String, String>) -> Profile {
        Profile {
            environment: self.environment.clone(),
            ..Profile::new(&self.image, labels, self.app.role.clone())
        }
    }

    /// As labels for a container.
    #[must_use]
    pub fn to_labels(&self) -> BTreeMap<String, String> {
        let settings = serde_json::to_string(&self.app).unwrap_or_default();
        let mut labels = BTreeMap::from(
            [
                (APP, self.app.name.to_string()),
                (RELEASE, self.release.to_string()),
                (SPEC, self.spec.0.clone()),
                (SETTINGS, settings),
                (IMAGE, self.image.clone()),
                (BY, self.by.clone()),
                (AT, self.at.to_string()),
                (STRATEGY, self.app.strategy.to_string()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        // Empty when there is none: a label that is left out would be the image's, if it has one of that name.
        let text = |value: Option<String>| value.unwrap_or_default();
        labels.insert(ENVIRONMENT.to_owned(), text(self.environment.clone()));
        labels.insert(SLOT.to_owned(), text(self.slot.map(|slot| slot.to_string())));
        labels.insert(MIGRATED.to_owned(), text(self.migrated.as_ref().map(ToString::to_string)));
        labels.insert(
            PAST.to_owned(),
            if self.past.is_empty() { String::new() } else { past_to_text(&self.past) },
        );
        labels
    }

    /// Reads a container's labels.
    ///
    /// # Errors
    /// When one is missing or malformed. Labels are written by whoever may use the engine, so nothing is assumed.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Result<Self, LabelError> {
        let get = |label: &'static str| {
            labels.get(label).ok_or(LabelError { label, problem: "is missing".to_owned() })
        };
        let malformed = |label: &'static str| {
            move |error: &dyn std::error::Error| LabelError {
                label,
                problem: format!("cannot be read: {error}"),
            }
        };
        let given = |label| labels.get(label).filter(|text| !text.is_empty());
        let name = AppName::parse(get(APP)?).map_err(|error| malformed(APP)(&error))?;
        let app: App = serde_json::from_str(get(SETTINGS)?).map_err(|error| malformed(SETTINGS)(&error))?;
        if app.name != name {
            return Err(LabelError { label: SETTINGS, problem: "is of another app".to_owned() });
        }
        Ok(Self {
            release: ReleaseId::parse(get(RELEASE)?).map_err(|error| malformed(RELEASE)(&error))?,
            spec: SpecDigest(get(SPEC)?.clone()),
            app,
            image: get(IMAGE)?.clone(),
            by: get(BY)?.clone(),
            at: Timestamp::parse(get(AT)?).map_err(|error| malformed(AT)(&error))?,
            environment: given(ENVIRONMENT).cloned(),
            slot: given(SLOT)
                .map(|slot| slot.parse().map_err(|error| malformed(SLOT)(&error)))
                .transpose()?,
            migrated: given(MIGRATED).and_then(|text| ReleaseId::parse(text).ok()),
            past: given(PAST).map(|text| past_from_text(text, &name)).unwrap_or_default(),
        })
    }
}

fn past_to_text(past: &[Record]) -> String {
    let mut entries = Vec::new();
    let mut size = 0;
    for record in past {
        let labels = Record { past: Vec::new(), ..record.clone() }.to_labels();
        let entry = serde_json::to_string(&labels).unwrap_or_default();
        size += entry.len() + 1;
        if size > MOST_PAST {
            break;
        }
        entries.push(entry);
    }
    format!("[{}]", entries.join(","))
}

/// The releases before. One that cannot be understood is lost, and takes nothing else with it.
fn past_from_text(text: &str, app: &AppName) -> Vec<Record> {
    let entries: Vec<Value> = Some(text)
        .filter(|text| text.len() <= 2 * MOST_PAST)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let read = |entry| {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(entry).ok()?;
        labels.remove(PAST);
        Record::from_labels(&labels).ok().filter(|record| record.app.name == *app)
    };
    entries.into_iter().filter_map(read).collect()
}

/// The digest of everything that makes one release differ from another: the image's content and the app's settings.
/// Where the image was built and where the app goes do not count.
#[must_use]
pub fn spec_digest(app: &App, image_id: &str) -> SpecDigest {
    digest(serde_json::to_value(app).unwrap_or(Value::Null), image_id)
}

/// Whether a container with these labels is of the image that the release was made of. Judged by the labels as they
/// stand there: a newer version of ours may have written more than is understood here.
#[must_use]
pub(super) fn image_fits(record: &Record, labels: &BTreeMap<String, String>, image_id: &str) -> bool {
    let settings = labels.get(SETTINGS).and_then(|text| serde_json::from_str(text).ok());
    settings.is_some_and(|settings| digest(settings, image_id) == record.spec)
}

pub(super) fn digest(mut settings: Value, image_id: &str) -> SpecDigest {
    if let Some(fields) = settings.as_object_mut() {
        fields.remove("source");
        fields.remove("to");
    }
    // serde_json's maps are ordered by key, so equal settings give equal bytes.
    let digest = Sha256::new().chain_update(image_id).chain_update([0]).chain_update(settings.to_string());
    SpecDigest(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::app;

    fn record() -> Record {
        let app = app("shop");
        Record {
            release: ReleaseId::parse("20261125-184203-3f2c").unwrap(),
            spec: spec_digest(&app, "sha256:1"),
            app,
            image: "shop:1.4".to_owned(),
            by: "ada@laptop".to_owned(),
            at: Timestamp::from_seconds(1_000),
            environment: Some("staging".to_owned()),
            slot: Some(8001),
            migrated: None,
            past: Vec::new(),
        }
    }

    #[test]
    fn the_releases_before_survive_too_and_a_broken_one_takes_nothing_with_it() {
        let older = Record { migrated: Some(record().release), environment: None, ..record() };
        let carried =
            Record { past: vec![older.clone(), record()], migrated: older.migrated.clone(), ..record() };
        let mut labels = carried.to_labels();
        assert_eq!(Record::from_labels(&labels), Ok(carried.clone()));
        let text = labels[PAST].replacen("release\":\"20261125-184203-3f2c", "release\":\"latest", 1);
        labels.insert(PAST.to_owned(), text);
        assert_eq!(Record::from_labels(&labels).unwrap().past, [record()]);
        for hostile in ["", "{}", "[[]]", "[7]", &format!("[{}]", "[".repeat(100_000))] {
            labels.insert(PAST.to_owned(), hostile.to_owned());
            assert_eq!(
                Record::from_labels(&labels).unwrap().past,
                [],
                "{}",
                &hostile[..hostile.len().min(9)]
            );
        }
        let many = Record { past: vec![older; 1_000], ..carried };
        assert!(many.to_labels()[PAST].len() <= MOST_PAST + 2);
    }

    #[test]
    fn a_record_survives_its_labels() {
        let labels: BTreeMap<_, _> = record().to_labels().into_iter().collect();
        assert_eq!(Record::from_labels(&labels), Ok(record()));
    }

    #[test]
    fn an_image_cannot_add_to_a_record() {
        let plain = Record { environment: None, slot: None, ..record() };
        // What an engine makes of a container's labels: the image's, and the container's own over them.
        let image = Record { migrated: Some(record().release), past: vec![record()], ..record() };
        let mut labels = image.to_labels();
        labels.extend(plain.to_labels());
        assert_eq!(Record::from_labels(&labels), Ok(plain));
    }

    #[test]
    fn labels_made_by_hand_are_refused_by_name() {
        for (label, value) in [
            (RELEASE, "latest"),
            (SETTINGS, "{}"),
            (AT, "noon"),
            (SLOT, "8001; id"),
            (APP, "a'b"),
            (APP, "other"),
        ] {
            let mut labels: BTreeMap<_, _> = record().to_labels().into_iter().collect();
            labels.insert(label.to_owned(), value.to_owned());
            let error = Record::from_labels(&labels).unwrap_err();
            assert!(error.label == label || value == "other", "{error}");
        }
        assert_eq!(
            Record::from_labels(&BTreeMap::new()).unwrap_err().to_string(),
            "label arcane.app is missing"
        );
    }

    #[test]
    fn the_digest_ignores_where_and_notices_what() {
        let base = app("shop");
        let mut elsewhere = base.clone();
        elsewhere.source = crate::fleet::Source::Build("/elsewhere".into());
        assert_eq!(spec_digest(&base, "sha256:1"), spec_digest(&elsewhere, "sha256:1"));
        let mut other = base.clone();
        other.memory = Some(crate::fleet::MemoryLimit(64 << 20));
        assert_ne!(spec_digest(&base, "sha256:1"), spec_digest(&other, "sha256:1"));
        assert_ne!(spec_digest(&base, "sha256:1"), spec_digest(&base, "sha256:2"));
    }
}
