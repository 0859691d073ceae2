//! moto with its authorization switched on is the judge: what is signed with a wrong secret is refused there.

use super::{aws, fails, ok, records, word};
use crate::cli::Gateway;
use sealgate_schema::record::Kind;
use sealgate_tests::{moto::Moto, programs::python};
use std::{path::Path, process::Command};

/// A moto that has one user, and the user's key. From here on it checks every call.
fn with_key(folder: &Path) -> (Moto, String, String) {
    let moto = Moto::start(folder, Some(3));
    let code = "import boto3, sys\n\
        iam = boto3.client('iam', endpoint_url=sys.argv[1], verify=False, region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')\n\
        iam.create_user(UserName='gateway')\n\
        iam.put_user_policy(UserName='gateway', PolicyName='all', PolicyDocument='{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}')\n\
        key = iam.create_access_key(UserName='gateway')['AccessKey']\n\
        print(key['AccessKeyId'], key['SecretAccessKey'])";
    let mut made = Command::new(python("python3"));
    made.args(["-W", "ignore", "-c", code]).arg(format!("https://{}", moto.address()));
    let said = ok(made);
    let (id, secret) = said.trim().split_once(' ').unwrap();
    (moto, id.to_owned(), secret.to_owned())
}

#[test]
fn the_judge_takes_what_the_gateway_signed_again_and_nothing_with_a_wrong_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (moto, id, secret) = with_key(folder.path());
    let mut gateway = Gateway::start_with(&folder.path().join("home"), &moto.route(), (&id, &secret));
    let session = gateway.session("CHG-1");
    for options in [&[][..], &["--endpoint"], &["--credentials", "renewed"]] {
        let said = ok(aws(&gateway, &session, options, &["sts", "get-caller-identity"]));
        assert!(said.contains("user/gateway"), "{options:?}: {said}");
        ok(aws(&gateway, &session, options, &["dynamodb", "list-tables"]));
        ok(aws(&gateway, &session, options, &["iam", "list-users"]));
        ok(aws(&gateway, &session, options, &["s3api", "list-buckets"]));
    }
    let records = records(&mut gateway, "CHG-1");
    let intents: Vec<_> = records.iter().filter(|record| record.fields.kind == Kind::Intent).collect();
    assert_eq!(intents.len(), 12);
    assert!(intents.iter().all(|intent| word(&intent.fields.attribution) == "signature"));

    let mut other = Gateway::start_with(&folder.path().join("other"), &moto.route(), (&id, "not its secret"));
    let session = other.session("CHG-1");
    assert!(fails(aws(&other, &session, &[], &["sts", "get-caller-identity"])).contains("SignatureDoesNotMatch"));
    other.signal("TERM");
}

#[test]
fn a_client_with_a_wrong_secret_or_token_is_refused_here_and_nothing_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path(), None);
    let mut gateway = Gateway::start(&folder.path().join("home"), &moto.route());
    let session = gateway.session("CHG-1");
    let line = |change: &str| format!("{change} {} sts get-caller-identity", python("aws").display());
    for change in ["AWS_SECRET_ACCESS_KEY=wrong", "AWS_SESSION_TOKEN=wrong"] {
        let command = super::inside(&gateway, &session, &[], &["sh".as_ref(), "-c".as_ref(), line(change).as_ref()]);
        let said = fails(command);
        assert!(said.contains("SignatureDoesNotMatch") || said.contains("InvalidToken"), "{change}: {said}");
    }
    let records = records(&mut gateway, "CHG-1");
    let refusals: Vec<_> = records.iter().filter(|record| record.fields.kind == Kind::Refusal).collect();
    assert_eq!(refusals.len(), 2);
    for refusal in refusals {
        assert_eq!(word(&refusal.fields.operation), "GetCallerIdentity");
        assert_ne!(word(&refusal.fields.attribution), "signature", "{refusal:?}");
    }
    assert!(!records.iter().any(|record| record.fields.kind == Kind::Intent));
}
