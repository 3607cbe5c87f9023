//! `arcane prune`: what of ours on a host nobody needs any more. Releases beyond those that are kept, references to images
//! of releases that are gone, uploads that were given up, and the container of a release command that a killed push left.
//!
//! Only our own: a container counts by its labels and its name, an image by a reference `arcane/APP:RELEASE`, and it is the
//! reference that is removed: an image that has another one, or that a container uses, stays. What is live, what the next
//! rollback would bring back and the last release that is known to be good are never surplus.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::event::Step;
use super::labels;
use super::lock::{Holder, Lock, Owner};
use super::oneoff;
use super::push::image_tag;
use super::remote::Remote;
use super::rollback::Request;
use super::secrets;
use super::situation::Situation;
use super::switch::Change;
use super::transfer::upload;
use crate::docker::{Image, ImageSummary};
use crate::fleet::{AppName, ContainerId, ReleaseId, Timestamp};

/// Something that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// Its name: of a container, or the reference of an image.
    pub name: String,
    /// Of which release, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// Bytes of the host's disk that are free once it is gone; those of layers that others use are not counted.
    pub bytes: u64,
    /// Its container, if it has one.
    #[serde(skip)]
    container: Option<ContainerId>,
    /// The reference of its image, if that goes too.
    #[serde(skip)]
    tag: Option<String>,
}

/// The kinds of leftovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A release beyond those that are kept.
    Release,
    /// An image of a release that is gone.
    Image,
    /// Layers of an image of which the rest never came.
    Upload,
    /// The container of a release command.
    OneOff,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Image => "image",
            Self::Upload => "upload",
            Self::OneOff => "one-off",
        }
    }
}

/// Which unfinished uploads nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uploads {
    /// All, for whoever asks for room: one that is under way sends again what it loses.
    All,
    /// Those that nobody has gone on with for a day.
    GivenUp,
}

/// The apps that have anything on a host, be it only images or the container of a release command.
///
/// # Errors
/// When the engine cannot be asked.
pub async fn apps(remote: &Remote) -> Result<BTreeSet<AppName>, Error> {
    let (containers, one_offs, images) = tokio::try_join!(
        remote.engine.list_containers(true, &[labels::APP]),
        remote.engine.list_containers(true, &[oneoff::LABEL]),
        remote.engine.list_images(None),
    )?;
    let named = |label: &'static str| {
        move |container: crate::docker::ContainerSummary| AppName::parse(container.labels.get(label)?).ok()
    };
    let now = crate::clock::now();
    let whose = |tag: &String| ours(tag).map(|(app, _)| app).or_else(|| Some(upload(tag, now)?.0));
    let tagged = images.iter().flat_map(|image| &image.tags).filter_map(whose);
    let labelled = containers.into_iter().filter_map(named(labels::APP));
    Ok(labelled.chain(one_offs.into_iter().filter_map(named(oneoff::LABEL))).chain(tagged).collect())
}

/// What nobody needs of an app on a host, without touching it.
///
/// # Errors
/// [`Error::Unsettled`] after a change that was cut off: what it left may still be needed.
pub async fn look(remote: &Remote, app: &AppName, now: Timestamp) -> Result<Vec<Leftover>, Error> {
    let (mut leftovers, images) = find(remote, app, now, Uploads::All).await?;
    weigh(remote, &images, &mut leftovers).await?;
    Ok(leftovers)
}

/// The same, without what each is worth; and the host's images.
async fn find(
    remote: &Remote,
    app: &AppName,
    now: Timestamp,
    uploads: Uploads,
) -> Result<(Vec<Leftover>, Vec<ImageSummary>), Error> {
    let deployed = remote.app(app).await?;
    let situation = deployed.situation;
    // A container that cannot be understood may be the one that needs them.
    if situation.interruption().is_some() || !deployed.strange.is_empty() {
        return Err(Error::Unsettled { app: app.clone(), host: remote.name().clone() });
    }
    let (images, one_off) = tokio::try_join!(
        async { Ok(remote.engine.list_images(None).await?) },
        oneoff::left_behind(remote, app)
    )?;
    let mut leftovers = judge(app, &situation, &images, now, uploads);
    leftovers.extend(one_off.into_iter().map(|container| Leftover {
        kind: Kind::OneOff,
        name: container.name,
        release: None,
        bytes: 0,
        container: Some(container.id),
        tag: None,
    }));
    Ok((leftovers, images))
}

/// Removes what nobody needs any more now that a release is live, under the lock of its push. A failure here does not undo
/// a success: what is left is removed after the next push.
pub(super) async fn tidy(change: &Change<'_>) {
    let found = find(change.remote, &change.app.name, crate::clock::now(), Uploads::GivenUp).await;
    let Ok((leftovers, _)) = found else { return };
    if !leftovers.is_empty() {
        if change.lock.check(change.remote.name()).await.is_err() {
            return;
        }
        let _ = wipe(change.remote, &change.app.name, &leftovers).await;
    }
    for leftover in leftovers {
        if change.guarded(Step::Tidy, leftover.name.as_str()).await.is_err() {
            return;
        }
        let _ = remove(change.remote, &leftover).await;
    }
}

/// Removes what nobody needs of an app, under the deploy lock. Returns what it was.
///
/// # Errors
/// As [`look`], and when the lock is held or something cannot be removed; what was removed before is gone.
pub async fn prune(remote: &Remote, request: &Request<'_>) -> Result<Vec<Leftover>, Error> {
    let owner = Owner {
        who: request.by.clone(),
        doing: format!("prune {}", request.app),
        since: request.now,
        pid: std::process::id(),
    };
    let host = remote.name().clone();
    let waiting = |holder: &Holder| {
        (request.report)(super::event::Event::LockWait { host: host.clone(), holder: holder.to_string() });
    };
    let untouched = || Error::Interrupted { state: format!("nothing of {} was removed", request.app) };
    let lock = tokio::select! {
        lock = Lock::acquire(&remote.session, &owner, request.wait, &waiting) => lock?,
        () = request.cancel.cancelled() => return Err(untouched()),
    };
    let result = async {
        let leftovers = look(remote, request.app, request.now).await?;
        wipe(remote, request.app, &leftovers).await?;
        for (index, leftover) in leftovers.iter().enumerate() {
            if request.cancel.is_cancelled() {
                let state =
                    format!("{index} of {} leftovers of {} were removed", leftovers.len(), request.app);
                return Err(Error::Interrupted { state });
            }
            lock.check(remote.name()).await?;
            remove(remote, leftover).await?;
        }
        Ok(leftovers)
    }
    .await;
    lock.release().await;
    result
}

/// Wipes the secrets of releases that go, and of those that went in another way.
async fn wipe(remote: &Remote, app: &AppName, leftovers: &[Leftover]) -> Result<(), Error> {
    let situation = remote.app(app).await?.situation;
    let images = leftovers.iter().filter(|leftover| leftover.kind == Kind::Image);
    let going = secrets::Going {
        containers: leftovers.iter().filter_map(|leftover| leftover.container.as_ref()).collect(),
        images: images.filter_map(|leftover| leftover.release.as_ref()).collect(),
    };
    secrets::wipe(remote, app, &situation, &going).await
}

async fn remove(remote: &Remote, leftover: &Leftover) -> Result<(), Error> {
    match (&leftover.container, leftover.kind) {
        // Its volumes stay, as when a push tidies.
        (Some(container), Kind::Release) => remote.engine.remove(&container.0).await?,
        (Some(container), _) => remote.engine.discard(&container.0).await?,
        (None, _) => {}
    }
    if let Some(tag) = &leftover.tag {
        remote.engine.remove_image(tag).await?;
    }
    Ok(())
}

/// The app and release that a reference of ours is for.
fn ours(tag: &str) -> Option<(AppName, ReleaseId)> {
    let (repository, release) = tag.rsplit_once(':')?;
    let app = repository.strip_prefix("arcane/")?;
    Some((AppName::parse(app).ok()?, ReleaseId::parse(release).ok()?))
}

fn judge(
    app: &AppName,
    situation: &Situation,
    images: &[ImageSummary],
    now: Timestamp,
    uploads: Uploads,
) -> Vec<Leftover> {
    let surplus = situation.surplus(now);
    let mut leftovers: Vec<_> = surplus
        .iter()
        .map(|found| Leftover {
            kind: Kind::Release,
            name: found.name.clone(),
            release: Some(found.record.release.clone()),
            bytes: 0,
            container: Some(found.id.clone()),
            tag: Some(image_tag(app, &found.record.release)),
        })
        .collect();
    // A release whose container somebody removed can be made anew from its image, as long as it would be kept.
    let keep = situation.live.as_ref().map_or(0, |live| live.record.app.keep);
    let room = keep.saturating_sub(situation.restorable().count() - surplus.len());
    let forgotten = situation.forgotten().into_iter().take(room).map(|record| &record.release);
    let here = situation.all().map(|found| &found.record.release);
    let needed: BTreeSet<&ReleaseId> = here.chain(forgotten).collect();
    let tags = images.iter().flat_map(|image| &image.tags);
    leftovers.extend(tags.filter_map(|tag| {
        let (kind, release) = match (ours(tag), upload(tag, now)) {
            (Some((of, release)), _) if of == *app && !needed.contains(&release) => {
                (Kind::Image, Some(release))
            }
            (_, Some((of, given_up))) if of == *app && (given_up || uploads == Uploads::All) => {
                (Kind::Upload, None)
            }
            _ => return None,
        };
        Some(Leftover { kind, name: tag.clone(), release, bytes: 0, container: None, tag: Some(tag.clone()) })
    }));
    leftovers
}

/// Finds out what each leftover is worth: the layers that no image uses that stays, each counted once.
async fn weigh(remote: &Remote, images: &[ImageSummary], leftovers: &mut [Leftover]) -> Result<(), Error> {
    let going: BTreeSet<&String> = leftovers.iter().filter_map(|leftover| leftover.tag.as_ref()).collect();
    let removed: BTreeSet<&ContainerId> = leftovers.iter().filter_map(|it| it.container.as_ref()).collect();
    if going.is_empty() {
        return Ok(());
    }
    let containers = remote.engine.list_containers(true, &[]).await?;
    let used: BTreeSet<&String> = containers
        .iter()
        .filter(|container| !removed.contains(&container.id))
        .map(|container| &container.image_id)
        .collect();
    let goes = |image: &&ImageSummary| {
        !image.tags.is_empty()
            && image.tags.iter().all(|tag| going.contains(tag))
            && !used.contains(&image.id)
    };
    let (gone, staying): (Vec<_>, Vec<_>) = images.iter().partition(goes);
    let mut counted = BTreeSet::new();
    for image in staying {
        if let Some(image) = remote.engine.image(&image.id).await? {
            counted.extend(chains(&image));
        }
    }
    let mut worth: BTreeMap<String, u64> = BTreeMap::new();
    for summary in gone {
        let Some(image) = remote.engine.image(&summary.id).await? else { continue };
        let sizes = remote.engine.layer_sizes(&image).await?;
        let freed = chains(&image).into_iter().zip(sizes).filter(|(chain, _)| counted.insert(chain.clone()));
        let bytes = freed.map(|(_, bytes)| bytes).sum();
        // With several references it goes with the last; which one that is makes no difference to the sum.
        worth.extend(summary.tags.first().map(|tag| (tag.clone(), bytes)));
    }
    for leftover in leftovers {
        leftover.bytes = leftover.tag.as_ref().and_then(|tag| worth.get(tag)).copied().unwrap_or(0);
    }
    Ok(())
}

/// What identifies each layer of an image together with all below it, the lowest first: an engine keeps those once.
fn chains(image: &Image) -> Vec<String> {
    let mut chain = String::new();
    let next = |layer: &String| {
        let digest = Sha256::new().chain_update(&chain).chain_update(b" ").chain_update(layer).finalize();
        chain = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        chain.clone()
    };
    image.layers.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::sample::found;

    fn app() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn image(id: &str, tags: &[&str]) -> ImageSummary {
        ImageSummary {
            id: id.to_owned(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            labels: BTreeMap::new(),
            size: 0,
            created: Timestamp::EPOCH,
        }
    }

    fn tag(release: u16) -> String {
        image_tag(&app(), &found("x", release, false).record.release)
    }

    #[track_caller]
    fn check(containers: &[(&str, u16, bool)], keep: usize, images: &[ImageSummary], expected: &[&str]) {
        let containers = containers.iter().map(|(name, release, running)| {
            let mut found = found(name, *release, *running);
            found.record.app.keep = keep;
            // Nothing is proved, so nothing is kept beyond `keep`.
            found.record.app.prove = std::time::Duration::MAX;
            found
        });
        let situation = Situation::of(&app(), containers);
        let leftovers = judge(&app(), &situation, images, Timestamp::from_seconds(10_000), Uploads::GivenUp);
        let names: Vec<_> = leftovers.iter().map(|leftover| leftover.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn only_references_of_ours_to_releases_that_are_gone_are_leftovers() {
        let images = [
            image("sha256:1", &[&tag(1)]),
            image("sha256:2", &[&tag(2), "shop:2"]),
            image("sha256:3", &[&tag(3)]),
            // Somebody else's, or the one that a build on this very machine makes.
            image("sha256:4", &["arcane/shop:latest", "arcane/shop:v1", "shop:20261125-000009-0009"]),
            image(
                "sha256:5",
                &["arcane/bank:20261125-000001-0001", "mirror/arcane/shop:20261125-000001-0001"],
            ),
            image("sha256:6", &[]),
            // Midnight of the test's day is less than two days ago.
            image("sha256:7", &["arcane/shop:partial-19700101-0123456789abcdef"]),
        ];
        check(&[("shop", 3, true), ("shop_old", 2, false)], 3, &images, &[&tag(1)]);
        // Of an app that is gone altogether.
        check(&[], 3, &images, &[&tag(1), &tag(2), &tag(3)]);
        let kept = "shop_20261125-000001-0001";
        check(&[("shop", 3, true), ("shop_old", 2, false), (kept, 1, false)], 1, &images, &[kept]);
        check(&[("shop", 3, true), ("shop_old", 2, false), (kept, 1, false)], 2, &images, &[]);
    }

    #[test]
    fn an_upload_that_was_given_up_is_a_leftover() {
        let of = |app: &str| image("sha256:1", &[&format!("arcane/{app}:partial-19691201-0123456789abcdef")]);
        check(
            &[("shop", 3, true)],
            3,
            &[of("shop"), of("bank")],
            &["arcane/shop:partial-19691201-0123456789abcdef"],
        );
    }

    #[test]
    fn an_image_from_which_a_kept_release_can_be_made_anew_stays() {
        let before = Situation::of(
            &app(),
            [
                found("shop", 3, true),
                found("shop_old", 2, false),
                found("shop_20261125-000001-0001", 1, false),
            ],
        );
        let mut live = found("shop", 4, true);
        live.record.past = before.past(3);
        let images: Vec<_> = (1..=4).map(|n| image(&format!("sha256:{n}"), &[&tag(n)])).collect();
        for (keep, expected) in [(3, &[][..]), (2, &[1][..]), (0, &[1, 2, 3])] {
            live.record.app.keep = keep;
            let situation = Situation::of(&app(), [live.clone()]);
            let leftovers = judge(&app(), &situation, &images, Timestamp::from_seconds(10_000), Uploads::All);
            let names: Vec<_> = leftovers.into_iter().map(|leftover| leftover.name).collect();
            assert_eq!(names, expected.iter().map(|&n| tag(n)).collect::<Vec<_>>(), "keep {keep}");
        }
    }

    #[test]
    fn a_layer_is_told_by_all_that_is_below_it() {
        let of = |layers: &[&str]| {
            let image = Image {
                id: String::new(),
                architecture: String::new(),
                os: String::new(),
                size: 0,
                tags: Vec::new(),
                layers: layers.iter().map(|&layer| layer.to_owned()).collect(),
                has_healthcheck: false,
                healthcheck: Vec::new(),
                shell: Vec::new(),
                labels: BTreeMap::new(),
                entrypoint: Vec::new(),
                command: Vec::new(),
                created: None,
            };
            chains(&image)
        };
        assert_eq!(of(&["a", "b", "c"])[..2], of(&["a", "b"])[..]);
        assert_ne!(of(&["b", "a"])[1], of(&["a"])[0]);
        assert_ne!(of(&["c", "b"])[1], of(&["a", "b"])[1]);
    }
}
