//! Sealing and opening: bytes to an age file and back. Either the whole of what was sealed comes out, or nothing does.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use age::DecryptError;
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::recipient::Recipient;

/// How every age file begins.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// What follows the header comes in pieces of this many bytes, the last one shorter, each with its tag.
const CHUNK: usize = 64 * 1024 + TAG;
const TAG: usize = 16;
/// What git leaves in a file that it could not merge.
const MARKS: &[&[u8]] = &[b"<<<<<<< ", b">>>>>>> "];

/// Whether these bytes begin as an age file does, armoured or not. Says nothing about their rest.
#[must_use]
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(ARMOR)
}

/// Whether these bytes are an age file from end to end: a header with somebody to read it, and behind it as many bytes as
/// age can have written. Only a key tells whether they are those that it wrote.
#[must_use]
pub fn is_whole(bytes: &[u8]) -> bool {
    let marked = |line: &[u8]| MARKS.iter().any(|mark| line.starts_with(mark));
    if !is_sealed(bytes) || bytes.split(|byte| *byte == b'\n').any(marked) {
        return false;
    }
    let mut binary = Vec::new();
    let raw = if bytes.starts_with(ARMOR) {
        match age::armor::ArmoredReader::new(bytes).read_to_end(&mut binary) {
            Ok(_) => &binary[..],
            Err(_) => return false,
        }
    } else {
        bytes
    };
    let mut rest = raw;
    if age::Decryptor::new_buffered(&mut rest).is_err() {
        return false;
    }
    let header = raw.get(..raw.len() - rest.len()).unwrap_or_default();
    let mut readers = header.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"-> "));
    // age adds one that is nobody's, so that programs stay used to kinds that they do not know.
    let somebody = readers
        .any(|line| !line.split(|byte| *byte == b' ').next().unwrap_or_default().ends_with(b"-grease"));
    let last = rest.len() % CHUNK;
    somebody && (rest.len() == TAG || last > TAG || (last == 0 && !rest.is_empty()))
}

/// Seals for these keys.
pub(super) fn seal<'r>(
    plain: &[u8],
    recipients: impl Iterator<Item = &'r Recipient>,
    path: &Path,
) -> Result<Vec<u8>> {
    let failed = |source| Error::Io { doing: "seal", path: path.to_owned(), source };
    let recipients: Vec<_> = recipients.filter_map(Recipient::to_age).collect();
    let keys = recipients.iter().map(|recipient| &**recipient as &dyn age::Recipient);
    let encryptor =
        age::Encryptor::with_recipients(keys).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut sealed = Vec::with_capacity(plain.len() + 4096);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(failed)?;
    writer.write_all(plain).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(sealed)
}

/// Opens the bytes of the file at `path`. `refused` is the error when none of the keys opens it.
pub(super) fn open<'k>(
    sealed: &[u8],
    keys: impl Iterator<Item = &'k dyn age::Identity>,
    path: &Path,
    refused: impl FnOnce() -> Error,
) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = |why| Error::Damaged { path: path.to_owned(), why };
    if sealed.is_empty() {
        return Err(damaged("it is empty"));
    }
    if !is_sealed(sealed) {
        return Err(unsealed(sealed, path));
    }
    let armoured = age::armor::ArmoredReader::new(sealed);
    let decryptor = age::Decryptor::new_buffered(armoured).map_err(|error| damaged(header(&error)))?;
    if decryptor.is_scrypt() {
        return Err(damaged("it is sealed with a passphrase, not for anybody's key"));
    }
    let mut reader = decryptor.decrypt(keys).map_err(|error| match error {
        DecryptError::NoMatchingKeys => refused(),
        DecryptError::KeyDecryptionFailed => {
            let place = "the SSH key".to_owned();
            Error::Identity { place, why: "the passphrase is wrong".to_owned() }
        }
        error => damaged(header(&error)),
    })?;
    // As much as there is room for at once: a vector that grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(|_| damaged("it is cut off or was changed"))?;
    Ok(plain)
}

/// What is wrong with bytes that do not begin as a sealed file does.
fn unsealed(bytes: &[u8], path: &Path) -> Error {
    if bytes.starts_with(b"<<<<<<<") {
        return Error::Unmerged { path: path.to_owned() };
    }
    if MAGIC.starts_with(bytes) || ARMOR.starts_with(bytes) {
        return Error::Damaged { path: path.to_owned(), why: "it is cut off" };
    }
    Error::NotSealed { path: path.to_owned() }
}

fn header(error: &DecryptError) -> &'static str {
    match error {
        DecryptError::InvalidMac | DecryptError::DecryptionFailed => "its header was changed",
        DecryptError::Io(_) => "it is cut off",
        // Not read as far as to where age would tell the one from the other.
        _ => "its header is broken, or of a newer age",
    }
}
