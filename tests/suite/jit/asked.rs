//! Asking with an SSH key: by the real binary, with `ssh-keygen` and `ssh-agent`. Who asked is in the ledger, and nobody can say it for them.

use super::{Evidence, Office, asking, done, key, refused, said};
use sealgate_schema::verify::Ground;
use serde_json::Value;
use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const REQUIRED: &str = "[approval]\nrequired = true\n";

/// Alice has to prove herself, and an agent acts for her.
const DIRECTORY: &str = r#"
allowed_signers = "signers"
[[human]]
name = "alice"
ssh = "alice@example.com"
must_prove = true
[[human]]
name = "erin"
ssh = "erin"
[[agent]]
name = "bot"
ssh = "bot"
acts_for = ["alice"]
"#;

/// A gateway with that directory, and keys of alice, erin and the agent.
fn office(configuration: &str) -> Office {
    Office::open_with(|folder| {
        let lines = [("alice", "alice@example.com"), ("erin", "erin"), ("bot", "bot")];
        let lines = lines.map(|(name, signer)| format!("{signer} namespaces=\"sealgate\" {}\n", key(folder, name)));
        fs::write(folder.join("signers"), lines.concat()).unwrap();
        let directory = folder.join("principals.toml");
        fs::write(&directory, DIRECTORY).unwrap();
        // What stands behind a table belongs to it.
        format!("principals = \"{}\"\n{configuration}", directory.display())
    })
}

/// `session VERB` by who has this key.
fn asks(office: &Office, verb: &str, name: &str, more: &[&str]) -> Output {
    let key = office.key(name);
    office.run(&by_key(verb, &key, more))
}

/// Nobody is named: the key says who it is.
fn by_key<'a>(verb: &'a str, key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["session", verb, "--quiet", "--ssh-key", key];
    for (name, value) in [("--window", "CHG-1"), ("--for", "1h"), ("--reason", "a test")] {
        if !more.contains(&name) {
            arguments.extend([name, value]);
        }
    }
    arguments.extend(more);
    arguments
}

fn id(output: &Output) -> String {
    done(output);
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

fn fingerprint(folder: &Path, name: &str) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(folder.join(format!("{name}.pub"))).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

/// The only record of a kind.
fn only(evidence: &Evidence, kind: &str) -> Value {
    let details = evidence.details("CHG-1", kind);
    assert_eq!(details.len(), 1, "{details:?}");
    details[0].1.clone()
}

#[test]
fn a_request_is_signed_by_who_asks_and_the_record_holds_it() {
    let office = office(REQUIRED);
    office.refused(&asking("request", &[]), &["alice has to prove"]);
    let request = id(&asks(&office, "request", "alice", &[]));
    let made = &office.requests()[0];
    assert_eq!((made["principal"].as_str(), made["requester"].as_str()), (Some("alice"), Some("alice@example.com")));
    // With the key that asks nobody approves, whatever name the file of approvers has for it.
    let approvers = fs::read_to_string(office.approvers()).unwrap();
    let public = fs::read_to_string(format!("{}.pub", office.key("alice"))).unwrap();
    fs::write(office.approvers(), format!("{approvers}\nzoe {public}")).unwrap();
    refused(&office.decide_with("approve", &request, "zoe", &office.key("alice")), &["zoe"]);
    fs::write(office.approvers(), approvers).unwrap();
    done(&office.decide("approve", &request, "bob"));
    let evidence = office.close();
    let asked = only(&evidence, "session_request");
    assert!(evidence.verified_with(&evidence.folder().join("signers"), &asked, "alice@example.com"), "{asked}");
    assert!(!evidence.verified_with(&evidence.folder().join("signers"), &asked, "bot"));
    let basis = format!("ssh {}", fingerprint(evidence.folder(), "alice"));
    assert_eq!((&asked["basis"], &only(&evidence, "session_open")["basis"]), (&basis.clone().into(), &basis.into()));
    let by = evidence.opened()[0].asked.clone().unwrap();
    assert_eq!((by.signer.as_str(), by.theirs), ("alice@example.com", None), "the file of approvers says nothing of her");
    assert_eq!(evidence.rests_on(), ["bob"]);
}

#[test]
fn a_signed_statement_is_taken_once_and_only_for_what_it_says() {
    let mut office = office(REQUIRED);
    let alice = office.key("alice");
    let (file, signature) = (office.folder().join("statement"), office.folder().join("statement.sig"));
    let print = |office: &Office, more: &[&str]| {
        let mut arguments = by_key("request", &alice, more);
        arguments.push("--print-statement");
        fs::write(&file, office.gateway.ok(&arguments)).unwrap();
        let _ = fs::remove_file(&signature);
        let signed = Command::new("ssh-keygen").args(["-q", "-Y", "sign", "-n", "sealgate", "-f", &alice]).arg(&file).status();
        assert!(signed.unwrap().success());
    };
    let send = |office: &Office, more: &[&str]| {
        let files = ["--statement", file.to_str().unwrap(), "--signature", signature.to_str().unwrap()];
        let arguments = by_key("request", &alice, more);
        // Without the key: who signs is somewhere else.
        let place = arguments.iter().position(|argument| *argument == "--ssh-key").unwrap();
        office.run(&[&arguments[..place], &arguments[place + 2..], &files].concat())
    };
    print(&office, &[]);
    assert!(office.requests().is_empty(), "printing asks for nothing");
    refused(&send(&office, &["--reason", "another"]), &["does not ask for this"]);
    refused(&send(&office, &[]), &["used already"]);
    print(&office, &[]);
    id(&send(&office, &[]));
    refused(&send(&office, &[]), &["used already"]);
    for more in [["--role", "arn:aws:iam::123456789012:role/admin"], ["--for", "2h"]] {
        print(&office, &[]);
        refused(&send(&office, &more), &["does not ask for this"]);
    }
    // What was handed out for a request opens nothing at once.
    print(&office, &[]);
    let files = ["--statement", file.to_str().unwrap(), "--signature", signature.to_str().unwrap()];
    let glass = [&["session", "break-glass", "--window", "CHG-1", "--for", "1h", "--reason", "a test"][..], &files].concat();
    refused(&office.run(&glass), &["does not ask for this"]);
    // A statement of one's own making was handed out by nobody.
    print(&office, &[]);
    let own = fs::read_to_string(&file).unwrap().replace("\"request\":\"R-", "\"request\":\"R-x");
    fs::write(&file, own).unwrap();
    fs::remove_file(&signature).unwrap();
    assert!(
        Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "sealgate", "-f", &alice])
            .arg(&file)
            .status()
            .unwrap()
            .success()
    );
    refused(&send(&office, &[]), &["not handed out"]);
    print(&office, &[]);
    office.gateway.signal("TERM");
    office.gateway.start_again();
    refused(&send(&office, &[]), &["not handed out"]);
    assert_eq!(office.requests().len(), 1);
    office.close();
}

#[test]
fn a_key_is_taken_for_whose_it_is_and_for_nobody_else() {
    let office = office(REQUIRED);
    refused(&asks(&office, "request", "mallory", &[]), &["nobody's"]);
    refused(&asks(&office, "request", "erin", &["--principal", "alice"]), &["is erin's, and not alice's"]);
    refused(&asks(&office, "request", "alice", &["--as", "bob"]), &["alice@example.com signs, and not bob"]);
    refused(&asks(&office, "request", "bot", &[]), &["for whom"]);
    refused(&asks(&office, "request", "bot", &["--acting-for", "erin"]), &["may not act for"]);
    let request = id(&asks(&office, "request", "bot", &["--acting-for", "alice"]));
    assert_eq!((&office.requests()[0]["kind"], &office.requests()[0]["acting_for"]), (&"agent".into(), &"alice".into()));
    // A key that is taken out of the directory's file asks for nothing more.
    let signers = fs::read_to_string(office.folder().join("signers")).unwrap();
    fs::write(office.folder().join("signers"), signers.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    refused(&asks(&office, "request", "alice", &[]), &["nobody's"]);
    done(&office.decide("approve", &request, "bob"));
    assert!(office.gateway.ok(&["principal", "who", "--ssh-key", &office.key("erin")]).starts_with("erin (human), by ssh SHA256:"));
    office.close();
}

#[test]
fn break_glass_and_an_opening_on_ones_own_word_hold_the_signature_of_who_asked() {
    let office = office("");
    let glass = id(&asks(&office, "break-glass", "alice", &[]));
    let plain = id(&asks(&office, "open", "erin", &["--for", "30m"]));
    let approvers = fs::read_to_string(office.approvers()).unwrap();
    let public = fs::read_to_string(format!("{}.pub", office.key("alice"))).unwrap();
    fs::write(office.approvers(), format!("{approvers}\nzoe {public}")).unwrap();
    refused(&office.decide_with("review", &glass, "zoe", &office.key("alice")), &["different person"]);
    // As it was: the auditor would be told that alice's key is zoe's.
    fs::write(office.approvers(), approvers).unwrap();
    done(&office.decide("review", &glass, "carol"));
    let evidence = office.close();
    let opened = evidence.details("CHG-1", "session_open");
    for ((_, detail), signer) in opened.iter().zip(["alice@example.com", "erin"]) {
        assert!(evidence.verified_with(&evidence.folder().join("signers"), detail, signer), "{detail}");
    }
    let sessions = evidence.opened();
    assert_eq!([sessions[0].session.as_str(), sessions[1].session.as_str()], [glass, plain]);
    assert!(matches!((&sessions[0].ground, &sessions[1].ground), (Ground::BreakGlass(_), Ground::Word(_))));
    let by: Vec<_> = sessions.iter().map(|opened| opened.asked.as_ref().unwrap().signer.as_str()).collect();
    assert_eq!(by, ["alice@example.com", "erin"]);
    assert_eq!(sessions[0].reviews[0].signer, "carol");
}

/// An agent that holds one key, until it goes.
struct Agent {
    child: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn with(folder: &Path, key: &str) -> Self {
        let socket = folder.join("agent");
        let mut child = Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::piped()).spawn().unwrap();
        // It says where it listens once it does.
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
        UnixStream::connect(&socket).unwrap();
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(added.success());
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_signs_and_so_does_a_public_key_whose_private_half_it_holds() {
    let office = office(REQUIRED);
    let alice = office.key("alice");
    let agent = Agent::with(office.folder(), &alice);
    fs::remove_file(&alice).unwrap();
    let run = |key: &str| {
        let mut command = crate::cli::command(&office.gateway.home, &by_key("request", key, &[]));
        command.env("SSH_AUTH_SOCK", &agent.socket).stdin(Stdio::null()).output().unwrap()
    };
    for key in ["agent", &format!("{alice}.pub")] {
        let output = run(key);
        assert!(output.status.success(), "{key}: {}", said(&output));
    }
    assert_eq!(office.requests().len(), 2);
    let evidence = office.close();
    for (_, detail) in evidence.details("CHG-1", "session_request") {
        assert!(evidence.verified_with(&evidence.folder().join("signers"), &detail, "alice@example.com"));
    }
}
