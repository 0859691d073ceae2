use super::{
    policy::{Policy, PolicyError},
    request::{AddCheckpoint, PROOF_LINES_MAX, parse_size},
    *,
};
use crate::note::SigningKey;
use proptest::prelude::*;

const TIME: u64 = 1_679_315_147;

fn log() -> SigningKey {
    SigningKey::from_seed("sealgate/gw-test", &[7; 32]).unwrap()
}

fn witness(number: u8) -> Cosigner {
    Cosigner::from_seed(&format!("witness.example/w{number}"), &[number; 32]).unwrap()
}

fn text() -> String {
    Checkpoint { origin: "sealgate/gw-test".into(), size: 3, root: Hash::of(&[b"r"]), extensions: vec![] }.text()
}

/// A policy with witnesses W1 to W4 and these further lines.
fn policy(lines: &str) -> Result<Policy, PolicyError> {
    let witnesses: String = (1..=4).map(|n| format!("witness W{n} {} http://w{n}.example/\n", witness(n).public())).collect();
    Policy::parse(format!("# a policy\n\n log {}\n\t{witnesses}{lines}", log().verifier()).as_bytes())
}

/// Key and cosignature made with Python's cryptography over the specification's example checkpoint.
#[test]
fn a_cosignature_is_the_one_that_another_implementation_makes() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let line = "\u{2014} witness.example/w1 JLXZ/gAAAABkGFDLSEwbtADY9t5XeSzDTVuiqYN5nZfoc9NQOUgkPYm4wwjIUL68Nczz1tpzCjnpmnRXttgqVVwOg3WfE7AXqa+DAg==\n";
    let key = WitnessKey::parse("witness.example/w1+24b5d9fe+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY").unwrap();
    let cosigner = Cosigner::from_seed("witness.example/w1", &[9; 32]).unwrap();
    assert_eq!(cosigner.public(), &key);
    assert_eq!(cosigner.cosign(text, TIME), line);
    assert_eq!(key.find(text, line), Ok(Some(Cosignature { time: TIME, line: line.to_owned() })));
}

#[test]
fn a_key_of_another_type_or_with_a_wrong_hash_is_refused() {
    let key = witness(1).public().to_string();
    assert_eq!(WitnessKey::parse(&key).as_ref(), Ok(witness(1).public()));
    for bad in [key.replacen("w1", "w2", 1), format!("{key} "), log().verifier().to_string(), "a+b".into(), String::new()] {
        assert_eq!(WitnessKey::parse(&bad), Err(NoteError::BadKey), "{bad}");
    }
}

#[test]
fn other_lines_are_passed_over_and_a_false_one_is_not() {
    let (ours, other) = (witness(1), witness(2));
    let lines = other.cosign(&text(), TIME) + &ours.cosign(&text(), TIME);
    assert_eq!(ours.public().find(&text(), &lines).unwrap().unwrap().time, TIME);
    assert_eq!(witness(3).public().find(&text(), &lines), Ok(None));
    let of_another_text = ours.cosign("another\n", TIME);
    assert!(matches!(ours.public().find(&text(), &of_another_text), Err(NoteError::BadSignature(_))));
    // Same name and id, an earlier time put in: the time is signed too.
    let bytes = STANDARD.decode(ours.cosign(&text(), TIME).rsplit(' ').next().unwrap().trim()).unwrap();
    let backdated = [&bytes[..4], &(TIME - 60).to_be_bytes(), &bytes[12..]].concat();
    let line = format!("\u{2014} witness.example/w1 {}\n", STANDARD.encode(backdated));
    assert!(matches!(ours.public().find(&text(), &line), Err(NoteError::BadSignature(_))));
}

#[test]
fn a_cosigned_checkpoint_names_who_cosigned_when() {
    let policy = policy("group any-two 2 W1 W2 W3\nquorum any-two\n").unwrap();
    let note = log().sign(&text()) + &witness(3).cosign(&text(), TIME) + &witness(1).cosign(&text(), TIME + 1);
    let cosigned = check_cosigned(note.as_bytes(), log().verifier(), &policy).unwrap();
    assert_eq!(cosigned.checkpoint.size, 3);
    assert_eq!(cosigned.by, [("W3".to_owned(), TIME), ("W1".to_owned(), TIME + 1)]);
}

#[test]
fn what_a_cosigned_checkpoint_may_not_hold_is_named() {
    let policy = policy("group any-two 2 W1 W2 W3\nquorum any-two\n").unwrap();
    let check = |note: String| check_cosigned(note.as_bytes(), log().verifier(), &policy).unwrap_err();
    let by = |number: u8| witness(number).cosign(&text(), TIME);
    let signed = log().sign(&text());
    let enough = signed.clone() + &by(1) + &by(2);
    let stranger = SigningKey::from_seed("sealgate/gw-test", &[8; 32]).unwrap().sign(&text());
    let stranger_line = stranger.split_once("\n\n").unwrap().1;
    let other_log = log().sign(&text().replacen("gw-test", "gw-else", 1));
    let no_quorum =
        |by: &[&str]| CosignedError::NoQuorum { quorum: "any-two".into(), by: by.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(check(signed.clone()), no_quorum(&[]));
    assert_eq!(check(signed.clone() + &by(1)), no_quorum(&["W1"]));
    assert_eq!(check(signed.clone() + &by(1) + &by(4)), no_quorum(&["W1", "W4"]));
    assert_eq!(check(signed.clone() + &by(1) + &by(1)), CosignedError::Twice("W1".into()));
    assert_eq!(check(enough.clone() + &by(5)), CosignedError::Stranger("witness.example/w5".into()));
    assert_eq!(check(enough.clone() + stranger_line), CosignedError::Stranger("sealgate/gw-test".into()));
    assert_eq!(check(enough.clone() + signed.split_once("\n\n").unwrap().1), CosignedError::Twice("sealgate/gw-test".into()));
    assert!(matches!(check(enough.replacen("\n3\n", "\n4\n", 1)), CosignedError::Note(NoteError::BadSignature(_))));
    assert!(matches!(
        check(signed.clone() + &by(1) + &witness(2).cosign("x\n", TIME)),
        CosignedError::Note(NoteError::BadSignature(_))
    ));
    assert!(matches!(check(other_log), CosignedError::OtherLog(..)));
    assert!(matches!(check(format!("{}\n{}{}", text(), by(1), by(2))), CosignedError::Note(NoteError::NotSignedBy(_))));
    assert!(matches!(check(enough + "\u{2014} x\n"), CosignedError::Note(NoteError::Malformed(_))));
    let other = SigningKey::from_seed("sealgate/gw-else", &[8; 32]).unwrap();
    let unknown = check_cosigned(signed.as_bytes(), other.verifier(), &policy);
    assert_eq!(unknown, Err(CosignedError::LogNotInPolicy(other.verifier().to_string())));
}

#[test]
fn a_quorum_holds_when_its_groups_do() {
    for (lines, by, holds) in [
        ("quorum none\n", &[][..], true),
        ("quorum W2\n", &["W2"], true),
        ("quorum W2\n", &["W1", "W3"], false),
        ("group a any W1 W2\nquorum a\n", &["W2"], true),
        ("group a all W1 W2\nquorum a\n", &["W2"], false),
        ("group a all W1 W2\nquorum a\n", &["W2", "W1"], true),
        ("group a 2 W1 W2\ngroup b any W3 W4\ngroup c all a b\nquorum c\n", &["W1", "W2"], false),
        ("group a 2 W1 W2\ngroup b any W3 W4\ngroup c all a b\nquorum c\n", &["W1", "W2", "W4"], true),
        ("group a 2 W1 W2\ngroup b any W3 W4 a\nquorum b\n", &["W1", "W2"], true),
    ] {
        let policy = policy(lines).unwrap();
        assert_eq!(policy.satisfied(&by.iter().copied().collect()), holds, "{lines:?} {by:?}");
        assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy), "{lines:?} prints and reads back");
    }
}

#[test]
fn a_policy_error_names_the_line_and_what_to_do() {
    let again = format!("witness W5 {}\n", witness(1).public());
    let of_a_log = format!("witness W5 {}\n", log().verifier());
    let log_again = format!("log {}\n", log().verifier());
    for (lines, line, why) in [
        ("", 8, "there is no `quorum NAME`"),
        ("quorum W1", 8, "newline"),
        ("quorum W1\r\n", 8, "control character"),
        ("quorum W9\n", 8, "\"W9\" is not defined"),
        ("quorum W1\nquorum W2\n", 9, "sets the quorum"),
        ("group a 3 W1 W2\n", 8, "\"3\" is not any, all, or a number from 1 to 2"),
        ("group a 0 W1 W2\n", 8, "\"0\" is not"),
        ("group a 01 W1 W2\n", 8, "\"01\" is not"),
        ("group a any\n", 8, "write `group NAME any|all|K MEMBER…`"),
        ("group a any W1 W1\n", 8, "a member of a group already"),
        ("group a any W1\ngroup b any W1 W2\n", 9, "a member of a group already"),
        ("group a any b\n", 8, "\"b\" is not defined"),
        ("group a any none\n", 8, "\"none\" is not defined"),
        ("group none any W1\n", 8, "the name of the empty quorum"),
        ("group W1 any W2\n", 8, "is defined on a line before"),
        ("witness W5 nonsense\n", 8, "is not a witness's key"),
        (&of_a_log, 8, "its type is 4, a log's is 1"),
        (&again, 8, "names a witness with this key"),
        (&log_again, 8, "names a log with this key"),
        ("log nonsense\n", 8, "is not a log's key"),
        ("log\n", 8, "write `log VKEY [URL]`"),
        ("wittness W5 x\n", 8, "\"wittness\" is not known"),
    ] {
        let error = policy(lines).unwrap_err();
        assert!(error.line == line && error.why.contains(why), "{lines:?}: {error}");
    }
    assert!(Policy::parse(b"# \xff\xfe\nquorum none\n").is_ok());
    assert!(Policy::parse(b"quorum \xff\n").unwrap_err().why.contains("UTF-8"));
}

#[test]
fn a_request_has_one_spelling_and_a_bound() {
    let request = AddCheckpoint { old: 2, proof: vec![Hash::of(&[b"a"]), Hash::of(&[b"b"])], note: log().sign(&text()) };
    let body = request.to_string();
    assert_eq!(AddCheckpoint::parse(body.as_bytes()), Ok(request.clone()));
    let long = AddCheckpoint { proof: vec![Hash::ZERO; PROOF_LINES_MAX], ..request.clone() };
    assert_eq!(AddCheckpoint::parse(long.to_string().as_bytes()), Ok(long));
    let longer = AddCheckpoint { proof: vec![Hash::ZERO; PROOF_LINES_MAX + 1], ..request };
    let huge = format!("{body}{}", "x".repeat(request::REQUEST_BYTES_MAX));
    for bad in [
        longer.to_string(),
        huge,
        body.replacen("old 2", "old 02", 1),
        body.replacen("old 2", "old +2", 1),
        body.replacen("old 2", "old  2", 1),
        body.replacen("old 2", "old -2", 1),
        body.replacen("old 2", "old 18446744073709551616", 1),
        body.replacen("=\n", "=\r\n", 1),
        body.replacen("=\n", "\n", 1),
        "old 2\n".to_owned(),
        String::new(),
    ] {
        assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{}", bad.get(..60).unwrap_or(&bad));
    }
    for (body, size) in [("12\n", Some(12)), ("0\n", Some(0)), ("12", None), ("012\n", None), ("12\n\n", None), ("x\n", None)] {
        assert_eq!(parse_size(body.as_bytes()), size, "{body:?}");
    }
}

proptest! {
    #[test]
    fn hostile_input_never_panics_and_what_is_read_prints_the_same(
        bytes: Vec<u8>,
        text: String,
        request in "old [0-9]{1,3}\n([A-Za-z0-9+/]{43}=\n){0,3}\n[a-z\n]{0,9}",
        lines in "(\u{2014} [a-z]{0,3} ?[A-Za-z+/=]{0,9}\n?){0,3}",
        policy in "((log|witness|group|quorum|#)( (none|any|2|a|b|W1|W2)){0,5}\n){0,6}",
    ) {
        for body in [&bytes[..], text.as_bytes(), request.as_bytes()] {
            if let Ok(read) = AddCheckpoint::parse(body) {
                let printed = read.to_string();
                prop_assert_eq!(printed.as_bytes(), body);
            }
            let _ = parse_size(body);
        }
        for file in [bytes.clone(), policy.clone().into_bytes(), format!("witness W1 {}\n{policy}", witness(1).public()).into_bytes()] {
            if let Ok(read) = Policy::parse(&file) {
                prop_assert_eq!(Policy::parse(read.to_string().as_bytes()), Ok(read));
            }
        }
        let _ = WitnessKey::parse(&text);
        let _ = witness(1).public().find(&text, &lines);
        let none = Policy::parse(b"quorum none\n").unwrap();
        let _ = check_cosigned(&bytes, log().verifier(), &none);
        let _ = check_cosigned((log().sign("a\n1\n") + &lines).as_bytes(), log().verifier(), &none);
    }
}
