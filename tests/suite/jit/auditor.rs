//! An auditor with a file of their own of who may approve: `sealgate verify --approvers` and `verify.py` say the same of each session.

use super::{Office, asking, done};
use sealgate_tests::programs::{python, root, sealgate};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What an office leaves behind, and the auditor's file.
struct Audit {
    _folder: super::Evidence,
    evidence: PathBuf,
    key: PathBuf,
    approvers: PathBuf,
}

impl Audit {
    fn of(office: Office) -> Self {
        let (home, approvers) = (office.gateway.home.clone(), office.approvers());
        let folder = office.close();
        let own = folder.folder().join("of-the-auditor");
        fs::copy(&approvers, &own).unwrap();
        // Whatever the gateway's own file says now.
        fs::write(&approvers, "").unwrap();
        Self { _folder: folder, evidence: home.join("evidence"), key: home.join("keys/gateway.vkey"), approvers: own }
    }

    /// The auditor's file without somebody.
    fn without(&self, name: &str) -> PathBuf {
        let lines = fs::read_to_string(&self.approvers).unwrap();
        let kept: Vec<_> = lines.lines().filter(|line| !line.starts_with(name)).collect();
        let file = self.approvers.with_extension(format!("without-{name}"));
        fs::write(&file, kept.join("\n")).unwrap();
        file
    }

    /// Both verifiers over something; their exit code and report, which have to agree.
    fn both(&self, what: &Path, more: &[&str]) -> (i32, Value) {
        let rust = report(Command::new(sealgate()).arg("verify").arg(what), &self.key, more);
        let py = report(Command::new(python("python3")).arg(root().join("schema/verify.py")).arg(what), &self.key, more);
        assert_eq!(rust.0, py.0, "{:#}\n{:#}", rust.1, py.1);
        let compared = |report: &Value| {
            let ledgers = report["ledgers"].as_array().cloned().unwrap_or_default();
            let own = |ledger: &Value| {
                [
                    ledger["folder"].clone(),
                    ledger["levels"]["L6"].clone(),
                    ledger["levels"]["L2"].clone(),
                    ledger["sessions"].clone(),
                ]
            };
            (
                ledgers.iter().map(own).collect::<Vec<_>>(),
                report["levels"]["L6"].clone(),
                report["shown"]["statement_by"]["signer"].clone(),
            )
        };
        assert_eq!(compared(&rust.1), compared(&py.1));
        rust
    }

    fn text(&self, more: &[&str]) -> String {
        let output =
            Command::new(sealgate()).arg("verify").arg(&self.evidence).arg("--key").arg(&self.key).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

fn report(command: &mut Command, key: &Path, more: &[&str]) -> (i32, Value) {
    let output = command.arg("--key").arg(key).arg("--json").args(more).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

/// The ledger of CHG-1.
fn ledger(report: &Value) -> &Value {
    report["ledgers"].as_array().unwrap().iter().find(|ledger| ledger["window"] == "CHG-1").unwrap()
}

#[test]
fn each_session_says_who_approved_it_and_whether_the_key_is_theirs() {
    let office = Office::open("[approval]\napprovals = 2\n");
    let request = office.request(&[]);
    done(&office.decide("approve", &request, "bob"));
    done(&office.decide("approve", &request, "carol"));
    office.gateway.ok(&asking("open", &[]));
    let glass = office.gateway.ok(&asking("break-glass", &[])).trim().to_owned();
    let denied = office.request(&["--for", "2h"]);
    done(&office.decide("deny", &denied, "dave"));
    let audit = Audit::of(office);
    let own = audit.approvers.to_str().unwrap();

    let (exit, said) = audit.both(&audit.evidence, &["--approvers", own]);
    let sessions = ledger(&said)["sessions"].as_array().unwrap();
    let grounds: Vec<_> = sessions.iter().map(|session| session["rests_on"]["ground"].as_str().unwrap()).collect();
    assert_eq!((exit, grounds), (0, vec!["approvals", "word", "break_glass"]));
    let by: Vec<_> =
        sessions[0]["rests_on"]["by"].as_array().unwrap().iter().map(|by| (&by["signer"], &by["key_is_theirs"])).collect();
    assert_eq!(by, [(&"bob".into(), &true.into()), (&"carol".into(), &true.into())]);
    assert_eq!((&sessions[2]["unreviewed"], &ledger(&said)["levels"]["L6"]), (&true.into(), &"PASS".into()));
    let text = audit.text(&["--approvers", own]);
    for part in [
        "approved by bob (record",
        "signed with their key",
        "without approval: the word of uid",
        "NOT REVIEWED",
        "L6 holds for all",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Without a file it is not said that people approved.
    let (exit, said) = audit.both(&audit.evidence, &[]);
    assert_eq!((exit, &ledger(&said)["levels"]["L6"]), (0, &"NOT CHECKED".into()));
    assert!(audit.text(&[]).contains("whose key it is not checked"));

    // Whom the auditor does not know approved nothing, nor denied.
    for (name, kind) in [("carol", "session_approve"), ("dave", "session_deny")] {
        let file = audit.without(name);
        let (exit, said) = audit.both(&audit.evidence, &["--approvers", file.to_str().unwrap()]);
        let findings = ledger(&said)["findings"].as_array().unwrap();
        assert_eq!((exit, findings.len(), findings[0]["level"].as_str()), (1, 1, Some("L6")), "{kind}: {findings:?}");
        let place = format!("record {}", findings[0]["seq"]);
        assert_eq!(findings[0]["place"], place.as_str());
        assert!(audit.text(&["--approvers", file.to_str().unwrap()]).contains(&format!("L6 {place}: key SHA256:")), "{kind}");
    }

    // Where approval is required, the word and the unreviewed session do not do.
    let (exit, said) = audit.both(&audit.evidence, &["--approvers", own, "--require-approval"]);
    let found: Vec<_> = ledger(&said)["findings"].as_array().unwrap().iter().map(|finding| finding["seq"].clone()).collect();
    assert_eq!((exit, found), (1, vec![sessions[1]["seq"].clone(), sessions[2]["seq"].clone()]), "{glass}");
}

#[test]
fn reviewed_break_glass_and_rules_are_told_apart_where_approval_is_required() {
    let rule = "[approval]\nrequired = true\n[[rule]]\nname = \"nightly\"\nfor = { principals = [\"alice\"] }\nlongest = \"10m\"\n";
    let office = Office::open(rule);
    let glass = office.gateway.ok(&asking("break-glass", &["--principal", "erin"])).trim().to_owned();
    done(&office.decide("review", &glass, "carol"));
    let audit = Audit::of(office);
    let own = audit.approvers.to_str().unwrap();
    let (exit, said) = audit.both(&audit.evidence, &["--approvers", own, "--require-approval"]);
    assert_eq!((exit, &ledger(&said)["levels"]["L6"]), (0, &"PASS".into()), "{said:#}");
    assert_eq!(ledger(&said)["sessions"][0]["reviews"][0]["signer"], "carol");
    assert!(audit.text(&["--approvers", own]).contains("reviewed by carol"));
}

#[test]
fn a_proof_of_an_approval_shows_whose_signature_it_is() {
    let office = Office::open("[approval]\nrequired = true\n");
    let request = office.request(&[]);
    done(&office.decide("approve", &request, "bob"));
    let window = office.gateway.home.join("proof");
    // The window's opening, the request, the approval.
    let seq = "2";
    let own = office.approvers();
    let own = own.to_str().unwrap();
    office.gateway.ok(&["prove", "--window", "CHG-1", "--seq", seq, "--approvers", own, "--out", window.to_str().unwrap()]);
    let audit = Audit::of(office);
    let own = audit.approvers.to_str().unwrap();
    let (exit, said) = audit.both(&window, &["--approvers", own]);
    assert_eq!((exit, &said["levels"]["L6"]), (0, &"PASS".into()), "{said:#}");
    assert_eq!(said["shown"]["statement_by"]["signer"], "bob");
    let (exit, said) = audit.both(&window, &[]);
    assert_eq!((exit, &said["levels"]["L6"]), (0, &"NOT CHECKED".into()));
    let file = audit.without("bob");
    let (exit, said) = audit.both(&window, &["--approvers", file.to_str().unwrap()]);
    assert_eq!((exit, &said["levels"]["L6"], &said["shown"]), (1, &"FAIL".into(), &Value::Null));
}

#[test]
fn a_file_of_approvers_that_can_not_be_read_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = (folder.path().join("key"), folder.path().join("approvers"));
    fs::write(&key, "none+00000000+AAAA").unwrap();
    fs::write(&file, "bob cert-authority ssh-ed25519 AAAA").unwrap();
    for arguments in [vec!["--approvers", file.to_str().unwrap()], vec!["--approvers", "/nonexistent"], vec!["--require-approval"]]
    {
        for mut command in [Command::new(sealgate()), Command::new(python("python3"))] {
            if command.get_program() == sealgate() {
                command.arg("verify");
            } else {
                command.arg(root().join("schema/verify.py"));
            }
            let output = command.arg(folder.path()).arg("--key").arg(&key).args(&arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
