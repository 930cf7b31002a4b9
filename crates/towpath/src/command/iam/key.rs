//! `towpath iam key`: access keys of users and of the root of an account.

use serde_json::json;

use super::{Parts, Show};

/// The columns of a list.
const KEY: &[&str] = &["AccessKeyId", "Status", "UserName", "CreatedTimestamp"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Key {
    /// Make an access key and show its secret, this once
    Create {
        /// For this user instead of root
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// List access keys
    List {
        /// Of this user instead of root
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Let a key work again
    Activate {
        /// Access key id
        key: String,
    },
    /// Let a key work no more, for the time being
    Deactivate {
        /// Access key id
        key: String,
    },
    /// Delete a key
    Delete {
        /// Access key id
        key: String,
    },
}

impl Key {
    /// The operation, its input, and how its answer is shown.
    pub(super) fn call(&self) -> Parts {
        let status = |key: &str, status: &str| {
            let done = Show::Done(format!("access key {key} is {}", status.to_lowercase()));
            ("UpdateAccessKey".into(), json!({ "AccessKeyId": key, "Status": status }), done)
        };
        match self {
            Self::Create { user } => ("CreateAccessKey".into(), json!({ "UserName": user }), Show::One("AccessKey")),
            Self::List { user } => {
                ("ListAccessKeys".into(), json!({ "UserName": user }), Show::Many("AccessKeys", KEY))
            }
            Self::Activate { key } => status(key, "Active"),
            Self::Deactivate { key } => status(key, "Inactive"),
            Self::Delete { key } => {
                let done = Show::Done(format!("access key {key} is deleted"));
                ("DeleteAccessKey".into(), json!({ "AccessKeyId": key }), done)
            }
        }
    }
}
