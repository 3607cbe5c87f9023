//! The tar stream that an engine loads, with the layers it has left out. Pure: names, headers, descriptions.
//!
//! The classic store reads `manifest.json`, whose `Layers` must name a file for every layer, but opens only those
//! whose chain it lacks. The containerd store reads `index.json`. Both come after the layers, and last the one that
//! the host reads first: a stream that breaks off is never a whole image.

use serde_json::{Value, json};

use super::pack::digest_of;
use crate::docker::tar;
pub(super) use crate::docker::tar::padding;

/// Which layout a host's store reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Classic,
    Containerd,
}

/// One image of the layers up to some height, as a host's engine is told of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description<'a> {
    /// The image's configuration, byte for byte.
    pub(super) config: &'a [u8],
    /// The digests of its layers and their unpacked sizes; 0 for one that is left out.
    pub(super) layers: &'a [(String, u64)],
    /// `repository:tag` that the image gets.
    pub(super) name: Option<&'a str>,
}

/// The path of a blob in the tar.
fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// The header before a layer.
pub(super) fn layer_header(digest: &str, size: u64) -> Vec<u8> {
    tar::header(&path(digest), size).to_vec()
}

/// Everything that comes after the layers: the description, and the end of the tar.
pub(super) fn ending(store: Store, image: &Description<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    let config = digest_of(image.config);
    tar::file(&mut stream, &path(&config), image.config);
    if store == Store::Containerd {
        let (manifest, index) = oci(image, &config);
        tar::file(&mut stream, &path(&digest_of(&manifest)), &manifest);
        tar::file(&mut stream, "index.json", &index);
        tar::file(&mut stream, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    }
    let names: Vec<_> = image.layers.iter().map(|(digest, _)| path(digest)).collect();
    let manifest =
        json!([{ "Config": path(&config), "RepoTags": image.name.map(|name| [name]), "Layers": names }]);
    tar::file(&mut stream, "manifest.json", manifest.to_string().as_bytes());
    stream.extend_from_slice(&tar::end());
    stream
}

/// The configuration of an image that holds these layers and is never run: what arrived before the rest did.
pub(super) fn partial_config(os: &str, architecture: &str, layers: &[String]) -> Vec<u8> {
    let config = json!({
        "architecture": architecture, "os": os, "config": {},
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": layers.iter().map(|_| json!({ "created_by": "arcane push, not finished yet" })).collect::<Vec<_>>(),
    });
    config.to_string().into_bytes()
}

fn oci(image: &Description<'_>, config: &str) -> (Vec<u8>, Vec<u8>) {
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    let layer =
        |(digest, size): &(String, u64)| json!({ "mediaType": LAYER, "digest": digest, "size": size });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": image.config.len(),
        },
        "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let mut descriptor = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest_of(&manifest), "size": manifest.len(),
    });
    if let Some(name) = image.name {
        let tag = name.rsplit(':').next().unwrap_or(name);
        descriptor["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/{name}"), "org.opencontainers.image.ref.name": tag,
        });
    }
    let index: Value = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    (manifest, index.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// What tar(1) makes of it.
    fn listed(tar: &[u8]) -> String {
        use std::io::Write as _;
        let mut child = Command::new("tar")
            .args(["-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(tar).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn tar_reads_what_we_write() {
        let layers = [("sha256:aa".to_owned(), 0), ("sha256:bb".to_owned(), 700)];
        let image = Description { config: b"{}", layers: &layers, name: Some("arcane/shop:1") };
        let mut tar = layer_header("sha256:bb", 700);
        tar.extend_from_slice(&[b'x'; 700]);
        tar.extend_from_slice(&padding(700));
        tar.extend_from_slice(&ending(Store::Containerd, &image));
        let listed = listed(&tar);
        let names: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(names[0], "blobs/sha256/bb");
        assert_eq!((names[names.len() - 1], names.len()), ("manifest.json", 6));
        assert!(listed.contains(" 700 "), "{listed}");
        let text = String::from_utf8_lossy(&tar);
        assert!(text.contains(r#""Layers":["blobs/sha256/aa","blobs/sha256/bb"]"#), "every layer is named");
        assert!(text.contains(r#""RepoTags":["arcane/shop:1"]"#));
    }

    #[test]
    fn a_layer_beyond_8_gib_keeps_its_size() {
        let header = layer_header("sha256:aa", 9 << 30);
        assert_eq!(header[124], 0x80);
        assert_eq!(u64::from_be_bytes(header[128..136].try_into().unwrap()), 9 << 30);
        assert_eq!((padding(512).len(), padding(513).len()), (0, 511));
    }
}
