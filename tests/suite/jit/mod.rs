//! Sessions that others approve: through the real binary, with real SSH keys and `ssh-keygen`. What people sign is in the ledger, and
//! `ssh-keygen` takes it from there.

mod acts;
mod asked;
mod auditor;
mod glass;
mod restarts;
mod revoked;
mod store;

use crate::cli::{Gateway, command};
use sealgate::evidence::Folder;
use sealgate_schema::{
    allowed_signers::AllowedSigners,
    verify::{Asked, Ground, Opened, Vouched, verify_evidence},
};
use sealgate_tests::check;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A gateway, and people with keys.
pub(super) struct Office {
    folder: TempDir,
    pub(super) gateway: Gateway,
}

/// Who is in the file of approvers.
const PEOPLE: [&str; 3] = ["bob", "carol", "dave"];

impl Office {
    /// A gateway with this configuration beside the file of approvers, with an open window CHG-1.
    pub(super) fn open(configuration: &str) -> Self {
        Self::open_with(|_| configuration.to_owned())
    }

    /// The same; what else the configuration needs is made in its folder first.
    pub(super) fn open_with(prepare: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<_> = PEOPLE.iter().map(|name| format!("{name} {}", key(folder.path(), name))).collect();
        fs::write(folder.path().join("approvers"), lines.join("\n")).unwrap();
        let configuration = prepare(folder.path());
        let gateway = Gateway::start(&folder.path().join("home"), &Self::configuration(folder.path(), &configuration));
        gateway.ok(&["window", "open", "CHG-1", "--title", "a test", "--for", "4h"]);
        Self { folder, gateway }
    }

    fn configuration(folder: &Path, more: &str) -> String {
        format!("approvers = \"{}\"\n{more}", folder.join("approvers").display())
    }

    pub(super) fn approvers(&self) -> PathBuf {
        self.folder.path().join("approvers")
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The private key of a person.
    pub(super) fn key(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        if !file.exists() {
            key(self.folder.path(), name);
        }
        file.to_str().unwrap().to_owned()
    }

    /// Asks for an hour of alice's in CHG-1, with these arguments beside; returns the id that is printed.
    pub(super) fn request(&self, more: &[&str]) -> String {
        self.gateway.ok(&asking("request", more)).trim().to_owned()
    }

    /// `session approve|deny|review`, signed with somebody's key.
    pub(super) fn decide(&self, act: &str, id: &str, name: &str) -> Output {
        self.decide_with(act, id, name, &self.key(name))
    }

    pub(super) fn decide_with(&self, act: &str, id: &str, name: &str, key: &str) -> Output {
        self.run(&["session", act, id, "--as", name, "--key", key, "--yes", "--remark", "looked at it"])
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        command(&self.gateway.home, arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// A command that is refused, with one line that says this.
    pub(super) fn refused(&self, arguments: &[&str], says: &[&str]) {
        refused(&self.run(arguments), says);
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.gateway.ok(arguments)).unwrap()
    }

    pub(super) fn sessions(&self) -> Vec<Value> {
        self.json(&["session", "list", "--json"]).as_array().unwrap().clone()
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.json(&["session", "requests", "--all", "--json"]).as_array().unwrap().clone()
    }

    /// Stops the gateway and looks at everything that it wrote; all of it has to verify, with the file of approvers that there is:
    /// each session rests on what its records say.
    pub(super) fn close(mut self) -> Evidence {
        self.gateway.signal("TERM");
        let home = self.gateway.home.clone();
        let signers = AllowedSigners::parse(&fs::read_to_string(self.approvers()).unwrap()).unwrap();
        let asked = Asked { keys: vec![check::key(&home)], signers: Some(signers), ..Asked::default() };
        let report = verify_evidence(&Folder::new(&home.join("evidence")), &asked);
        let findings: Vec<_> = report.ledgers.iter().map(|ledger| &ledger.findings.list).collect();
        assert!(!report.tampered() && !report.incomplete(), "{findings:#?}");
        let grounds = report.ledgers.iter().flat_map(|ledger| &ledger.sessions).cloned().collect();
        Evidence { windows: check::check(&home), grounds, folder: self.folder }
    }
}

/// What a gateway wrote.
pub(super) struct Evidence {
    windows: std::collections::BTreeMap<String, check::Evidence>,
    /// The sessions, with what a verifier says that they rest on.
    grounds: Vec<Opened>,
    folder: TempDir,
}

impl Evidence {
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The sessions, with what a verifier says of them.
    pub(super) fn opened(&self) -> &[Opened] {
        &self.grounds
    }

    /// The details of a window's records of a kind; `day` is that of the day.
    pub(super) fn details(&self, window: &str, kind: &str) -> Vec<(u64, Value)> {
        let of = |name: &str| if window == "day" { name.starts_with("day-") } else { name == window };
        let records = self.windows.iter().filter(|(name, _)| of(name)).flat_map(|(_, evidence)| &evidence.records);
        let detailed = records.filter(|record| record.fields.kind.as_str() == kind);
        detailed.map(|record| (record.seq, serde_json::from_str(record.fields.detail.as_deref().unwrap()).unwrap())).collect()
    }

    /// Acts of that name among the administrative records.
    pub(super) fn acts(&self, window: &str, act: &str) -> Vec<Value> {
        self.details(window, "administration").into_iter().map(|(_, detail)| detail).filter(|detail| detail["act"] == act).collect()
    }

    /// What a verifier says that the sessions rest on, in order: the names of those who approved, or in a word what else.
    pub(super) fn rests_on(&self) -> Vec<String> {
        let names = |vouched: &[Vouched]| vouched.iter().map(|one| one.signer.clone()).collect::<Vec<_>>().join(" ");
        let ground = |opened: &Opened| match &opened.ground {
            Ground::Approvals(vouched) => names(vouched),
            Ground::Rule(rule) => format!("rule {rule}"),
            Ground::Word(_) => "word".to_owned(),
            Ground::BreakGlass(_) => format!("break-glass, reviewed by {}", names(&opened.reviews)),
        };
        self.grounds.iter().map(ground).collect()
    }

    /// Has `ssh-keygen` verify what a record holds.
    pub(super) fn verified_by_ssh_keygen(&self, detail: &Value, name: &str) -> bool {
        self.verified_with(&self.folder.path().join("approvers"), detail, name)
    }

    /// The same, with another file of signers.
    pub(super) fn verified_with(&self, signers: &Path, detail: &Value, name: &str) -> bool {
        let file = self.folder.path().join("signature");
        fs::write(&file, detail["signature"].as_str().unwrap()).unwrap();
        let mut verify = Command::new("ssh-keygen");
        verify.args(["-Y", "verify", "-n", "sealgate", "-I", name, "-f"]).arg(signers).arg("-s").arg(&file);
        let mut child = verify.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // What is signed is the line, with its newline.
        let line = format!("{}\n", detail["statement"].as_str().unwrap());
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), line.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }
}

/// Makes a key; returns its public half.
pub(super) fn key(folder: &Path, name: &str) -> String {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).status().unwrap();
    assert!(made.success());
    fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_owned()
}

/// A command that asks for an hour of alice's in CHG-1, unless these arguments say otherwise.
pub(super) fn asking<'a>(verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["session", verb, "--quiet"];
    for (name, value) in [("--window", "CHG-1"), ("--principal", "alice"), ("--for", "1h"), ("--reason", "a test")] {
        if !more.contains(&name) {
            arguments.extend([name, value]);
        }
    }
    arguments.extend(more);
    arguments
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(super) fn done(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

pub(super) fn refused(output: &Output, says: &[&str]) {
    let text = said(output);
    assert!(!output.status.success(), "{text}");
    let line = text.lines().find(|line| line.starts_with("sealgate: ")).unwrap_or_else(|| panic!("no line says why: {text}"));
    says.iter().for_each(|part| assert!(line.contains(part), "{part}: {text}"));
}
