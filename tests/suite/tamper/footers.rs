//! Footers and page headers that lie: the forgeries of the harness, on a records file with rows of every kind.

use super::{
    table::{Tampering, line, two},
    world::{Holds, World},
};
use sealgate_schema::{seal::Table, verify::Level::L1};
use sealgate_tests::forgeries::FORGERIES;

pub(super) fn tamperings() -> Vec<Tampering> {
    FORGERIES.iter().map(|(what, forge)| line(what, &[two(Holds::WindowKey, L1)], on(*forge))).collect()
}

fn on(forge: fn(&[u8]) -> Vec<u8>) -> impl Fn(&mut World) -> bool {
    // In the first part where it makes a difference: one may have the forged bound already.
    move |world| {
        (0..3).any(|part| {
            let name = world.name("CHG-1", Table::Records, part);
            let file = world.file("CHG-1", &name);
            let forged = forge(file);
            let changed = forged != *file;
            *file = forged;
            changed
        })
    }
}
