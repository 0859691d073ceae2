//! Every flipped bit of a small sealed package is refused.
//!
//! By default every 16th bit, and all bits of the note and of the checkpoint; with `SEALGATE_TEST_LONG=1` every bit.

use super::{base::small, world::World};
use bytes::Bytes;
use sealgate_schema::{
    note::VerifierKey,
    verify::{Asked, verify_evidence},
};
use std::{
    collections::BTreeMap,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Every so many bits one is flipped.
const STEP: usize = 16;

/// Flips that are to be made: path, byte, bit.
fn flips(world: &World, long: bool) -> Vec<(String, usize, u8)> {
    let mut flips = Vec::new();
    for (path, bytes) in &world.files {
        let all = long || path.ends_with("/ledger.note") || path.ends_with("/checkpoint");
        // An odd step, so that each bit of a byte has its turn.
        let step = if all { 1 } else { STEP + 1 };
        flips.extend((0..bytes.len() * 8).step_by(step).map(|bit| (path.clone(), bit / 8, (bit % 8) as u8)));
    }
    flips
}

#[test]
fn every_flipped_bit_of_a_sealed_package_is_refused() {
    let world = small();
    let long = std::env::var_os("SEALGATE_TEST_LONG").is_some_and(|value| value != "0");
    let flips = flips(&world, long);
    let files: BTreeMap<String, Bytes> = world.files.iter().map(|(path, bytes)| (path.clone(), bytes.clone().into())).collect();
    let asked = Asked { keys: world.keys.iter().map(|key| VerifierKey::parse(key).unwrap()).collect(), ..Asked::default() };
    let report = verify_evidence(&files, &asked);
    assert!(!report.tampered() && !report.incomplete(), "as it was sealed");
    // A decoder that gives up on damaged bytes is a finding, not a panic to print.
    let printed = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|location| location.file().contains("/registry/")) {
            printed(info);
        }
    }));
    let (next, threads) = (AtomicUsize::new(0), thread::available_parallelism().map_or(2, |count| count.get().min(8)));
    let taken: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| taken(&files, &asked, &flips, &next))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let bytes: usize = files.values().map(Bytes::len).sum();
    println!("{} bits of {} flipped one by one, in {} files; {} taken", flips.len(), bytes * 8, files.len(), taken.len());
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}

/// Makes flips until there are none left; those that a verifier takes.
fn taken(files: &BTreeMap<String, Bytes>, asked: &Asked, flips: &[(String, usize, u8)], next: &AtomicUsize) -> Vec<String> {
    let mut taken = Vec::new();
    while let Some((path, byte, bit)) = flips.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut changed = files.clone();
        let mut bytes = files[path].to_vec();
        bytes[*byte] ^= 1 << bit;
        changed.insert(path.clone(), bytes.into());
        let report = verify_evidence(&changed, asked);
        if !report.tampered() {
            taken.push(format!("bit {bit} of byte {byte} of {path}"));
        }
    }
    taken
}
