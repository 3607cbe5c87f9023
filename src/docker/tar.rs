//! Files of a tar stream, as engines take them. Our names are short.

/// Tar counts in blocks of this many bytes.
const BLOCK: u64 = 512;
/// The largest size that fits the classic header field: eleven octal digits.
const OCTAL_MAX: u64 = 0o777_7777_7777;

/// Adds a file that everybody may read.
pub fn file(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    whole(tar, name, 0o644, content);
}

/// Adds a file that everybody may run.
pub fn program(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    whole(tar, name, 0o755, content);
}

fn whole(tar: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let size = content.len() as u64;
    tar.extend_from_slice(&of_mode(name, mode, size));
    tar.extend_from_slice(content);
    tar.extend_from_slice(&padding(size));
}

/// The two empty blocks that end a stream.
#[must_use]
pub fn end() -> [u8; 2 * BLOCK as usize] {
    [0; 2 * BLOCK as usize]
}

/// The zeros after a file of this size.
#[must_use]
pub fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or_default()]
}

/// A header of the ustar format for an ordinary file.
#[must_use]
pub fn header(name: &str, size: u64) -> [u8; BLOCK as usize] {
    of_mode(name, 0o644, size)
}

fn of_mode(name: &str, mode: u32, size: u64) -> [u8; BLOCK as usize] {
    let mut header = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = header.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
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
