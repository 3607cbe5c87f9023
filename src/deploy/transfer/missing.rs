//! Which layers of an image a host lacks.
//!
//! An engine keeps a layer by its whole chain: the same layer above another one is a different thing to it. So a host
//! has the lowest layers of an image up to some height, namely as many as one of its images begins with.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::deploy::error::Error;
use crate::deploy::remote::Remote;
use crate::docker::{Engine, Image};

/// Images that are asked about at once.
const AT_ONCE: usize = 8;

/// What a host has of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking {
    /// Whether the image itself is there.
    pub has_image: bool,
    /// How many of its lowest layers are there.
    pub have: usize,
    /// Layers that are not there.
    pub layers: usize,
    /// About how many bytes these are, unpacked; nothing is left out.
    pub bytes: u64,
    /// About how many bytes the largest of them is.
    pub largest: u64,
}

/// Looks what a host has of an image of this machine's engine.
///
/// # Errors
/// When either engine does not answer.
pub async fn look(local: &Engine, remote: &Remote, image: &Image) -> Result<Lacking, Error> {
    let there = remote.engine.image(&image.id).await?;
    let all = image.layers.len();
    if there.is_some() {
        return Ok(Lacking { has_image: true, have: all, layers: 0, bytes: 0, largest: 0 });
    }
    let (have, sizes) =
        futures_util::try_join!(present(remote, image), async { Ok(local.history_sizes(&image.id).await?) })?;
    let (bytes, largest) = top(&sizes, all - have);
    Ok(Lacking { has_image: false, have, layers: all - have, bytes, largest })
}

/// How many of the lowest layers the host has.
async fn present(remote: &Remote, image: &Image) -> Result<usize, Error> {
    let images = remote.engine.list_images(None).await?;
    let heights: Vec<usize> = stream::iter(images)
        .map(async |listed| remote.engine.image(&listed.id).await)
        .buffer_unordered(AT_ONCE)
        // One that is gone since the listing has nothing.
        .map_ok(|found| found.map_or(0, |found| height(&image.layers, &found.layers)))
        .try_collect()
        .await?;
    Ok(heights.into_iter().max().unwrap_or_default())
}

/// How many layers two images have in common, from the lowest.
fn height(one: &[String], other: &[String]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// About how many bytes the uppermost layers have together, and the largest of them, by an image's history, the newest
/// step first. A step that changed nothing and a layer without a file both count 0: such steps are passed over, so a
/// layer too many may be counted, never one too few.
fn top(sizes: &[u64], layers: usize) -> (u64, u64) {
    let counted = sizes.iter().copied().filter(|size| *size > 0).take(layers);
    counted.fold((0, 0), |(sum, largest), size| (sum + size, largest.max(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_counts_only_on_top_of_its_whole_chain() {
        let layers = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        for (image, there, expected) in [
            ("abc", "abc", 3),
            ("abc", "abd", 2),
            ("abc", "abcd", 3),
            ("abc", "ab", 2),
            // The same layers under another parent.
            ("abc", "xbc", 0),
            ("abc", "bc", 0),
            ("aab", "ab", 1),
            ("", "ab", 0),
        ] {
            assert_eq!(height(&layers(image), &layers(there)), expected, "{image} {there}");
        }
    }

    #[test]
    fn what_is_missing_is_never_thought_smaller_than_it_is() {
        // The newest first: a layer of 5, a step without files, one of 70, the base of 100.
        let history = [5, 0, 70, 100];
        assert_eq!(top(&history, 1), (5, 5));
        assert_eq!(top(&history, 2), (75, 70));
        assert_eq!(top(&history, 3), (175, 100));
        assert_eq!(top(&history, 0), (0, 0));
    }
}
