//! Sizes of memory as people write them: `64m`, `512MB`, `1g`.

use crate::fleet::MemoryLimit;
use crate::fleet::text::quoted;

/// A text that is no size of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SizeError {
    /// Not a whole number with a unit.
    #[error("{} is not a size of memory; write it like 64m, 512MB or 1g", quoted(.0))]
    Malformed(String),
    /// Docker refuses anything smaller.
    #[error("{} is less than the 6m that Docker needs for a container", quoted(.0))]
    TooSmall(String),
}

const KIB: u64 = 1024;
/// What each unit stands for. All are binary, as Docker has them.
const UNITS: [(&str, u64); 9] = [
    ("k", KIB),
    ("kb", KIB),
    ("kib", KIB),
    ("m", KIB * KIB),
    ("mb", KIB * KIB),
    ("mib", KIB * KIB),
    ("g", KIB * KIB * KIB),
    ("gb", KIB * KIB * KIB),
    ("gib", KIB * KIB * KIB),
];
const LEAST: u64 = 6 * KIB * KIB;

/// Parses a limit. A bare number is refused: its unit would be a guess.
pub(super) fn parse(text: &str) -> Result<MemoryLimit, SizeError> {
    let malformed = || SizeError::Malformed(text.to_owned());
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = unit.to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    let number: u64 = digits.parse().map_err(|_| malformed())?;
    // The Engine API takes a signed number.
    let bytes = number.checked_mul(*factor).filter(|bytes| i64::try_from(*bytes).is_ok());
    let bytes = bytes.ok_or_else(malformed)?;
    if bytes < LEAST {
        return Err(SizeError::TooSmall(text.to_owned()));
    }
    Ok(MemoryLimit(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_sizes() {
        for (text, bytes) in [
            ("64m", 64 << 20),
            ("512MB", 512 << 20),
            ("512MiB", 512 << 20),
            ("1g", 1 << 30),
            ("6144k", 6 << 20),
            ("6m", 6 << 20),
        ] {
            assert_eq!(parse(text), Ok(MemoryLimit(bytes)), "{text}");
        }
        for text in ["5m", "1k", "6143k", "0g"] {
            assert_eq!(parse(text), Err(SizeError::TooSmall(text.to_owned())));
        }
        for text in
            ["", "64", "m", "1.5g", "-1g", "64 m", "1t", "64M ", "9999999999g", "99999999999999999999m", "6µ"]
        {
            assert_eq!(parse(text), Err(SizeError::Malformed(text.to_owned())));
        }
    }
}
