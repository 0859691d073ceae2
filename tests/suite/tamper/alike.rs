//! Records of people changed at random by who holds every key of the gateway: Rust and `verify.py` say the same of each, and `verify.sql`
//! finds nothing where they don't.

use super::{
    base::forged,
    verdicts::{Job, rust, verify_py, verify_sql},
    world::{Holds, World},
};
use sealgate_tests::forge::random::Random;
use serde_json::Value;

const CASES: usize = 400;
/// One of so many is asked of SQL: planning its statements takes as long as the other two together.
const SQL_EVERY: usize = 20;

/// Values of members, as text: of every type, and such as readers of JSON differ about.
const VALUES: [&str; 30] = [
    "null",
    "0",
    "1",
    "2",
    "-1",
    "1.0",
    "3600.0",
    "1e400",
    "18446744073709551616",
    "true",
    "false",
    "\"\"",
    "\"R-1\"",
    "\"R-2\"",
    "\"S-1\"",
    "\"alice\"",
    "\"nightly\"",
    "\"ssh x\"",
    "\"2026-09-21T15:00:00Z\"",
    "\"2099-01-01T00:00:00Z\"",
    "\"2099-02-30T00:00:00Z\"",
    "[]",
    "[2]",
    "[2,3]",
    "[3,2,2]",
    "[2.0,3]",
    "[15]",
    "{}",
    "NaN",
    "\"\\ud800\"",
];
const MEMBERS: [&str; 20] = [
    "request",
    "requester",
    "basis",
    "reason",
    "account",
    "role",
    "needs",
    "approvals",
    "rule",
    "break_glass",
    "expires",
    "opened_by",
    "by",
    "statement",
    "signature",
    "signer",
    "key",
    "duration_seconds",
    "session",
    "more",
];

/// Changes something of a record between the window's opening and its close.
fn change(random: &mut Random, world: &mut World) {
    let rows = &mut world.window("CHG-5").parts[0].records;
    let at = 1 + random.below(16);
    let (other, other_detail) = {
        let record = &rows[1 + random.below(16)].0;
        (record.seq as usize, record.fields.detail.clone().unwrap())
    };
    match random.below(20) {
        0 => rows.swap(at, other),
        1 => drop(rows.remove(at)),
        2 => rows[at].0.time += 700_000_000,
        3 => rows[at].0.fields.session = rows[other].0.fields.session.clone(),
        4 => rows[at].0.fields.principal = Some("agent-1".into()),
        5 => rows[at].0.fields.acting_for = None,
        6 => rows[at].0.fields.kind = rows[other].0.fields.kind.clone(),
        7 => rows[at].0.fields.detail = Some(other_detail),
        8 => rows[at].0.fields.detail = None,
        9 => {
            let depth = 125 + random.below(4);
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            rows[at].0.fields.detail = Some(with(rows[at].0.fields.detail.as_deref().unwrap(), "more", &deep).into());
        }
        10..13 => {
            // What stands there in another record.
            let parsed: Value = serde_json::from_str(&other_detail).unwrap();
            let name = *random.pick(&MEMBERS);
            let value = parsed.get(name).cloned().unwrap_or_default().to_string();
            rows[at].0.fields.detail = Some(with(rows[at].0.fields.detail.as_deref().unwrap(), name, &value).into());
        }
        _ => {
            let (name, value) = (*random.pick(&MEMBERS), *random.pick(&VALUES));
            rows[at].0.fields.detail = Some(with(rows[at].0.fields.detail.as_deref().unwrap(), name, value).into());
        }
    }
}

/// A JSON object with a member more, or in another's place; the value as it is written.
fn with(detail: &str, name: &str, value: &str) -> String {
    let mut parsed: Value = serde_json::from_str(detail).unwrap();
    parsed.as_object_mut().unwrap().remove(name);
    let rest = parsed.to_string();
    let rest = rest.trim_start_matches('{');
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"{name}\":{value}{comma}{rest}")
}

#[test]
fn what_people_signed_is_judged_alike_however_it_is_changed() {
    let (folder, base) = (tempfile::tempdir().unwrap(), forged());
    let mut random = Random::new(77);
    let jobs: Vec<Job> = (0..CASES)
        .map(|number| {
            let mut world = base.clone();
            world.files.retain(|path, _| path.starts_with("gw-a/"));
            world.keys.truncate(1);
            change(&mut random, &mut world);
            world.finish(Holds::IdentityKey);
            let evidence = folder.path().join(number.to_string());
            world.files.retain(|path, _| path.starts_with("gw-a/"));
            world.write(&evidence);
            Job::new(&evidence, &world, false)
        })
        .collect();
    let rust: Vec<_> = jobs.iter().map(rust).collect();
    let differ: Vec<_> =
        rust.iter().zip(verify_py(&jobs, folder.path())).enumerate().filter(|(_, (rust, py))| *rust != py).collect();
    assert!(differ.is_empty(), "{} of {CASES}: {differ:?}", differ.len());
    let found = rust.iter().filter(|said| said.exit == 1).count();
    println!("{found} of {CASES} are found");
    assert!(found > CASES / 3 && found < CASES, "{found}");
    let (some, said): (Vec<Job>, Vec<_>) = jobs.into_iter().zip(&rust).step_by(SQL_EVERY).unzip();
    for (sql, rust) in verify_sql(&some, folder.path()).iter().zip(said) {
        assert!(sql.exit == 0 || rust.exit != 0, "{sql:?} {rust:?}");
    }
}
