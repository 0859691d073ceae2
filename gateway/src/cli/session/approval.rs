//! `sealgate session approve|deny|review`: what people sign with their own SSH key.
//!
//! The gateway says what is to be signed; the person sees it, signs it and sends it back.

use super::{Failure, request::say};
use crate::{
    admin::{
        api::{AskStatement, Outcome, SignedStatement, StatementView},
        client::ask,
    },
    cli::{
        USAGE,
        ssh_key::{self, SshKey},
    },
};
use http::Method;
use sealgate_schema::statement::Statement;
use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

/// What is decided on, and by whom
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The request (R-…); of a review, the session (S-…)
    id: String,
    /// Your name in the file of approvers
    #[arg(long = "as", value_name = "NAME", env = "USER")]
    signer: String,
    /// Your SSH key: its private half, its public half with the private one in the agent, or `agent` for the only key of the
    /// agent [default: ~/.ssh/id_ed25519]
    #[arg(long, value_name = "FILE|agent")]
    key: Option<PathBuf>,
    /// What you have to say about it, which you sign too; needed to deny and to review
    #[arg(long)]
    remark: Option<String>,
    /// Sign without being asked
    #[arg(long)]
    yes: bool,
    /// Print what is to be signed, and do nothing: to sign it elsewhere with ssh-keygen -Y sign -n sealgate
    #[arg(long, conflicts_with_all = ["key", "yes", "signature"])]
    print_statement: bool,
    /// The signature that was made elsewhere (- for standard input)
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["key", "yes"])]
    signature: Option<PathBuf>,
}

pub(super) async fn approve(home: &Path, args: Args) -> Result<(), Failure> {
    let path = format!("/v1/requests/{}", args.id);
    let Some(signed) = signed(home, &path, "approve", args).await? else { return Ok(()) };
    let outcome: Outcome = ask(home, Method::POST, &format!("{path}/approve"), Some(&signed)).await?;
    say(&outcome, false);
    Ok(())
}

pub(super) async fn deny(home: &Path, args: Args) -> Result<(), Failure> {
    let (id, path) = (args.id.clone(), format!("/v1/requests/{}", args.id));
    let Some(signed) = signed(home, &path, "deny", args).await? else { return Ok(()) };
    ask::<()>(home, Method::POST, &format!("{path}/deny"), Some(&signed)).await?;
    println!("request {id} is denied");
    Ok(())
}

pub(super) async fn review(home: &Path, args: Args) -> Result<(), Failure> {
    let (id, path) = (args.id.clone(), format!("/v1/sessions/{}", args.id));
    let Some(signed) = signed(home, &path, "review", args).await? else { return Ok(()) };
    ask::<()>(home, Method::POST, &format!("{path}/review"), Some(&signed)).await?;
    println!("session {id} is reviewed");
    Ok(())
}

/// The signed statement; nothing where it was only to be printed.
async fn signed(home: &Path, path: &str, act: &str, args: Args) -> Result<Option<SignedStatement>, Failure> {
    if act != "approve" && args.remark.is_none() {
        return Err(Failure::new(USAGE, format!("who would {act} says why: use --remark")));
    }
    let asked = AskStatement { act: act.to_owned(), signer: args.signer.clone(), remark: args.remark.clone() };
    let StatementView { statement } = ask(home, Method::POST, &format!("{path}/statement"), Some(&asked)).await?;
    if args.print_statement {
        // To the byte: what is printed is what is signed.
        io::stdout().write_all(statement.as_bytes())?;
        return Ok(None);
    }
    let signature = match &args.signature {
        Some(file) => ssh_key::read(file).map_err(|error| Failure::new(USAGE, format!("{}: {error}", file.display())))?,
        None => {
            show(&statement)?;
            if !args.yes {
                confirm(act, &args.signer)?;
            }
            SshKey::named(args.key.as_deref())?.sign(&statement)?
        }
    };
    Ok(Some(SignedStatement { statement, signature }))
}

/// What is signed: for people, and to the byte. One that does not read as a statement is signed by nobody.
fn show(line: &str) -> Result<(), Failure> {
    let text = line.strip_suffix('\n').unwrap_or(line);
    let statement = Statement::parse(text)?;
    eprintln!("{statement}\nyou sign this line:\n{text}\n");
    Ok(())
}

fn confirm(act: &str, signer: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(USAGE, "nobody can be asked here: look at --print-statement, then use --yes"));
    }
    eprint!("{act} this as {signer}? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().take(16).read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(1, "nothing was signed")),
    }
}
