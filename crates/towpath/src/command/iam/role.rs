//! `towpath iam role`: roles and who may assume them.

use std::path::PathBuf;

use serde_json::json;

use super::{Parts, Show};
use crate::command::Failure;
use crate::command::stores::read_json;

/// The columns of a list.
const ROLE: &[&str] = &["RoleName", "Path", "MaxSessionDuration", "CreatedTimestamp", "Arn"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Role {
    /// Make a role
    Create {
        /// Name
        role: String,
        /// File with the trust policy (who may assume it) as JSON; - reads standard input
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Path, such as /engineering/
        #[arg(long)]
        path: Option<String>,
        /// Longest session, in seconds
        #[arg(long, value_name = "SECONDS")]
        max_session: Option<u32>,
    },
    /// List the roles
    List,
    /// Set a role's trust policy
    Trust {
        /// Name
        role: String,
        /// File with the policy as JSON; - reads standard input
        policy: PathBuf,
    },
    /// Delete a role
    Delete {
        /// Name
        role: String,
    },
}

impl Role {
    /// The operation, its input, and how its answer is shown.
    pub(super) fn call(&self) -> Result<Parts, Failure> {
        Ok(match self {
            Self::Create { role, trust, path, max_session } => {
                let trust = read_json(trust)?.to_string();
                let input = json!({
                    "RoleName": role, "AssumeRolePolicyDocument": trust, "Path": path, "MaxSessionDuration": max_session,
                });
                ("CreateRole".into(), input, Show::One("Role"))
            }
            Self::List => ("ListRoles".into(), json!({}), Show::Many("Roles", ROLE)),
            Self::Trust { role, policy } => {
                let input = json!({ "RoleName": role, "PolicyDocument": read_json(policy)?.to_string() });
                let done = Show::Done(format!("role {role} has a new trust policy"));
                ("UpdateAssumeRolePolicy".into(), input, done)
            }
            Self::Delete { role } => {
                ("DeleteRole".into(), json!({ "RoleName": role }), Show::Done(format!("role {role} is deleted")))
            }
        })
    }
}
