//! The tar stream that an engine loads, with the layers it has left out. Pure: names, headers, descriptions.
//!
//! The classic store reads `manifest.json`, whose `Layers` must name a file for every layer, but opens only those
//! whose chain it lacks. The containerd store reads `index.json`. Both come after the layers, and last the one that
//! the host reads first: a stream that breaks off is never a whole image.

use serde_json::{Value, json};

use super::pack::digest_of;

/// Tar counts in blocks of this many bytes.
const BLOCK: u64 = 512;
/// The largest size that fits the classic header field: eleven octal digits.
const OCTAL_MAX: u64 = 0o777_7777_7777;

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
    header(&path(digest), size).to_vec()
}

/// The zeros after a file of this size.
pub(super) fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or_default()]
}

/// Everything that comes after the layers: the description, and the end of the tar.
pub(super) fn ending(store: Store, image: &Description<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    let config = digest_of(image.config);
    file(&mut tar, &path(&config), image.config);
    if store == Store::Containerd {
        let (manifest, index) = oci(image, &config);
        file(&mut tar, &path(&digest_of(&manifest)), &manifest);
        file(&mut tar, "index.json", &index);
        file(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    }
    let names: Vec<_> = image.layers.iter().map(|(digest, _)| path(digest)).collect();
    let manifest =
        json!([{ "Config": path(&config), "RepoTags": image.name.map(|name| [name]), "Layers": names }]);
    file(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    tar.extend_from_slice(&[0; 2 * BLOCK as usize]);
    tar
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

fn file(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    let size = content.len() as u64;
    tar.extend_from_slice(&header(name, size));
    tar.extend_from_slice(content);
    tar.extend_from_slice(&padding(size));
}

/// A header of the ustar format for an ordinary file. Our names are short.
fn header(name: &str, size: u64) -> [u8; BLOCK as usize] {
    let mut header = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = header.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size <= OCTAL_MAX {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // Beyond 8 GiB: big-endian binary, marked by the highest bit.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let checksum = format!("{sum:06o}\0 ");
    header[148..156].copy_from_slice(checksum.as_bytes());
    header
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
