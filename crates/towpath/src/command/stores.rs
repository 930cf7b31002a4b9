//! `towpath stores`: event data stores.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::store_name::{self, Store};
use super::time::shown_seconds;
use super::{Failure, connect, shown, text};
use crate::client::{Api, Client, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Flags of `towpath stores`.
#[derive(Debug, clap::Args)]
pub struct Stores {
    #[command(subcommand)]
    action: Option<Action>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Default, clap::Subcommand)]
enum Action {
    /// List the stores of the region; also what happens when nothing is said
    #[default]
    List,
    /// Show a store with its selectors
    Show {
        /// Name, id or ARN
        store: String,
    },
    /// Make a store
    Create(Create),
    /// Change a store
    Update(Update),
    /// Delete a store; it can be restored for 7 days, or as long as the server's pending_deletion says
    Delete {
        /// Name, id or ARN
        store: String,
    },
    /// Restore a deleted store
    Restore {
        /// Id or ARN, or the name if no other store has it
        store: String,
    },
    /// Let events in again
    StartIngestion {
        /// Name, id or ARN
        store: String,
    },
    /// Let no more events in
    StopIngestion {
        /// Name, id or ARN
        store: String,
    },
}

/// What a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Management events of CloudTrail
    Management,
    /// Audit events that channels take (ActivityAuditLog)
    Activity,
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Name, 3 to 128 letters, digits, dots, dashes and underscores
    name: String,
    /// What it keeps
    #[arg(long, value_enum, default_value = "management", conflicts_with = "selectors")]
    kind: Kind,
    /// File with AdvancedEventSelectors as JSON, instead of --kind
    #[arg(long, value_name = "FILE")]
    selectors: Option<PathBuf>,
    /// Days to keep events
    #[arg(long, value_name = "DAYS")]
    retention: Option<u32>,
    /// Events of this region only, instead of all regions
    #[arg(long)]
    single_region: bool,
    /// Let it be deleted at once
    #[arg(long)]
    no_termination_protection: bool,
    /// Let no events in yet
    #[arg(long)]
    no_ingestion: bool,
    /// A tag; may be given more than once
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// Name, id or ARN
    store: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// File with AdvancedEventSelectors as JSON
    #[arg(long, value_name = "FILE")]
    selectors: Option<PathBuf>,
    /// Days to keep events
    #[arg(long, value_name = "DAYS")]
    retention: Option<u32>,
    /// Protect it from deletion
    #[arg(long, conflicts_with = "no_termination_protection")]
    termination_protection: bool,
    /// Let it be deleted
    #[arg(long)]
    no_termination_protection: bool,
}

impl Stores {
    /// Runs the action.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PROMPT)?;
        let (client, format) = (&client, self.output);
        match &self.action.unwrap_or_default() {
            Action::List => list(client, format).await,
            Action::Show { store } => one(client, "GetEventDataStore", store, format).await,
            Action::Create(create) => {
                let answer = client.call(Api::CloudTrail, "CreateEventDataStore", &create.input()?).await?;
                print_one(&answer, format)
            }
            Action::Update(update) => {
                let mut input = update.input()?;
                input["EventDataStore"] = json!(store_name::reference(client, &update.store).await?);
                let answer = client.call(Api::CloudTrail, "UpdateEventDataStore", &input).await?;
                print_one(&answer, format)
            }
            Action::Restore { store } => one(client, "RestoreEventDataStore", store, format).await,
            Action::Delete { store } => silent(client, "DeleteEventDataStore", store, "is pending deletion").await,
            Action::StartIngestion { store } => {
                silent(client, "StartEventDataStoreIngestion", store, "lets events in").await
            }
            Action::StopIngestion { store } => {
                silent(client, "StopEventDataStoreIngestion", store, "lets no more events in").await
            }
        }
    }
}

impl Create {
    fn input(&self) -> Result<Value, Failure> {
        let selectors = match &self.selectors {
            Some(path) => read_json(path)?,
            None => {
                let category = match self.kind {
                    Kind::Management => "Management",
                    Kind::Activity => "ActivityAuditLog",
                };
                json!([{ "FieldSelectors": [{ "Field": "eventCategory", "Equals": [category] }] }])
            }
        };
        let mut input = json!({
            "Name": self.name,
            "AdvancedEventSelectors": selectors,
            "MultiRegionEnabled": !self.single_region,
            "TerminationProtectionEnabled": !self.no_termination_protection,
        });
        if let Some(days) = self.retention {
            input["RetentionPeriod"] = json!(days);
        }
        if self.no_ingestion {
            input["StartIngestion"] = json!(false);
        }
        if !self.tag.is_empty() {
            input["TagsList"] = tags(&self.tag)?;
        }
        Ok(input)
    }
}

impl Update {
    fn input(&self) -> Result<Value, Failure> {
        let mut input = json!({});
        if let Some(name) = &self.name {
            input["Name"] = json!(name);
        }
        if let Some(path) = &self.selectors {
            input["AdvancedEventSelectors"] = read_json(path)?;
        }
        if let Some(days) = self.retention {
            input["RetentionPeriod"] = json!(days);
        }
        if self.termination_protection || self.no_termination_protection {
            input["TerminationProtectionEnabled"] = json!(self.termination_protection);
        }
        if input.as_object().is_some_and(serde_json::Map::is_empty) {
            return Err(Failure::plain("nothing to change", "give --name, --retention, --selectors or another flag"));
        }
        Ok(input)
    }
}

async fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let mut described = Vec::new();
    for Store { arn, .. } in store_name::all(client).await? {
        match client.call(Api::CloudTrail, "GetEventDataStore", &json!({ "EventDataStore": arn })).await {
            Ok(store) => described.push(store),
            // Purged since the list was made.
            Err(error) if error.code() == Some("EventDataStoreNotFoundException") => {}
            Err(error) => return Err(error.into()),
        }
    }
    if format == Format::Json {
        return Ok(output::print_json(&Value::Array(described))?);
    }
    Ok(output::print(table(&described), format)?)
}

fn table(stores: &[Value]) -> Rows {
    let mut rows = Rows::new(&["name", "status", "events", "retention", "protected", "created", "id"]);
    for store in stores {
        rows.push(vec![
            shown(store, "Name"),
            shown(store, "Status"),
            categories(store),
            format!("{} days", shown(store, "RetentionPeriod")),
            if store.get("TerminationProtectionEnabled") == Some(&Value::Bool(true)) { "yes" } else { "no" }.to_owned(),
            shown_seconds(store.get("CreatedTimestamp")),
            text(store, "EventDataStoreArn").rsplit('/').next().unwrap_or_default().to_owned(),
        ]);
    }
    rows
}

/// The categories of events that a store's selectors ask for.
fn categories(store: &Value) -> String {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for selector in list(store.get("AdvancedEventSelectors")) {
        for field in list(selector.get("FieldSelectors")) {
            if text(&field, "Field") == "eventCategory" {
                found.extend(list(field.get("Equals")).iter().filter_map(Value::as_str).map(str::to_owned));
            }
        }
    }
    found.sort();
    found.dedup();
    found.join(" ")
}

async fn one(client: &Client, operation: &str, store: &str, format: Format) -> Result<(), Failure> {
    let input = json!({ "EventDataStore": store_name::reference(client, store).await? });
    print_one(&client.call(Api::CloudTrail, operation, &input).await?, format)
}

async fn silent(client: &Client, operation: &str, store: &str, now: &str) -> Result<(), Failure> {
    let input = json!({ "EventDataStore": store_name::reference(client, store).await? });
    client.call(Api::CloudTrail, operation, &input).await?;
    eprintln!("event data store {store} {now}");
    Ok(())
}

fn print_one(answer: &Value, format: Format) -> Result<(), Failure> {
    print_members(answer, format)
}

/// Prints the members of one thing: one line each, or as JSON.
pub fn print_members(answer: &Value, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(answer)?);
    }
    let mut rows = Rows::new(&["member", "value"]);
    for (name, value) in answer.as_object().into_iter().flatten() {
        let value = match value {
            Value::Number(_) if name.ends_with("Timestamp") || name.ends_with("Time") => shown_seconds(Some(value)),
            _ => shown(answer, name),
        };
        rows.push(vec![name.clone(), value]);
    }
    Ok(output::print(rows, format)?)
}

/// Reads a JSON file; `-` is standard input.
pub fn read_json(path: &std::path::Path) -> Result<Value, Failure> {
    let shown = path.display().to_string();
    let read = if shown == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = read.map_err(|cause| Failure::Read { path: shown.clone(), cause })?;
    serde_json::from_str(&text).map_err(|error| Failure::bare(format!("{shown} is not JSON: {error}")))
}

/// Tags as the API wants them.
pub fn tags(written: &[String]) -> Result<Value, Failure> {
    let tag = |text: &String| {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Failure::bare(format!("tag {text} has no value; write KEY=VALUE")))?;
        Ok(json!({ "Key": key, "Value": value }))
    };
    Ok(Value::Array(written.iter().map(tag).collect::<Result<_, Failure>>()?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        stores: Stores,
    }

    fn action(line: &str) -> Action {
        Line::try_parse_from(std::iter::once("stores").chain(line.split_whitespace())).unwrap().stores.action.unwrap()
    }

    #[test]
    fn flags_become_a_store() {
        let Action::Create(create) = action("create orders --kind activity --retention 30 --tag a=b --no-ingestion")
        else {
            panic!("not a creation");
        };
        assert_eq!(
            create.input().unwrap(),
            json!({
                "Name": "orders",
                "AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["ActivityAuditLog"]}]}],
                "MultiRegionEnabled": true,
                "TerminationProtectionEnabled": true,
                "RetentionPeriod": 30,
                "StartIngestion": false,
                "TagsList": [{"Key": "a", "Value": "b"}],
            })
        );
    }

    #[test]
    fn a_change_needs_something_to_change() {
        let Action::Update(update) = action("update orders --no-termination-protection") else {
            panic!("not a change")
        };
        assert_eq!(update.input().unwrap(), json!({"TerminationProtectionEnabled": false}));
        let Action::Update(update) = action("update orders") else { panic!("not a change") };
        assert_eq!(update.input().unwrap_err().to_string(), "nothing to change");
    }

    #[test]
    fn a_store_is_one_line() {
        let store = json!({
            "EventDataStoreArn": "arn:aws:cloudtrail:eu-west-1:000000000000:eventdatastore/11111111-2222-3333-4444-555555555555",
            "Name": "audit", "Status": "ENABLED", "RetentionPeriod": 366, "TerminationProtectionEnabled": true,
            "CreatedTimestamp": 1795132800.25,
            "AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}],
        });
        assert_eq!(
            table(&[store]).rows[0].join("|"),
            "audit|ENABLED|Management|366 days|yes|2026-11-20 00:00:00|11111111-2222-3333-4444-555555555555"
        );
    }
}
