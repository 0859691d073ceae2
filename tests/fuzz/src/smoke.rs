//! The runner that needs nothing: every target over its seeds, its kept corpus, and so many changes of both.
//!
//! `SEALGATE_TEST_LONG=1` makes a hundred times as many.

use crate::{TARGETS, Target, mutate::Mutator};
use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Changed inputs a target, in the short setting and for each byte of the corpus that they are made from: what makes a
/// long input makes a slow run.
const CHANGED: usize = 10_000;
/// The share of those that a target gets whose name ends so: its inputs are files, each of which is decoded, written and
/// decoded again, or a whole folder of them, which is verified; or each run signs with several keys, or takes many entries.
const SHARES: [(&str, usize); 8] = [
    ("_file", 20),
    ("footer", 20),
    ("_folder", 400),
    ("proof_bundle", 20),
    ("cosigned_checkpoint", 5),
    ("exactly_signed_note", 5),
    ("log_windows", 5),
    ("signed_chunks", 5),
];

pub(crate) fn check(name: &str) {
    let target = Target::named(name).expect("it is in the table");
    let seeds = (target.seeds)();
    for seed in &seeds {
        assert!(run(target, seed), "{name} does not take its seed {}", seed.escape_ascii());
    }
    let corpus: Vec<_> = seeds.into_iter().chain(kept(target)).collect();
    let kept = corpus.iter().filter(|input| run(target, input)).count();
    let mut mutator = Mutator::new(name);
    let long = std::env::var_os("SEALGATE_TEST_LONG").is_some_and(|long| long == "1");
    let share = SHARES.iter().find(|(end, _)| name.ends_with(end)).map_or(1, |(_, share)| *share);
    let count = CHANGED / share * if long { 100 } else { 1 };
    let taken = (0..count).filter(|_| run(target, &mutator.next(&corpus))).count();
    println!("{name}: {kept} of {} kept inputs were taken, {taken} of {count} changed ones", corpus.len());
}

fn run(target: &Target, input: &[u8]) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    outcome.unwrap_or_else(|_| panic!("{} breaks on b\"{}\"", target.name, input.escape_ascii()))
}

fn kept(target: &Target) -> Vec<Vec<u8>> {
    let Ok(folder) = fs::read_dir(target.folder()) else { return Vec::new() };
    let mut paths: Vec<_> = folder.map(|entry| entry.expect("the corpus can be read").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("the corpus can be read")).collect()
}

#[test]
fn every_folder_of_the_corpus_has_its_target() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "a name stands for one target");
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    for folder in fs::read_dir(corpus).expect("there is a corpus") {
        let name = folder.expect("it can be read").file_name().into_string().expect("names are text");
        assert!(names.contains(&name), "no target is called {name}");
    }
}
