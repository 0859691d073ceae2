//! Bytes made from a corpus: the same from the same seed, on every machine. Knows nothing of any format.

/// Numbers that parsers stumble over, in both byte orders.
const EDGES: [u64; 9] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, u64::MAX];
/// Longest that an input grows to.
const GROWS_TO: usize = 64 << 10;

/// A source of numbers that only have to differ (SplitMix64).
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// Starts anew for each name.
    pub fn new(name: &str) -> Self {
        Self(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below `bound`; 0 where there is nothing below.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One entry of the corpus with one to four changes.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(GROWS_TO);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = at + self.below(bytes.len() - at + 1).min(32);
        match self.below(9) {
            0 => self.at(bytes, at, |byte, number| byte ^ 1 << (number % 8)),
            1 => self.at(bytes, at, |_, number| number as u8),
            2 => self.at(bytes, at, |byte, number| byte.wrapping_add((number % 33) as u8).wrapping_sub(16)),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let repeated = bytes[at..end].repeat(1 + self.below(8));
                drop(bytes.splice(at..at, repeated));
            }
            6 => self.edge(bytes, at),
            7 => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() - from + 1);
                let length = (to - from).min(bytes.len() - at) * self.below(2);
                drop(bytes.splice(at..at + length, other[from..to].iter().copied()));
            }
            _ => {
                let inserted: Vec<u8> = (0..=self.below(8)).map(|_| self.number() as u8).collect();
                drop(bytes.splice(at..at, inserted));
            }
        }
    }

    fn at(&mut self, bytes: &mut [u8], at: usize, change: fn(u8, u64) -> u8) {
        let number = self.number();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = change(*byte, number);
        }
    }

    fn edge(&mut self, bytes: &mut [u8], at: usize) {
        let number = EDGES[self.below(EDGES.len())];
        let width = 1 << self.below(4);
        let little = number.to_le_bytes();
        let mut edge = little[..width].to_vec();
        if self.below(2) == 0 {
            edge.reverse();
        }
        bytes.iter_mut().skip(at).zip(edge).for_each(|(byte, with)| *byte = with);
    }
}
