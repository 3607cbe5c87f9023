//! Finding many literals in a line at once, without regard to case.
//!
//! Of every literal one stretch of four bytes is kept, its **gram**, the rarest it has; of one that has only three, every
//! gram that begins with them. A line is looked through gram by gram: a small table of bits, indexed by a hash of the
//! gram, says for nearly all of them that no literal has it. Nothing of that depends on the gram before, so a processor
//! works on several at a time, and the table fits in its nearer caches whatever the number of literals: both are what an
//! automaton over thousands of literals cannot have. What passes is compared whole.

use std::collections::HashMap;

use super::rarity;

/// Bytes of a gram.
const WIDTH: usize = 4;
/// Bits of the table for each gram: about one gram in so many passes by chance.
const BITS_PER_GRAM: usize = 64;
/// The table has at least and at most 2 to the power of this many bits: 512 bytes to 64 KiB.
const TABLE_BITS: (u32, u32) = (12, 19);
/// Makes every bit of a gram count in the highest bits of the product (2^32 divided by the golden ratio).
const SCATTER: u32 = 0x9e37_79b1;
/// Makes lower case of a letter, in each byte. Other characters are changed as well; what passes is compared exactly.
const LOWER: u32 = 0x2020_2020;
/// What another literal with the same gram counts against it, in the unit of rarity.
const SHARED: i64 = 12;

/// Literals, known by their number in the order in which they were given.
#[derive(Debug, Clone)]
pub(super) struct Grams {
    literals: Vec<Box<[u8]>>,
    table: Table,
}

/// The grams of all literals.
#[derive(Debug, Clone)]
struct Table {
    bits: Box<[u64]>,
    /// By how much a hash is shifted to be the index of a bit, and of a slot.
    bit_shift: u32,
    slot_shift: u32,
    /// Where the entries of each slot begin; those of the last slot end where the last number says.
    slots: Box<[u32]>,
    entries: Box<[Entry]>,
}

/// The gram of a literal, and as much of the literal as tells most other words from it without a look at it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    gram: u32,
    literal: u32,
    /// Where in the literal it is.
    offset: u16,
    length: u16,
    first: u8,
    last: u8,
}

impl Grams {
    /// For literals in lower case. One of less than three bytes is never found.
    pub(super) fn new(literals: &[String]) -> Self {
        let mut sharers: HashMap<u32, i64> = HashMap::new();
        let mut entries = Vec::new();
        for (number, literal) in (0..).zip(literals) {
            let bytes = literal.as_bytes();
            let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { continue };
            // Literals are cut to less: see the room that makes them.
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            let entry = |gram, offset| Entry { gram, literal: number, offset, length, first, last };
            if let &[a, b, c] = bytes {
                let after = (0..=u8::MAX).filter(|byte| u32::from(*byte) & LOWER != 0);
                entries.extend(after.map(|d| entry(gram([a, b, c, d]), 0)));
                continue;
            }
            let worth = |window: &[u8; WIDTH]| {
                let others = sharers.get(&gram(*window)).copied().unwrap_or(0);
                i64::from(rarity::of_bytes(window)) - SHARED * others
            };
            let windows = (0..).zip(bytes.windows(WIDTH).filter_map(<[u8]>::first_chunk));
            if let Some((offset, window)) = windows.max_by_key(|(_, window)| worth(window)) {
                let gram = gram(*window);
                *sharers.entry(gram).or_default() += 1;
                entries.push(entry(gram, offset));
            }
        }
        let literals = literals.iter().map(|literal| literal.as_bytes().into()).collect();
        Self { literals, table: Table::new(entries) }
    }

    /// The literals.
    pub(super) fn literals(&self) -> impl Iterator<Item = String> {
        self.literals.iter().map(|literal| String::from_utf8_lossy(literal).into_owned())
    }

    /// Tells `found` of each literal that `line` contains, perhaps more than once.
    pub(super) fn find(&self, line: &[u8], mut found: impl FnMut(usize)) {
        self.table.scan(line, |entry, at| self.check(entry, line, at, &mut found));
    }

    /// Tells of a literal if it is there whole, where its gram was found.
    fn check(&self, entry: &Entry, line: &[u8], at: usize, found: &mut impl FnMut(usize)) {
        let text = at
            .checked_sub(entry.offset.into())
            .and_then(|start| line.get(start..start + usize::from(entry.length)));
        // Grams are shared: nearly all that come here are other words.
        let alike = |text: &[u8]| {
            text.first().is_some_and(|first| same(*first, entry.first))
                && text.last().is_some_and(|last| same(*last, entry.last))
        };
        let number = entry.literal as usize;
        if text.is_some_and(|text| alike(text) && text.eq_ignore_ascii_case(&self.literals[number])) {
            found(number);
        }
    }
}

impl Table {
    fn new(mut entries: Vec<Entry>) -> Self {
        let (least, most) = TABLE_BITS;
        let bits = (entries.len() * BITS_PER_GRAM).next_power_of_two().ilog2().clamp(least, most);
        let slot_bits = entries.len().next_power_of_two().ilog2().clamp(1, most);
        let mut table = Self {
            bits: vec![0; 1 << (bits - 6)].into(),
            bit_shift: 32 - bits,
            slot_shift: 32 - slot_bits,
            slots: Box::default(),
            entries: Box::default(),
        };
        entries.sort_by_key(|entry| (hash(entry.gram) >> table.slot_shift, entry.literal));
        for entry in &entries {
            let bit = hash(entry.gram) >> table.bit_shift;
            table.bits[(bit >> 6) as usize] |= 1 << (bit & 63);
        }
        let before = |slot: u32| entries.partition_point(|entry| hash(entry.gram) >> table.slot_shift < slot);
        table.slots =
            (0..=1 << slot_bits).map(|slot| u32::try_from(before(slot)).unwrap_or(u32::MAX)).collect();
        table.entries = entries.into();
        table
    }

    /// Tells `found` of each entry whose gram is in `line`, and where.
    fn scan(&self, line: &[u8], mut found: impl FnMut(&Entry, usize)) {
        for (at, window) in line.windows(WIDTH).enumerate() {
            if let Some(gram) = window.first_chunk().map(|window| gram(*window))
                && self.may_have(gram)
            {
                self.entries_of(gram).for_each(|entry| found(entry, at));
            }
        }
        // A literal of three bytes may end the line.
        if let Some(&[a, b, c]) = line.last_chunk() {
            self.entries_of(gram([a, b, c, b' '])).for_each(|entry| found(entry, line.len() - 3));
        }
    }

    /// Whether there may be an entry of this gram.
    #[inline(always)]
    fn may_have(&self, gram: u32) -> bool {
        let bit = hash(gram) >> self.bit_shift;
        self.bits[(bit >> 6) as usize] >> (bit & 63) & 1 != 0
    }

    /// The entries of a gram.
    #[inline(never)]
    fn entries_of(&self, gram: u32) -> impl Iterator<Item = &Entry> {
        let slot = (hash(gram) >> self.slot_shift) as usize;
        let slot = self.slots[slot] as usize..self.slots[slot + 1] as usize;
        self.entries[slot].iter().filter(move |entry| entry.gram == gram)
    }
}

/// Whether two bytes are the same, or differ in case; some that are no letters, too.
#[inline(always)]
const fn same(one: u8, other: u8) -> bool {
    (one ^ other) & !0x20 == 0
}

/// The number that stands for a window.
#[inline(always)]
const fn gram(window: [u8; WIDTH]) -> u32 {
    u32::from_le_bytes(window) | LOWER
}

#[inline(always)]
const fn hash(gram: u32) -> u32 {
    gram.wrapping_mul(SCATTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(literals: &[&str], line: &str) -> Vec<usize> {
        let literals: Vec<String> = literals.iter().map(|literal| (*literal).to_owned()).collect();
        let mut numbers = Vec::new();
        Grams::new(&literals).find(line.as_bytes(), |number| numbers.push(number));
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    #[test]
    fn literals_are_found_wherever_they_stand() {
        let literals = ["eof", "oom", "deadlock", "panic: ", "größe", "panic: at the disco", "@disk"];
        for (line, expected) in [
            ("EOF", &[0][..]),
            ("an OoM", &[1]),
            ("oo", &[]),
            ("", &[]),
            ("Deadlock", &[2]),
            ("deadloc", &[]),
            ("Panic: deadlock, GRöße", &[2, 3, 4]),
            ("PANIC: AT THE DISCO", &[3, 5]),
            ("`disk", &[]),
            ("@DISK", &[6]),
        ] {
            assert_eq!(found(&literals, line), expected, "{line}");
        }
    }

    #[test]
    fn literals_may_share_their_grams() {
        let literals: Vec<String> = (0..3000).map(|number| format!("{number:04}aaaa")).collect();
        let mut numbers = Vec::new();
        Grams::new(&literals).find(b"x2999AAAA0007aaaa", |number| numbers.push(number));
        assert_eq!(numbers, [2999, 7]);
        assert_eq!(found(&[], "anything"), &[] as &[usize]);
        assert_eq!(found(&["ab"], "ab"), &[] as &[usize], "too short to be looked for");
    }

    proptest! {
        #[test]
        fn exactly_what_is_there_is_found(
            literals in prop::collection::vec("[a-c@`é]{3,7}", 0..40), line in "[A-Ca-c@`é]{0,60}",
        ) {
            let lower = line.to_ascii_lowercase();
            let expected: Vec<usize> =
                (0..literals.len()).filter(|&number| lower.contains(&literals[number])).collect();
            let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
            prop_assert_eq!(found(&literals, &line), expected);
        }
    }
}
