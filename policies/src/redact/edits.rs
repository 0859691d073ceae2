//! The places of a body that are masked, and the body with the mask in them.

use super::{Body, MASK};
use std::ops::Range;

/// Places to mask, in any order; one may lie within another.
#[derive(Debug, Default)]
pub(super) struct Edits {
    places: Vec<(Range<usize>, Dress)>,
}

/// What the mask needs around it where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dress {
    /// Nothing: it stands within quotes or between tags.
    Plain,
    /// Quotes: it takes the place of a JSON value.
    Quoted,
}

impl Edits {
    /// Marks a place. An empty one says nothing and stays.
    pub(super) fn mask(&mut self, place: Range<usize>, dress: Dress) {
        if !place.is_empty() {
            self.places.push((place, dress));
        }
    }

    /// The body as it may be written down.
    pub(super) fn apply(mut self, body: &[u8]) -> Body {
        if self.places.is_empty() {
            return Body::Clean;
        }
        // The widest first where two begin together: those within it are then skipped.
        self.places.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
        let mut masked = Vec::with_capacity(body.len());
        let mut done = 0;
        for (place, dress) in self.places {
            let Some(between) = body.get(done..place.start) else {
                done = done.max(place.end);
                continue;
            };
            masked.extend_from_slice(between);
            let quote: &[u8] = if matches!(dress, Dress::Quoted) { b"\"" } else { b"" };
            masked.extend_from_slice(quote);
            masked.extend_from_slice(MASK.as_bytes());
            masked.extend_from_slice(quote);
            done = place.end;
        }
        masked.extend_from_slice(body.get(done..).unwrap_or_default());
        Body::Masked(masked)
    }
}
