//! `towpath organization`: organizations and the accounts in them, the operations of docs/towpath-api.md.

use serde_json::{Value, json};

use super::stores::print_members;
use super::time::shown_seconds;
use super::{Failure, account_id, connect, shown};
use crate::client::{Api, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Flags of `towpath organization`.
#[derive(Debug, clap::Args)]
pub struct Organization {
    #[command(subcommand)]
    action: Action,
    /// Which organization; needed only by the first account, and only if there are several
    #[arg(long, global = true, value_name = "ID")]
    organization: Option<String>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an organization around a management account
    Create {
        /// The management account, twelve digits [default: the caller's]
        #[arg(long, value_name = "NUMBER", value_parser = account_id)]
        management: Option<String>,
        /// The id, o- and 10 to 32 letters and digits [default: a new one]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// Members share bills alone; trails of the organization need more
        #[arg(long)]
        consolidated_billing: bool,
    },
    /// List the organizations
    List,
    /// List the accounts of an organization
    Accounts,
    /// Take an account in
    AddAccount {
        /// Twelve digits
        #[arg(value_parser = account_id)]
        account: String,
    },
    /// Let an account go
    RemoveAccount {
        /// Twelve digits
        #[arg(value_parser = account_id)]
        account: String,
    },
    /// Let the members share everything
    EnableAllFeatures,
    /// Let CloudTrail work in the accounts of the organization
    EnableTrustedAccess,
    /// Let CloudTrail work in the accounts of the organization no more
    DisableTrustedAccess,
    /// Dissolve an organization; its trails become ordinary ones of the management account
    Delete,
}

/// Columns of the list of organizations.
const ORGANIZATION: &[&str] =
    &["OrganizationId", "ManagementAccountId", "FeatureSet", "TrustedAccess", "CreatedTimestamp"];

/// Columns of the list of accounts.
const ACCOUNT: &[&str] = &["AccountId", "Role", "JoinedTimestamp"];

impl Organization {
    /// Runs the action.
    pub async fn run(self) -> Result<(), Failure> {
        let (operation, input) = self.call();
        let client = connect(&self.connection, Retry::PROMPT)?;
        let answer = client.call(Api::Towpath, operation, &input).await?;
        match &self.action {
            Action::List => self.print_rows(answer.get("Organizations"), ORGANIZATION),
            Action::Accounts => {
                let organization = self.chosen(&answer)?;
                self.print_rows(organization.get("Accounts"), ACCOUNT)
            }
            Action::Delete => {
                eprintln!("the organization is dissolved");
                Ok(())
            }
            _ => print_members(answer.get("Organization").unwrap_or(&answer), self.output),
        }
    }

    fn call(&self) -> (&'static str, Value) {
        let member = |account: &String| json!({ "AccountId": account });
        let (operation, mut input) = match &self.action {
            Action::Create { management, id, consolidated_billing } => (
                "CreateOrganization",
                json!({
                    "ManagementAccountId": management,
                    "OrganizationId": id,
                    "FeatureSet": if *consolidated_billing { "CONSOLIDATED_BILLING" } else { "ALL" },
                }),
            ),
            Action::List | Action::Accounts => ("ListOrganizations", json!({})),
            Action::AddAccount { account } => ("AddAccountToOrganization", member(account)),
            Action::RemoveAccount { account } => ("RemoveAccountFromOrganization", member(account)),
            Action::EnableAllFeatures => ("UpdateOrganization", json!({ "FeatureSet": "ALL" })),
            Action::EnableTrustedAccess => ("UpdateOrganization", json!({ "TrustedAccess": true })),
            Action::DisableTrustedAccess => ("UpdateOrganization", json!({ "TrustedAccess": false })),
            Action::Delete => ("DeleteOrganization", json!({})),
        };
        let takes_id = !matches!(self.action, Action::Create { .. } | Action::List | Action::Accounts);
        if let Some(id) = self.organization.as_ref().filter(|_| takes_id) {
            input["OrganizationId"] = json!(id);
        }
        if let Some(object) = input.as_object_mut() {
            object.retain(|_, value| !value.is_null());
        }
        (operation, input)
    }

    /// The organization whose accounts are asked for: the named one, or the only one.
    fn chosen<'a>(&self, answer: &'a Value) -> Result<&'a Value, Failure> {
        let all: Vec<&Value> = answer.get("Organizations").and_then(Value::as_array).into_iter().flatten().collect();
        let named = |organization: &&&Value| {
            self.organization.as_ref().is_none_or(|id| shown(organization, "OrganizationId") == *id)
        };
        let found: Vec<&&Value> = all.iter().filter(named).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(Failure::plain("there is no such organization", "see towpath organization list")),
            _ => Err(Failure::plain("there are several organizations", "name one with --organization")),
        }
    }

    fn print_rows(&self, list: Option<&Value>, columns: &[&str]) -> Result<(), Failure> {
        let list = list.cloned().unwrap_or_else(|| json!([]));
        if self.output == Format::Json {
            return Ok(output::print_json(&list)?);
        }
        let mut rows = Rows::new(columns);
        for item in list.as_array().into_iter().flatten() {
            let cell = |column: &&str| match *column {
                time if time.ends_with("Timestamp") => shown_seconds(item.get(time)),
                column => shown(item, column),
            };
            rows.push(columns.iter().map(cell).collect());
        }
        Ok(output::print(rows, self.output)?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        organization: Organization,
    }

    fn organization(line: &str) -> Organization {
        let line = Line::try_parse_from(std::iter::once("organization").chain(line.split_whitespace())).unwrap();
        line.organization
    }

    #[test]
    fn every_action_is_one_operation() {
        for (line, operation, input) in [
            ("create", "CreateOrganization", json!({ "FeatureSet": "ALL" })),
            (
                "create --management 000000000001 --id o-abcdefghij --consolidated-billing",
                "CreateOrganization",
                json!({
                    "ManagementAccountId": "000000000001",
                    "OrganizationId": "o-abcdefghij",
                    "FeatureSet": "CONSOLIDATED_BILLING",
                }),
            ),
            ("list", "ListOrganizations", json!({})),
            ("accounts --organization o-abcdefghij", "ListOrganizations", json!({})),
            ("add-account 000000000002", "AddAccountToOrganization", json!({ "AccountId": "000000000002" })),
            (
                "remove-account 000000000002 --organization o-abcdefghij",
                "RemoveAccountFromOrganization",
                json!({ "AccountId": "000000000002", "OrganizationId": "o-abcdefghij" }),
            ),
            ("enable-all-features", "UpdateOrganization", json!({ "FeatureSet": "ALL" })),
            ("disable-trusted-access", "UpdateOrganization", json!({ "TrustedAccess": false })),
            ("delete", "DeleteOrganization", json!({})),
        ] {
            assert_eq!(organization(line).call(), (operation, input), "{line}");
        }
    }

    #[test]
    fn accounts_are_those_of_the_only_or_the_named_organization() {
        let one = json!({ "OrganizationId": "o-aaaaaaaaaa" });
        let two = json!({ "OrganizationId": "o-bbbbbbbbbb" });
        let both = json!({ "Organizations": [one, two] });
        let chosen = |line: &str, answer: &Value| {
            organization(line).chosen(answer).map(|organization| shown(organization, "OrganizationId")).ok()
        };
        assert_eq!(chosen("accounts --organization o-bbbbbbbbbb", &both).as_deref(), Some("o-bbbbbbbbbb"));
        assert_eq!(chosen("accounts", &both), None);
        assert_eq!(chosen("accounts", &json!({ "Organizations": [one] })).as_deref(), Some("o-aaaaaaaaaa"));
        assert_eq!(chosen("accounts", &json!({ "Organizations": [] })), None);
    }
}
