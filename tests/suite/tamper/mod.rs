//! Every tampering is caught at its level by each verifier that claims that level, or is said not to be.
//!
//! The tables are in the files of this folder, a group each; `tests/tamper/README.md` lists them with what the verifiers said.

mod alike;
mod base;
mod catalogue;
mod cells;
mod files;
mod flips;
mod footers;
mod identity;
mod notes;
mod payloads;
mod people;
mod redactions;
mod rows;
mod table;
mod verdicts;
mod windows_log;
mod world;

use sealgate_tests::programs::{root, verify_py, verify_rust};
use std::{fs, path::Path, process::Output};
use verdicts::{Job, rust};
use world::Holds;

#[test]
fn every_tampering_is_caught_where_it_must_be() {
    let base = base::forged();
    let (lines, passed_over) = catalogue::run(&base, &catalogue::groups(), |_| true, true);
    assert!(passed_over.is_empty(), "the forged evidence has something for every tampering: {passed_over:?}");
    let faults: Vec<String> = lines.iter().flat_map(catalogue::Line::faults).collect();
    println!("{} cases", lines.len());
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), lines.len(), faults.join("\n"));
    let (path, page) = (root().join("tests/tamper/README.md"), catalogue::page(&lines));
    if std::env::var_os("SEALGATE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "{} is stale: run this test with SEALGATE_BLESS=1, and look at the difference", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_a_real_gateway_is_no_easier_to_tamper_with() {
    let base = base::written().await;
    // It has erased nothing yet: that is in the forged evidence.
    let mut groups = catalogue::groups();
    groups.retain(|(name, _)| !name.starts_with("Redactions"));
    let (lines, passed_over) = catalogue::run(&base, &groups, |holds| holds == Holds::Nothing, false);
    println!("{} cases, {} do not apply to what this gateway wrote", lines.len(), passed_over.len());
    let faults: Vec<String> = lines.iter().flat_map(catalogue::Line::faults).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), lines.len(), faults.join("\n"));
}

#[test]
fn all_three_pass_what_was_not_touched() {
    let (folder, base) = (tempfile::tempdir().unwrap(), base::forged());
    let evidence = folder.path().join("evidence");
    base.write(&evidence);
    for pinned in [false, true] {
        let jobs = [Job::new(&evidence, &base, pinned)];
        let said = [
            rust(&jobs[0]),
            verdicts::verify_py(&jobs, folder.path()).remove(0),
            verdicts::verify_sql(&jobs, folder.path()).remove(0),
        ];
        assert!(said.iter().all(|said| said.exit == 0 && said.fails.is_empty()), "{said:?}");
    }
}

/// The command's exit code is that which the catalogue takes from the library.
#[test]
fn the_commands_have_the_exit_codes_of_the_catalogue() {
    let (folder, base) = (tempfile::tempdir().unwrap(), base::forged());
    let key = folder.path().join("key");
    fs::write(&key, &base.keys[0]).unwrap();
    let check = |expected: i32, change: &dyn Fn(&mut world::World)| {
        let mut world = base.clone();
        world.files.retain(|path, _| path.starts_with("gw-a/"));
        change(&mut world);
        let evidence = folder.path().join(format!("evidence-{expected}"));
        world.write(&evidence);
        exits(&evidence, &key, expected);
    };
    check(0, &|_| ());
    check(1, &|world| world.file("CHG-1", "ledger.note")[3] ^= 1);
    check(2, &|world| world.remove("CHG-1"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    exits(&empty, &key, 2);
    exits(&empty, Path::new("/nonexistent"), 3);
    exits(Path::new("/nonexistent"), &key, 3);
}

fn exits(evidence: &Path, key: &Path, expected: i32) {
    for output in [verify_rust(evidence, key), verify_py(evidence, key)] {
        assert_eq!(output.status.code(), Some(expected), "{}", said(&output));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_changed_cell_is_named_by_both_verifiers() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), base::forged());
    world.window("CHG-1").parts[0].records[2].0.time += 1;
    world.finish(Holds::Nothing);
    let (evidence, key) = (folder.path().join("evidence"), folder.path().join("key"));
    world.files.retain(|path, _| path.starts_with("gw-a/"));
    world.write(&evidence);
    fs::write(&key, &world.keys[0]).unwrap();
    for output in [verify_rust(&evidence, &key), verify_py(&evidence, &key)] {
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["ledgers"].as_array().unwrap().iter().flat_map(|ledger| ledger["findings"].as_array().unwrap());
        let named: Vec<_> = findings.filter(|finding| finding["level"] == "L2").map(|finding| finding["seq"].as_u64()).collect();
        assert_eq!(named, [Some(2)], "{report:#}");
    }
}
