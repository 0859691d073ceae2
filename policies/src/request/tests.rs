//! Every act in every state, and sequences of acts that nobody thought of.

use super::*;
use crate::access::Needs;
use proptest::prelude::*;
use std::{collections::BTreeSet, num::NonZeroU32};

const END: i64 = 100;

fn signer(name: &str) -> Signer {
    signer_of(&[name], &format!("SHA256:{name}"))
}

fn signer_of(names: &[&str], key: &str) -> Signer {
    let names: Vec<Text> = names.iter().map(|name| Text::from(name.to_string())).collect();
    Signer { name: names[0].clone(), names, key: key.to_owned().into() }
}

fn needs(approvals: u32, from: &[&str]) -> Way {
    let from = from.iter().map(|name| Text::from(name.to_string())).collect();
    Way::Approvals(Needs { approvals: NonZeroU32::new(approvals).unwrap(), from })
}

/// Root asks, as rita and with a key of hers, for agent a1 who acts for alice.
fn request(way: Way) -> Request {
    Request::new(Asking {
        id: "R-1".into(),
        terms: Terms {
            window: "CHG-1".into(),
            principal: "a1".into(),
            principal_kind: PrincipalKind::Agent,
            acting_for: Some("alice".into()),
            account: None,
            role: None,
            duration: 10,
            reason: "why".into(),
        },
        extends: None,
        requester: Requester {
            name: "rita".into(),
            by: "uid 0 (root)".into(),
            user: Some("root".into()),
            key: Some("SHA256:rita".into()),
        },
        basis: "word of a test".into(),
        way,
        requested: 0,
        expires: END,
    })
}

fn approval(name: &str, seq: u64) -> Approved {
    Approved { signer: signer(name), seq }
}

/// A request in each state.
fn in_state(state: State) -> Request {
    let mut request = request(needs(1, &[]));
    match state {
        State::Pending => {}
        State::Approved => drop(request.approve(approval("bob", 1), 0).unwrap()),
        State::Denied => request.deny(&signer("bob"), 0).unwrap(),
        State::Expired => assert!(request.expire(END)),
        State::Withdrawn => request.withdraw("uid 0 (root)", 0).unwrap(),
    }
    assert_eq!(request.state(0), state);
    request
}

#[test]
fn every_act_moves_a_pending_request_and_no_act_moves_another() {
    type Try = fn(&mut Request) -> bool;
    let acts: [(Try, State); 5] = [
        (|request| request.approve(approval("carol", 2), 0).is_ok(), State::Approved),
        (|request| request.deny(&signer("carol"), 0).is_ok(), State::Denied),
        (|request| request.withdraw("uid 0 (root)", 0).is_ok(), State::Withdrawn),
        (|request| request.expire(END), State::Expired),
        (|request| request.lapse(), State::Expired),
    ];
    for from in State::ALL {
        for (act, to) in acts {
            let mut request = in_state(from);
            let before = request.clone();
            let moved = act(&mut request);
            assert_eq!(moved, from == State::Pending, "{from} to {to}");
            assert_eq!(request.written_state(), if moved { to } else { from });
            assert!(moved || request == before, "an act that is not possible changes nothing");
        }
    }
}

#[test]
fn what_is_not_possible_says_what_to_do() {
    for state in [State::Approved, State::Denied, State::Expired, State::Withdrawn] {
        let said = in_state(state).deny(&signer("carol"), 0).unwrap_err().to_string();
        assert!(said.contains(state.as_str()) && said.contains("session request"), "{said}");
    }
    let said = in_state(State::Pending).withdraw("uid 1", 0).unwrap_err().to_string();
    assert!(said.contains("session deny R-1"), "{said}");
    let said = request(needs(2, &[])).stand(0).unwrap_err().to_string();
    assert!(said.contains("2 approvals") && said.contains("session approve R-1"), "{said}");
}

#[test]
fn the_last_instant_of_a_request_is_the_one_before_it_expires() {
    let mut request = request(needs(1, &[]));
    assert_eq!((request.state(END - 1), request.state(END)), (State::Pending, State::Expired));
    assert_eq!(request.approve(approval("bob", 1), END), Err(RequestError::Late("R-1".into())));
    assert!(request.approve(approval("bob", 1), END - 1).unwrap().is_some());
    assert!(!request.expire(END), "an end is final");
}

#[test]
fn nobody_approves_what_they_ask_for_act_in_or_what_is_done_for_them() {
    let check = |signer: &Signer, role: &str| {
        let mut request = request(needs(1, &[]));
        let error = request.approve(Approved { signer: signer.clone(), seq: 1 }, 0).unwrap_err();
        assert!(matches!(&error, RequestError::Involved { role: said, .. } if said.contains(role)), "{error}");
        assert!(request.deny(signer, 0).is_err());
    };
    check(&signer("a1"), "the principal");
    check(&signer("alice"), "acts for");
    check(&signer("rita"), "requester");
    check(&signer("root"), "requester");
    // The key of who asked under another name, and another name of a key that is theirs.
    check(&signer_of(&["bob"], "SHA256:rita"), "requester");
    check(&signer_of(&["bob", "rita"], "SHA256:other"), "requester");
    check(&signer_of(&["bob", "alice"], "SHA256:other"), "acts for");
}

#[test]
fn one_person_counts_once_by_name_and_by_key() {
    let mut request = request(needs(2, &[]));
    assert_eq!(request.approve(Approved { signer: signer_of(&["bob", "robert"], "SHA256:1"), seq: 1 }, 0), Ok(None));
    for again in [signer_of(&["bob"], "SHA256:2"), signer_of(&["robert"], "SHA256:2"), signer_of(&["carol"], "SHA256:1")] {
        assert!(matches!(request.may_approve(&again, 0), Err(RequestError::Again { missing: 1, .. })), "{again:?}");
    }
    let granted = request.approve(Approved { signer: signer_of(&["carol"], "SHA256:3"), seq: 7 }, 0).unwrap().unwrap();
    assert_eq!(granted.approvals(), [1, 7]);
}

#[test]
fn only_those_who_are_asked_count() {
    let mut request = request(needs(1, &["bob", "carol"]));
    let error = request.approve(approval("dave", 1), 0).unwrap_err();
    assert_eq!(error, RequestError::NotAsked { signer: "dave".into(), id: "R-1".into(), from: "bob, carol".into() });
    assert!(request.approve(approval("carol", 1), 0).unwrap().is_some());
}

#[test]
fn a_rule_grants_what_needs_nobody_and_nothing_else() {
    let mut ruled = request(Way::Rule("nightly".into()));
    assert_eq!(ruled.stand(0).unwrap().approvals(), [0_u64; 0]);
    assert_eq!(ruled.written_state(), State::Approved);
    assert!(ruled.stand(0).is_err());
    assert!(request(needs(1, &[])).stand(0).is_err());
}

#[test]
fn a_request_that_was_approved_is_granted_again_after_a_restart_and_no_other_is() {
    assert!(in_state(State::Approved).granted_before().is_some());
    for state in [State::Pending, State::Denied, State::Expired, State::Withdrawn] {
        assert!(in_state(state).granted_before().is_none(), "{state}");
    }
    // A store in which somebody wrote `approved` over a request without approvals.
    let tampered = Request::restore(request(needs(1, &[])).asking, Vec::new(), State::Approved);
    assert!(tampered.granted_before().is_none());
}

#[derive(Debug, Clone)]
enum Act {
    Approve(Signer),
    Deny(Signer),
    Withdraw(bool),
    Stand,
    Expire,
    Lapse,
}

fn people() -> impl Strategy<Value = Signer> {
    let names = ["a1", "alice", "rita", "root", "bob", "carol", "dave", "eve"];
    let keys = ["SHA256:1", "SHA256:2", "SHA256:3", "SHA256:rita"];
    (prop::sample::subsequence(names.to_vec(), 1..3), prop::sample::select(keys.to_vec()))
        .prop_map(|(names, key)| signer_of(&names, key))
}

fn acts() -> impl Strategy<Value = Vec<(Act, i64)>> {
    let act = prop_oneof![
        8 => people().prop_map(Act::Approve),
        1 => people().prop_map(Act::Deny),
        1 => any::<bool>().prop_map(Act::Withdraw),
        1 => Just(Act::Stand),
        1 => Just(Act::Expire),
        1 => Just(Act::Lapse),
    ];
    prop::collection::vec((act, 0..END + 20), 0..24)
}

/// The people whose approval was taken have to be enough, different, asked and not involved: told apart here without the code under test.
fn has_what_it_needs(taken: &[Signer], asked: &Needs) -> bool {
    let keys: BTreeSet<&str> = taken.iter().map(|signer| signer.key.as_str()).collect();
    let mut names = BTreeSet::new();
    let apart = taken.iter().flat_map(|signer| &signer.names).all(|name| names.insert(name.as_str()));
    let involved = ["a1", "alice", "rita", "root"].iter().any(|name| names.contains(name)) || keys.contains("SHA256:rita");
    let asked_for = taken.iter().all(|signer| asked.from.is_empty() || asked.from.contains(&signer.name));
    taken.len() >= asked.approvals.get() as usize && keys.len() == taken.len() && apart && !involved && asked_for
}

proptest! {
    #[test]
    fn no_sequence_of_acts_grants_without_what_is_needed_and_an_end_is_final(
        approvals in 1_u32..4, named in any::<bool>(), acts in acts(),
    ) {
        let way = needs(approvals, if named { &["bob", "carol", "dave"] } else { &[] });
        let Way::Approvals(asked) = way.clone() else { unreachable!() };
        let mut request = request(way);
        let (mut taken, mut grants) = (Vec::new(), 0);
        for (number, (act, now)) in acts.into_iter().enumerate() {
            let before = request.clone();
            match act {
                Act::Approve(signer) => {
                    let done = request.approve(Approved { signer: signer.clone(), seq: number as u64 }, now);
                    if done.is_ok() {
                        prop_assert!(now < END);
                        taken.push(signer);
                    }
                    if let Ok(Some(granted)) = done {
                        grants += 1;
                        prop_assert!(has_what_it_needs(&taken, &asked));
                        prop_assert_eq!(granted.approvals().len(), taken.len());
                    }
                }
                Act::Deny(signer) => drop(request.deny(&signer, now)),
                Act::Withdraw(own) => drop(request.withdraw(if own { "uid 0 (root)" } else { "uid 1" }, now)),
                Act::Stand => prop_assert!(request.stand(now).is_err()),
                Act::Expire => drop(request.expire(now)),
                Act::Lapse => drop(request.lapse()),
            }
            if before.written_state() != State::Pending {
                prop_assert_eq!(&request, &before);
            }
            prop_assert_eq!(request.written_state() == State::Approved, grants == 1);
        }
        prop_assert!(grants <= 1);
    }
}
