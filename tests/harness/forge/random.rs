//! The awkward values that a seeded generator draws. Not for anything secret.

/// The same seed gives the same values, on every machine.
#[derive(Debug, Clone)]
pub struct Random(crate::random::Random);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(crate::random::Random::new(seed))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.number()
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % (end.max(1) as u64)) as usize
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// 32 bytes: a key's seed, a hash that is none.
    pub fn seed(&mut self) -> [u8; 32] {
        self.bytes(32).try_into().unwrap()
    }

    /// A number of any width, most often one at which an encoding changes its length.
    pub fn number(&mut self) -> u64 {
        const EDGES: [u64; 13] =
            [0, 1, 23, 24, 255, 256, 65_535, 65_536, 0xffff_ffff, 0x1_0000_0000, i64::MAX as u64, 1 << 63, u64::MAX];
        if self.chance(50) { *self.pick(&EDGES) } else { self.bits() >> self.below(64) }
    }

    /// A text that is awkward somewhere: empty, of several scripts, with control characters, or long.
    pub fn text(&mut self) -> String {
        const TEXTS: [&str; 16] = [
            "",
            "a",
            "us-east-1",
            "arn:aws:iam::123456789012:user/\u{fc}",
            "\u{6f22}\u{5b57}",
            "e\u{301} \u{1f469}\u{200d}\u{1f680}",
            "line\nbreak\ttab \"quoted\" 'single' \\x41",
            "\0nul\0",
            "twenty-three bytes long",
            "twenty-four bytes long..",
            "null",
            "{}",
            "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
            "%20%2F+&=;",
            "CHG-1",
            " leading and trailing ",
        ];
        match self.below(20) {
            0 => "x".repeat(self.below(300)),
            1 => format!("{}\u{e9}{:x}", self.pick(&TEXTS), self.bits()),
            _ => (*self.pick(&TEXTS)).to_owned(),
        }
    }
}
