//! `towpath lookup`: the event history by one attribute and a range of time.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::Summary;
use super::time::{self, Written};
use super::{Failure, connect, shown, text};
use crate::client::{Api, Client, ConnectionArgs, Retry};
use crate::output::{self, Format, Rows};

/// Events of a page, the most there may be.
const PAGE: usize = 50;

/// Flags of `towpath lookup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "  towpath lookup --event-name ConsoleLogin --since 2h
  towpath lookup --access-key-id AKIA... --start 2026-11-01 --end 2026-11-02 --all --output json")]
pub struct Lookup {
    #[command(flatten)]
    attribute: Attribute,
    /// Only events of so long ago and later, such as 30m, 2h or 7d, or since a time
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "start")]
    since: Option<Written>,
    /// Only events of this time and later: a day or an instant
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    start: Option<Written>,
    /// Only events of this time and earlier
    #[arg(long, alias = "until", value_name = "TIME", value_parser = time::parse)]
    end: Option<Written>,
    /// Insights events instead of management events
    #[arg(long)]
    insights: bool,
    /// Events to show, the newest first
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50, conflicts_with = "all")]
    max: usize,
    /// Show all events there are
    #[arg(long)]
    all: bool,
    /// Form of the answer; JSON gives whole records
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The attribute to look for; CloudTrail allows one.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Attribute, at most one")]
struct Attribute {
    /// Events with this id
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Events with this name, such as ConsoleLogin
    #[arg(long, value_name = "NAME")]
    event_name: Option<String>,
    /// Events of this service, such as iam.amazonaws.com
    #[arg(long, value_name = "SOURCE")]
    event_source: Option<String>,
    /// Events that only read (true) or that change something (false)
    #[arg(long, value_name = "BOOL")]
    read_only: Option<bool>,
    /// Events of this user or role session
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Events made with this access key
    #[arg(long, value_name = "KEY")]
    access_key_id: Option<String>,
    /// Events that concern this resource
    #[arg(long, value_name = "NAME")]
    resource_name: Option<String>,
    /// Events that concern resources of this type, such as AWS::S3::Bucket
    #[arg(long, value_name = "TYPE")]
    resource_type: Option<String>,
}

impl Attribute {
    fn input(&self) -> Option<Value> {
        let read_only = self.read_only.map(|only| only.to_string());
        let (key, value) = [
            ("EventId", &self.event_id),
            ("EventName", &self.event_name),
            ("EventSource", &self.event_source),
            ("ReadOnly", &read_only),
            ("Username", &self.username),
            ("AccessKeyId", &self.access_key_id),
            ("ResourceName", &self.resource_name),
            ("ResourceType", &self.resource_type),
        ]
        .into_iter()
        .find_map(|(key, value)| Some((key, value.clone()?)))?;
        Some(json!([{ "AttributeKey": key, "AttributeValue": value }]))
    }
}

impl Lookup {
    /// Looks up and prints.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PROMPT)?;
        let limit = if self.all { usize::MAX } else { self.max };
        let (events, more) = lookup(&client, self.input(Timestamp::now()), limit).await?;
        match self.output {
            Format::Json => print_records(&events)?,
            format => output::print(rows(&events), format)?,
        }
        if events.is_empty() {
            eprintln!("there is no such event in the event history of {}", client.connection().region);
        }
        if more {
            eprintln!("there are more events; --max or --all shows them");
        }
        Ok(())
    }

    fn input(&self, now: Timestamp) -> Value {
        let mut input = json!({});
        if let Some(attribute) = self.attribute.input() {
            input["LookupAttributes"] = attribute;
        }
        // As seconds with milliseconds, which AWS JSON takes.
        let seconds = |written: Written| json!(written.instant(now).as_millisecond() as f64 / 1000.0);
        if let Some(start) = self.since.or(self.start) {
            input["StartTime"] = seconds(start);
        }
        if let Some(end) = self.end {
            input["EndTime"] = seconds(end);
        }
        if self.insights {
            input["EventCategory"] = json!("insight");
        }
        input
    }
}

/// At most `limit` events, and whether there are more.
async fn lookup(client: &Client, mut input: Value, limit: usize) -> Result<(Vec<Value>, bool), Failure> {
    let mut events = Vec::new();
    while events.len() < limit {
        input["MaxResults"] = json!(PAGE.min(limit - events.len()));
        let mut page = client.call(Api::CloudTrail, "LookupEvents", &input).await?;
        if let Some(Value::Array(more)) = page.get_mut("Events").map(Value::take) {
            events.extend(more);
        }
        match page.get_mut("NextToken").map(Value::take) {
            Some(token @ Value::String(_)) => input["NextToken"] = token,
            _ => return Ok((events, false)),
        }
    }
    Ok((events, true))
}

fn rows(events: &[Value]) -> Rows {
    let mut rows = Rows::new(&["time", "event", "source", "user", "address", "error", "resources", "id"]);
    for event in events {
        let record: Value = serde_json::from_str(text(event, "CloudTrailEvent")).unwrap_or_default();
        let summary = Summary::of(&record);
        let resources = event.get("Resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let resources: Vec<_> = resources.iter().map(|resource| text(resource, "ResourceName")).collect();
        let user = if text(event, "Username").is_empty() { &summary.user } else { text(event, "Username") };
        rows.push(vec![
            time::shown_seconds(event.get("EventTime")),
            shown(event, "EventName"),
            shown(event, "EventSource"),
            user.to_owned(),
            summary.address,
            summary.error,
            resources.join(" "),
            shown(event, "EventId"),
        ]);
    }
    rows
}

/// The records byte for byte, as a JSON array with one record a line.
fn print_records(events: &[Value]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(b"[")?;
    for (index, event) in events.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        out.write_all(text(event, "CloudTrailEvent").as_bytes())?;
    }
    out.write_all(if events.is_empty() { b"]\n" } else { b"\n]\n" })?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::fake::Fake;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        lookup: Lookup,
    }

    fn input(line: &str) -> Value {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        Line::try_parse_from(std::iter::once("lookup").chain(line.split_whitespace())).unwrap().lookup.input(now)
    }

    #[test]
    fn flags_become_the_attribute_and_the_range() {
        assert_eq!(
            input("--username alice --since 2h"),
            json!({
                "LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "alice"}],
                "StartTime": 1795168800.0,
            })
        );
        assert_eq!(
            input("--read-only false --start 2026-11-19 --end 2026-11-20T00:00:00.5Z --insights"),
            json!({
                "LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "false"}],
                "StartTime": 1795046400.0,
                "EndTime": 1795132800.5,
                "EventCategory": "insight",
            })
        );
        assert_eq!(input(""), json!({}));
    }

    #[tokio::test]
    async fn pages_are_read_up_to_the_limit() {
        let page = |count: usize| {
            let event = json!({"EventName": "A", "EventTime": 1795132800, "Username": "u", "CloudTrailEvent":
                "{\"sourceIPAddress\":\"192.0.2.1\",\"errorCode\":\"AccessDenied\"}"});
            (200, json!({"Events": vec![event; count], "NextToken": "t"}))
        };
        let fake = Fake::answering(vec![page(50), page(20)]).await;
        let (events, more) = lookup(&fake.client(), json!({}), 70).await.unwrap();
        assert!(more && events.len() == 70);
        assert_eq!(fake.seen()[1].input, json!({"MaxResults": 20, "NextToken": "t"}));
        let row = &rows(&events).rows[0];
        assert_eq!(row[..6], ["2026-11-20 00:00:00", "A", "", "u", "192.0.2.1", "AccessDenied"]);
    }
}
