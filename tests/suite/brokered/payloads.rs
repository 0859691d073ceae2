//! Every payload mode of every client, through the proxy and in endpoint mode, to an S3 that checks signatures, hashes, chunks and
//! trailers. Each call is signed with an issued credential, and arrives signed with the real one.

use super::{inside, ok, records, word};
use crate::cli::Gateway;
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::window,
    programs::{python, root},
    s3,
    upstream::Upstream,
};
use std::{collections::BTreeSet, ffi::OsStr, path::PathBuf, process::Command};
use tempfile::TempDir;

struct Bench {
    folder: TempDir,
    gateway: Gateway,
    session: String,
    _upstream: Upstream,
    _runtime: tokio::runtime::Runtime,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let upstream = runtime.block_on(s3::start(folder.path()));
    std::fs::create_dir(folder.path().join("s3/bucket")).unwrap();
    let route = format!("[[route]]\nhost = \"amazonaws.com\"\nto = \"{}\"\nca = \"{}\"\n", upstream.address, upstream.ca.display());
    let gateway = Gateway::start_with(&folder.path().join("home"), &route, (s3::ACCESS_KEY, s3::SECRET_KEY));
    let session = gateway.session("CHG-1");
    Bench { folder, gateway, session, _upstream: upstream, _runtime: runtime }
}

impl Bench {
    fn run(&self, options: &[&str], line: &[&OsStr]) -> String {
        let mut command = inside(&self.gateway, &self.session, options, line);
        command.env("S3_ONLY", "1");
        ok(command)
    }

    /// Every call is attributed by its signature, with the proof beside it, and was taken by the server.
    fn check(mut self, calls_min: usize) {
        records(&mut self.gateway, "CHG-1");
        let evidence = window(&self.gateway.home, "CHG-1");
        let intents = evidence.of(&Kind::Intent);
        assert!(intents.len() >= calls_min, "{} calls", intents.len());
        for intent in &intents {
            assert_eq!(word(&intent.fields.attribution), "signature", "{intent:?}");
            assert!(word(&intent.fields.credential).starts_with("ASIA"), "{intent:?}");
            let proof = evidence.payloads[&intent.seq].proof.as_deref().expect("a proof");
            let proof: serde_json::Value = serde_json::from_str(proof).unwrap();
            assert_eq!(proof["key_id"], word(&intent.fields.credential));
        }
        let outcomes = evidence.of(&Kind::Outcome);
        assert_eq!(outcomes.len(), intents.len());
        for outcome in outcomes {
            assert!(outcome.fields.status.is_some_and(|status| status < 300), "{outcome:?}");
        }
        let grep =
            Command::new("grep").args(["-rl", s3::SECRET_KEY]).arg(self.folder.path().join("home/evidence")).output().unwrap();
        assert!(grep.stdout.is_empty(), "the real secret is in {}", String::from_utf8_lossy(&grep.stdout));
    }
}

fn script(name: &str) -> PathBuf {
    root().join("tests/suite/scripts").join(name)
}

#[test]
fn boto3_and_the_aws_cli_pass_in_every_mode_through_the_proxy() {
    let bench = bench();
    let said = bench.run(&[], &[python("python3").as_os_str(), script("payloads.py").as_os_str(), OsStr::new("bucket")]);
    let modes: BTreeSet<&str> = said.lines().filter_map(|line| line.strip_suffix(" ok")).collect();
    for mode in
        ["default", "default-stream", "signed-hash", "unsigned", "path-style", "presigned", "multipart", "keys with odd names"]
    {
        assert!(modes.contains(mode), "{mode}: {said}");
    }
    let file = bench.folder.path().join("a file");
    std::fs::write(&file, vec![7; 300_000]).unwrap();
    let (aws, back) = (python("aws"), bench.folder.path().join("back"));
    let copy = |from: &OsStr, to: &OsStr| drop(bench.run(&[], &[aws.as_os_str(), "s3".as_ref(), "cp".as_ref(), from, to]));
    copy(file.as_os_str(), OsStr::new("s3://bucket/cli"));
    copy(OsStr::new("s3://bucket/cli"), back.as_os_str());
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&back).unwrap());
    bench.check(35);
}

#[test]
fn boto3_passes_in_every_mode_with_the_gateway_as_its_endpoint() {
    let bench = bench();
    let line = [python("python3"), script("payloads.py"), PathBuf::from("bucket")];
    let line: Vec<&OsStr> = line.iter().map(|part| part.as_os_str()).collect();
    assert!(bench.run(&["--endpoint"], &line).contains("multipart ok"));
    bench.check(30);
}

#[test]
fn the_javascript_sdk_passes_in_every_mode_both_ways() {
    if Command::new("node").arg("--version").output().is_err() {
        return println!("skipped: node is not installed");
    }
    let bench = bench();
    let script = script("js/calls.mjs");
    let line = [OsStr::new("node"), script.as_os_str(), OsStr::new("bucket")];
    let said = bench.run(&[], &line);
    assert!(["buffer ok", "stream ok", "declared-hash ok"].iter().all(|mode| said.contains(mode)), "{said}");
    assert!(bench.run(&["--endpoint"], &line).contains("presigned ok"));
    bench.check(13);
}

#[test]
fn the_rust_sdk_passes_in_every_mode_both_ways() {
    let bench = bench();
    let program = sealgate_tests::programs::sdk_calls();
    let line = [program.as_os_str(), OsStr::new("bucket")];
    for options in [&[][..], &["--endpoint"]] {
        let said = bench.run(options, &line);
        assert!(["buffer ok", "stream ok", "declared-hash ok", "presigned http"].iter().all(|mode| said.contains(mode)), "{said}");
    }
    bench.check(12);
}
