//! What somebody signs who asks for a session with an SSH key: the gateway says it, so that it names the request; it is compared with what
//! was asked for, shown, and signed.

use super::{Failure, Terms};
use crate::{
    admin::{
        api::{AskToAsk, OpenSession, StatementView},
        client::ask,
    },
    cli::{USAGE, ssh_key},
    principals::proof::SshProof,
    sessions::asked::Errand,
};
use http::Method;
use sealgate_schema::statement::{Act, Statement};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// To sign elsewhere what is asked for. To be flattened into a command's arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Elsewhere {
    /// Print what is to be signed with that key, and ask for nothing: to sign it elsewhere with ssh-keygen -Y sign -n sealgate, and to come back within ten minutes with --statement and --signature
    #[arg(long, requires = "ssh_key")]
    print_statement: bool,
    /// The statement that was printed; everything else as it was asked for then
    #[arg(long, value_name = "FILE|-", requires = "signature", conflicts_with_all = ["ssh_key", "oidc_token", "print_statement"])]
    statement: Option<PathBuf>,
    /// The signature that was made elsewhere
    #[arg(long, value_name = "FILE", requires = "statement")]
    signature: Option<PathBuf>,
}

impl Terms {
    /// What is asked for, with its proof; nothing where the statement was only to be printed.
    pub(super) async fn asked(
        self,
        home: &Path,
        errand: Errand,
        requester: Option<String>,
    ) -> Result<Option<OpenSession>, Failure> {
        let Self { window, principal, kind, acting_for, account, role, duration, reason, proof, elsewhere } = self;
        let mut asked = OpenSession {
            window,
            principal,
            kind,
            acting_for,
            account,
            role,
            duration,
            reason,
            requester,
            ..OpenSession::default()
        };
        if let (Some(statement), Some(signature)) = (&elsewhere.statement, &elsewhere.signature) {
            let read =
                |file: &PathBuf| ssh_key::read(file).map_err(|error| Failure::new(USAGE, format!("{}: {error}", file.display())));
            asked.proof.ssh = Some(SshProof { statement: read(statement)?, signature: read(signature)? });
            return Ok(Some(asked));
        }
        let Some(key) = proof.ssh_key()? else {
            asked.proof = proof.token()?;
            return Ok(Some(asked));
        };
        let to_ask = AskToAsk { act: errand.as_str().to_owned(), key: key.public()?.to_string(), asked: asked.clone() };
        let StatementView { statement } = ask(home, Method::POST, "/v1/statements", Some(&to_ask)).await?;
        if elsewhere.print_statement {
            // To the byte: what is printed is what is signed.
            io::stdout().write_all(statement.as_bytes())?;
            return Ok(None);
        }
        check(&asked, &statement)?;
        let signature = key.sign(&statement)?;
        asked.proof.ssh = Some(SshProof { statement, signature });
        Ok(Some(asked))
    }
}

/// A gateway that says something else than was asked for gets no signature.
fn check(asked: &OpenSession, line: &str) -> Result<(), Failure> {
    let statement = Statement::parse(line.strip_suffix('\n').unwrap_or(line))?;
    let seconds = asked.duration.parse::<jiff::SignedDuration>().ok().and_then(|duration| u64::try_from(duration.as_secs()).ok());
    let same = statement.act == Act::Request
        && statement.session.is_none()
        && statement.window == asked.window
        && statement.account == asked.account
        && statement.role == asked.role
        && statement.acting_for == asked.acting_for
        && statement.reason == asked.reason
        && statement.seconds == seconds
        && asked.principal.as_ref().is_none_or(|principal| *principal == statement.principal)
        && asked.kind.as_ref().is_none_or(|kind| *kind == statement.principal_kind);
    if same {
        Ok(())
    } else {
        Err(Failure::new(1, format!("the gateway wants something else signed than was asked for:\n{statement}")))
    }
}
