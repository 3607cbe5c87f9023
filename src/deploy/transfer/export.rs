//! The image as this machine's engine exports it: all of it, of which only the wanted layers are kept.
//!
//! Engines up to 24 name a layer's directory after a digest over its chain and the description beside it, newer ones
//! name its file after its content. Either tells a layer before its first byte, so that those the host has are passed
//! over unread. A layer that neither tells is packed, and known by its content at the end.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::value::{RawValue, to_raw_value};

use super::pack::{self, Form, Pace, digest_of, pack};
use super::shelf::Shelf;
use super::spool::Spool;
use super::unpack::unpacked;
use crate::docker::{Engine, Image};

/// Files up to this size are descriptions, or layers so small that holding them costs nothing.
const SMALL: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Exports the image and puts the wanted layers on the shelf.
///
/// # Errors
/// When the engine fails, its export is no tar, or it lacks something that is wanted.
pub(super) async fn run(
    local: &Engine,
    image: &Image,
    shelf: &Shelf,
    form: Form,
    pace: &Pace,
) -> Result<(), String> {
    let export = local.export_image(&image.id).await.map_err(|error| error.to_string())?;
    let mut tar = Tar::new(export.map(|chunk| chunk.map_err(|error| error.to_string())));
    let mut names = Names::new(&image.layers);
    while let Some(entry) = tar.next().await? {
        let known = names.layer(&entry.name);
        if known.as_ref().is_some_and(|digest| !shelf.wants(digest)) || entry.size == 0 {
            tar.skip(entry.size).await?;
        } else if known.is_none() && entry.size <= SMALL {
            let bytes = tar.whole(entry.size).await?;
            names.learn(&entry.name, &bytes);
            if bytes.first() == Some(&b'{') {
                shelf.offer_config(&bytes);
            } else {
                layer(shelf, known, bytes.len() as u64, stream::iter([Ok(bytes)]), form, pace).await?;
            }
        } else {
            layer(shelf, known, entry.size, tar.file(entry.size), form, pace).await?;
        }
    }
    match shelf.lacks() {
        None => Ok(()),
        Some(what) => Err(format!("this machine's engine exported the image without {what}")),
    }
}

async fn layer<S>(
    shelf: &Shelf,
    known: Option<String>,
    size: u64,
    chunks: S,
    form: Form,
    pace: &Pace,
) -> Result<(), String>
where
    S: Stream<Item = Result<Bytes, String>>,
{
    let spool = Spool::new(known.is_some().then_some(size)).map_err(|error| pack::cannot_spool(&error))?;
    if let Some(digest) = &known {
        shelf.put(digest, &spool);
    }
    let (digest, size) = pack(unpacked(chunks), &spool, form, pace).await?;
    if known.as_ref().is_some_and(|known| *known != digest) {
        return Err(format!("this machine's engine exported {digest} as {}", known.unwrap_or_default()));
    }
    spool.end(size);
    shelf.put(&digest, &spool);
    Ok(())
}

/// Tells layers by the names of their files.
struct Names {
    /// Chain by chain, the lowest first: its id, and the layer on top of it.
    chains: Vec<(String, String)>,
    /// Directories whose description was understood.
    directories: HashMap<String, String>,
}

impl Names {
    fn new(layers: &[String]) -> Self {
        let mut chains: Vec<(String, String)> = Vec::new();
        for layer in layers {
            let chain = match chains.last() {
                None => layer.clone(),
                Some((below, _)) => digest_of(format!("{below} {layer}").as_bytes()),
            };
            chains.push((chain, layer.clone()));
        }
        Self { chains, directories: HashMap::new() }
    }

    /// The layer that a file of this name is.
    fn layer(&self, name: &str) -> Option<String> {
        if let Some(hash) = name.strip_prefix("blobs/sha256/") {
            let digest = format!("sha256:{hash}");
            return self.chains.iter().any(|(_, layer)| *layer == digest).then_some(digest);
        }
        self.directories.get(name.strip_suffix("/layer.tar")?).cloned()
    }

    /// Reads the description `DIRECTORY/json`. The directory is called after the digest of that description, without
    /// its own name and with the id of the chain: the chain for which that comes out is the one.
    fn learn(&mut self, name: &str, description: &[u8]) {
        let Some(directory) = name.strip_suffix("/json") else { return };
        // Sorted, as the engine sorts them; what is in them stays as it wrote it.
        let Ok(mut fields) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(description) else {
            return;
        };
        fields.remove("id");
        if let Some(parent) = fields.get_mut("parent")
            && let Ok(hash) = serde_json::from_str::<String>(parent.get())
            && let Ok(digest) = to_raw_value(&format!("sha256:{hash}"))
        {
            *parent = digest;
        }
        let mut without_os = fields.clone();
        // It was added after the name was made, for every layer but the top one.
        without_os.remove("os");
        for mut fields in [fields, without_os] {
            for (chain, layer) in &self.chains {
                let Ok(id) = to_raw_value(chain) else { return };
                fields.insert("layer_id".to_owned(), id);
                let named = serde_json::to_vec(&fields).map(|json| digest_of(&json)).unwrap_or_default();
                if named.strip_prefix("sha256:") == Some(directory) {
                    self.directories.insert(directory.to_owned(), layer.clone());
                    return;
                }
            }
        }
    }
}

/// One file of the tar.
struct Entry {
    name: String,
    size: u64,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// Reads a tar stream, file by file.
struct Tar {
    chunks: Chunks,
    buffer: BytesMut,
    /// What is left of the file that is being read, with its padding.
    padding: u64,
}

impl Tar {
    fn new(chunks: impl Stream<Item = Result<Bytes, String>> + Send + 'static) -> Self {
        Self { chunks: Box::pin(chunks), buffer: BytesMut::new(), padding: 0 }
    }

    /// The next ordinary file. Everything else, directories and links, is passed over.
    async fn next(&mut self) -> Result<Option<Entry>, String> {
        let (mut long_name, mut long_size) = (None, None);
        loop {
            let padding = std::mem::take(&mut self.padding);
            self.pass(padding).await?;
            if !self.fill(BLOCK).await? {
                return Ok(None);
            }
            let header = self.buffer.split_to(BLOCK);
            if header.iter().all(|byte| *byte == 0) {
                continue;
            }
            let size = number(header.get(124..136).unwrap_or_default())
                .ok_or("this machine's engine exported something that is no tar")?;
            match header.get(156) {
                Some(b'x') => (long_name, long_size) = extended(&self.whole(size.min(SMALL)).await?),
                Some(b'0' | 0) => {
                    let name = long_name.unwrap_or_else(|| text(header.get(..100).unwrap_or_default()));
                    let size = long_size.unwrap_or(size);
                    self.padding = size.next_multiple_of(BLOCK as u64) - size;
                    return Ok(Some(Entry { name, size }));
                }
                _ => self.pass(size.next_multiple_of(BLOCK as u64)).await?,
            }
        }
    }

    /// The whole of a small file.
    async fn whole(&mut self, size: u64) -> Result<Bytes, String> {
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        if !self.fill(length).await? {
            return Err(broken_off());
        }
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Passes over a file.
    async fn skip(&mut self, size: u64) -> Result<(), String> {
        self.pass(size).await
    }

    /// The bytes of a file, as they come.
    fn file(&mut self, size: u64) -> impl Stream<Item = Result<Bytes, String>> {
        stream::try_unfold((self, size), |(tar, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            if tar.buffer.is_empty() && !tar.fill(1).await? {
                return Err(broken_off());
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(tar.buffer.len());
            let bytes = tar.buffer.split_to(length).freeze();
            Ok(Some((bytes, (tar, left - length as u64))))
        })
    }

    async fn pass(&mut self, mut left: u64) -> Result<(), String> {
        while left > 0 {
            if self.buffer.is_empty() && !self.fill(1).await? {
                return Err(broken_off());
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.advance(length);
            left -= length as u64;
        }
        Ok(())
    }

    /// Has so many bytes at hand; `false` when the stream ends before.
    async fn fill(&mut self, length: usize) -> Result<bool, String> {
        while self.buffer.len() < length {
            match self.chunks.next().await.transpose()? {
                // Mostly the buffer is empty: then nothing is copied.
                Some(chunk) if self.buffer.is_empty() => {
                    self.buffer = chunk.try_into_mut().unwrap_or_else(|chunk| BytesMut::from(&chunk[..]));
                }
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn broken_off() -> String {
    "the export of this machine's engine broke off".to_owned()
}

/// A number of a header: octal digits, or binary when its highest bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let low = field.get(4..12)?.try_into().ok()?;
        return Some(u64::from_be_bytes(low));
    }
    let digits = text(field);
    u64::from_str_radix(digits.trim(), 8).ok()
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

/// Name and size in an extended header, whose lines are `LENGTH KEY=VALUE`.
fn extended(bytes: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut name, mut size) = (None, None);
    for line in String::from_utf8_lossy(bytes).lines() {
        match line.split_once(' ').and_then(|(_, record)| record.split_once('=')) {
            Some(("path", value)) => name = Some(value.to_owned()),
            Some(("size", value)) => size = value.parse().ok(),
            _ => {}
        }
    }
    (name, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From an image that Docker 20.10 exported: its layers, and the descriptions of the lowest, one in the middle, and
    /// the top one.
    const LAYERS: [&str; 5] = [
        "sha256:010f5e607f69df9f473b5367b73e17a00755de6842b1ea755f59bf088816a894",
        "sha256:7bf4fbbf914dcbf18eeb25cbc6f166e951c2aabd0d5c065e0de8436ab3ebd6f4",
        "sha256:a95e24cf0c5f10be78a2d7f1181f3882a0617a569b0cb55c74db2c3f003884ca",
        "sha256:ccf2762e7ef1af662101731f50235fccee9175f5b4384b6fe5f3a95840f2028a",
        "sha256:977f88c61cbc3773ab8fa1f0020285b842aa6aa1db543cc6362c6e9ec6b92f8e",
    ];
    const EMPTY: &str = r#""created":"1970-01-01T00:00:00Z","container_config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},"os":"linux"}"#;
    const TOP: &str = r##"{"id":"65cda1143bd8f11f33cb044aa02ab773be6d8d2c6bda3ebd6a946d1584c82865","parent":"f73ba886110093b92662733c403259e85f51cb5908a756956983fb7ae8d77802","created":"2026-11-28T02:17:45.279527803Z","container":"28658ce63f00d7cbb7814e67b257b11afe7b0e983e751cf9dbc03d407eeb8a4a","container_config":{"Hostname":"28658ce63f00","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"ExposedPorts":{"8080/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","VERSION=1"],"Cmd":["/bin/sh","-c","#(nop) ","ENTRYPOINT [\"/app\"]"],"Image":"sha256:6208db47f31048d2e0149916817c2d648ec1cdd85a49fe642ea1f22a345a151d","Volumes":null,"WorkingDir":"","Entrypoint":["/app"],"OnBuild":null,"Labels":{"arcane.lab":"app"}},"docker_version":"20.10.24+dfsg1","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"ExposedPorts":{"8080/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","VERSION=1"],"Cmd":null,"Image":"sha256:6208db47f31048d2e0149916817c2d648ec1cdd85a49fe642ea1f22a345a151d","Volumes":null,"WorkingDir":"","Entrypoint":["/app"],"OnBuild":null,"Labels":{"arcane.lab":"app"}},"architecture":"amd64","os":"linux"}"##;

    #[test]
    fn a_directory_tells_its_layer() {
        let mut names = Names::new(&LAYERS.map(str::to_owned));
        let lowest = "6b4b0984edd48b401e6edc69168537e6af2b99a364a7239836c4ed6f84ac47f4";
        let middle = "f251e4285d97bda685417231d9f2ae5f78133a0d94628d533adeed8135080f61";
        let below = "fa9d3e631d8bcd9f92800d05cb99968a648278fae34a0c8e48103a997690d7c2";
        let top = "65cda1143bd8f11f33cb044aa02ab773be6d8d2c6bda3ebd6a946d1584c82865";
        let parted = format!(r#"{{"id":"{middle}","parent":"{below}",{EMPTY}"#);
        for (directory, description, layer) in [
            (lowest, format!(r#"{{"id":"{lowest}",{EMPTY}"#), 0),
            (middle, parted.clone(), 2),
            (top, TOP.to_owned(), 4),
        ] {
            assert_eq!(names.layer(&format!("{directory}/layer.tar")), None);
            names.learn(&format!("{directory}/json"), description.as_bytes());
            assert_eq!(names.layer(&format!("{directory}/layer.tar")).as_deref(), Some(LAYERS[layer]));
        }
        // Any other description tells nothing, and what is no description harms nothing.
        names.learn("ab/json", parted.as_bytes());
        names.learn("cd/json", b"[]");
        assert_eq!((names.layer("ab/layer.tar"), names.layer("cd/layer.tar")), (None, None));
        let blob = LAYERS[1].replace(':', "/");
        assert_eq!(names.layer(&format!("blobs/{blob}")).as_deref(), Some(LAYERS[1]));
    }

    #[tokio::test]
    async fn a_tar_is_read_file_by_file_in_chunks_of_any_size() {
        let mut tar = super::super::package::layer_header("sha256:aa", 700);
        tar.extend_from_slice(&[b'x'; 700]);
        tar.extend_from_slice(&super::super::package::padding(700));
        tar.extend_from_slice(&super::super::package::layer_header("sha256:bb", 3));
        tar.extend_from_slice(b"abc");
        tar.extend_from_slice(&super::super::package::padding(3));
        tar.extend_from_slice(&[0; 1024]);
        for step in [1, 511, 4096] {
            let chunks: Vec<_> = tar.chunks(step).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
            let mut read = Tar::new(stream::iter(chunks));
            let first = read.next().await.unwrap().unwrap();
            assert_eq!((first.name.as_str(), first.size), ("blobs/sha256/aa", 700));
            read.skip(700).await.unwrap();
            let second = read.next().await.unwrap().unwrap();
            let content: Vec<_> = read.file(second.size).collect().await;
            assert_eq!(content.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat(), b"abc");
            assert!(read.next().await.unwrap().is_none());
        }
        let half = tar[..900].to_vec();
        let mut read = Tar::new(stream::iter([Ok(Bytes::from(half))]));
        read.next().await.unwrap().unwrap();
        assert!(read.skip(700).await.is_err(), "a tar that breaks off is no tar");
    }
}
