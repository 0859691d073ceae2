//! What a line of the catalogue is.

use super::world::{Holds, World};
use sealgate_schema::verify::Level;

/// One way to tamper, by attackers who hold more or less.
pub(super) struct Tampering {
    /// What is done, for people.
    pub(super) what: String,
    /// Does it; `false` where this evidence has nothing that it could be done to.
    pub(super) does: Box<dyn Fn(&mut World) -> bool>,
    /// Who does it, and what has to be found.
    pub(super) cases: Vec<Case>,
}

/// One attacker, and what each verifier has to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) holds: Holds,
    pub(super) caught: Caught,
    pub(super) sql: Sql,
}

/// What the Rust verifier and `verify.py` have to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caught {
    /// The lowest level that fails; exit code 1, or 2 where it is L5.
    At(Level),
    /// Nothing is left to look at: exit code 2.
    NothingFound,
    /// Exit code 0 without a pin; with one L3 fails, exit code 1.
    WithPin,
    /// Exit code 0, with a pin and without.
    Never,
}

impl Caught {
    /// Whether a pin may make a difference.
    pub(super) fn asks_for_pin(self) -> bool {
        !matches!(self, Self::At(_))
    }
}

/// What `verify.sql` has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sql {
    /// It ends with an error.
    Finds,
    /// It does not claim to find this, and is not asked.
    NotClaimed,
}

/// A line of the catalogue.
pub(super) fn line(what: &str, cases: &[Case], does: impl Fn(&mut World) -> bool + 'static) -> Tampering {
    Tampering { what: what.to_owned(), does: Box::new(does), cases: cases.to_vec() }
}

/// A line of which something to be done to is always there.
pub(super) fn always(what: &str, cases: &[Case], does: impl Fn(&mut World) + 'static) -> Tampering {
    line(what, cases, move |world| {
        does(world);
        true
    })
}

/// A case that all three find.
pub(super) const fn all(holds: Holds, level: Level) -> Case {
    Case { holds, caught: Caught::At(level), sql: Sql::Finds }
}

/// A case that `verify.sql` does not claim.
pub(super) const fn two(holds: Holds, level: Level) -> Case {
    Case { holds, caught: Caught::At(level), sql: Sql::NotClaimed }
}

/// A case that no level catches by itself.
pub(super) const fn other(holds: Holds, caught: Caught) -> Case {
    Case { holds, caught, sql: Sql::NotClaimed }
}
