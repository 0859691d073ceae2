//! Roles that a tool assumes: the real credential stays inside, and the chain is on record.

use super::{aws, credentials, fails, inside, ok, records, word};
use crate::cli::Gateway;
use sealgate_schema::record::Kind;
use sealgate_tests::{moto::Moto, programs::python};
use std::{ffi::OsStr, process::Command};

/// Assumes a role, assumes another with that, and calls with each.
const CHAIN: &str = "import boto3, json\n\
    def use(c): return boto3.client('sts', aws_access_key_id=c['AccessKeyId'], aws_secret_access_key=c['SecretAccessKey'], aws_session_token=c['SessionToken'])\n\
    role = lambda sts, name: sts.assume_role(RoleArn='arn:aws:iam::123456789012:role/' + name, RoleSessionName='chain')['Credentials']\n\
    first = role(boto3.client('sts'), 'first')\n\
    second = role(use(first), 'second')\n\
    own = boto3.client('sts').get_session_token()['Credentials']\n\
    print(json.dumps({'ids': [c['AccessKeyId'] for c in (first, second, own)], 'arns': [use(c).get_caller_identity()['Arn'] for c in (first, second, own)],\n\
      'keys': [[c['AccessKeyId'], c['SecretAccessKey'], c['SessionToken']] for c in (first, second, own)]}))";

fn chain(gateway: &Gateway, session: &str) -> serde_json::Value {
    let program = python("python3");
    let line = [program.as_os_str(), OsStr::new("-c"), OsStr::new(CHAIN)];
    serde_json::from_str(&ok(inside(gateway, session, &[], &line))).unwrap()
}

#[test]
fn a_role_s_real_credential_stays_inside_and_its_calls_name_the_whole_chain() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let mut gateway = Gateway::start(&folder.path().join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    let said = chain(&gateway, &session);
    let id = |index: usize| said["ids"][index].as_str().unwrap().to_owned();
    assert!(said["arns"][0].as_str().unwrap().contains("assumed-role/first"), "{said}");
    assert!(said["arns"][1].as_str().unwrap().contains("assumed-role/second"), "{said}");
    let listed = credentials(&gateway);
    let find = |id: &str| listed.iter().find(|view| view["id"] == id).unwrap_or_else(|| panic!("{id} in {listed:?}"));
    let root = listed.iter().find(|view| view["kind"] == "keys").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(find(&id(0))["parents"], serde_json::json!([root]));
    assert_eq!(find(&id(1))["parents"], serde_json::json!([id(0), root]));
    assert_eq!(find(&id(1))["kind"], "contained");
    let real = find(&id(1))["real"].as_str().unwrap().to_owned();
    assert!(real.starts_with("ASIA") && real != id(1));

    // The one that it got at first is revoked, and what was got with it with it; the session's own goes on.
    gateway.ok(&["credentials", "revoke", &id(0), "--reason", "a test"]);
    for (index, works) in [(0, false), (1, false), (2, true)] {
        let keys = &said["keys"][index];
        let set = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].iter().enumerate();
        let set: Vec<_> = set.map(|(part, name)| format!("{name}='{}'", keys[part].as_str().unwrap())).collect();
        let line = format!("{} {} sts get-caller-identity", set.join(" "), python("aws").display());
        let command = inside(&gateway, &session, &[], &["sh".as_ref(), "-c".as_ref(), line.as_ref()]);
        match works {
            true => drop(ok(command)),
            false => assert!(fails(command).contains("was revoked"), "{index}"),
        }
    }
    let records = records(&mut gateway, "CHG-1");
    let of =
        |credential: &str| -> Vec<_> { records.iter().filter(|record| word(&record.fields.credential) == credential).collect() };
    let second = of(&id(1));
    assert!(second.len() >= 3, "issue, call, refusal");
    for record in &second {
        assert_eq!(
            record.fields.credential_chain.iter().map(|id| id.to_string()).collect::<Vec<_>>(),
            [id(1), id(0), root.clone()]
        );
    }
    let refused: Vec<_> = records.iter().filter(|record| record.fields.kind == Kind::Refusal).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|record| record.fields.rules.iter().any(|rule| **rule == *"credential-ended")), "{refused:?}");
    assert_eq!(records.iter().filter(|record| record.fields.kind == Kind::CredentialRevoke).count(), 1);
    // What stays inside is not in the evidence either, but for its public id.
    let evidence = gateway.home.join("evidence");
    for secret in said["keys"].as_array().unwrap().iter().flat_map(|keys| keys.as_array().unwrap().iter().skip(1)) {
        let grep = Command::new("grep").args(["-rlF", "--", secret.as_str().unwrap()]).arg(&evidence).output().unwrap();
        assert!(grep.stdout.is_empty());
    }
}

#[test]
fn with_containment_off_the_real_one_goes_out_and_is_known_by_its_lineage() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let mut gateway = Gateway::start(&folder.path().join("home"), &format!("contain = false\n{}", moto.route()));
    let session = gateway.session("CHG-1");
    let said = chain(&gateway, &session);
    assert!(said["arns"][0].as_str().unwrap().contains("assumed-role/first"), "{said}");
    let listed = credentials(&gateway);
    let first = listed.iter().find(|view| view["id"] == said["ids"][0]).unwrap();
    assert_eq!(first["kind"], "learnt");
    let records = records(&mut gateway, "CHG-1");
    let calls: Vec<_> = records
        .iter()
        .filter(|record| record.fields.kind == Kind::Intent && said["ids"][0] == *word(&record.fields.credential))
        .collect();
    // Two calls were made with the first: the second role, and who it is.
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(word(&call.fields.attribution), "lineage");
        assert_eq!(call.fields.credential_chain.len(), 2);
    }
}

#[test]
fn contained_children_are_good_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let mut gateway = Gateway::start(&folder.path().join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    let said = chain(&gateway, &session);
    gateway.signal("KILL");
    let mut run = crate::cli::command(&gateway.home, &["run"]);
    run.env("AWS_ACCESS_KEY_ID", crate::cli::REAL.0).env("AWS_SECRET_ACCESS_KEY", crate::cli::REAL.1);
    gateway.run(run);
    let keys = &said["keys"][1];
    let mut line = vec![OsStr::new("env").to_owned()];
    for (name, part) in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].iter().zip(0..) {
        let part: usize = part;
        line.push(format!("{name}={}", keys[part].as_str().unwrap()).into());
    }
    line.extend([python("aws").into_os_string(), "sts".into(), "get-caller-identity".into()]);
    let line: Vec<&OsStr> = line.iter().map(|part| part.as_os_str()).collect();
    assert!(ok(inside(&gateway, &session, &[], &line)).contains("assumed-role/second"));
    ok(aws(&gateway, &session, &[], &["sts", "get-caller-identity"]));
    assert!(!records(&mut gateway, "CHG-1").is_empty());
}
