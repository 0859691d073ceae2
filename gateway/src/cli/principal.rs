//! `sealgate principal list|who`

use super::{Outcome, print_table, proof::ProofArguments};
use crate::admin::{
    api::{IdentityView, PrincipalView, Who},
    client::ask,
};
use http::Method;
use std::{path::Path, process::ExitCode};

/// What an SSH key signs to ask who it is. No statement of anything: it can be used for nothing else.
const QUESTION: &str = "sealgate principal who\n";

/// See who the directory of principals knows, and who it would take you for
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the directory, as the running gateway has it
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say who the gateway would take you for; a token is not used up by it
    Who {
        /// Who you say you are
        #[arg(long)]
        principal: Option<String>,
        /// For whom you act
        #[arg(long, value_name = "PRINCIPAL")]
        acting_for: Option<String>,
        #[command(flatten)]
        proof: ProofArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    match command {
        Command::List { json } => list(home, json).await?,
        Command::Who { principal, acting_for, proof, json } => {
            let who = Who { principal, kind: None, acting_for, proof: proof.proof(QUESTION)? };
            let identity: IdentityView = ask(home, Method::POST, "/v1/principals/who", Some(&who)).await?;
            if json { println!("{}", serde_json::to_string_pretty(&identity)?) } else { say(&identity) }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(identity: &IdentityView) {
    let acting = identity.acting_for.as_ref().map(|human| format!(", acting for {human}")).unwrap_or_default();
    println!("{} ({}){acting}, by {}", identity.principal, identity.kind, identity.basis);
}

async fn list(home: &Path, json: bool) -> Result<(), super::Failure> {
    let principals: Vec<PrincipalView> = ask(home, Method::GET, "/v1/principals", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&principals)?);
        return Ok(());
    }
    let row = |principal: PrincipalView| {
        let word = if principal.must_prove { "no" } else { "yes" };
        vec![principal.name, principal.kind, word.to_owned(), principal.acts_for.join(" "), principal.proofs.join(", ")]
    };
    let rows: Vec<_> = principals.into_iter().map(row).collect();
    print_table(&["PRINCIPAL", "KIND", "WORD TAKEN", "ACTS FOR", "PROOFS"], &rows);
    Ok(())
}
