//! Witnesses: their keys, policies, what a log asks of them, and what they have cosigned. No input can guess a signature, so
//! each text is also signed here: by those who may, and by one who may not.

use crate::{log::GATEWAY, note::KEY};
use sealgate_schema::{
    Hash,
    note::Checkpoint,
    witness::{
        Cosigner, WitnessKey, check_cosigned,
        policy::Policy,
        request::{AddCheckpoint, parse_size},
    },
};
use std::{fmt::Write, sync::LazyLock};

const SECONDS: u64 = 1_790_000_000;

fn cosigner(name: u8, seed: u8) -> Cosigner {
    Cosigner::from_seed(&format!("witness.example/w{name}"), &[seed; 32]).expect("a name and a seed")
}

/// Those of the policy.
static WITNESSES: LazyLock<Vec<Cosigner>> = LazyLock::new(|| (1..=3).map(|number| cosigner(number, number)).collect());
/// Has the name of the first one, and another secret.
static IMPOSTOR: LazyLock<Cosigner> = LazyLock::new(|| cosigner(1, 9));
/// Two of the three.
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::parse(policy_text().as_bytes()).expect("a policy"));

fn policy_text() -> String {
    let mut text = format!("# two of three\nlog {} http://log.example/\n", KEY.verifier());
    for (number, witness) in WITNESSES.iter().enumerate() {
        writeln!(text, "witness w{number} {} http://w{number}.example/", witness.public()).expect("text");
    }
    text + "group two 2 w0 w1 w2\nquorum two\n"
}

/// A policy is written as one that reads the same.
pub(crate) fn policy(data: &[u8]) -> bool {
    let Ok(policy) = Policy::parse(data) else { return false };
    let written = policy.to_string();
    assert_eq!(Policy::parse(written.as_bytes()).as_ref(), Ok(&policy), "{written}");
    assert_eq!(policy.satisfied(&[].into()), policy.quorum() == "none", "nobody is no quorum");
    let all = policy.witnesses().iter().map(|witness| witness.name.as_str()).collect();
    assert!(policy.satisfied(&all), "all of them are a quorum");
    true
}

pub(crate) fn policy_seeds() -> Vec<Vec<u8>> {
    let key = WITNESSES[0].public();
    let nested = format!("{}group all all two\n quorum\tall\n", policy_text().replace("quorum two\n", ""));
    [policy_text(), nested, "quorum none\n".into(), format!("witness a {key}\n\n#\ngroup g any a\nquorum g\n")]
        .map(String::into_bytes)
        .into()
}

/// A key has one spelling.
pub(crate) fn key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(key) = WitnessKey::parse(text) else { return false };
    assert_eq!(key.to_string(), text);
    true
}

pub(crate) fn key_seeds() -> Vec<Vec<u8>> {
    WITNESSES.iter().map(|witness| witness.public().to_string().into_bytes()).collect()
}

/// A request has one spelling.
pub(crate) fn request(data: &[u8]) -> bool {
    let Ok(request) = AddCheckpoint::parse(data) else { return false };
    assert_eq!(request.to_string().as_bytes(), data);
    true
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    let request = |old, proof| AddCheckpoint { old, proof, note: KEY.sign(&checkpoint()) }.to_string().into_bytes();
    vec![request(0, Vec::new()), request(5, vec![Hash::ZERO, Hash::of(&[b"a"])]), request(u64::MAX, vec![Hash::ZERO; 63])]
}

/// A size has one spelling.
pub(crate) fn size(data: &[u8]) -> bool {
    let Some(size) = parse_size(data) else { return false };
    assert_eq!(format!("{size}\n").as_bytes(), data);
    true
}

pub(crate) fn size_seeds() -> Vec<Vec<u8>> {
    [0, 7, 20_852_163, u64::MAX].map(|size| format!("{size}\n").into_bytes()).into()
}

/// A checkpoint counts where its lines are those that log and witnesses made of this text, and enough of them.
pub(crate) fn cosigned(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if Checkpoint::parse(text).is_ok() {
        sign_and_check(text);
    }
    let Ok(cosigned) = check_cosigned(data, KEY.verifier(), &POLICY) else { return false };
    let signed = cosigned.checkpoint.text();
    let witness = |name: &str| POLICY.witnesses().iter().position(|witness| witness.name == name).expect("it is in the policy");
    let mut lines: Vec<_> = cosigned.by.iter().map(|(name, time)| WITNESSES[witness(name)].cosign(&signed, *time)).collect();
    assert!(lines.len() >= 2);
    lines.push(KEY.line(&signed));
    let note = text.strip_prefix(&signed).and_then(|rest| rest.strip_prefix('\n')).expect("the text, a blank line, the signatures");
    let mut found: Vec<_> = note.split_inclusive('\n').collect();
    lines.sort();
    found.sort_unstable();
    assert_eq!(lines, found, "a line that nobody signed");
    true
}

/// Signs a checkpoint, whosever it is.
fn sign_and_check(text: &str) {
    let holds = |note: &str| check_cosigned(note.as_bytes(), KEY.verifier(), &POLICY);
    let [first, second, _] = &WITNESSES[..] else { panic!("three witnesses") };
    let one = KEY.sign(text) + &first.cosign(text, SECONDS);
    if let Ok(cosigned) = holds(&(one.clone() + &second.cosign(text, SECONDS))) {
        assert_eq!(cosigned.checkpoint.text(), text, "another text than the signed one");
        assert_eq!(cosigned.checkpoint.origin, KEY.verifier().name());
        let two = second.cosign(text, SECONDS);
        for bad in [one.clone(), one.clone() + &first.cosign(text, SECONDS), one + &two + &two] {
            assert!(holds(&bad).is_err(), "too few, or one twice");
        }
        assert!(holds(&(KEY.sign(text) + &IMPOSTOR.cosign(text, SECONDS) + &two)).is_err(), "an impostor counts");
    }
}

fn checkpoint() -> String {
    Checkpoint { origin: format!("sealgate/{GATEWAY}"), size: 3, root: Hash::of(&[b"r"]), extensions: Vec::new() }.text()
}

pub(crate) fn cosigned_seeds() -> Vec<Vec<u8>> {
    let text = checkpoint();
    let by = |numbers: &[usize]| {
        numbers.iter().fold(KEY.sign(&text), |note, number| note + &WITNESSES[*number].cosign(&text, SECONDS)).into_bytes()
    };
    vec![by(&[0, 1]), by(&[2, 0, 1])]
}
