//! What people signed, in the hands of who has every key of the gateway: records, notes and the log are made again each time. What they
//! don't have are the people's keys.

use super::{
    table::{Case, Caught, Tampering, all, always, other, two},
    world::{Holds, World},
};
use sealgate_schema::{
    Hash, LedgerId, Record, Text, instant,
    statement::{Act, Statement},
    verify::Level::{L2, L6},
};
use sealgate_tests::forge::people::{BEGIN, Person, Terms};
use serde_json::{Value, json};

/// Found by what the records name: without a key, too.
const NAMED: [Case; 1] = [all(Holds::IdentityKey, L2)];
/// Found by the signature.
const SIGNED: [Case; 1] = [two(Holds::IdentityKey, L2)];
/// Found by the caller's file of signers alone.
const WHOSE: [Case; 1] = [two(Holds::IdentityKey, L6)];

type Rows = Vec<(Record, Hash)>;

fn rows(world: &mut World) -> &mut Rows {
    &mut world.window("CHG-5").parts[0].records
}

/// Changes the `detail` of a record.
fn detail(world: &mut World, seq: usize, change: impl FnOnce(&mut Value)) {
    let record = &mut rows(world)[seq].0;
    let mut detail: Value = serde_json::from_str(record.fields.detail.as_deref().unwrap()).unwrap();
    change(&mut detail);
    record.fields.detail = Some(detail.to_string().into());
}

/// Takes a record out; what names later ones by `seq` names them still.
fn drop_record(world: &mut World, seq: usize) {
    rows(world).remove(seq);
    for place in 0..rows(world).len() {
        let Some(text) = rows(world)[place].0.fields.detail.clone() else { continue };
        let parsed: Value = serde_json::from_str(&text).unwrap();
        if parsed.get("approvals").is_some() {
            detail(world, place, |detail| {
                let seqs = detail["approvals"].as_array_mut().unwrap();
                seqs.retain(|named| *named != seq);
                for named in seqs {
                    let at = named.as_u64().unwrap();
                    *named = json!(at - u64::from(at > seq as u64));
                }
            });
        }
    }
}

/// Signs the statement of a record again, changed, by somebody.
fn sign_again(world: &mut World, seq: usize, who: &Person, change: impl FnOnce(&mut Statement)) {
    detail(world, seq, |detail| {
        let mut statement = Statement::parse(detail["statement"].as_str().unwrap()).unwrap();
        change(&mut statement);
        who.sign(&statement, detail);
    });
}

/// The attacker's own key, under a name.
fn forged(name: &str) -> Person {
    Person::new(name, 66)
}

/// Somebody signs the approval of S-2 in bob's place.
fn approves(world: &mut World, who: &Person) {
    let name = who.name.clone();
    sign_again(world, 6, who, move |statement| statement.signer = name);
}

pub(super) fn tamperings() -> Vec<Tampering> {
    [approvals(), signers(), terms(), requests(), reviews()].into_iter().flatten().collect()
}

fn approvals() -> Vec<Tampering> {
    vec![
        always("an approval is dropped", &NAMED, |world| drop_record(world, 3)),
        always("an approval is dropped, and the opening says that it needs one less", &NAMED, |world| {
            drop_record(world, 3);
            detail(world, 3, |detail| detail["needs"] = json!(1));
        }),
        always(
            "all approvals are dropped, and the opening says that a rule granted it",
            &[other(Holds::IdentityKey, Caught::WithPin)],
            |world| {
                drop_record(world, 6);
                detail(world, 6, |detail| {
                    (detail["needs"], detail["approvals"], detail["rule"]) = (Value::Null, json!([]), json!("nightly"));
                });
            },
        ),
        always("an approval is moved to another request's session", &NAMED, |world| {
            detail(world, 7, |detail| detail["approvals"] = json!([2]));
        }),
        always("an approval's record says another request", &[other(Holds::IdentityKey, Caught::WithPin)], |world| {
            // The statement says which: the member beside it is the gateway's word.
            detail(world, 6, |detail| detail["request"] = json!("R-1"));
        }),
        always("an approval counts twice", &NAMED, |world| {
            detail(world, 4, |detail| detail["approvals"] = json!([2, 2]));
        }),
        always("an approval stands behind what it opens", &NAMED, |world| {
            rows(world).swap(6, 7);
            detail(world, 6, |detail| detail["approvals"] = json!([7]));
        }),
        always("an approval of more time opens a session", &NAMED, |world| {
            rows(world).swap(7, 15);
            detail(world, 15, |detail| (detail["request"], detail["approvals"]) = (json!("R-5"), json!([7])));
        }),
        always("an approval was given too late", &NAMED, |world| {
            for row in &mut rows(world)[6..] {
                row.0.time += 700_000_000;
            }
        }),
        always("two sessions rest on one request", &NAMED, |world| {
            let mut twice = rows(world)[7].clone();
            twice.0.fields.session = Some(Text::from("S-9"));
            rows(world).push(twice);
            let close = rows(world).len() - 2;
            rows(world).swap(close, close + 1);
        }),
    ]
}

fn signers() -> Vec<Tampering> {
    vec![
        always("an approval is invented, with a signature of another text", &SIGNED, |world| {
            let signature = serde_json::from_str::<Value>(rows(world)[2].0.fields.detail.as_deref().unwrap()).unwrap();
            detail(world, 6, |detail| detail["signature"] = signature["signature"].clone());
        }),
        always("an approval is invented, and signed by a key of the attacker's in bob's name", &WHOSE, |world| {
            approves(world, &forged("bob"))
        }),
        always("an approval is signed by somebody whom nobody knows", &WHOSE, |world| approves(world, &forged("mallory"))),
        always("an approval is signed by somebody's key in another's name", &WHOSE, |world| {
            approves(world, &Person::known("dave").called("carol"));
        }),
        always("an approval is signed by somebody whose time is over", &WHOSE, |world| approves(world, &Person::known("eve"))),
        always("an approval is signed by the requester", &NAMED, |world| {
            sign_again(world, 2, &Person::known("alice"), |statement| statement.signer = "alice".to_owned());
        }),
        always("an approval is signed by the key of the request, in another name", &SIGNED, |world| {
            sign_again(world, 2, &Person::known("alice"), |statement| statement.signer = "zoe".to_owned());
        }),
        always("both approvals are by one key in two names", &NAMED, |world| {
            sign_again(world, 2, &Person::known("frank"), |statement| statement.signer = "frank".to_owned());
            sign_again(world, 3, &Person::known("frank"), |statement| statement.signer = "frank@example.com".to_owned());
        }),
        always("an approval's statement is another, the signature is not", &SIGNED, |world| {
            detail(world, 6, |detail| {
                let said = detail["statement"].as_str().unwrap().replace("restore", "destroy");
                detail["statement"] = json!(said);
            });
            for seq in [5, 7] {
                detail(world, seq, |detail| detail["reason"] = json!("destroy the backup"));
            }
        }),
        always("a denial is signed by a key of the attacker's in carol's name", &WHOSE, |world| {
            sign_again(world, 9, &forged("carol"), |_| ());
        }),
        always("a denial's remark is another", &SIGNED, |world| {
            detail(world, 9, |detail| {
                let said = detail["statement"].as_str().unwrap().replace("looked at it", "gladly");
                detail["statement"] = json!(said);
            });
        }),
    ]
}

fn terms() -> Vec<Tampering> {
    let expires = |at: i64| json!(instant::write(at).unwrap());
    vec![
        always("a session has another role than was approved", &NAMED, |world| {
            detail(world, 7, |detail| detail["role"] = json!("arn:aws:iam::123456789012:role/admin"));
        }),
        always("a session has another account than was approved", &NAMED, |world| {
            detail(world, 4, |detail| detail["account"] = json!("prod"));
        }),
        always("a session is somebody else's than was approved", &NAMED, |world| {
            rows(world)[7].0.fields.principal = Some("agent-2".into());
        }),
        always("a session is for somebody else than was approved", &NAMED, |world| {
            rows(world)[7].0.fields.acting_for = None;
        }),
        always("a session has another reason than was approved", &NAMED, |world| {
            detail(world, 7, |detail| detail["reason"] = json!("destroy the backup"));
        }),
        always("a session is open for longer than was approved", &NAMED, move |world| {
            detail(world, 7, |detail| detail["expires"] = expires(BEGIN + 3_700_000_000));
        }),
        always("a session gets more time than was approved", &NAMED, move |world| {
            detail(world, 16, |detail| detail["expires"] = expires(BEGIN + 5_400_000_000));
        }),
        always("more time is given to another session than was approved", &NAMED, |world| {
            rows(world)[16].0.fields.session = Some("S-2".into());
        }),
        always("a session rests on approvals and on break-glass", &NAMED, |world| {
            detail(world, 7, |detail| detail["break_glass"] = json!(true));
        }),
    ]
}

fn requests() -> Vec<Tampering> {
    vec![
        always("the request of a session is dropped", &NAMED, |world| drop_record(world, 5)),
        always("a session rests on a request that was not made", &NAMED, |world| {
            detail(world, 11, |detail| detail["request"] = json!("R-9"));
        }),
        always("a signed request is signed no more, its principal is still known by the key", &NAMED, |world| {
            detail(world, 10, |detail| detail["statement"] = Value::Null);
        }),
        always("a principal is known by a key that did not ask", &NAMED, |world| {
            detail(world, 12, |detail| detail["basis"] = json!(Person::known("alice").basis()));
            rows(world).remove(13);
            drop_record(world, 14);
            rows(world).remove(13);
            rows(world).remove(13);
        }),
        always("a request is signed by a key of the attacker's in alice's name", &WHOSE, |world| {
            let mallory = forged("alice");
            let basis = mallory.basis();
            sign_again(world, 10, &mallory, |statement| statement.basis.clone_from(&basis));
            for seq in [10, 11] {
                detail(world, seq, |detail| detail["basis"] = json!(basis));
            }
        }),
        always("a session that a rule grants is open for longer than was asked for", &SIGNED, |world| {
            detail(world, 11, |detail| detail["expires"] = json!(instant::write(BEGIN + 900_000_000).unwrap()));
        }),
        always("a session that a rule grants has another role than was asked for", &SIGNED, |world| {
            detail(world, 11, |detail| detail["role"] = json!("arn:aws:iam::123456789012:role/admin"));
        }),
    ]
}

fn reviews() -> Vec<Tampering> {
    vec![
        always("a review is signed by whose session it is", &NAMED, |world| {
            sign_again(world, 13, &Person::known("alice"), |statement| statement.signer = "alice".to_owned());
        }),
        always("a review is signed by a key of the attacker's in dave's name", &WHOSE, |world| {
            sign_again(world, 13, &forged("dave"), |_| ());
        }),
        always("a review is of a session that there is not", &NAMED, |world| {
            sign_again(world, 13, &forged("dave"), |statement| statement.session = Some("S-9".to_owned()));
            rows(world)[13].0.fields.session = Some("S-9".into());
        }),
        always("a review is of other terms", &NAMED, |world| {
            detail(world, 12, |detail| detail["role"] = json!("arn:aws:iam::123456789012:role/admin"));
        }),
        always("a review is dropped", &[other(Holds::IdentityKey, Caught::WithPin)], |world| {
            rows(world).remove(13);
            detail(world, 15, |detail| detail["approvals"] = json!([14]));
        }),
        always("a review is invented, with an approval's signature", &SIGNED, |world| {
            let ledger = LedgerId::new("gw-a", "CHG-5").unwrap();
            let terms = Terms { requester: "uid 1001 (alice)".to_owned(), ..Terms::of_alice("word of uid 1001 (alice)", 1) };
            let statement = Statement { session: Some("S-3".to_owned()), ..terms.statement(&ledger, Act::Review, "bob", "") };
            let approval = serde_json::from_str::<Value>(rows(world)[2].0.fields.detail.as_deref().unwrap()).unwrap();
            detail(world, 13, |detail| {
                (detail["statement"], detail["signer"]) = (json!(statement.to_text().unwrap()), json!("bob"));
                (detail["signature"], detail["key"]) = (approval["signature"].clone(), approval["key"].clone());
            });
        }),
    ]
}
