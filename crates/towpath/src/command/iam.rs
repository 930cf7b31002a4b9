//! `towpath iam`: accounts, users, roles, policies and access keys.
//!
//! Every action is one operation of docs/towpath-api.md. What is secret is shown once, by `key create`.

mod account;
mod key;
mod policy;
mod role;
mod user;

use serde_json::{Value, json};

use self::account::Account;
use self::key::Key;
use self::policy::Policy;
use self::role::Role;
use self::user::User;
use super::stores::print_members;
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
    #[arg(long, alias = "account", global = true, value_name = "NUMBER", value_parser = super::account_id)]
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

/// An operation, its input, and how its answer is shown.
type Parts = (std::borrow::Cow<'static, str>, Value, Show);

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
        let rows = table(&answer, "Users", user::USER);
        assert_eq!(rows.rows[0], ["a", "/", "2026-11-20 00:00:00", "arn:a"]);
        assert_eq!(rows.rows[1][0], "b");
    }
}
