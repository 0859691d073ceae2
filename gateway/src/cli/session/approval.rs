//! `sealgate session approve|deny|review`: what people sign with their own SSH key.
//!
//! The gateway says what is to be signed; the person sees it, signs it with `ssh-keygen`, which knows files, agents and security
//! keys, and sends it back. Nothing of the key passes through here.

use super::{Failure, request::say};
use crate::{
    admin::{
        api::{AskStatement, Outcome, SignedStatement, StatementView},
        client::ask,
    },
    cli::{USAGE, proof::sign},
    limits::SIGNATURE_BYTES_MAX,
};
use http::Method;
use sealgate_schema::statement::Statement;
use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The word of `--key` for a key that an agent holds.
const AGENT: &str = "agent";

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
        Some(file) => read(file).map_err(|error| Failure::new(USAGE, format!("{}: {error}", file.display())))?,
        None => {
            show(&statement)?;
            if !args.yes {
                confirm(act, &args.signer)?;
            }
            signature(args.key.as_deref(), &statement)?
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

fn signature(key: Option<&Path>, statement: &str) -> Result<String, Failure> {
    match key {
        Some(key) if key.as_os_str() == AGENT => {
            let public = agent_key()?;
            sign(public.path(), statement)
        }
        Some(key) => sign(key, statement),
        None => {
            let home = std::env::home_dir().ok_or_else(|| Failure::new(USAGE, "name your key with --key"))?;
            sign(&home.join(".ssh").join("id_ed25519"), statement)
        }
    }
}

/// The public half of the only key of the agent, in a file: that is how `ssh-keygen` is told of it.
fn agent_key() -> Result<tempfile::NamedTempFile, Failure> {
    let listed = Command::new("ssh-add").arg("-L").stdin(Stdio::null()).output();
    let listed = listed.map_err(|error| Failure::new(1, format!("ssh-add could not be run: {error}")))?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut keys = text.lines().filter(|_| listed.status.success());
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(Failure::new(USAGE, "the agent holds no key, or several: name one with --key FILE.pub"));
    };
    let mut file = tempfile::Builder::new().suffix(".pub").tempfile()?;
    writeln!(file, "{key}")?;
    Ok(file)
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => io::stdin().take(SIGNATURE_BYTES_MAX).read_to_string(&mut text)?,
        false => File::open(file)?.take(SIGNATURE_BYTES_MAX).read_to_string(&mut text)?,
    };
    Ok(text)
}
