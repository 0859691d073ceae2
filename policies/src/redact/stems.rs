//! Stems: short strings of which every secret's name holds one. One quick pass over a body finds them.
//!
//! A stem has at least five letters, so whatever its place in the body, one block of three that starts at a multiple of
//! three lies within its first five. Only those blocks are looked up, in one table: 1.4 KB of JSON take less than a
//! microsecond, a quarter of what an automaton takes that must ignore case.

use std::sync::LazyLock;

/// A stem in a body, in any case.
pub(super) struct Stem {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// What a stem is a sign of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The name of a secret.
    Name,
    /// `private`: the name of a secret, or the first line of a private key.
    Private,
    /// The beginning of a JWT.
    Jwt,
    /// The type of a parameter whose value is a secret.
    SecureString,
    /// A letter written as `\u00XX`: a name may hide behind it.
    Escape,
}

/// The stems of a body, in order.
pub(super) fn find(body: &[u8]) -> impl Iterator<Item = Stem> {
    let table = &*TABLE;
    let (blocks, _) = body.as_chunks::<BLOCK>();
    let mut done = 0;
    blocks.iter().enumerate().filter_map(move |(index, block)| {
        let first = table.first(code(*block))?;
        let found = table.stem(body, index * BLOCK, first).filter(|found| found.start >= done)?;
        done = found.end;
        Some(found)
    })
}

struct Table {
    /// For each code of a block: one more than the place in `blocks` of the first that has it, or 0.
    first: Box<[u8]>,
    /// The blocks of all stems that may be met: code, stem, place in it. Sorted.
    blocks: Vec<(u16, u16, u16)>,
}

impl Table {
    fn first(&self, code: u16) -> Option<usize> {
        usize::from(*self.first.get(usize::from(code))?).checked_sub(1)
    }

    /// The stem of which the block at `at` is one.
    fn stem(&self, body: &[u8], at: usize, first: usize) -> Option<Stem> {
        let same = self.blocks.get(first..)?;
        let (wanted, ..) = same.first()?;
        same.iter().take_while(|(code, ..)| code == wanted).find_map(|(_, stem, place)| {
            let (stem, kind) = STEMS.get(usize::from(*stem))?;
            let start = at.checked_sub(usize::from(*place))?;
            let end = start + stem.len();
            body.get(start..end)?.eq_ignore_ascii_case(stem.as_bytes()).then_some(Stem { start, end, kind: *kind })
        })
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { first: vec![0; 1 << (5 * BLOCK)].into(), blocks: Vec::new() };
    for (index, (stem, _)) in (0u16..).zip(STEMS) {
        let blocks = stem.as_bytes().windows(BLOCK).filter_map(|window| window.first_chunk());
        table.blocks.extend((0u16..).zip(blocks.take(BLOCK)).map(|(place, block)| (code(*block), index, place)));
    }
    table.blocks.sort_unstable();
    // From the last to the first, so that the first of a code stays. The tests count that a byte is enough.
    for (place, (code, ..)) in (1u8..).zip(&table.blocks).collect::<Vec<_>>().into_iter().rev() {
        if let Some(first) = table.first.get_mut(usize::from(*code)) {
            *first = place;
        }
    }
    table
});

/// Five bits of each byte, which drop the case of letters.
fn code(block: [u8; BLOCK]) -> u16 {
    block.iter().fold(0, |code, byte| code << 5 | u16::from(byte & 31))
}

const BLOCK: usize = 3;

/// In lower case, none shorter than five, none within another. Cut so that their first blocks are rare in other words.
const STEMS: &[(&str, Kind)] = &[
    ("secret", Kind::Name),
    ("token", Kind::Name),
    ("sswor", Kind::Name), // password
    ("asswd", Kind::Name),
    ("ssphrase", Kind::Name),
    ("laintext", Kind::Name),
    ("private", Kind::Private),
    ("ymaterial", Kind::Name), // key material
    ("y_material", Kind::Name),
    ("y-material", Kind::Name),
    ("assertion", Kind::Name),
    ("apikey", Kind::Name),
    ("api_key", Kind::Name),
    ("api-key", Kind::Name),
    ("haredkey", Kind::Name),
    ("hared_key", Kind::Name),
    ("hared-key", Kind::Name),
    ("haredaccesskey", Kind::Name),
    ("merkey", Kind::Name), // customer key
    ("mer-key", Kind::Name),
    ("mz-signature", Kind::Name),
    ("base32string", Kind::Name),
    ("qrcode", Kind::Name),
    ("uthcode", Kind::Name),
    ("ncode1", Kind::Name), // authentication codes
    ("ncode2", Kind::Name),
    ("mcredential", Kind::Name), // platform credential
    ("zedurl", Kind::Name),      // authorized URL
    // The first members that the headers of JWTs have: alg, typ, kid, enc, x5….
    ("eyjhb", Kind::Jwt),
    ("eyj0e", Kind::Jwt),
    ("eyjra", Kind::Jwt),
    ("eyjlb", Kind::Jwt),
    ("eyj4n", Kind::Jwt),
    ("ecurestring", Kind::SecureString),
    // The high digit of a letter.
    ("\\u004", Kind::Escape),
    ("\\u005", Kind::Escape),
    ("\\u006", Kind::Escape),
    ("\\u007", Kind::Escape),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_found_at_every_place_and_in_any_case() {
        for (stem, kind) in STEMS {
            for before in 0..9 {
                for text in [stem.to_string(), stem.to_uppercase()] {
                    let body = format!("{}{text}{}", ".".repeat(before), ":".repeat(before));
                    let found: Vec<_> = find(body.as_bytes()).map(|found| (found.start, found.end, found.kind)).collect();
                    assert_eq!(found, [(before, before + stem.len(), *kind)], "{body}");
                }
            }
        }
    }

    #[test]
    fn the_stems_keep_their_rules() {
        for (stem, _) in STEMS {
            assert!(stem.len() >= 5 && !stem.bytes().any(|b| b.is_ascii_uppercase()), "{stem}");
            let within = STEMS.iter().filter(|(other, _)| other.contains(stem)).count();
            assert_eq!(within, 1, "{stem}");
        }
        assert!(TABLE.blocks.len() < 255);
    }

    #[test]
    fn stems_that_follow_each_other_are_all_found() {
        assert_eq!(find(b"secrettokenpasswordtoken").count(), 4);
        assert_eq!(find(b"tokentoken token").count(), 3);
    }
}
