//! `towpath iam policy`: inline policies of users and roles.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Parts, Show};
use crate::command::Failure;
use crate::command::stores::read_json;

/// The user or role whose policies are meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Holder {
    /// Of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Of this role
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Policy {
    /// Set a policy
    Put {
        #[command(flatten)]
        holder: Holder,
        /// Name of the policy
        #[arg(long)]
        name: String,
        /// File with the policy as JSON; - reads standard input
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
    },
    /// Show a policy
    Get {
        #[command(flatten)]
        holder: Holder,
        /// Name of the policy
        #[arg(long)]
        name: String,
    },
    /// List the policies
    List {
        #[command(flatten)]
        holder: Holder,
    },
    /// Delete a policy
    Delete {
        #[command(flatten)]
        holder: Holder,
        /// Name of the policy
        #[arg(long)]
        name: String,
    },
}

impl Holder {
    /// `User` or `Role`, and the input that names it.
    fn input(&self) -> (&'static str, Value) {
        match (&self.user, &self.role) {
            (Some(user), _) => ("User", json!({ "UserName": user })),
            (None, role) => ("Role", json!({ "RoleName": role })),
        }
    }
}

impl Policy {
    /// The operation, its input, and how its answer is shown.
    pub(super) fn call(&self) -> Result<Parts, Failure> {
        Ok(match self {
            Self::Put { holder, name, document } => {
                let (kind, mut input) = holder.input();
                input["PolicyName"] = json!(name);
                input["PolicyDocument"] = json!(read_json(document)?.to_string());
                (format!("Put{kind}Policy").into(), input, Show::Done(format!("policy {name} is set")))
            }
            Self::Get { holder, name } => {
                let (kind, mut input) = holder.input();
                input["PolicyName"] = json!(name);
                (format!("Get{kind}Policy").into(), input, Show::Document)
            }
            Self::List { holder } => {
                let (kind, input) = holder.input();
                (format!("List{kind}Policies").into(), input, Show::Names("PolicyNames"))
            }
            Self::Delete { holder, name } => {
                let (kind, mut input) = holder.input();
                input["PolicyName"] = json!(name);
                (format!("Delete{kind}Policy").into(), input, Show::Done(format!("policy {name} is deleted")))
            }
        })
    }
}
