//! Finding many literals in a line at once, without regard to case.
//!
//! Of every literal one stretch of four (or three) bytes is kept, its **gram**, the rarest it has. A line is looked
//! through gram by gram: a small table of bits, indexed by a hash of the gram, says for nearly all of them that no
//! literal has it. Nothing of that depends on the gram before, so a processor works on several at a time, and the table
//! fits in its nearest cache whatever the number of literals: both are what an automaton over thousands of literals
//! cannot have. What passes is compared whole.

use std::collections::HashMap;

use super::rarity;

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
    /// Grams of four bytes, and of three for literals that are not longer.
    wide: Table,
    narrow: Table,
}

/// Grams of one width.
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

/// The gram of a literal.
#[derive(Debug, Clone, Copy)]
struct Entry {
    gram: u32,
    literal: u32,
    /// Where in the literal it is.
    offset: u32,
}

impl Grams {
    /// For literals in lower case. One of less than three bytes is never found.
    pub(super) fn new(literals: &[String]) -> Self {
        let mut sharers: HashMap<u32, i64> = HashMap::new();
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        for (number, literal) in (0..).zip(literals) {
            let (width, entries) = match literal.len() {
                0..3 => continue,
                3 => (3, &mut narrow),
                _ => (4, &mut wide),
            };
            let worth = |window: &[u8]| {
                let others = sharers.get(&gram(window)).copied().unwrap_or(0);
                i64::from(rarity::of_bytes(window)) - SHARED * others
            };
            let windows = (0..).zip(literal.as_bytes().windows(width));
            if let Some((offset, window)) = windows.max_by_key(|(_, window)| worth(window)) {
                let gram = gram(window);
                *sharers.entry(gram).or_default() += 1;
                entries.push(Entry { gram, literal: number, offset });
            }
        }
        let literals = literals.iter().map(|literal| literal.as_bytes().into()).collect();
        Self { literals, wide: Table::new(wide), narrow: Table::new(narrow) }
    }

    /// Tells `found` of each literal that `line` contains, perhaps more than once.
    pub(super) fn find(&self, line: &[u8], mut found: impl FnMut(usize)) {
        self.wide.scan::<4>(line, |entry, at| self.check(entry, line, at, &mut found));
        if !self.narrow.entries.is_empty() {
            self.narrow.scan::<3>(line, |entry, at| self.check(entry, line, at, &mut found));
        }
    }

    /// Tells of a literal if it is there whole, where its gram was found.
    fn check(&self, entry: &Entry, line: &[u8], at: usize, found: &mut impl FnMut(usize)) {
        let number = entry.literal as usize;
        let literal = &self.literals[number];
        let text =
            at.checked_sub(entry.offset as usize).and_then(|start| line.get(start..start + literal.len()));
        if text.is_some_and(|text| text.eq_ignore_ascii_case(literal)) {
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
    fn scan<const WIDTH: usize>(&self, line: &[u8], mut found: impl FnMut(&Entry, usize)) {
        for (at, window) in line.windows(WIDTH).enumerate() {
            let gram = gram(window);
            let hash = hash(gram);
            let bit = hash >> self.bit_shift;
            if self.bits[(bit >> 6) as usize] >> (bit & 63) & 1 != 0 {
                self.entries_of(hash)
                    .iter()
                    .filter(|entry| entry.gram == gram)
                    .for_each(|entry| found(entry, at));
            }
        }
    }

    /// The entries whose grams have this hash, and some others.
    #[inline(never)]
    fn entries_of(&self, hash: u32) -> &[Entry] {
        let slot = (hash >> self.slot_shift) as usize;
        &self.entries[self.slots[slot] as usize..self.slots[slot + 1] as usize]
    }
}

/// The number that stands for a window of three or four bytes.
#[inline(always)]
fn gram(window: &[u8]) -> u32 {
    let bytes = match *window {
        [a, b, c, d] => [a, b, c, d],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    u32::from_le_bytes(bytes) | LOWER
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
