//! `towpath iam user`.

use serde_json::json;

use super::{Parts, Show};

/// The columns of a list of users.
pub(super) const USER: &[&str] = &["UserName", "Path", "CreatedTimestamp", "Arn"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// Make a user
    Create {
        /// Name
        user: String,
        /// Path, such as /engineering/
        #[arg(long)]
        path: Option<String>,
    },
    /// List the users
    List,
    /// Delete a user
    Delete {
        /// Name
        user: String,
    },
}

impl User {
    /// The operation, its input, and how its answer is shown.
    pub(super) fn call(&self) -> Parts {
        match self {
            Self::Create { user, path } => {
                ("CreateUser".into(), json!({ "UserName": user, "Path": path }), Show::One("User"))
            }
            Self::List => ("ListUsers".into(), json!({}), Show::Many("Users", USER)),
            Self::Delete { user } => {
                ("DeleteUser".into(), json!({ "UserName": user }), Show::Done(format!("user {user} is deleted")))
            }
        }
    }
}
