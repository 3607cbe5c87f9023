//! The image as this machine's engine exports it: all of it, of which only the wanted layers are kept.
//!
//! Engines up to 24 name a layer's directory after a digest over its chain and the description beside it, newer ones
//! name its file after its content. Either tells a layer before its first byte, so that those the host has are passed
//! over unread. A layer that neither tells is packed, and known by its content at the end.

use std::collections::HashMap;
use std::pin::Pin;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Map, Value};

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
        let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(description) else { return };
        fields.remove("id");
        if let Some(Value::String(parent)) = fields.get_mut("parent") {
            *parent = format!("sha256:{parent}");
        }
        let mut candidates = vec![fields.clone()];
        // It was added after the name was made, for every layer but the top one.
        fields.remove("os");
        candidates.push(fields);
        for fields in &mut candidates {
            for (chain, layer) in &self.chains {
                fields.insert("layer_id".to_owned(), Value::String(chain.clone()));
                let named = serde_json::to_vec(fields).map(|json| digest_of(&json)).unwrap_or_default();
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
