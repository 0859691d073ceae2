//! L4 of `sealgate verify`: what other parties signed, under the caller's own choice of whom to trust.

use super::{Failure, USAGE, timestamp::openssl_verify};
use crate::evidence::Folder;
use sealgate_schema::{
    log::TIMESTAMP_NAME,
    proof::ProofReport,
    seal::{NOTE_NAME, State},
    verify::{EvidenceReport, Finding, Level, Log, Report, Verdict},
    witness::{check_cosigned, policy::Policy},
};
use std::path::{Path, PathBuf};

/// Whom the caller trusts.
pub(super) struct Trusted {
    policy: Option<Policy>,
    ca: Option<PathBuf>,
}

impl Trusted {
    /// Reads what the command line names.
    pub(super) fn read(policy: Option<&Path>, ca: Option<&Path>) -> Result<Self, Failure> {
        let usage = |path: &Path, why: String| Failure::new(USAGE, format!("{}: {why}", path.display()));
        let parse = |path: &Path| {
            let bytes = std::fs::read(path).map_err(|error| usage(path, error.to_string()))?;
            Policy::parse(&bytes).map_err(|error| usage(path, error.to_string()))
        };
        if let Some(ca) = ca {
            std::fs::metadata(ca).map_err(|error| usage(ca, error.to_string()))?;
        }
        Ok(Self { policy: policy.map(parse).transpose()?, ca: ca.map(Path::to_owned) })
    }

    /// Checks every log's cosignatures and every seal's timestamp; says for each log how much of it was witnessed.
    pub(super) fn check(&self, report: &mut EvidenceReport, folder: &Folder) -> Vec<String> {
        let mut said = Vec::new();
        for log in &mut report.logs {
            let witnessed = self.policy.as_ref().map(|policy| witnessed(policy, log));
            if let Some(Err(what)) = &witnessed {
                log.findings.add(Finding { level: Level::L4, seq: None, place: "_log/cosigned".to_owned(), what: what.clone() });
            }
            if let Some(Ok(size)) = witnessed {
                said.push(format!("windows log of {}: {size} of {} entries witnessed", log.gateway, log.size));
            }
            let ledgers = report.ledgers.iter_mut().filter(|ledger| is_of(ledger, &log.gateway));
            for ledger in ledgers.filter(|ledger| ledger.state.is_some()) {
                self.check_ledger(ledger, log, witnessed.as_ref(), folder);
            }
        }
        said
    }

    /// A ledger passes where all that the log says of it was witnessed, and where its seal has its timestamp.
    fn check_ledger(&self, ledger: &mut Report, log: &Log, witnessed: Option<&Result<u64, String>>, folder: &Folder) {
        let window = ledger.ledger.as_ref().and_then(|ledger| log.windows.window(ledger.window()));
        let told = window.map_or(u64::MAX, |window| window.told);
        let mut verdict = match witnessed {
            Some(Ok(size)) if told <= *size => Verdict::Pass,
            Some(Err(_)) => Verdict::Fail,
            _ => Verdict::NotChecked,
        };
        if let Some(ca) = self.ca.as_ref().filter(|_| ledger.state == Some(State::Sealed)) {
            let path = |name: &str| folder.path(&format!("{}/{name}", ledger.folder));
            match openssl_verify(&path(TIMESTAMP_NAME), &path(NOTE_NAME), ca) {
                Ok(_) if self.policy.is_none() => verdict = Verdict::Pass,
                Ok(_) => {}
                Err(what) => {
                    ledger.findings.add(Finding { level: Level::L4, seq: None, place: TIMESTAMP_NAME.to_owned(), what });
                    verdict = Verdict::Fail;
                }
            }
        }
        ledger.set_verdict(Level::L4, verdict);
    }

    /// Checks the cosignatures under a proof's checkpoint; what does not hold is not shown.
    pub(super) fn check_proof(&self, report: &mut ProofReport) -> Result<(), Failure> {
        if self.ca.is_some() {
            return Err(Failure::new(USAGE, "a proof holds no timestamp: leave out --tsa-ca"));
        }
        let (Some(policy), Some(shown)) = (&self.policy, &report.shown) else { return Ok(()) };
        match check_cosigned(shown.checkpoint.as_bytes(), &shown.identity, policy) {
            Ok(_) => report.set_verdict(Level::L4, Verdict::Pass),
            Err(error) => report.refuse(Level::L4, "checkpoint", error.to_string()),
        }
        Ok(())
    }

    /// Whether anything was asked for.
    pub(super) fn asked(&self) -> bool {
        self.policy.is_some() || self.ca.is_some()
    }
}

fn is_of(ledger: &Report, gateway: &str) -> bool {
    ledger.ledger.as_ref().is_some_and(|ledger| ledger.gateway() == gateway)
}

/// Entries that a quorum of the policy's witnesses has cosigned.
fn witnessed(policy: &Policy, log: &Log) -> Result<u64, String> {
    let note = log.cosigned.as_ref().ok_or("there is no cosigned checkpoint")?;
    let size = cosigned_size(note).ok_or("it is no signed checkpoint")?;
    let key = log.windows.identity_at(size).ok_or("the log has no key for a checkpoint of that size")?;
    let cosigned = check_cosigned(note, &key.key, policy).map_err(|error| error.to_string())?;
    Ok(cosigned.checkpoint.size)
}

fn cosigned_size(note: &[u8]) -> Option<u64> {
    use sealgate_schema::note::{Checkpoint, text};
    Some(Checkpoint::parse(text(std::str::from_utf8(note).ok()?).ok()?).ok()?.size)
}
