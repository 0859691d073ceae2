//! Asking, approving, denying, extending.

use super::{Office, asking, done, refused};
use std::{
    fs,
    process::{Command, Stdio},
};

const REQUIRED: &str = "[approval]\nrequired = true\n";
const TWO: &str = "[approval]\nrequired = true\napprovals = 2\n";

#[test]
fn two_of_three_people_approve_and_their_signatures_are_in_the_ledger() {
    let office = Office::open(TWO);
    office.refused(&asking("open", &[]), &["need approval", "session request --window CHG-1 --principal alice"]);
    let request = office.request(&[]);
    assert!(request.starts_with("R-"), "{request}");
    done(&office.decide("approve", &request, "bob"));
    assert_eq!(office.sessions().len(), 0, "one of two is not enough");
    refused(&office.decide("approve", &request, "bob"), &["bob has approved", "1 more"]);
    done(&office.decide("approve", &request, "carol"));
    refused(&office.decide("approve", &request, "dave"), &["is approved already"]);

    let session = &office.sessions()[0];
    assert_eq!(
        (&session["status"], &session["principal"], &session["request"]),
        (&"open".into(), &"alice".into(), &request.as_str().into())
    );
    assert!(session["opened_by"].as_str().unwrap().starts_with("carol (ssh SHA256:"), "{session}");
    office.gateway.ok(&["session", "env", session["id"].as_str().unwrap()]);

    let evidence = office.close();
    let (opened, approvals) = (evidence.details("CHG-1", "session_open"), evidence.details("CHG-1", "session_approve"));
    let ([(_, opened)], [(first, bob), (second, carol)]) = (opened.as_slice(), approvals.as_slice()) else { panic!("{opened:?}") };
    assert_eq!(opened["approvals"], serde_json::json!([first, second]));
    assert_eq!((&opened["needs"], &opened["request"]), (&2.into(), &request.as_str().into()));
    assert_eq!(evidence.rests_on(), ["bob carol"]);
    assert!(evidence.verified_by_ssh_keygen(bob, "bob") && evidence.verified_by_ssh_keygen(carol, "carol"));
    assert!(!evidence.verified_by_ssh_keygen(bob, "carol"));
    for detail in [bob, carol] {
        assert!(detail["by"].as_str().unwrap().starts_with("uid "), "{detail}");
    }
    let asked = evidence.details("CHG-1", "session_request");
    assert_eq!((&asked[0].1["needs"], &asked[0].1["request"]), (&2.into(), &request.as_str().into()));
}

#[test]
fn nobody_approves_their_own_request_by_name_or_by_key() {
    let office = Office::open(REQUIRED);
    let (asked_by_bob, for_bob) = (office.request(&["--as", "bob"]), office.request(&["--principal", "bob"]));
    refused(&office.decide("approve", &asked_by_bob, "bob"), &["bob is the requester"]);
    refused(&office.decide("approve", &for_bob, "bob"), &["bob is the principal"]);
    let acting = office.request(&["--principal", "a1", "--kind", "agent", "--acting-for", "bob"]);
    refused(&office.decide("approve", &acting, "bob"), &["acts for"]);
    // The same key under another name: the file has it twice.
    let approvers = fs::read_to_string(office.approvers()).unwrap();
    let key = approvers.lines().next().unwrap().strip_prefix("bob ").unwrap();
    fs::write(office.approvers(), format!("{approvers}\nrobert {key}\n")).unwrap();
    refused(&office.decide_with("approve", &asked_by_bob, "robert", &office.key("bob")), &["is the requester"]);
    done(&office.decide("approve", &asked_by_bob, "carol"));
    assert_eq!(office.sessions().len(), 1);
}

#[test]
fn a_signature_that_is_forged_of_others_or_of_other_terms_is_refused() {
    let office = Office::open(REQUIRED);
    let (request, other) = (office.request(&[]), office.request(&["--for", "3h"]));
    let statement =
        |id: &str, act: &str| office.gateway.ok(&["session", act, id, "--as", "bob", "--remark", "x", "--print-statement"]);
    let signed = |statement: &str, namespace: &str, key: &str| {
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-Y", "sign", "-q", "-n", namespace, "-f", key]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = sign.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), statement.as_bytes()).unwrap();
        let file = office.approvers().with_file_name("signed");
        fs::write(&file, child.wait_with_output().unwrap().stdout).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let send =
        |signature: &str| office.run(&["session", "approve", &request, "--as", "bob", "--remark", "x", "--signature", signature]);
    let (bob, mallory) = (office.key("bob"), office.key("mallory"));
    refused(&send(&signed(&statement(&request, "approve"), "sealgate", &mallory)), &["nobody's"]);
    refused(&send(&signed(&statement(&request, "approve"), "sealgate", &office.key("carol"))), &["carol's", "not bob's"]);
    refused(&send(&signed(&statement(&request, "approve"), "git", &bob)), &["the signature"]);
    refused(&send(&signed(&statement(&other, "approve"), "sealgate", &bob)), &["the signature"]);
    refused(&send(&signed(&statement(&request, "deny"), "sealgate", &bob)), &["the signature"]);
    refused(&send(office.approvers().to_str().unwrap()), &["the signature"]);
    assert!(office.sessions().is_empty());
    // A key that was taken out of the file signs nothing more.
    let approvers = fs::read_to_string(office.approvers()).unwrap();
    fs::write(office.approvers(), approvers.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    refused(&send(&signed(&statement(&request, "approve"), "sealgate", &bob)), &["nobody's"]);
    fs::write(office.approvers(), approvers).unwrap();
    done(&send(&signed(&statement(&request, "approve"), "sealgate", &bob)));
    assert_eq!(office.sessions().len(), 1);
    let evidence = office.close();
    assert_eq!(evidence.details("CHG-1", "session_approve").len(), 1, "what was refused left no approval");
}

#[test]
fn a_request_beyond_a_limit_is_refused_with_what_is_allowed() {
    let office = Office::open(
        "[approval]\nrequired = true\n\
         [[limit]]\nfor = { principals = [\"alice\"] }\nlongest = \"1h\"\nsessions = 1\naccounts = [\"default\"]\nroles = [\"none\", \"*:role/read\"]\n",
    );
    office.refused(&asking("request", &["--for", "61m"]), &["1h at most"]);
    office.refused(&asking("request", &["--account", "prod"]), &["may not use account prod", "default"]);
    office.refused(&asking("request", &["--role", "arn:aws:iam::111122223333:role/admin"]), &["may not use role"]);
    let (first, second) = (office.request(&["--role", "arn:aws:iam::111122223333:role/read"]), office.request(&[]));
    done(&office.decide("approve", &first, "bob"));
    // What was within the limit when it was asked for is not any more.
    refused(&office.decide("approve", &second, "bob"), &["may have 1"]);
    office.refused(&asking("request", &[]), &["may have 1"]);
    office.gateway.ok(&["session", "close", office.sessions()[0]["id"].as_str().unwrap()]);
    done(&office.decide("approve", &second, "bob"));
}

#[test]
fn a_standing_rule_opens_for_workloads_and_the_record_names_it() {
    let office = Office::open(
        "[approval]\nrequired = true\n\
         [[rule]]\nname = \"nightly deploy\"\nfor = { principals = [\"ci-*\"], windows = [\"CHG-*\"] }\nlongest = \"30m\"\n",
    );
    let workload = ["--principal", "ci-1", "--kind", "workload", "--for", "30m"];
    let session = office.request(&workload);
    assert!(session.starts_with("S-"), "{session}");
    assert_eq!(office.sessions()[0]["rule"], "nightly deploy");
    // More time in all than the rule gives needs people.
    let extension = office.gateway.ok(&["session", "extend", &session, "--for", "1m", "--reason", "slow", "--quiet"]);
    assert!(extension.starts_with("R-"), "{extension}");
    for other in [["--principal", "ci-1", "--kind", "human"], ["--principal", "x", "--kind", "workload"]] {
        assert!(office.request(&other).starts_with("R-"));
    }
    let evidence = office.close();
    let opened = evidence.details("CHG-1", "session_open");
    assert_eq!(evidence.rests_on(), ["rule nightly deploy"]);
    assert_eq!((&opened[0].1["rule"], &opened[0].1["approvals"]), (&"nightly deploy".into(), &serde_json::json!([])));
}

#[test]
fn more_time_needs_what_the_session_needed_and_ends_with_the_window() {
    let office = Office::open(REQUIRED);
    let request = office.request(&[]);
    done(&office.decide("approve", &request, "bob"));
    let session = office.sessions()[0].clone();
    let (id, before) = (session["id"].as_str().unwrap(), session["expires"].clone());
    let extend = ["session", "extend", id, "--for", "1h", "--reason", "slow", "--as", "alice", "--quiet"];
    let extension = office.gateway.ok(&extend).trim().to_owned();
    assert!(extension.starts_with("R-"), "{extension}");
    assert_eq!(office.sessions()[0]["expires"], before, "asking gives no time");
    done(&office.decide("approve", &extension, "carol"));
    let after = office.sessions()[0]["expires"].clone();
    assert_ne!(after, before);
    // Ten hours more end with the window; then there is no more to have.
    let much = ["session", "extend", id, "--for", "10h", "--reason", "slow", "--quiet"];
    let extension = office.gateway.ok(&much).trim().to_owned();
    done(&office.decide("approve", &extension, "carol"));
    let windows = office.json(&["window", "list", "--json"]);
    let window = windows.as_array().unwrap().iter().find(|window| window["id"] == "CHG-1").unwrap();
    assert_eq!(office.sessions()[0]["expires"], window["closes"]);
    office.refused(&much, &["ends with its window"]);
    office.gateway.ok(&["session", "close", id]);
    office.refused(&much, &["closed", "session request"]);
    let evidence = office.close();
    let extended = evidence.details("CHG-1", "session_extend");
    let approvals = evidence.details("CHG-1", "session_approve");
    assert_eq!(extended.len(), 2);
    assert_eq!(extended[0].1["approvals"], serde_json::json!([approvals[1].0]));
    assert_eq!((&extended[0].1["from"], &extended[0].1["expires"]), (&before, &after));
}

#[test]
fn what_was_denied_or_taken_back_is_over() {
    let office = Office::open(REQUIRED);
    let (denied, withdrawn) = (office.request(&[]), office.request(&[]));
    done(&office.decide("deny", &denied, "bob"));
    refused(&office.decide("approve", &denied, "carol"), &["is denied already"]);
    office.gateway.ok(&["session", "withdraw", &withdrawn]);
    refused(&office.decide("approve", &withdrawn, "carol"), &["is withdrawn already"]);
    refused(&office.decide("approve", "R-nothing", "carol"), &["there is no request", "session requests"]);
    // A window that is closed takes what was asked for in it along.
    let left = office.request(&[]);
    office.gateway.ok(&["window", "close", "CHG-1"]);
    refused(&office.decide("approve", &left, "carol"), &["is expired already"]);
    let states: Vec<_> = office.requests().iter().map(|request| request["state"].clone()).collect();
    assert_eq!(states, ["denied", "withdrawn", "expired"]);
    assert!(office.gateway.ok(&["session", "requests"]).lines().count() == 1, "none waits");
    let evidence = office.close();
    let deny = evidence.details("CHG-1", "session_deny");
    assert!(evidence.verified_by_ssh_keygen(&deny[0].1, "bob"));
    assert_eq!(evidence.acts("CHG-1", "request_withdraw")[0]["request"], withdrawn.as_str());
    assert_eq!(evidence.acts("CHG-1", "request_expire")[0]["request"], left.as_str());
}

#[test]
fn an_approver_sees_what_is_signed_and_is_asked() {
    let office = Office::open(REQUIRED);
    let request = office.request(&["--reason", "rotate the database password"]);
    let output = office.run(&["session", "approve", &request, "--as", "bob", "--key", &office.key("bob")]);
    refused(&output, &["--yes", "--print-statement"]);
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [&request, "alice", "CHG-1", "rotate the database password", "bob"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(office.sessions().is_empty());
}

#[test]
fn without_approvals_required_an_operators_word_is_enough_and_is_on_record() {
    let office = Office::open("");
    let session = office.gateway.ok(&asking("open", &[])).trim().to_owned();
    assert!(office.sessions()[0]["opened_by"].as_str().unwrap().starts_with("uid "));
    office.gateway.ok(&["session", "extend", &session, "--for", "1h", "--reason", "slow"]);
    // Whoever wants approvals all the same has them.
    let request = office.request(&[]);
    done(&office.decide("approve", &request, "bob"));
    let evidence = office.close();
    let opened = evidence.details("CHG-1", "session_open");
    assert_eq!(evidence.rests_on(), ["word", "bob"]);
    assert!(opened[0].1["opened_by"].as_str().unwrap().starts_with("uid "), "{opened:?}");
    assert_eq!(opened[1].1["request"], request.as_str());
    assert!(evidence.details("CHG-1", "session_extend")[0].1["opened_by"].as_str().unwrap().starts_with("uid "));
}
