//! A cursor as bytes, to be kept over our own restart. What was kept may be damaged, or somebody else's: then it is no
//! cursor, and nothing worse.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::{Cursor, Mark};
use crate::fleet::Timestamp;

/// Of this form.
const VERSION: u8 = 1;
/// Marks that are kept at most, the newest.
const KEPT: usize = 4_096;
/// How far a stamp may be from the last one: more is damage.
const SPAN: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Cursor {
    /// As bytes. Only where nothing that was read is still to be told.
    pub(in crate::watch) fn to_bytes(&self) -> Vec<u8> {
        let dropped = self.marks.len().saturating_sub(KEPT);
        let forgotten = self.marks.range(..dropped).map(|mark| mark.at).max().max(self.forgotten);
        let mut bytes = vec![VERSION];
        for key in self.keys {
            bytes.extend(key.to_le_bytes());
        }
        for stamp in [forgotten, self.unfinished[0], self.unfinished[1]] {
            bytes.push(u8::from(stamp.is_some()));
            bytes.extend(stamp.unwrap_or_default().as_nanos().to_le_bytes());
        }
        for mark in self.marks.range(dropped..) {
            bytes.extend(mark.at.as_nanos().to_le_bytes());
            bytes.extend(mark.hash.to_le_bytes());
        }
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }

    /// From bytes.
    pub(in crate::watch) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk()?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let mut rest = body.strip_prefix(&[VERSION])?;
        let mut cursor = Self { keys: [number(&mut rest)?, number(&mut rest)?], ..Self::default() };
        cursor.forgotten = stamp(&mut rest)?;
        cursor.unfinished = [stamp(&mut rest)?, stamp(&mut rest)?];
        if rest.len() > KEPT * 16 || !rest.len().is_multiple_of(16) {
            return None;
        }
        while !rest.is_empty() {
            let at = Timestamp::from_nanos(i64::from_le_bytes(number(&mut rest)?.to_le_bytes()));
            cursor.marks.push_back(Mark { at, hash: number(&mut rest)? });
        }
        let last = cursor.marks.back().map_or(Timestamp::EPOCH, |mark| mark.at);
        let apart = |at: Timestamp| at.since(last).max(last.since(at));
        cursor.marks.iter().all(|mark| apart(mark.at) < SPAN).then_some(cursor)
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn stamp(rest: &mut &[u8]) -> Option<Option<Timestamp>> {
    let (&is_there, after) = rest.split_first()?;
    *rest = after;
    let nanos = i64::from_le_bytes(number(rest)?.to_le_bytes());
    match is_there {
        0 => Some(None),
        1 => Some(Some(Timestamp::from_nanos(nanos))),
        _ => None,
    }
}

/// Tells damage, not intent: who can write the journal can write anything.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::{Reach, Verdict};
    use super::*;
    use crate::fleet::Stream;
    use crate::watch::entry::Entry;

    fn entry(at: i64, text: &'static str) -> Entry {
        let at = Timestamp::from_nanos(at);
        Entry { at, stream: Stream::Stderr, payload: Bytes::from_static(text.as_bytes()) }
    }

    fn read(count: i64) -> Cursor {
        let mut cursor = Cursor::default();
        for at in 0..count {
            let entry = entry(at * 1_000_000, if at % 3 == 0 { "a\n" } else { "b" });
            let mark = cursor.mark(&entry);
            cursor.advance(&entry, mark);
        }
        cursor
    }

    #[test]
    fn a_cursor_that_was_kept_knows_what_was_read() {
        for count in [0, 1, 200, 20_000] {
            let cursor = read(count);
            let kept = cursor.to_bytes();
            assert!(kept.len() <= 1 + 16 + 27 + 16 * KEPT + 8, "{}", kept.len());
            let again = Cursor::from_bytes(&kept).unwrap();
            assert_eq!((again.keys, again.unfinished), (cursor.keys, cursor.unfinished));
            let now = Timestamp::from_seconds(60);
            let (request, mut sieve) = again.resume(Reach::Near, now);
            if count == 0 {
                assert_eq!(request, <_>::default());
                continue;
            }
            // All that is asked for again is among the marks.
            let since = request.since.unwrap_or_default();
            for at in (0..count).filter(|at| at * 1_000_000 >= since.as_nanos()) {
                let entry = entry(at * 1_000_000, if at % 3 == 0 { "a\n" } else { "b" });
                assert_eq!(sieve.judge(again.mark(&entry)), Verdict::Seen, "{at} of {count}");
            }
            let new = entry(count * 1_000_000, "new\n");
            assert_eq!(sieve.judge(again.mark(&new)), Verdict::New);
        }
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        let mut cursor = Cursor { keys: [1, 2], ..Cursor::default() };
        let mark = cursor.mark(&entry(7, "hello\n"));
        cursor.advance(&entry(7, "hello\n"), mark);
        assert_eq!(mark.hash, 0xbb03_5c04_9abf_d1c7, "{:x}", mark.hash);
    }

    proptest! {
        #[test]
        fn what_is_no_cursor_is_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..400) {
            prop_assert!(Cursor::from_bytes(&bytes).is_none());
            // Even with the right sum.
            bytes.extend(checksum(&bytes).to_le_bytes());
            let _ = Cursor::from_bytes(&bytes);
            let mut kept = read(20).to_bytes();
            let at = at % kept.len();
            kept[at] ^= 0x40;
            prop_assert!(Cursor::from_bytes(&kept).is_none());
            kept.truncate(at);
            prop_assert!(Cursor::from_bytes(&kept).is_none());
        }
    }
}
