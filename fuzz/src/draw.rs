//! Decisions out of an input's bytes, so that what libFuzzer changes in them changes one decision.

/// Gives out the bytes of an input as decisions; zeros when none are left.
pub struct Draw<'d>(&'d [u8]);

impl<'d> Draw<'d> {
    /// Of this input.
    #[must_use]
    pub const fn new(input: &'d [u8]) -> Self {
        Self(input)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Two bytes, as a number.
    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// A length: mostly a short one, for long ones take their time, sometimes up to 65,535.
    pub fn length(&mut self) -> usize {
        match self.byte() {
            short @ 0..=223 => usize::from(short),
            _ => self.number(),
        }
    }

    /// A number below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        if count <= 256 { usize::from(self.byte()) % count } else { self.number() % count }
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, these: &'t [T]) -> &'t T {
        &these[self.below(these.len())]
    }

    /// At most so many bytes.
    pub fn take(&mut self, count: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'d [u8] {
        self.take(usize::MAX)
    }

    /// At most so many bytes as text; what is none of it is replaced.
    pub fn text(&mut self, count: usize) -> String {
        String::from_utf8_lossy(self.take(count)).into_owned()
    }
}

/// A stream as a connection might bring it: cut at places that depend on `seed`, some close together, some far apart.
pub fn chunks(mut bytes: &[u8], seed: usize) -> impl Iterator<Item = &[u8]> {
    let mut state = seed as u64 + 1;
    std::iter::from_fn(move || {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let most = 1_usize << (state % 16);
        let size = 1 + (state >> 16) as usize % most;
        let (chunk, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}
