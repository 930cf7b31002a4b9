//! `towpath tail`: events as they arrive.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::event::{self, Summary};
use super::store_name;
use super::{Failure, connect, text};
use crate::client::{Api, Client, ClientError, ConnectionArgs, Retry};
use crate::output::visible;

/// How long the server may wait for an event before it answers with none.
const WAIT_SECONDS: u64 = 10;

/// Events of one answer, the most there may be.
const MAX_RESULTS: u64 = 1000;

/// Pause before the server is asked again after it was lost.
const LOST_PAUSE: Duration = Duration::from_secs(2);

/// Flags of `towpath tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "  towpath tail --name 'Delete*' --user alice
  towpath tail --store orders --output json | jq .eventData.eventName")]
pub struct Tail {
    /// Event data store, by name, id or ARN [default: the event history]
    #[arg(long, alias = "event-data-store", value_name = "STORE")]
    store: Option<String>,
    /// Only events with this name; * stands for anything; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    name: Vec<String>,
    /// Only events of this user; * stands for anything; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    user: Vec<String>,
    /// Begin after this position instead of now
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Stop after so many events
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,
    /// Form of the events; JSON gives whole records, one a line
    #[arg(long, short, value_enum, default_value_t)]
    output: TailFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The form of events that are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum TailFormat {
    /// One line of columns per event.
    #[default]
    Table,
    /// One record per line.
    Json,
}

impl Tail {
    /// Follows events until Ctrl-C.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PROMPT)?;
        let store = match &self.store {
            Some(written) => Some(store_name::reference(&client, written).await?),
            None => None,
        };
        tokio::select! {
            outcome = self.follow(&client, store, std::io::stdout()) => outcome,
            // To stop is how this ends well.
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self, client: &Client, store: Option<String>, mut out: impl Write) -> Result<(), Failure> {
        let mut input = json!({ "MaxResults": MAX_RESULTS, "WaitSeconds": WAIT_SECONDS });
        if let Some(store) = store {
            input["EventDataStore"] = json!(store);
        }
        if let Some(after) = self.after {
            input["AfterPosition"] = json!(after);
        }
        let (mut printed, mut reached, mut lost) = (0, false, false);
        loop {
            let answer = match client.call(Api::Towpath, "TailEvents", &input).await {
                Ok(answer) => answer,
                // A server that was there may come back; one that never was is an error.
                Err(error) if reached && (is_loss(&error) || error.is_throttling()) => {
                    if !lost {
                        eprintln!("{error}; trying again");
                    }
                    lost = true;
                    tokio::time::sleep(LOST_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if lost {
                eprintln!("connected again");
            }
            (reached, lost) = (true, false);
            let events = answer.get("Events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for event in events {
                let json = text(event, "EventJson");
                let record: Value = serde_json::from_str(json).unwrap_or_default();
                let summary = Summary::of(&record);
                if !self.wants(&summary) {
                    continue;
                }
                match self.output {
                    TailFormat::Json => writeln!(out, "{}", json.replace(['\n', '\r'], " "))?,
                    TailFormat::Table => writeln!(out, "{}", line(&summary))?,
                }
                printed += 1;
                if self.count == Some(printed) {
                    return Ok(out.flush()?);
                }
            }
            out.flush()?;
            let Some(next) = answer.get("NextPosition").filter(|next| !next.is_null()) else {
                let problem = "it has no NextPosition".to_owned();
                return Err(ClientError::Unreadable { operation: "TailEvents".to_owned(), problem }.into());
            };
            input["AfterPosition"] = next.clone();
        }
    }

    fn wants(&self, summary: &Summary) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| event::matches(pattern, text))
        };
        any(&self.name, &summary.name) && any(&self.user, &summary.user)
    }
}

fn is_loss(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. }) || error.is_ambiguous()
}

/// An event in columns that mostly line up, without knowing the events to come.
fn line(summary: &Summary) -> String {
    let error = if summary.error.is_empty() { String::new() } else { format!("  {}", visible(&summary.error)) };
    let line = format!(
        "{:<20}  {:<28}  {:<28}  {:<24}  {:<15}{error}",
        visible(&summary.time),
        visible(&summary.name),
        visible(&summary.source),
        visible(&summary.user),
        visible(&summary.address),
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::fake::{Fake, error};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        tail: Tail,
    }

    fn tail(line: &str) -> Tail {
        Line::try_parse_from(std::iter::once("tail").chain(line.split_whitespace())).unwrap().tail
    }

    fn event(name: &str, user: &str) -> Value {
        json!({"Position": 1, "EventJson": json!({
            "eventTime": "2026-11-20T00:00:00Z", "eventName": name, "eventSource": "iam.amazonaws.com",
            "sourceIPAddress": "192.0.2.1", "userIdentity": {"type": "IAMUser", "userName": user}
        }).to_string()})
    }

    #[tokio::test]
    async fn events_are_followed_from_answer_to_answer_and_filtered() {
        let fake = Fake::answering(vec![
            (200, json!({"Events": [event("GetUser", "alice"), event("DeleteUser", "bob")], "NextPosition": 7})),
            (200, json!({"Events": [], "NextPosition": 7})),
            (200, json!({"Events": [event("DeleteUser", "alice\u{1b}[2J")], "NextPosition": 9})),
        ])
        .await;
        let mut out = Vec::new();
        tail("--name Delete* --user alice* -n 1").follow(&fake.client(), Some("s".to_owned()), &mut out).await.unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-11-20T00:00:00Z  DeleteUser                    iam.amazonaws.com             alice\\u{1b}[2J            \
             192.0.2.1\n"
        );
        let inputs: Vec<_> = fake.seen().into_iter().map(|seen| seen.input).collect();
        assert_eq!(inputs[0], json!({"MaxResults": 1000, "WaitSeconds": 10, "EventDataStore": "s"}));
        assert_eq!(inputs[2]["AfterPosition"], 7);
    }

    #[tokio::test]
    async fn json_is_one_record_a_line() {
        let fake = Fake::answering(vec![(
            200,
            json!({"Events": [{"EventJson": "{\n\"eventName\":\"A\"}"}, {"EventJson": "{}"}], "NextPosition": 1}),
        )])
        .await;
        let mut out = Vec::new();
        tail("-n 2 -o json --after 0").follow(&fake.client(), None, &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{ \"eventName\":\"A\"}\n{}\n");
        assert_eq!(fake.seen()[0].input["AfterPosition"], 0);
    }

    #[tokio::test]
    async fn a_refusal_ends_it() {
        let fake = Fake::answering(vec![error(400, "AccessDeniedException", "no")]).await;
        let failure = tail("").follow(&fake.client(), None, Vec::new()).await.unwrap_err();
        assert_eq!(failure.to_string(), "TailEvents was refused: AccessDeniedException: no");
    }
}
