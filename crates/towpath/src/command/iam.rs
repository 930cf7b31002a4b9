//! `towpath iam`: accounts, users, roles, policies and access keys.
//!
//! Every action is one operation of docs/towpath-api.md. What is secret is shown once, by `key create`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::stores::{print_members, read_json};
use super::time::shown_seconds;
use super::{Failure, connect, shown};
use crate::client::{Api, Client, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Flags of `towpath iam`.
#[derive(Debug, clap::Args)]
pub struct Iam {
    #[command(subcommand)]
    action: Action,
    /// Act on another account; only the first account may
    #[arg(long, alias = "account", global = true, value_name = "NUMBER")]
    account_id: Option<String>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Accounts
    #[command(subcommand)]
    Account(Account),
    /// Users
    #[command(subcommand)]
    User(User),
    /// Roles
    #[command(subcommand)]
    Role(Role),
    /// Policies of users and roles
    #[command(subcommand)]
    Policy(Policy),
    /// Access keys
    #[command(subcommand)]
    Key(Key),
}

#[derive(Debug, clap::Subcommand)]
enum Account {
    /// Make an account
    Create {
        /// Twelve digits
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
        account: String,
    },
}

#[derive(Debug, clap::Subcommand)]
enum User {
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

#[derive(Debug, clap::Subcommand)]
enum Role {
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

/// The user or role whose policies are meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Holder {
    /// Of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Of this role
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Policy {
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

#[derive(Debug, clap::Subcommand)]
enum Key {
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

/// A call and how its answer is shown.
#[derive(Debug, PartialEq)]
struct Call {
    operation: String,
    input: Value,
    show: Show,
}

/// How an answer is shown.
#[derive(Debug, PartialEq)]
enum Show {
    /// One line that says what happened.
    Done(String),
    /// The members of this member.
    One(&'static str),
    /// A table of this list with these columns.
    Many(&'static str, &'static [&'static str]),
    /// A list of texts.
    Names(&'static str),
    /// A policy as JSON.
    Document,
}

const ACCOUNT: &[&str] = &["AccountId", "Name", "CreatedTimestamp"];
const USER: &[&str] = &["UserName", "Path", "CreatedTimestamp", "Arn"];
const ROLE: &[&str] = &["RoleName", "Path", "MaxSessionDuration", "CreatedTimestamp", "Arn"];
const KEY: &[&str] = &["AccessKeyId", "Status", "UserName", "CreatedTimestamp"];

impl Iam {
    /// Runs the action.
    pub async fn run(self) -> Result<(), Failure> {
        let call = self.call()?;
        let client = connect(&self.connection, Retry::PROMPT)?;
        let answer = answer(&client, &call).await?;
        print(&call.show, &answer, self.output)?;
        if call.operation == "CreateAccessKey" {
            eprintln!("the secret is shown this once; keep it");
        }
        Ok(())
    }

    fn call(&self) -> Result<Call, Failure> {
        let (operation, mut input, show) = match &self.action {
            Action::Account(account) => account.call(),
            Action::User(user) => user.call(),
            Action::Role(role) => role.call()?,
            Action::Policy(policy) => policy.call()?,
            Action::Key(key) => key.call(),
        };
        if let Some(object) = input.as_object_mut() {
            object.retain(|_, value| !value.is_null());
        }
        if let Some(account) = &self.account_id {
            if matches!(self.action, Action::Account(_)) {
                return Err(Failure::bare(
                    "--account-id says whose users, roles and keys are meant, not which account",
                ));
            }
            input["AccountId"] = json!(account);
        }
        Ok(Call { operation: operation.into_owned(), input, show })
    }
}

type Parts = (std::borrow::Cow<'static, str>, Value, Show);

impl Account {
    fn call(&self) -> Parts {
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

impl User {
    fn call(&self) -> Parts {
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

impl Role {
    fn call(&self) -> Result<Parts, Failure> {
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
    fn call(&self) -> Result<Parts, Failure> {
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

impl Key {
    fn call(&self) -> Parts {
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

async fn answer(client: &Client, call: &Call) -> Result<Value, Failure> {
    match &call.show {
        Show::Many(member, _) | Show::Names(member) => {
            let items = client.list(Api::Towpath, &call.operation, &call.input, member).await?;
            Ok(json!({ *member: items }))
        }
        _ => Ok(client.call(Api::Towpath, &call.operation, &call.input).await?),
    }
}

fn print(show: &Show, answer: &Value, format: Format) -> Result<(), Failure> {
    match show {
        Show::Done(text) => {
            eprintln!("{text}");
            Ok(())
        }
        Show::One(member) => print_members(answer.get(*member).unwrap_or(answer), format),
        Show::Document => {
            let document = shown(answer, "PolicyDocument");
            let document = serde_json::from_str(&document).unwrap_or_else(|_| json!(document));
            Ok(output::print_json(&document)?)
        }
        Show::Many(member, _) | Show::Names(member) if format == Format::Json => {
            Ok(output::print_json(answer.get(*member).unwrap_or(answer))?)
        }
        Show::Many(member, columns) => Ok(output::print(table(answer, member, columns), format)?),
        Show::Names(member) => {
            let mut rows = Rows::new(&["name"]);
            for name in answer.get(*member).and_then(Value::as_array).into_iter().flatten() {
                rows.push(vec![name.as_str().unwrap_or_default().to_owned()]);
            }
            Ok(output::print(rows, format)?)
        }
    }
}

fn table(answer: &Value, member: &str, columns: &[&str]) -> Rows {
    let mut rows = Rows::new(columns);
    for item in answer.get(member).and_then(Value::as_array).into_iter().flatten() {
        let cell = |column: &&str| match *column {
            "CreatedTimestamp" => shown_seconds(item.get("CreatedTimestamp")),
            column => shown(item, column),
        };
        rows.push(columns.iter().map(cell).collect());
    }
    rows
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::fake::Fake;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        iam: Iam,
    }

    fn call(line: &str) -> Call {
        let line = Line::try_parse_from(std::iter::once("iam").chain(line.split_whitespace())).unwrap();
        line.iam.call().unwrap()
    }

    #[test]
    fn every_action_is_one_operation() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{ \"Version\": \"2012-10-17\" }").unwrap();
        let path = file.path().display();
        for (line, operation, input) in [
            (
                "account create 000000000001 --name b",
                "CreateAccount",
                json!({"AccountId": "000000000001", "Name": "b"}),
            ),
            ("account list", "ListAccounts", json!({})),
            ("user create alice", "CreateUser", json!({"UserName": "alice"})),
            (
                "user delete alice --account-id 000000000001",
                "DeleteUser",
                json!({"UserName": "alice", "AccountId": "000000000001"}),
            ),
            ("role list", "ListRoles", json!({})),
            ("key create", "CreateAccessKey", json!({})),
            ("key create --user alice", "CreateAccessKey", json!({"UserName": "alice"})),
            ("key deactivate AKIA", "UpdateAccessKey", json!({"AccessKeyId": "AKIA", "Status": "Inactive"})),
            ("policy list --role r", "ListRolePolicies", json!({"RoleName": "r"})),
            ("policy get --user u --name p", "GetUserPolicy", json!({"UserName": "u", "PolicyName": "p"})),
        ] {
            let call = call(line);
            assert_eq!((call.operation.as_str(), call.input), (operation, input), "{line}");
        }
        let document = json!("{\"Version\":\"2012-10-17\"}");
        let put = call(&format!("policy put --user u --name p --document {path}"));
        assert_eq!(put.operation, "PutUserPolicy");
        assert_eq!(put.input, json!({"UserName": "u", "PolicyName": "p", "PolicyDocument": document}));
        let role = call(&format!("role create r --trust {path} --max-session 3600"));
        assert_eq!(
            role.input,
            json!({"RoleName": "r", "AssumeRolePolicyDocument": document, "MaxSessionDuration": 3600})
        );
    }

    #[tokio::test]
    async fn a_list_is_a_table_over_all_pages() {
        let fake = Fake::answering(vec![
            (200, json!({"Users": [{"UserName": "a", "Arn": "arn:a", "Path": "/", "CreatedTimestamp": 1795132800}], "NextToken": "t"})),
            (200, json!({"Users": [{"UserName": "b"}]})),
        ])
        .await;
        let answer = answer(&fake.client(), &call("user list")).await.unwrap();
        let rows = table(&answer, "Users", USER);
        assert_eq!(rows.rows[0], ["a", "/", "2026-11-20 00:00:00", "arn:a"]);
        assert_eq!(rows.rows[1][0], "b");
    }
}
