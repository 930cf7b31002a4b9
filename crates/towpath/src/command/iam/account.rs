//! `towpath iam account`.

use serde_json::json;

use super::super::account_id;
use super::{Parts, Show};

/// The columns of a list.
const ACCOUNT: &[&str] = &["AccountId", "Name", "CreatedTimestamp"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Account {
    /// Make an account
    Create {
        /// Twelve digits
        #[arg(value_parser = account_id)]
        account: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
    },
    /// List the accounts
    List,
    /// Delete an account
    Delete {
        /// Twelve digits
        #[arg(value_parser = account_id)]
        account: String,
    },
}

impl Account {
    /// The operation, its input, and how its answer is shown.
    pub(super) fn call(&self) -> Parts {
        match self {
            Self::Create { account, name } => {
                ("CreateAccount".into(), json!({ "AccountId": account, "Name": name }), Show::One("Account"))
            }
            Self::List => ("ListAccounts".into(), json!({}), Show::Many("Accounts", ACCOUNT)),
            Self::Delete { account } => {
                let done = Show::Done(format!("account {account} is deleted"));
                ("DeleteAccount".into(), json!({ "AccountId": account }), done)
            }
        }
    }
}
