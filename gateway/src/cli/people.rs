//! `--approvers` of the commands that verify: whose keys signed what sessions rest on, and how a report says so.
//!
//! The file is the caller's own. What the gateway has configured, or what stands beside the evidence, is not asked: whoever runs the
//! gateway could have written it.

use super::{Failure, USAGE, verify::plain};
use sealgate_schema::{
    allowed_signers::{AllowedSigners, FILE_BYTES_MAX},
    verify::{Asked, Ground, Level, Opened, Report, Verdict, Vouched},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Whose keys are whose, and what is required of them. To be flattened into a command's arguments.
#[derive(Debug, Default, clap::Args)]
pub(super) struct People {
    /// Your own file of who may approve, as ssh-keygen has it (allowed_signers): each approval, denial and review has to be signed by a key that it has for who signs (L6)
    #[arg(long, value_name = "FILE")]
    approvers: Option<PathBuf>,
    /// Require that each session rests on approvals, or was opened by break-glass and reviewed (L6)
    #[arg(long, requires = "approvers")]
    require_approval: bool,
}

impl People {
    /// Has a verifier ask for it.
    pub(super) fn ask(&self, asked: &mut Asked) -> Result<(), Failure> {
        asked.signers = self.approvers.as_deref().map(read).transpose()?;
        asked.require_approval = self.require_approval;
        Ok(())
    }
}

fn read(path: &Path) -> Result<AllowedSigners, Failure> {
    let usage = |why: String| Failure::new(USAGE, format!("the approvers {}: {why}", path.display()));
    let mut text = String::new();
    // One byte more than is taken: the parser then says that it is too long.
    let most = FILE_BYTES_MAX as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    read.map_err(|error| usage(error.to_string()))?;
    AllowedSigners::parse(&text).map_err(|error| usage(error.to_string()))
}

/// A line a session, and one for each time that it got more.
pub(super) fn print(report: &Report) {
    for opened in &report.sessions {
        println!("    · {}", plain(&line(opened)));
        for (seq, ground) in &opened.extensions {
            println!("      more time in record {seq}: {}", plain(&rests_on(ground)));
        }
    }
    if !report.sessions.is_empty() && report.verdict(Level::L6) == Verdict::NotChecked {
        println!("      names of who signed are as the records say: whose keys they are is not checked (--approvers)");
    }
}

fn line(opened: &Opened) -> String {
    let principal = opened.principal.as_deref().unwrap_or("nobody");
    let kind = opened.principal_kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let acting = opened.acting_for.as_deref().map(|human| format!(" for {human}")).unwrap_or_default();
    let asked = opened.asked.as_ref().map(|asked| format!("; asked for by {}", signature(asked))).unwrap_or_default();
    let review = match (&opened.ground, opened.reviews.as_slice()) {
        (_, [_, ..]) => format!("; reviewed by {}", signatures(&opened.reviews)),
        (Ground::BreakGlass(_), []) => "; NOT REVIEWED".to_owned(),
        _ => String::new(),
    };
    let ground = rests_on(&opened.ground);
    format!("session {} · {principal}{kind}{acting} · record {} · {ground}{asked}{review}", opened.session, opened.seq)
}

fn rests_on(ground: &Ground) -> String {
    match ground {
        Ground::Approvals(vouched) => format!("approved by {}", signatures(vouched)),
        Ground::Rule(rule) => format!("without approval: the standing rule {rule}"),
        Ground::Word(by) => format!("without approval: the word of {by}"),
        Ground::BreakGlass(by) => format!("without approval: break-glass by {by}"),
    }
}

fn signatures(vouched: &[Vouched]) -> String {
    vouched.iter().map(signature).collect::<Vec<_>>().join(", ")
}

/// Whose signature, and what is known of that.
pub(super) fn signature(vouched: &Vouched) -> String {
    let theirs = match vouched.theirs {
        Some(true) => "signed with their key",
        Some(false) => "by a key that is NOT THEIRS",
        None => "signed, whose key it is not checked",
    };
    let Vouched { signer, key, seq, window, .. } = vouched;
    format!("{signer} (record {seq} of {window}, {key}, {theirs})")
}

/// The sessions of a ledger, for programs.
pub(super) fn sessions(report: &Report) -> Value {
    report.sessions.iter().map(session).collect()
}

fn session(opened: &Opened) -> Value {
    let more = |(seq, ground): &(u64, Ground)| json!({ "seq": seq, "rests_on": ground_of(ground) });
    json!({
        "session": opened.session.as_str(),
        "seq": opened.seq,
        "principal": opened.principal.as_deref(),
        "principal_kind": opened.principal_kind.as_deref(),
        "acting_for": opened.acting_for.as_deref(),
        "asked_by": opened.asked.as_ref().map(vouched),
        "rests_on": ground_of(&opened.ground),
        "extensions": opened.extensions.iter().map(more).collect::<Vec<_>>(),
        "reviews": opened.reviews.iter().map(vouched).collect::<Vec<_>>(),
        "unreviewed": opened.is_unreviewed(),
    })
}

fn ground_of(ground: &Ground) -> Value {
    match ground {
        Ground::Approvals(by) => json!({ "ground": "approvals", "by": by.iter().map(vouched).collect::<Vec<_>>() }),
        Ground::Rule(rule) => json!({ "ground": "rule", "rule": rule }),
        Ground::Word(by) => json!({ "ground": "word", "word_of": by }),
        Ground::BreakGlass(by) => json!({ "ground": "break_glass", "word_of": by }),
    }
}

/// One signature; `key_is_theirs` is null where nothing says whose key it is.
pub(super) fn vouched(vouched: &Vouched) -> Value {
    let Vouched { signer, key, theirs, seq, window } = vouched;
    json!({ "signer": signer, "key": key, "key_is_theirs": theirs, "seq": seq, "window": window.as_str() })
}
