//! `sealgate account list|check`

use super::{Outcome, print_table};
use crate::admin::{api::AccountView, client::ask};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{path::Path, process::ExitCode};

/// See the accounts of sealgate.toml, and whether the source of one gives a credential
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the accounts that sessions may name
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the gateway get an account's own credential, and say its public id or what is in the way
    Check {
        /// The account
        #[arg(default_value = "default")]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    match command {
        Command::List { json } => list(home, json).await?,
        Command::Check { name, json } => {
            let path = format!("/v1/accounts/{}/check", utf8_percent_encode(&name, NON_ALPHANUMERIC));
            let account: AccountView = ask(home, Method::POST, &path, None::<&()>).await?;
            if json { println!("{}", serde_json::to_string_pretty(&account)?) } else { say(&account) }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(account: &AccountView) {
    let until = account.expires.as_ref().map_or_else(|| "without an end".to_owned(), |time| format!("until {time}"));
    let id = account.access_key_id.as_deref().unwrap_or_default();
    println!("{}: {} from {}, {until}", account.name, id, account.source);
}

async fn list(home: &Path, json: bool) -> Result<(), super::Failure> {
    let accounts: Vec<AccountView> = ask(home, Method::GET, "/v1/accounts", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&accounts)?);
        return Ok(());
    }
    let row = |account: AccountView| {
        let own = if account.direct { "own".to_owned() } else { String::new() };
        let roles = if account.roles.is_empty() { vec!["any role".to_owned()] } else { account.roles };
        let may: Vec<_> = std::iter::once(own).filter(|own| !own.is_empty()).chain(roles).collect();
        let at_hand = account.access_key_id.unwrap_or_else(|| "-".to_owned());
        vec![
            account.name,
            account.source,
            account.account.unwrap_or_default(),
            may.join(", "),
            at_hand,
            account.trouble.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = accounts.into_iter().map(row).collect();
    print_table(&["ACCOUNT", "SOURCE", "NUMBER", "SIGNS AS", "KEY", "TROUBLE"], &rows);
    Ok(())
}
